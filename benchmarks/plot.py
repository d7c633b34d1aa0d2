"""The plot of cost against size, an SVG: acts of the API by nodes, the tutorial's graph by points."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.measuring import Series

_ACTS = ("create_graph", "create_run", "create_run, again", "create_comparison", "check_claims", "get_run", "list_runs")


def draw(acts: Series, points: Series, path: Path) -> None:
    """Draw both, with logarithmic scales, in which cost that grows with size is a straight line."""
    # The same figures make the same file; words stay words.
    with mpl.rc_context({"svg.hashsalt": "gradbook", "svg.fonttype": "none"}):
        figure = Figure(figsize=(10, 4.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        _lines(left, {name: acts[name] for name in _ACTS}, "nodes", "milliseconds of an act of the API")
        _lines(right, points, "points", "milliseconds of both passes of the tutorial's graph")
        figure.savefig(path, metadata={"Date": None})


def _lines(axes: Any, series: Series, size: str, cost: str) -> None:
    for name, seconds in series.items():
        axes.loglog(list(seconds), [1e3 * taken for taken in seconds.values()], marker="o", label=name)
    axes.set_xlabel(size)
    axes.set_ylabel(cost)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
