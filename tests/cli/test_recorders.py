"""The command `record`, where no framework is installed."""

import importlib.util

import pytest

from tests.cli.command import call_main


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is here")
def test_it_is_told_what_is_not_installed() -> None:
    ended = call_main("", "record", "torch", "builtins:tuple")
    assert ended.code == 2 and "is to return (model, arguments)" in ended.err
    ended = call_main("", "record", "torch", "sys:path")
    assert ended.code == 2 and "sys:path is no function" in ended.err
    ended = call_main("", "record", "torch", "sys:exc_info")
    assert ended.code == 2 and "torch is not installed here" in ended.err
