"""Call the command's entry point in this process, which spares each call a second of imports."""

import json
import sys
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from service.cli.main import main


class Ended(NamedTuple):
    """The exit code of a command and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The standard output as JSON, in which a bare NaN fails the test."""
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"a bare {name}"))


def call_main(url: str, *arguments: str, stdin: str = "") -> Ended:
    """Call `main` as `gradbook ARGUMENTS`, with the service at `url` in GRADBOOK_URL."""
    runner = CliRunner()
    with (
        runner.isolation(stdin, env={"GRADBOOK_URL": url}) as (out, err, _),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "argv", ["gradbook", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        sys.stdout.flush()
        return Ended(int(ended.value.code or 0), out.getvalue().decode(), err.getvalue().decode())


def gradbook(url: str, *arguments: str, expect: int, stdin: str = "") -> str:
    """Return what the command printed, on standard error where it refused; fail unless it ended with `expect`."""
    ended = call_main(url, *arguments, stdin=stdin)
    assert ended.code == expect, ended
    return ended.out if expect in (0, 1, 4) else ended.err
