"""A recorded training as a file and as a series: three steps of gradient descent on (w·x − 1)², written by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.client import Client
from service.recorders import training
from service.recorders.archive import NotARecording, read_archive, write_archive
from service.recorders.optimizers import update_of
from service.recorders.training import RecordedStep, TrainingRecording
from tests.cli.command import call_main, gradbook

RATE = 0.1


def descent(slip: float = 1.0, skipped: int | None = None) -> TrainingRecording:
    """The last step goes `slip` times too far; `skipped` was taken, but not recorded."""
    w, steps = 0.5, []
    for number in range(1, 5):
        x = np.float64(number)
        gradient = 2 * (w * x - 1) * x
        after = w - RATE * gradient * (slip if number == 4 else 1)
        figures = {"x": x, "w": w, "loss": (w * x - 1) ** 2, "w.grad": gradient, "w'": after, "lr": RATE / 1}
        if number != skipped:
            steps.append(RecordedStep(number, {name: np.float64(each) for name, each in figures.items()}))
        w = after
    nodes: list[dict[str, Any]] = [
        {"name": "x", "operation": "Input"},
        {"name": "w", "operation": "Input"},
        {"name": "one", "operation": "Constant", "attributes": {"value": 1}},
        {"name": "product", "operation": "Mul", "inputs": ["w", "x"]},
        {"name": "error", "operation": "Sub", "inputs": ["product", "one"]},
        {"name": "loss", "operation": "Mul", "inputs": ["error", "error"]},
    ]
    update = update_of("SGD", "w", "lr", {"weight_decay": 0, "momentum": 0})
    return TrainingRecording(
        name="descent",
        by="a test",
        nodes=nodes,
        loss="loss",
        parameters=["w"],
        updates=[{"name": "lr", "operation": "Input"}, *update.nodes],
        carry=update.carry,
        steps=steps,
    )


@pytest.mark.parametrize("slip", [1.0, 1.01])
def test_a_recording_becomes_a_series(
    service_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slip: float
) -> None:
    monkeypatch.setattr(training, "_MOST_AT_ONCE", 100)  # bytes: two steps
    descent(slip).save(tmp_path / "descent.npz")
    with Client(service_url) as client:
        series = TrainingRecording.load(tmp_path / "descent.npz").upload(client, label="by hand", tags={"test": "1"})
        found = client.get_series_verdict(series)
        assert (series.steps, series.label, series.carry) == (4, "by hand", {"w'": "w"})
    assert not found.broken_carries
    assert (found.first_wrong and (found.first_wrong.step, *found.first_wrong.nodes)) == (
        None if slip == 1 else (4, "w'")
    )


def test_it_is_imported_from_the_command_line(service_url: str, tmp_path: Path) -> None:
    path = tmp_path / "descent.npz"
    descent().save(path)
    shown = gradbook(service_url, "series", "import", str(path), "--name", "fall", "--label", "by hand", expect=0)
    assert "graph        fall step@" in shown and "last_step    4" in shown
    noted = descent(1.01)
    noted.notes.append("b is not judged.")
    noted.save(path)
    ended = call_main(service_url, "series", "import", str(path))
    assert (ended.code, ended.err) == (1, "b is not judged.\n") and "first_wrong  4" in ended.out
    np.savez(path, w=1.0)
    refused = gradbook(service_url, "series", "import", str(path), expect=2)
    assert "is no recorded training: it has no member" in " ".join(refused.split())


def test_a_step_that_is_not_recorded_breaks_no_carry(service_url: str) -> None:
    with Client(service_url) as client:
        series = descent(1.01, skipped=3).upload(client)
        found = client.get_series_verdict(series)
    assert (series.steps, series.last_step) == (3, 4)
    assert not found.broken_carries and found.wrong_steps == (4,)


Change = Callable[[dict[str, Any], dict[str, Any]], object]
DAMAGED: dict[str, Change] = {
    r"lacks carry": lambda document, arrays: document.pop("carry"),
    r"unknown member: 7/w\.npy": lambda document, arrays: arrays.update({"7/w": np.zeros(3)}),
    r"unknown member: w\.npy": lambda document, arrays: arrays.update({"w": np.zeros(3)}),
    r"0/w\.npy has not one figure for each of its steps": lambda document, arrays: arrays.update({"0/w": np.zeros(3)}),
    r"does not say": lambda document, arrays: document.update(format="other"),
}


@pytest.mark.parametrize("reason", DAMAGED)
def test_a_file_that_is_none_is_refused(reason: str, tmp_path: Path) -> None:
    path = tmp_path / "descent.npz"
    descent().save(path)
    content = path.read_bytes()
    document, arrays = read_archive(content, "training.json", training._MEMBERS, training._DECLARED)
    arrays = {name.removesuffix(".npy"): array for name, array in arrays.items()}
    DAMAGED[reason](document, arrays)
    write_archive(path, "training.json", document, arrays)
    with pytest.raises(NotARecording, match=reason):
        TrainingRecording.load(path)
