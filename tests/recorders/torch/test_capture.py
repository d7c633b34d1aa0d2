"""What the recorder makes of a program: our run of its recording has PyTorch's figures in every node."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from service.client import Client, Comparison

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

from service.recorders.recording import NotDifferentiable, Recording  # noqa: E402
from service.recorders.torch import record  # noqa: E402

pytestmark = pytest.mark.peers

nn, functional = torch.nn, torch.nn.functional
Program = Callable[[Any, Any], Any]


@pytest.fixture(scope="module")
def client(service_url: str) -> Iterator[Client]:
    with Client(service_url) as made:
        yield made


def compare(client: Client, recording: Recording) -> Comparison:
    """Our run of the recorded graph, with PyTorch's conventions, against the recording."""
    theirs = recording.upload(client)
    ours = client.create_run(
        theirs.graph_id, recording.inputs, output=recording.output, seed=recording.seed, conventions="torch"
    )
    return client.create_comparison(ours, theirs)


def operations(recording: Recording) -> dict[str, str]:
    return {node["name"]: node["operation"] for node in recording.nodes}


def recorded(program: Program) -> Recording:
    """Of the sum of squares of what a program makes of x, 2 by 3, and w, 3 by 3."""
    torch.manual_seed(0)
    x, w = torch.randn(2, 3, requires_grad=True), torch.randn(3, 3, requires_grad=True)
    with record() as recording:
        (program(x, w) ** 2).sum().backward()
    return recording


def in_place(x: Any, w: Any) -> Any:
    h = x @ w
    h.mul_(2.0)
    h += x
    return torch.tanh(h)


def through_a_view(x: Any, w: Any) -> Any:
    h = x @ w
    first, flat = h[0], h.view(-1)
    first.mul_(3.0)
    h[:, 1] = x[:, 0]
    return torch.sin(h) + flat.reshape(2, 3) * first


def of_a_transposed_base(x: Any, w: Any) -> Any:
    h = torch.exp(x).t().clone(memory_format=torch.preserve_format)
    h.t()[0, 1:] *= w[0, 1:]
    return h


def detached(x: Any, w: Any) -> Any:
    h = x @ w
    with torch.no_grad():
        mean = h.mean()
    return h.detach() * x - mean * h + h.data


def constants(x: Any, w: Any) -> Any:
    mask = torch.triu(torch.full((2, 3), float("-inf")), diagonal=1)
    noise = torch.randn(2, 3)
    return torch.softmax(x @ w + mask, dim=-1) + noise * torch.arange(3)


def dropped(x: Any, w: Any) -> Any:
    return functional.dropout(x, 0.4) + functional.alpha_dropout(x @ w, 0.3)


def indexed(x: Any, w: Any) -> Any:
    rows = w[torch.tensor([2, 0, 2])][:, None, ::2].squeeze(1)
    return x[..., -1].sum() + rows[1] * w[torch.tensor([True, False, True])][:, 1] + x[1, 1:]


def of_a_base_within_linear(x: Any, w: Any) -> Any:
    h = functional.linear(x.expand(2, 2, 3), w)
    first = h[0]
    first.mul_(3.0)
    return functional.relu(h, inplace=True) * first


def tied(x: Any, w: Any) -> Any:
    h = torch.cat([x, torch.relu(x @ w), x])
    return h.sort(0).values * h.sort(1, descending=True).indices[0] + h.topk(6, 0).values


def in_bags(x: Any, w: Any) -> Any:
    return functional.embedding_bag(torch.tensor([0, 2, 1, 1]), w, torch.tensor([0, 3])) @ x.T


def scattered(x: Any, w: Any) -> Any:
    at = torch.tensor([[0, 0, 2], [1, 1, 1]])
    return torch.zeros(2, 3).scatter_reduce(1, at, x, "amax", include_self=False) + x.scatter_add(1, at, x @ w)


def smoothed(x: Any, w: Any) -> Any:
    labels = torch.tensor([[1, 0, 2], [0, 0, 1]])
    scores = torch.stack([x, x @ w, x * x], 1)
    options = {"ignore_index": 0, "label_smoothing": 0.1}
    each = functional.cross_entropy(scores, labels, reduction="none", **options)
    return each * functional.cross_entropy(scores, labels, **options)


PROGRAMS = [
    *(in_place, through_a_view, of_a_transposed_base, of_a_base_within_linear),
    *(detached, constants, dropped, indexed, tied, in_bags, scattered, smoothed),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_our_run_has_the_figures_of_pytorch(client: Client, program: Program) -> None:
    recording = recorded(program)
    compared = compare(client, recording)
    assert (compared.verdict, recording.unmapped, recording.notes) == ("same", [], [])
    assert recording.dtype == "float32"
    assert {"x", "w"} <= {name for name, figure in recording.gradients.items() if figure is not None}


class Net(nn.Module):
    """A block twice, a weight twice, a buffer, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU())
        self.head = nn.Linear(3, 3, bias=False)
        self.head.weight = self.block[0].weight
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x: Any) -> Any:
        return self.head(self.block(self.block(x)) * self.scale)


def train(net: Any, **options: Any) -> Recording:
    torch.manual_seed(0)
    x, target = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    with record(net, **options) as recording:
        functional.cross_entropy(net(x), target).backward()
    return recording


def test_nodes_are_named_by_modules_parameters_and_variables(client: Client) -> None:
    recording = train(Net())
    made = operations(recording)
    assert list(made)[:5] == ["x", "block.0.weight", "block.0.bias", "block.0", "block.1.weight"]
    assert {made["block.0"], made["block.0:2"], made["head"]} == {"Gemm"}
    assert (made["block.1"], made["block.2:2"], made["scale"], made["target"]) == (
        *("BatchNormalization", "Relu", "Input", "Input"),
    )
    assert (recording.name, recording.by) == ("Net", f"PyTorch {torch.__version__.partition('+')[0]}")
    assert recording.output == "cross_entropy" and recording.sources == {}
    assert compare(client, recording).verdict == "same"


def test_no_gradient_is_none_and_not_zero() -> None:
    net = Net().eval()
    net.block[0].bias.requires_grad_(False)
    recording = train(net)
    assert recording.gradients["block.0.bias"] is None and recording.gradients["scale"] is None
    assert "target" not in recording.gradients
    assert recording.gradients["block.0.weight"].shape == (3, 3)
    assert operations(recording)["block.1.running_mean"] == "Input"


def test_the_programs_own_gradients_and_random_numbers_are_as_without_the_recorder() -> None:
    def program(x: Any) -> Any:
        return functional.dropout(torch.tanh(x), 0.5).sum()

    gradients = []
    for recorder in (record, torch.enable_grad):
        torch.manual_seed(1)
        x = torch.linspace(-1, 1, 20).requires_grad_()
        with recorder():
            program(x).backward()
        gradients.append((x.grad, torch.rand(3)))
        assert not x._backward_hooks
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_a_gradient_is_what_the_hooks_of_the_program_make_of_it(client: Client) -> None:
    net = nn.Linear(3, 2)
    with record(net) as recording:
        result = net(torch.eye(3))
        handle = result.register_hook(lambda gradient: gradient * 3)
        result.register_hook(lambda gradient: gradient + 1)
        (result * 2).sum().backward()
    handle.remove()
    assert recording.gradients["linear"].tolist() == [[7, 7]] * 3
    (origin,) = compare(client, recording).origins
    assert (origin.phase, origin.node) == ("backward", "linear")


def test_what_is_not_set_yet_is_0() -> None:
    def program(x: Any, w: Any) -> Any:
        kept = torch.empty(2)
        kept[:1] = x.sum()
        kept[1:] = w.sum()
        return kept.sum()

    torch.use_deterministic_algorithms(True)  # which fills it with NaN
    try:
        recording = recorded(program)
    finally:
        torch.use_deterministic_algorithms(False)
    (unset,) = (node for node in recording.nodes if node["name"] == "empty")
    assert unset == {"name": "empty", "operation": "Constant", "attributes": {"value": [0, 0]}}


def test_a_compiled_model_is_recorded_as_it_is(recwarn: pytest.WarningsRecorder) -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    plain, compiled = (record(each, torch.eye(3), torch.sum) for each in (net, torch.compile(net)))
    assert compiled.nodes == plain.nodes and compiled.name == plain.name
    assert not any("Dynamo" in str(each.message) for each in recwarn)


def test_gradients_by_transforms_are_no_part_of_a_recording(client: Client) -> None:
    net, x = nn.Linear(3, 1), torch.eye(3)

    def loss(weights: Any) -> Any:
        return torch.func.functional_call(net, weights, (x,)).sum() + (2 * x).sum()

    with record(net) as recording:
        torch.func.grad(loss)(dict(net.named_parameters()))
        net(torch.eye(3)).sum().backward()
    assert recording.unmapped == [] and compare(client, recording).verdict == "same"


def test_a_call_is_recorded_with_its_loss_and_its_lines(client: Client) -> None:
    recording = record(nn.Linear(3, 2), (torch.ones(4, 3),), lambda y: (y**2).mean(), source=True)
    assert recording.output == "mean" and operations(recording)["input"] == "Input"
    assert recording.sources["mean"].partition(":")[0].endswith("tests/recorders/torch/test_capture.py")
    assert compare(client, recording).verdict == "same"


def test_what_has_no_node_is_told_and_the_rest_is_recorded(client: Client) -> None:
    class Twice(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            return 2 * x

        @staticmethod
        def backward(context: Any, upstream: Any) -> Any:
            return 2 * upstream

    def program(x: Any, w: Any) -> Any:
        return torch.special.i0(torch.tanh(x)) @ w + torch.sigmoid(Twice.apply(w[:2]))

    with pytest.warns(RuntimeWarning, match=r"special_i0 .*TwiceBackward"):
        recording = recorded(program)
    assert [(each["operation"], each["nodes"]) for each in recording.unmapped] == [
        ("special_i0", ["special_i0"]),
        ("TwiceBackward", ["TwiceBackward"]),
    ]
    assert "x" not in recording.gradients and recording.gradients["sigmoid"] is not None
    compared = compare(client, recording)
    assert compared.verdict == "same" and compared.counts["same"] > 10


def test_gradients_of_several_losses_are_those_of_their_sum(client: Client) -> None:
    w = torch.tensor([1.0, -2.0], requires_grad=True)
    with record() as recording:
        torch.exp(w).backward(torch.tensor([1.0, 0.5]))
        (w * w).sum().backward()
    assert recording.output == "total"
    assert np.allclose(recording.gradients["w"], w.grad)
    assert compare(client, recording).verdict == "same"


def test_a_step_of_an_optimiser_is_not_recorded(client: Client) -> None:
    net = Net()
    optimiser = torch.optim.Adam(net.parameters())
    with record(net) as recording:
        (net(torch.eye(3)) ** 2).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
    assert not {"Sqrt", "addcdiv"} & {*operations(recording).values()}
    assert compare(client, recording).verdict == "same"


def test_without_backward_there_are_values_alone(client: Client) -> None:
    net = Net().eval()
    with record(net) as recording, torch.no_grad():
        net(torch.ones(2, 3))
    assert (recording.output, recording.outputs, recording.gradients) == (None, ["head"], {})
    assert "StopGradient" not in operations(recording).values()
    assert recording.upload(client).values["head"].shape == (2, 3)


def test_a_change_that_autograd_does_not_see_has_the_gradient_of_what_was_before(client: Client) -> None:
    def program(x: Any, w: Any) -> Any:
        h = x @ w
        with torch.no_grad():
            h.clamp_(max=0.5)
        return h + x

    recording = recorded(program)
    assert recording.notes == [] and compare(client, recording).verdict == "same"


def test_a_program_that_computes_with_a_gradient_is_recorded_beside_it(client: Client) -> None:
    def program(x: Any, w: Any) -> Any:
        (slope,) = torch.autograd.grad(torch.sin(x).sum(), x, create_graph=True)
        return (slope**2).sum() + torch.tanh(x @ w)

    with pytest.warns(RuntimeWarning, match="grad"):
        recording = recorded(program)
    assert [each["nodes"] for each in recording.unmapped] == [["gradient"]]
    assert recording.output == "sum:3" and recording.gradients["w"] is not None
    assert compare(client, recording).verdict == "same"


def test_labels_and_masks_stay_inputs_of_what_follows_from_them(client: Client) -> None:
    def program(x: Any, w: Any) -> Any:
        ids = torch.arange(12).reshape(2, 6).flatten()[:2]
        keep = labels[:, 1:] != 4
        return functional.cross_entropy(x @ w + ids[:, None], labels[:, 1]) + (x * keep).sum()

    labels = torch.tensor([[0, 1, 2, 4], [1, 2, 4, 0]])
    recording = recorded(program)
    assert recording.inputs["labels"].dtype == np.int64
    assert {"NotEqual", "SoftmaxCrossEntropyLoss"} <= {*operations(recording).values()}
    assert compare(client, recording).verdict == "same"


def test_complex_numbers_are_told(client: Client) -> None:
    with pytest.warns(RuntimeWarning, match="complex"):
        recording = recorded(lambda x, w: torch.fft.rfft(x).abs().sum() * w)
    assert {each["operation"] for each in recording.unmapped} == {"fft_rfft", "abs"}
    assert compare(client, recording).verdict == "same"


def test_a_call_names_its_arguments_and_needs_one_number() -> None:
    layer = nn.Linear(3, 2)
    for args in (torch.eye(3), (torch.eye(3),), {"input": torch.eye(3)}):
        assert record(layer, args, torch.sum).inputs.keys() == {"input", "weight", "bias"}
    for returned, what in ((torch.eye(3), r"a tensor of shape \[3, 3\]"), ({}, "dict")):
        with pytest.raises(NotDifferentiable, match=f"this returned {what}: give a loss"):
            record(lambda x: x, (returned,))
    with pytest.raises(NotDifferentiable, match="requires a gradient"):
        record(torch.sum, torch.eye(3))
    with pytest.raises(TypeError, match="there is none"):
        record(None, torch.eye(3))


def test_steps_and_changes_by_data_make_another_input_of_a_weight(client: Client) -> None:
    net = nn.Linear(3, 2)
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    with record(net) as recording:
        for _ in range(2):
            optimiser.zero_grad()
            (net(torch.eye(3)) ** 2).sum().backward()
            optimiser.step()
    assert {"weight", "weight:2"} <= recording.inputs.keys()
    assert recording.notes[0].startswith("weight changed unseen") and compare(client, recording).verdict == "same"
    w = torch.ones(3, requires_grad=True)
    with record() as recording:
        h = torch.sin(w)
        w.data.add_(1)
        (h * w).sum().backward()
    assert recording.inputs.keys() == {"w", "w:2"} and not recording.inputs.keys() & recording.gradients.keys()
    assert compare(client, recording).verdict == "same"


def test_an_optimiser_that_calls_the_program_lets_it_be_recorded(client: Client) -> None:
    net = nn.Linear(3, 2)
    optimiser = torch.optim.LBFGS(net.parameters(), max_iter=1)

    def closure() -> Any:
        optimiser.zero_grad()
        loss = (net(torch.eye(3)) ** 2).sum()
        loss.backward()
        return loss

    with record(net) as recording:
        optimiser.step(closure)
    assert recording.output == "sum" and compare(client, recording).verdict == "same"


def straight_through(x: Any, w: Any) -> Any:
    soft = torch.softmax(x @ w, dim=-1)
    hard = functional.one_hot(soft.argmax(-1), 3).float()
    return (hard - soft.detach() + soft) * x


def through_a_checkpoint(x: Any, w: Any) -> Any:
    attention = functional.scaled_dot_product_attention
    return torch.utils.checkpoint.checkpoint(lambda x: attention(x[None], w[None], w[None])[0], x, use_reentrant=False)


@pytest.mark.parametrize("program", [straight_through, through_a_checkpoint], ids=lambda program: program.__name__)
def test_what_flows_back_is_what_autograd_has(client: Client, program: Program) -> None:
    recording = recorded(program)
    assert recording.unmapped == [] and recording.notes == []
    assert compare(client, recording).verdict == "same"


def test_what_is_computed_where_no_call_is_seen_is_told(client: Client) -> None:
    """Within a transform, by TorchScript, or before the block: an Input, and no gradient behind it is compared."""

    def program(x: Any, w: Any) -> Any:
        return torch.tanh(x) + torch.vmap(lambda row: row * 2)(w)[:2]

    with pytest.warns(RuntimeWarning, match="no call is seen"):
        recording = recorded(program)
    assert recording.unmapped and "w" not in recording.gradients and "add" in recording.gradients
    assert compare(client, recording).verdict == "same"
