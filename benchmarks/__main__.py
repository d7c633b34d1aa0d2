"""Measure, and print a table; `--write` sets it, the plot and the table of growth, into RESULTS.md.

`--quick` leaves out the slow peers and a million nodes, and takes under three minutes; names of modules choose some.
"""

import argparse
import os
import platform
import re
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import numpy as np  # noqa: F401 (of the libraries that are loaded the limit is set)
from threadpoolctl import threadpool_limits

from benchmarks.measuring import HEAD, markdown_line
from service.settings import Settings

_GROUPS = ("scalar_graphs", "points", "networks", "comparison", "large_graphs", "pictures", "service", "growth")
_RESULTS = Path(__file__).with_name("RESULTS.md")
_PLOT = Path(__file__).with_name("growth.svg")
_BEGIN, _END = "<!-- table -->\n", "<!-- end of table -->\n"


def main() -> None:
    """Measure the groups that are asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[[], *_GROUPS], default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    threadpool_limits(Settings.blas_threads, user_api="blas")
    lines = [markdown_line(HEAD), f"|{'---|' * len(HEAD)}"]
    print(*lines, sep="\n")
    for group in asked.groups or _GROUPS:
        for row in import_module(f"benchmarks.{group}").rows(asked.quick):
            lines.append(markdown_line(row.cells()))
            print(lines[-1], flush=True)
    if asked.write:
        _write(lines)


def _write(lines: list[str]) -> None:
    from benchmarks import growth, plot, points

    acts = growth.measure()
    plot.draw(acts, points.measure(), _PLOT)
    measured = (
        f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    before, rest = _RESULTS.read_text(encoding="utf-8").split(_BEGIN)
    table = "\n".join(
        ("", measured + ".", "", *lines, "", f"![Cost against size]({_PLOT.name})", "", *growth.table(acts), "")
    )
    _RESULTS.write_text(f"{before}{_BEGIN}{table}\n{_END}{rest.split(_END)[1]}", encoding="utf-8")


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


if __name__ == "__main__":
    main()
