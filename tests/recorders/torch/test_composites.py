"""What is opened computes what PyTorch's own function does, forward and backward."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

from service.recorders.torch.composites import opened  # noqa: E402 (imports PyTorch)

pytestmark = pytest.mark.peers

nn, F = torch.nn, torch.nn.functional


class Opening(torch.overrides.TorchFunctionMode):  # type: ignore[misc]
    """Runs what can be opened in its place, and says what that was."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        stand_in = opened(function)
        if stand_in is None:
            return function(*args, **(kwargs or {}))
        self.names.append(function.__name__)
        with self:
            return stand_in(*args, **(kwargs or {}))


def tensors(found: Any) -> list[Any]:
    if isinstance(found, torch.Tensor):
        return [found]
    if isinstance(found, nn.utils.rnn.PackedSequence):
        return [found.data]
    return [each for part in found for each in tensors(part)] if isinstance(found, Iterable) else []


def agree(call: Callable[..., Any], leaves: list[Any], name: str) -> None:
    """Both ways give the same values, and the same gradients of the leaves."""
    whole = tensors(call())
    with Opening() as mode:
        parts = tensors(call())
    assert name in mode.names
    assert [each.shape for each in parts] == [each.shape for each in whole]
    seeds = [torch.linspace(-1, 2, each.numel(), dtype=each.dtype).reshape(each.shape) for each in whole]
    slopes = [torch.autograd.grad(found, leaves, seeds, allow_unused=True) for found in (whole, parts)]
    for one, other in zip((*whole, *slopes[0]), (*parts, *slopes[1]), strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, rtol=1e-5 if one.dtype == torch.float32 else 1e-9)


def drawn(*shape: int) -> Any:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


NETS = {
    "lstm": lambda **more: nn.LSTM(3, 4, **more),
    "gru": lambda **more: nn.GRU(3, 4, **more),
    "rnn_tanh": lambda **more: nn.RNN(3, 4, **more),
    "rnn_relu": lambda **more: nn.RNN(3, 4, nonlinearity="relu", **more),
}
FORMS: list[dict[str, Any]] = [
    {},
    {"batch_first": True, "bias": False},
    {"num_layers": 2, "bidirectional": True},
]


@pytest.mark.parametrize("form", [*FORMS, {"proj_size": 2}], ids=str)
@pytest.mark.parametrize("name", NETS)
def test_recurrent_nets(name: str, form: dict[str, Any]) -> None:
    if "proj_size" in form and name != "lstm":
        form = {}
    torch.manual_seed(1)
    net, x = NETS[name](**form).double(), drawn(5, 2, 3)
    agree(lambda: net(x), [x, *net.parameters()], name)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_packed_sequences(name: str, form: dict[str, Any]) -> None:
    torch.manual_seed(2)
    net, utils = NETS[name](**form).double(), nn.utils.rnn
    x = [drawn(length, 3) for length in (5, 5, 2, 1)]
    call = lambda: utils.pad_packed_sequence(net(utils.pack_sequence(x))[0], total_length=7)[0]  # noqa: E731
    agree(call, [*x, *net.parameters()], name)


@pytest.mark.parametrize(
    "cell",
    [nn.LSTMCell(3, 4), nn.GRUCell(3, 4), nn.RNNCell(3, 4), nn.RNNCell(3, 4, bias=False, nonlinearity="relu")],
    ids=lambda cell: f"{type(cell).__name__} {getattr(cell, 'nonlinearity', '')}",
)
def test_cells(cell: Any) -> None:
    name = {nn.LSTMCell: "lstm_cell", nn.GRUCell: "gru_cell"}.get(type(cell)) or f"rnn_{cell.nonlinearity}_cell"
    x = drawn(2, 3)
    agree(lambda: cell.double()(x), [x, *cell.parameters()], name)


NOTHING_LEFT = torch.tensor([[True, False, True], [False, False, False]])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 0.3},
        {"attn_mask": NOTHING_LEFT},
        {"attn_mask": torch.tensor([[0.0, 1.0, -2.0], [0.5, float("-inf"), 0.0]], dtype=torch.float64)},
        {"attn_mask": torch.where(NOTHING_LEFT, 0.0, float("-inf")).double()},
        {"is_causal": True},
        {"enable_gqa": True},
    ],
    ids=lambda options: " ".join(options) or "plain",
)
def test_scaled_dot_product_attention(options: dict[str, Any]) -> None:
    heads = 2 if "enable_gqa" in options else 4
    q, k, v = drawn(2, 4, 2, 5), drawn(2, heads, 3, 5), drawn(2, heads, 3, 6)
    agree(lambda: F.scaled_dot_product_attention(q, k, v, **options), [q, k, v], "scaled_dot_product_attention")


@pytest.mark.parametrize("need_weights", [False, True])
def test_multi_head_attention_is_opened_down_to_its_products(need_weights: bool) -> None:
    torch.manual_seed(3)
    net, x = nn.MultiheadAttention(6, 2, batch_first=True).double(), drawn(2, 4, 6)
    padding = torch.tensor([[False] * 4, [False, False, True, True]])
    call = lambda: net(x, x, x, key_padding_mask=padding, need_weights=need_weights)  # noqa: E731
    agree(call, [x, *net.parameters()], "multi_head_attention_forward")


@pytest.mark.parametrize("dim", [-1, 0, 1])
def test_weight_norm(dim: int) -> None:
    v, g = drawn(3, 2, 4), drawn(*{-1: (), 0: (3, 1, 1), 1: (1, 2, 1)}[dim])
    agree(lambda: torch._weight_norm(v, g, dim), [v, g], "_weight_norm")


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "sum"},
        {"mode": "mean", "padding_idx": 1},
        {"mode": "max"},
        {"mode": "sum", "include_last_offset": True},
    ],
    ids=str,
)
def test_embedding_bag(options: dict[str, Any]) -> None:
    weight, words, starts = drawn(5, 3), torch.tensor([1, 4, 4, 0, 2, 1]), torch.tensor([0, 2, 2, 6])
    starts = starts if "include_last_offset" in options else starts[:3]
    agree(lambda: F.embedding_bag(words, weight, starts, **options), [weight], "embedding_bag")


def test_weighted_bags() -> None:
    weight, words, shares = drawn(5, 3), torch.tensor([[1, 4], [4, 0]]), drawn(2, 2)
    call = lambda: F.embedding_bag(words, weight, per_sample_weights=shares, mode="sum")  # noqa: E731
    agree(call, [weight, shares], "embedding_bag")


def test_grouped_products() -> None:
    x, weight = (torch.randn(shape, requires_grad=True) for shape in ((5, 8), (3, 8, 16)))
    ends = torch.tensor([2, 2, 5], dtype=torch.int32)
    agree(lambda: torch._grouped_mm(x, weight, ends), [x, weight], "_grouped_mm")


def test_an_encoder_layer_in_evaluation_is_not_taken_by_its_fast_path() -> None:
    torch.manual_seed(4)
    net, x = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True).double().eval(), drawn(2, 4, 6)
    agree(lambda: net(x), [x], "scaled_dot_product_attention")


def test_what_has_no_other_form_stays_whole() -> None:
    assert opened(torch.add) is None
    assert opened(torch.Tensor.relu) is None
    assert opened(lambda x: x) is None
