"""The contributions of tensor operations as a textbook writes them: u/n for a mean, s·(u − Σ s·u) for softmax.

The rulebook's rules name adjoints and broadcasts, which a sentence does not. Where no short formula says it, words do.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import NamedTuple

from service.core.comparison.evidence import Edge
from service.core.symbolic.phrases import Phrase, formula


class Written(NamedTuple):
    """A contribution as a formula, or in words."""

    formula: str = ""
    words: str = ""


_Form = Callable[[Edge, Phrase, Phrase, Phrase], Written]  # of the edge, and how ∂F/∂z, the operand and z are written


def written_contribution(edge: Edge, upstream: Phrase) -> Written | None:
    """A textbook's form of the contribution along an edge to a tensor operation, if one is known."""
    form = _FORMS.get(edge.consumer.operation.name)
    if form is None:
        return None
    written = form(edge, upstream, edge.names[edge.operand_index], edge.bracketed)
    return Written(formula(written.formula) if written.formula else "", Phrase(written.words))


def is_readable(formula: str) -> bool:
    """Whether a formula of the rulebook is made of what people write."""
    return not any(word in formula for word in _FOR_MACHINES)


_FOR_MACHINES = (
    "adjoint",
    "expand_to",
    "sum_to",
    "reshape_to",
    "squeeze(",
    "identity(",
    "tangent",
    "where(",
    "keepdims",
)


def _elements(edge: Edge) -> int:
    """How many elements of the operand one element of the value is made of."""
    return max(1, edge.operands[edge.operand_index].size // max(1, edge.value.size))


def _divisor(edge: Edge) -> int:
    """What a variance is divided by."""
    return _elements(edge) - int(edge.consumer.attributes["ddof"])


def _passed(edge: Edge, u: Phrase, x: Phrase, z: Phrase) -> Written:
    return Written(f"{u}")


def _extremum(edge: Edge, u: Phrase, x: Phrase, z: Phrase) -> Written:
    what = "maximum" if edge.consumer.operation.name == "ReduceMax" else "minimum"
    return Written(words=f"{u} where {x} is the {what} and 0 elsewhere")


def _loss(edge: Edge, u: Phrase, x: Phrase, z: Phrase) -> Written:
    if len(edge.operands) > 2 or edge.operand_index:
        return Written()
    mean = edge.consumer.attributes.get("reduction") == "mean"
    return Written(f"{u}·(softmax({x}) − one_hot({edge.names[1]}))" + f"/{edge.operands[1].size}" * mean)


def _squared_error(edge: Edge, u: Phrase, x: Phrase, z: Phrase) -> Written:
    apart = f"{edge.names[edge.operand_index]} − {edge.names[1 - edge.operand_index]}"
    return Written(f"{u}·2·({apart})/{max(each.size for each in edge.operands)}")


def _convolution(edge: Edge, u: Phrase, x: Phrase, z: Phrase) -> Written:
    if edge.operand_index == 0:
        return Written(words=f"{u} convolved with the kernel {edge.names[1]} flipped")
    if edge.operand_index == 1:
        return Written(words=f"{edge.names[0]} times {u}, summed over the places of the kernel")
    return Written(words=f"{u} summed over all but the channels")


def _average(edge: Edge, u: Phrase, x: Phrase, z: Phrase) -> Written:
    count = edge.consumer.attributes["divisor_override"] or prod(edge.consumer.attributes["kernel_shape"])
    return Written(words=f"{u}/{count} summed over the windows that hold the element")


_FORMS: Mapping[str, _Form] = {
    "ReduceSum": _passed,
    "Reshape": _passed,
    "Flatten": _passed,
    "Squeeze": _passed,
    "Unsqueeze": _passed,
    "ReduceMean": lambda edge, u, x, z: Written(f"{u}/{_elements(edge)}"),
    "ReduceMax": _extremum,
    "ReduceMin": _extremum,
    "ReduceL2": lambda edge, u, x, z: Written(f"{u}·{x}/{z}"),
    "ReduceProd": lambda edge, u, x, z: Written(f"{u}·{z}/{x}"),
    "ReduceLogSumExp": lambda edge, u, x, z: Written(f"{u}·exp({x} − {z})"),
    "ReduceVar": lambda edge, u, x, z: Written(f"{u}·2·({x} − mean({x}))/{_divisor(edge)}"),
    "ReduceStd": lambda edge, u, x, z: Written(f"{u}·({x} − mean({x}))/({_divisor(edge)}·{z})"),
    "Softmax": lambda edge, u, x, z: Written(f"{z}·({u} − sum({u}·{z}))"),
    "LogSoftmax": lambda edge, u, x, z: Written(f"{u} − exp({z})·sum({u})"),
    "SoftmaxCrossEntropyLoss": _loss,
    "MeanSquaredError": _squared_error,
    "Det": lambda edge, u, x, z: Written(f"{u}·cofactors({x})"),
    "Slice": lambda edge, u, x, z: Written(words=f"{u} at the elements that are taken and 0 elsewhere"),
    "Inverse": lambda edge, u, x, z: Written(f"−{z}.T @ {u} @ {z}.T"),
    "Gather": lambda edge, u, x, z: Written(
        words=f"{u} summed over the places where {edge.names[1]} names the element"
    ),
    "Concat": lambda edge, u, x, z: Written(words=f"the part of {u} that is {x}'s"),
    "Split": lambda edge, u, x, z: Written(words=f"{u} at the elements that are taken and 0 elsewhere"),
    "Pad": lambda edge, u, x, z: Written(words=f"{u} without the padding"),
    "Expand": lambda edge, u, x, z: Written(words=f"{u} summed over the copies"),
    "Conv": _convolution,
    "MaxPool": lambda edge, u, x, z: Written(words=f"{u} summed over the windows of which the element is the maximum"),
    "GlobalMaxPool": lambda edge, u, x, z: Written(words=f"{u} where the element is the maximum and 0 elsewhere"),
    "AveragePool": _average,
    "Resize": lambda edge, u, x, z: Written(words=f"{u} summed by the weights with which the element was interpolated"),
    "GlobalAveragePool": lambda edge, u, x, z: Written(f"{u}/{_elements(edge)}"),
}
