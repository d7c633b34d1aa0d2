"""Training loops recorded step by step: right ones have no origin, a bug is named in the step where it begins."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.client import Client
from service.client.results.series import SeriesVerdict

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

from service.recorders.optimizers import UnknownOptimizer  # noqa: E402
from service.recorders.torch import record_training  # noqa: E402
from service.recorders.training import TrainingRecording  # noqa: E402
from tests.recorders.torch.models import CASES  # noqa: E402
from tests.recorders.torch.trainings import AT, RATE, STEPS, TASK, by_adam, train  # noqa: E402
from tests.recorders.torch.trials import BUGS as BUGS_OF_TRIALS  # noqa: E402
from tests.recorders.torch.trials import trial  # noqa: E402

pytestmark = pytest.mark.peers

nn = torch.nn
DTYPES = [torch.float64, torch.float32]


@pytest.fixture(scope="module")
def client(service_url: str) -> Iterator[Client]:
    with Client(service_url, timeout=120) as client:
        yield client


def judged(client: Client, recording: TrainingRecording) -> SeriesVerdict:
    return client.get_series_verdict(recording.upload(client, retain="norms"))


def by_sgd(**options: Any) -> Callable[[Any], Any]:
    return lambda parameters: torch.optim.SGD(parameters, lr=RATE, **options)


def by_adamw(parameters: Any) -> Any:
    return torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0)


Case = tuple[Callable[[Any], Any], Mapping[str, Any], set[str]]
# The optimiser, what is said of it, and the ends of the names where the bug arises.
BUGS: Mapping[str, Case] = {
    "eps inside the root": (by_adam("eps inside the root"), {}, {"'"}),
    "no bias correction": (by_adam("no bias correction"), {}, {"'"}),
    "decoupled decay": (by_adam("decoupled decay"), {}, {"exp_avg'", "exp_avg_sq'", "'"}),
    "decay sneaks in": (by_adamw, {}, {"'"}),
    "no zero_grad": (by_adam(None), {}, {"grad"}),
    "clipping": (by_adam(None), {}, {"grad"}),
    "a frozen layer": (by_sgd(), {}, {"grad"}),
    "a schedule off by one": (by_sgd(momentum=0.9), {"schedule": f"{RATE} * 0.9 ^ (t - 1)"}, {"lr"}),
}


SAID = {
    "eps inside the root": "0.001 was added within the root of `0.weight'/square`, not beside it.",
    "no bias correction": "The bias of `0.weight.exp_avg'` and `0.weight.exp_avg_sq'` was not corrected.",
    "decay sneaks in": "A decay of 0.01·`0.weight` is too much.",
}


CAUSES = {
    "no zero_grad": f"those of step {AT - 1}: they were not set to zero.",
    "clipping": "0.5 times what they should be.",
    "a frozen layer": "0.weight.grad is recorded as 0: nothing flowed back to it, as where a layer is frozen.",
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_named_in_the_step_where_it_begins(client: Client, bug: str, dtype: Any) -> None:
    make, said, ends = BUGS[bug]
    found = judged(client, train(partial(record_training, **said), dtype, bug, make))
    assert found.first_wrong is not None and found.first_wrong.step == AT
    kinds = {end for name in found.first_wrong.nodes for end in [name.rpartition(".")[2]]}
    assert {("'" if kind in ("weight'", "bias'") else kind) for kind in kinds} == ends
    cause = found.first_wrong.cause
    assert str(cause).endswith(CAUSES[bug]) if bug in CAUSES else cause is None
    if bug in SAID and dtype == torch.float64:
        assert SAID[bug] in found.first_wrong.origins[0].sentence
    assert not found.broken_carries
    assert len(found.wrong_steps) == (1 if bug == "no zero_grad" else STEPS - AT + 1)


def test_coupled_decay_is_not_the_decoupled_one_that_is_meant(client: Client) -> None:
    found = judged(client, train(partial(record_training, rule="AdamW"), torch.float64))
    assert found.first_wrong is not None and found.first_wrong.step == 1
    assert "0.weight.exp_avg'" in found.first_wrong.nodes


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_written_between_two_steps_breaks_a_carry(client: Client, dtype: Any) -> None:
    found = judged(client, train(record_training, dtype, "written silently"))
    assert found.first_wrong is None
    assert [(carry.step, carry.input) for carry in found.broken_carries] == [(AT, "0.weight")]


RIGHT: Mapping[str, Callable[[Any], Any]] = {
    "adam by hand": by_adam(None),
    "sgd": by_sgd(weight_decay=0.1),
    "nesterov": by_sgd(momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=RATE, amsgrad=True),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=RATE),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=RATE),
    "centred": lambda parameters: torch.optim.RMSprop(parameters, lr=RATE, centered=True, momentum=0.5),
    "two groups": lambda parameters: torch.optim.AdamW(
        [{"params": [each], "lr": RATE / number} for number, each in enumerate(parameters, 1)]
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_training_has_no_origin(client: Client, name: str, dtype: Any) -> None:
    recording = train(record_training, dtype, None, RIGHT[name], count=4)
    assert recording.notes == [] and len(recording.steps) == 4
    assert not judged(client, recording).arose


def test_chaos_is_no_bug_and_decay_that_sneaks_in_is_named_at_once(client: Client) -> None:
    """In another precision the weights end elsewhere; where the decay begins, norms have parted long before."""
    at, count = 300, 320
    fine, coarse = (train(record_training, dtype, None, by_fast, count=count) for dtype in DTYPES)
    ends = [np.float64(each.steps[-1].values["0.weight'"]) for each in (fine, coarse)]
    assert np.linalg.norm(ends[0] - ends[1]) > 0.1 * np.linalg.norm(ends[0])
    assert not judged(client, coarse).arose
    found = judged(client, train(record_training, torch.float32, "decay sneaks in", by_fast, count=count, at=at))
    assert found.first_wrong is not None and found.first_wrong.step == at


def by_fast(parameters: Any) -> Any:
    return torch.optim.AdamW(parameters, lr=1.0, weight_decay=0.0)


@pytest.mark.parametrize("name", CASES)
def test_trainings_of_many_kinds_of_nets_have_no_origin(client: Client, name: str) -> None:
    model, arguments = CASES[name].made(slip=False)
    torch.manual_seed(3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with record_training(model, optimizer) as recording:
        for _ in range(3):
            optimizer.zero_grad()
            model(*arguments).backward()
            optimizer.step()
    assert len(recording.steps) == 3
    found = judged(client, recording)
    assert not found.arose, found.sentence


def test_random_trainings_are_told_rightly(client: Client) -> None:
    """One of each bug; `trials.py` tries as many as one likes."""
    told = [trial(client, seed) for seed in range(len(BUGS_OF_TRIALS))]
    assert [sentence for _, right, sentence in told if not right] == []


class Noisy(nn.Module):  # type: ignore[misc]  # PyTorch is not there where this is checked
    """What differs from step to step beside the batch: what dropout leaves, and a weight of the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm, self.unused = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(2, 2)

    def forward(self, x: Any, share: float) -> Any:
        return (nn.functional.dropout(self.norm(self.linear(x)), 0.5) ** 2).mean() * share


def test_what_differs_from_step_to_step_is_an_input(client: Client) -> None:
    torch.manual_seed(0)
    model = Noisy().double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    other = torch.optim.SGD(TASK.made(torch.float64).parameters(), lr=0.1)
    with record_training(model, optimizer) as recording:
        for step in range(4):
            optimizer.zero_grad()
            model(torch.randn(6 - step, 3, dtype=torch.float64), 1.0 + step).backward()
            other.step()
            optimizer.step()
            with torch.no_grad():
                model(torch.ones(2, 3, dtype=torch.float64), 1.0)
    nodes = {node["name"]: node for node in recording.nodes}
    kept, share = (nodes[nodes[name]["inputs"][1]] for name in ("dropout", "mul"))
    assert kept["operation"] == share["operation"] == "Input"
    assert recording.notes == [
        f"unused.{each} has no gradient in the first step: it is not judged." for each in ("weight", "bias")
    ]
    assert not judged(client, recording).arose


def test_every_third_step_and_what_is_saved(client: Client, tmp_path: Path) -> None:
    recording = train(partial(record_training, every=3), torch.float32, "clipping", at=4)
    recording.save(tmp_path / "steps.npz")
    read = TrainingRecording.load(tmp_path / "steps.npz")
    assert [step.number for step in read.steps] == [1, 4, 7]
    assert repr(read) == f"TrainingRecording('Sequential training' by {recording.by}: 3 steps)"
    assert {**vars(read), "steps": 0} == {**vars(recording), "steps": 0}
    for one, other in zip(read.steps, recording.steps, strict=True):
        assert one.values.keys() == other.values.keys()
        assert all(np.array_equal(one.values[name], other.values[name]) for name in one.values)
    found = judged(client, read)
    assert found.first_wrong is not None and found.first_wrong.step == 4 and not found.broken_carries


def test_an_update_that_is_not_known_is_refused() -> None:
    parameters = [*TASK.made(torch.float64).parameters()]
    known = "SGD, Adam, AdamW, RMSprop"
    with pytest.raises(UnknownOptimizer, match=f"Adagrad is none of {known}"):
        record_training(TASK.made(torch.float64), torch.optim.Adagrad(parameters)).__enter__()
    with pytest.raises(UnknownOptimizer, match=f"Lion is none of {known}"):
        record_training(TASK.made(torch.float64), by_adam(None)(parameters), rule="Lion").__enter__()
    with pytest.raises(ValueError, match="from 1 on"):
        record_training(TASK.made(torch.float64), by_adam(None)(parameters), every=0).__enter__()


def stepped(make: Callable[[Any], Any], **said: Any) -> TrainingRecording:
    recording: TrainingRecording = train(partial(record_training, **said), torch.float64, None, make, count=1)
    return recording


def test_so_is_one_that_only_its_first_step_shows() -> None:
    with pytest.raises(UnknownOptimizer, match="SGD with dampening is not recorded"):
        stepped(by_sgd(momentum=0.9, dampening=0.5))
    with pytest.raises(UnknownOptimizer, match="RMSprop keeps 'square_avg' in a parameter's state"):
        stepped(by_sgd(), rule="RMSprop")
    groups = lambda parameters: torch.optim.SGD([{"params": [each]} for each in parameters], lr=0.1)  # noqa: E731
    with pytest.raises(ValueError, match="a schedule is of one group"):
        stepped(groups, schedule="0.1 / t")
    model = TASK.made(torch.float64)
    optimizer = by_adam(None)(model.parameters())
    with pytest.raises(UnknownOptimizer, match="closure"), record_training(model, optimizer):
        optimizer.step(lambda: None)
    with record_training(model, optimizer) as recording:
        optimizer.step()
    assert recording.notes == ["Left out, since `backward` was not called: step 1.", "No step is recorded."]


def test_a_step_whose_backward_is_given_a_gradient_is_left_out_for_that() -> None:
    model = TASK.made(torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record_training(model, optimizer) as recording:
        for step in range(5):
            optimizer.zero_grad()
            loss = model(torch.ones(2, 3, dtype=torch.float64)).sum()
            loss.backward(torch.ones_like(loss) if step in (2, 4) else None)
            optimizer.step()
    assert recording.notes == ["Left out, since `backward` was given a gradient: steps 3, 5."]
    assert [step.number for step in recording.steps] == [1, 2, 4]
