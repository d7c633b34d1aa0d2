"""Programs in several forms, as two libraries would write them: what is the same in two of them has the same name.

Each form of a program is a list of node documents and figures for its Inputs. `program` makes runs of them, with names
made up and the order shuffled.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.figures.figures import FloatArray
from service.core.graph.building import build_graph

Documents = list[dict[str, Any]]


class Form:
    """One form of a program, written down node by node; `loss` is the output."""

    def __init__(self, seed: int = 0) -> None:
        self.documents: Documents = []
        self.inputs: dict[str, FloatArray] = {}
        self._generator = np.random.default_rng(seed)

    def given(self, name: str, *shape: int, value: Any = None) -> str:
        """An Input; without a value, random figures that are the same for each name."""
        generator = np.random.default_rng([ord(letter) for letter in name])
        self.inputs[name] = generator.standard_normal(shape) if value is None else np.asarray(value, float)
        self.documents.append({"name": name, "operation": "Input"})
        return name

    def constant(self, name: str, value: Any) -> str:
        """A Constant."""
        self.documents.append({"name": name, "operation": "Constant", "attributes": {"value": value}})
        return name

    def __call__(self, name: str, operation: str, *inputs: str, **attributes: Any) -> str:
        """Any other node."""
        document = {"name": name, "operation": operation, "inputs": list(inputs)}
        self.documents.append(document | ({"attributes": attributes} if attributes else {}))
        return name


@dataclass(frozen=True)
class Program:
    """A run of a form, and its true name for each of the names that it has there."""

    run: Run
    originals: Mapping[str, str]


def program(form: Form, seed: int | None = None) -> Program:
    """The form run forward and backward; with a seed, under names made up and in another order."""
    documents, inputs = form.documents, form.inputs
    names = {each["name"]: each["name"] for each in documents}
    if seed is not None:
        generator = np.random.default_rng(seed)
        numbers = generator.permutation(len(documents)).tolist()
        names = {each["name"]: f"n{number}" for each, number in zip(documents, numbers, strict=True)}
        documents = [documents[place] for place in generator.permutation(len(documents)).tolist()]
    renamed = [
        {**each, "name": names[each["name"]], "inputs": [names[source] for source in each.get("inputs", ())]}
        for each in documents
    ]
    graph = build_graph(renamed, outputs=[names["loss"]])
    values = forward_pass(graph, {names[name]: figure for name, figure in inputs.items()})
    gradients = backward_pass(graph, values, names["loss"])
    run = Run(graph, values, backward=Backward(names["loss"], np.ones(()), gradients))
    return Program(run, {name: original for original, name in names.items()})


def true_pairs(baseline: Program, candidate: Program) -> dict[str, str]:
    """The candidate's names to the baseline's of all that has one true name, Constants aside."""
    known = {original: name for name, original in baseline.originals.items()}
    graph = candidate.run.graph
    return {
        name: known[original]
        for name, original in candidate.originals.items()
        if original in known and not graph.nodes[graph.position[name]].operation.is_constant
    }


def normalize(form: Form, name: str, x: str, size: int, *, parts: bool = False, epsilon: float = 1e-5) -> str:
    """A layer normalization, as one operation or in parts."""
    scale, bias = form.given(f"{name}.scale", size, value=np.ones(size)), form.given(f"{name}.bias", size)
    if not parts:
        return form(name, "LayerNormalization", x, scale, bias, axis=-1, epsilon=epsilon)
    mean = form(f"{name}.mean", "ReduceMean", x, axes=[-1])
    centred = form(f"{name}.centred", "Sub", x, mean)
    square = form(f"{name}.square", "Mul", centred, centred)
    variance = form(f"{name}.variance", "ReduceMean", square, axes=[-1])
    held = form(f"{name}.held", "Add", variance, form.constant(f"{name}.epsilon", epsilon))
    normal = form(f"{name}.normal", "Div", centred, form(f"{name}.deviation", "Sqrt", held))
    return form(name, "Add", form(f"{name}.scaled", "Mul", normal, scale), bias)


def affine(form: Form, name: str, x: str, rows: int, columns: int, *, fused: bool = False, turned: bool = False) -> str:
    """x · W + b, as one operation or two; `turned` has the weight transposed."""
    w, b = f"{name}.weight", form.given(f"{name}.bias", columns)
    figure = np.random.default_rng([ord(letter) for letter in name]).standard_normal((rows, columns)) / np.sqrt(rows)
    form.given(w, value=figure.T if turned else figure)
    if fused:
        return form(name, "Gemm", x, w, b, transB=int(turned))
    if turned:
        w = form(f"{name}.turned", "Transpose", w, perm=[1, 0])
    return form(name, "Add", form(f"{name}.product", "MatMul", x, w), b)


def mlp(
    *,
    fused: bool = False,
    parts: bool = False,
    turned: bool = False,
    swapped: bool = False,
    one_hot: bool = False,
    activation: str = "Relu",
    epsilon: float = 1e-5,
    axis: int = -1,
    halved: bool = False,
) -> Form:
    """A classifier: two affine layers, a normalization, an activation, cross-entropy."""
    form = Form()
    x, labels = form.given("x", 6, 5), form.given("labels", value=[0, 2, 1, 2, 0, 1])
    hidden = affine(form, "first", x, 5, 8, fused=fused, turned=turned)
    hidden = normalize(form, "norm", hidden, 8, parts=parts, epsilon=epsilon)
    hidden = form("hidden", activation, hidden)
    if halved:
        hidden = form("half", "Mul", hidden, form.constant("a half", 0.5))
    offset = form.given("offset", 8)
    hidden = form("moved", "Add", *((offset, hidden) if swapped else (hidden, offset)))
    scores = affine(form, "second", hidden, 8, 3, fused=fused, turned=turned)
    if not one_hot:
        logarithms = form("logarithms", "LogSoftmax", scores, axis=axis)
        form("loss", "NegativeLogLikelihoodLoss", logarithms, labels)
        return form
    shifted = form("shifted", "Sub", scores, form("greatest", "ReduceMax", scores, axes=[axis]))
    total = form("log total", "Log", form("total", "ReduceSum", form("exp", "Exp", shifted), axes=[axis]))
    logarithms = form("logarithms", "Sub", shifted, total)
    chosen = form("chosen", "Mul", logarithms, form("hot", "OneHot", labels, scores))
    picked = form("picked", "ReduceSum", chosen, axes=[1], keepdims=0)
    form("loss", "Neg", form("mean", "ReduceMean", picked, keepdims=0))
    return form


def cnn(*, folded: bool = False, pool: str = "MaxPool", stride: int = 2) -> Form:
    """A convolution with a batch normalization, which may be folded into its kernel."""
    form = Form()
    x = form.given("x", 2, 3, 6, 6)
    kernel, bias = np.random.default_rng(1).standard_normal((2, 4, 3, 3, 3))[0], np.linspace(-1, 1, 4)
    scale, shift, mean, variance = np.random.default_rng(2).uniform(0.5, 1.5, (4, 4))
    if folded:
        factor = scale / np.sqrt(variance + 1e-5)
        form.given("folded kernel", value=kernel * factor[:, None, None, None])
        form.given("folded bias", value=(bias - mean) * factor + shift)
        normal = form("normal", "Conv", x, "folded kernel", "folded bias")
    else:
        for name, figure in {"kernel": kernel, "bias": bias}.items():
            form.given(name, value=figure)
        product = form("conv", "Conv", x, "kernel", "bias")
        for name, figure in {"scale": scale, "shift": shift, "mean": mean, "variance": variance}.items():
            form.given(name, value=figure)
        normal = form("normal", "BatchNormalization", product, "scale", "shift", "mean", "variance", epsilon=1e-5)
    active = form("active", "Relu", normal)
    pooled = form("pooled", pool, active, kernel_shape=[2, 2], strides=[stride, stride])
    flat = form("flat", "ReduceMean", pooled, axes=[2, 3], keepdims=0)
    form("loss", "ReduceMean", form("square", "Mul", *[affine(form, "head", flat, 4, 2)] * 2), keepdims=0)
    return form


def transformer(
    layers: int = 1,
    *,
    fused: bool = False,
    parts: bool = False,
    joined: bool = False,
    bug: str | None = None,
    at: int | Collection[int] = 0,
) -> Form:
    """Layers of attention and of two affine ones, with residuals; `bug` is in layer `at`, or in those.

    `fused` has Gemm-like and `parts` normalization-like forms; `joined` has the three projections in one weight.
    """
    form = Form()
    x = form.given("x", 2, 4, 8)
    wrong = [at] if isinstance(at, int) else at
    for layer in range(layers):
        x = _layer(form, f"{layer}.", x, fused=fused, parts=parts, joined=joined, bug=bug if layer in wrong else None)
    form("loss", "ReduceMean", form("square", "Mul", x, x), keepdims=0)
    return form


def _layer(form: Form, at: str, x: str, *, fused: bool, parts: bool, joined: bool, bug: str | None) -> str:
    width, heads, each = 8, 2, 4
    normal = normalize(form, f"{at}norm1", x, width, parts=parts, epsilon=1e-3 if bug == "epsilon" else 1e-5)
    weights = {
        name: np.random.default_rng([layer, *map(ord, at)]).standard_normal((width, width)) / 3
        for layer, name in enumerate("qkv")
    }
    if joined:
        form.given(f"{at}qkv.weight", value=np.concatenate(list(weights.values()), axis=1))
        form(f"{at}qkv", "MatMul", normal, f"{at}qkv.weight")
    parted = {}
    for place, (name, weight) in enumerate(weights.items()):
        if joined:
            form(f"{at}{name}", "Split", f"{at}qkv", axis=-1, num_outputs=3, output=place)
        else:
            form.given(f"{at}{name}.weight", value=weight)
            form(f"{at}{name}", "MatMul", normal, f"{at}{name}.weight")
        apart = form(f"{at}{name}.apart", "Reshape", f"{at}{name}", shape=[2, 4, heads, each])
        parted[name] = form(f"{at}{name}.heads", "Transpose", apart, perm=[0, 2, 3, 1] if name == "k" else [0, 2, 1, 3])
    scores = form(f"{at}scores", "MatMul", parted["q"], parted["k"])
    root = form.constant(f"{at}root", float(np.sqrt(width if bug == "scale" else each)))
    scaled = form(f"{at}scaled", "Div", scores, root)
    shares = form(f"{at}shares", "Softmax", scaled, axis=-2 if bug == "axis" else -1)
    mixed = form(f"{at}mixed", "Transpose", form(f"{at}heads", "MatMul", shares, parted["v"]), perm=[0, 2, 1, 3])
    mixed = form(f"{at}joined", "Reshape", mixed, shape=[2, 4, width])
    form.given(f"{at}o.weight", width, width)
    mixed = form(f"{at}o", "MatMul", mixed, f"{at}o.weight")
    x = mixed if bug == "residual" else form(f"{at}residual1", "Add", x, mixed)
    normal = normalize(form, f"{at}norm2", x, width, parts=parts)
    hidden = affine(form, f"{at}wide", normal, width, 16)
    hidden = _gelu(form, f"{at}gelu", hidden, parts=fused, approximate=bug == "activation")
    hidden = affine(form, f"{at}narrow", hidden, 16, width)
    return form(f"{at}residual2", "Add", x, hidden)


def _gelu(form: Form, name: str, x: str, *, parts: bool, approximate: bool) -> str:
    if not parts:
        return form(name, "Gelu", x, approximate="tanh" if approximate else "none")
    half = form.constant(f"{name}.half", 0.5)
    if approximate:
        cube = form(f"{name}.cube", "Mul", form(f"{name}.square", "Mul", x, x), x)
        bent = form(f"{name}.bent", "Add", x, form(f"{name}.small", "Mul", cube, form.constant(f"{name}.c", 0.044715)))
        inner = form(f"{name}.inner", "Mul", bent, form.constant(f"{name}.root", float(np.sqrt(2 / np.pi))))
        gate = form(f"{name}.tanh", "Tanh", inner)
    else:
        gate = form(f"{name}.erf", "Erf", form(f"{name}.inner", "Div", x, form.constant(f"{name}.root", np.sqrt(2.0))))
    gate = form(f"{name}.gate", "Add", gate, form.constant(f"{name}.one", 1.0))
    return form(name, "Mul", form(f"{name}.whole", "Mul", x, gate), half)


@dataclass(frozen=True)
class Case:
    """Two forms of a program, and the true names of the nodes that may be cut: none where they compute the same.

    A residual left out shows at all that takes it.
    """

    title: str
    baseline: Callable[[], Form]
    candidate: Callable[[], Form]
    bug: Sequence[str] = ()


def _cases() -> list[Case]:
    same = [
        Case("the same classifier", mlp, mlp),
        Case("the same convolutional network", cnn, cnn),
        Case("the same transformer layer", transformer, transformer),
        Case("Gemm against parts", lambda: mlp(fused=True), mlp),
        Case("parts against Gemm", mlp, lambda: mlp(fused=True)),
        Case("normalization against parts", mlp, lambda: mlp(parts=True)),
        Case("parts against normalization", lambda: mlp(parts=True), mlp),
        Case("folded batch normalization", cnn, lambda: cnn(folded=True)),
        Case("batch normalization unfolded", lambda: cnn(folded=True), cnn),
        Case("projections in one weight", transformer, lambda: transformer(joined=True)),
        Case("projections in three weights", lambda: transformer(joined=True), transformer),
        Case("transposed weights", mlp, lambda: mlp(turned=True)),
        Case("transposed weights in Gemm", mlp, lambda: mlp(turned=True, fused=True)),
        Case("swapped addends", mlp, lambda: mlp(swapped=True)),
        Case("log-softmax with one-hot", mlp, lambda: mlp(one_hot=True)),
        Case("all at once", mlp, lambda: mlp(fused=True, parts=True, turned=True, swapped=True, one_hot=True)),
        Case("a layer all in parts", transformer, lambda: transformer(fused=True, parts=True, joined=True)),
    ]
    wrong = [
        Case("another activation", mlp, lambda: mlp(activation="Gelu"), ("hidden",)),
        Case("another epsilon", mlp, lambda: mlp(epsilon=1e-3), ("norm",)),
        Case("another axis", mlp, lambda: mlp(axis=0), ("logarithms",)),
        Case("another pool", cnn, lambda: cnn(pool="AveragePool"), ("pooled",)),
        Case("a factor too many", mlp, lambda: mlp(halved=True), ("moved",)),
        Case(
            "another epsilon in parts",
            lambda: mlp(parts=True),
            lambda: mlp(parts=True, epsilon=1e-3),
            ("norm.epsilon",),
        ),
        Case("another epsilon, one of them in parts", mlp, lambda: mlp(parts=True, epsilon=1e-3), ("norm",)),
        Case("another activation beside fusion", lambda: mlp(fused=True), lambda: mlp(activation="Tanh"), ("hidden",)),
        Case("another pool beside folding", cnn, lambda: cnn(folded=True, pool="AveragePool"), ("pooled",)),
    ]
    expected = {
        "scale": ("0.root",),
        "axis": ("0.shares",),
        "epsilon": ("0.norm1",),
        "activation": ("0.gelu",),
        "residual": ("0.norm2", "0.residual2"),
    }
    for bug, names in expected.items():
        wrong.append(Case(f"{bug} of a layer", transformer, lambda bug=bug: transformer(bug=bug), names))
        wrong.append(
            Case(
                f"{bug} of a layer beside fusion",
                transformer,
                lambda bug=bug: transformer(bug=bug, fused=True, parts=True, joined=True),
                names,
            )
        )
    return same + wrong


CASES = _cases()
