"""Weigh work before it is done: whether it may be done here, or at all."""

from dataclasses import dataclass

from service.core.errors import LimitExceeded
from service.core.figures.weight import Weight
from service.settings import Limits

# Of each node of a graph: to load its columns, and to look at all nodes.
COMPACT_NODE, LOADED_NODE = Weight(500.0, 150.0), Weight(15e3, 1500.0)
# To build and store it from a document, and to differentiate it as a graph.
BUILT_NODE, DIFFERENTIATED_NODE = Weight(45e3, 6000.0), Weight(150e3, 10_000.0)
# Of each node that a picture or the paths to the output go through, and of one that was recorded.
DRAWN_NODE, NODE_OF_PATHS, RECORDED_NODE = Weight(5e3, 500.0), Weight(60e3, 1500.0), Weight(15e3, 1500.0)
# Of each byte of an expression; of each node that a formula is written of; of a step that is explained, and of a
# contribution in it; of a claim.
EXPRESSION_BYTE, FORMULA_NODE = Weight(15e3, 500.0), Weight(500e3, 2000.0)
STEP, CONTRIBUTION, CLAIM = Weight(2e6, 10_000.0), Weight(0.5e6, 5000.0), Weight(1e6, 5000.0)
# Of a run among many that one request makes: its record, its row and its part of the answer.
RUN_OF_MANY = Weight(30e3, 5000.0)
# Of each point of a sweep that is drawn, a chunk at a time, and of each number of its axes.
SWEPT_POINT, AXIS_NUMBER = Weight(150.0, 100.0), Weight(400.0, 80.0)
# Of each byte of stored figures that are read, a chunk at a time, into one array.
STORED_BYTE = Weight(0.5, 1.5)


class NeedsMore(Exception):
    """The work is too large for where it was begun; it is to be begun again where `weight` is granted."""

    def __init__(self, weight: Weight) -> None:
        super().__init__(weight)
        self.weight = weight


@dataclass(frozen=True, slots=True)
class Form:
    """In what an answer is written: the most bytes of a number, and of what else is said of a node or a block."""

    media_type: str
    number: int
    item: int


JSON = Form("application/json", 25, 200)
BINARY = Form("application/x-npz", 8, 100)


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """What is answered whole, however large: so many numbers of so many nodes or blocks."""

    form: Form
    numbers: int
    items: int
    other_form: bool = True  # whether it is available as .npz

    @property
    def nbytes(self) -> int:
        """Its bytes at most."""
        return self.form.number * self.numbers + self.form.item * self.items


def admit(weight: Weight, limits: Limits, granted: Weight | None, answer: WholeAnswer | None = None) -> None:
    """Return if work of that weight may begin, and be answered; `granted` is what may be used here, None for whatever
    a request may.

    Raises LimitExceeded for what is too large anywhere, NeedsMore for what is too large here.
    """
    operations, nbytes = weight.operations, weight.nbytes
    if answer is not None:
        length = answer.nbytes
        if length > limits.answer_bytes:
            raise LimitExceeded("answer_bytes", limits.answer_bytes, length, _too_long(answer, limits))
        operations, nbytes = operations + length, nbytes + length
    if nbytes > limits.request_memory:
        raise _too_much("request_memory", limits.request_memory, nbytes, "a request", "bytes of memory")
    if operations > limits.job_operations:
        raise _too_much("job_operations", limits.job_operations, operations, "a job", "operations")
    if granted is None and operations > limits.operations:
        raise takes_too_long(operations, limits)
    if granted is not None and (operations > granted.operations or nbytes > granted.nbytes):
        raise NeedsMore(Weight(operations, nbytes))


def takes_too_long(operations: float, limits: Limits, advice: str = "") -> LimitExceeded:
    """The refusal of work that takes longer than a request may, by the estimate; `advice` ends its sentence."""
    return _too_much("operations", limits.operations, operations, "a request", "operations", advice)


def _too_much(limit: str, most: int, estimate: float, who: str, unit: str, advice: str = "") -> LimitExceeded:
    detail = f"{who} takes at most {most} {unit}; this one would take about {estimate:.3g}{advice}"
    return LimitExceeded(limit, most, int(estimate), detail)


def _too_long(answer: WholeAnswer, limits: Limits) -> str:
    found = f"an answer has at most {limits.answer_bytes} bytes; this one would have up to {answer.nbytes}"
    other = f" as JSON, and a third of that as {BINARY.media_type}, which Accept can ask for"
    return found + other if answer.form is JSON and answer.other_form else found
