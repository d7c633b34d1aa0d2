"""What the image has inside."""

from tests.image.engine import Engine


def test_nothing_is_warned_of_in_the_build(build_log: str) -> None:
    assert not [line for line in build_log.splitlines() if "warn" in line.lower()]


def test_the_image_is_small(engine: Engine) -> None:
    assert engine.inspect("gradbook", "image")["Size"] <= 640e6
