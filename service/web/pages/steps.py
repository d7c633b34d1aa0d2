"""The steps of a run as a page shows them: what stands in each row, and what of the picture each step lights."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flask import url_for
from markupsafe import Markup

from service.core.derivatives.one_sided import OneSided
from service.core.errors import Conflict, InvalidRequest
from service.core.execution.run import Run
from service.core.explanation.paths import find_paths
from service.core.explanation.steps import BackwardStep, Contribution, ForwardStep, Step
from service.core.figures.figures import FloatArray
from service.core.symbolic.equation import Equation, Formula, is_shortened
from service.web.pages.figures import figure_mathml, name_markup, spoken

FORWARD, BACKWARD = "forward", "backward"
_MOST_PATHS = 8  # that are written out


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a step: its label, and formulas, figures or words."""

    label: Markup
    content: Markup


@dataclass(frozen=True, slots=True)
class ShownStep:
    """A step: its number from 1, and the nodes that it lights beside its own, and what is said of it aloud."""

    number: int
    phase: str
    node: str
    partners: Sequence[str]
    said: str
    rows: Sequence[Row]


def show_steps(
    steps: Iterable[Step], run: Run, output: str | None, sides: Callable[[int], Sequence[OneSided]], whole: bool
) -> Iterator[ShownStep]:
    """The steps of a run, numbered from 1; gradients are of `output`, and `sides` gives the slopes at both sides of a
    kink. Only where the `whole` run is shown, the paths to the output are: they may lead through the whole graph."""
    for number, step in enumerate(steps, start=1):
        if isinstance(step, ForwardStep):
            said = f"{step.node.name} is {spoken(step.value)}"
            yield ShownStep(number, FORWARD, step.node.name, step.node.inputs, said, list(_forward_rows(step)))
        else:
            consumers = list(dict.fromkeys(each.consumer.node.name for each in step.contributions))
            said = f"the gradient of {step.node.name} is {spoken(step.gradient)}"
            rows = [*_backward_rows(step, output or "", sides), *(_path_rows(step, run, output) if whole else ())]
            yield ShownStep(number, BACKWARD, step.node.name, consumers, said, rows)


def _forward_rows(step: ForwardStep) -> Iterator[Row]:
    operation = step.node.operation.name
    address = url_for("pages.get_operation", name=operation)
    yield Row(Markup("Operation"), Markup('<a href="{}">{}</a>').format(address, operation))
    yield Row(Markup("Formula"), _math(step.equation.formula))
    readable, full = _forms(step.equation)
    if readable is not None and full is not None:
        yield Row(Markup("Numbers"), _both(_math(readable), _math(full)))
    yield from _difference(step)


def _backward_rows(step: BackwardStep, quantity: str, sides: Callable[[int], Sequence[OneSided]]) -> Iterator[Row]:
    name = name_markup(step.node.name)
    if step.seed is not None:
        yield Row(Markup("Seed"), _math(step.equation.formula))
        yield Row(Markup(""), _hint("The sweep starts at the output: {} changes as {} does.", name, name))
    elif not step.count:
        yield Row(Markup("Sum"), _hint("{} does not depend on {}: its gradient is 0.", name_markup(quantity), name))
    else:
        yield Row(Markup("Chain rule"), _math(step.equation.formula))
        for contribution in step.contributions:
            yield from _contribution_rows(contribution)
            yield from _kink_rows(contribution, sides(contribution.consumer.position))
        yield Row(Markup("Numbers"), _sum_table(step))
        if step.count == 1:
            alone = name_markup(step.contributions[0].consumer.node.name)
            yield Row(Markup("Sum"), _hint("{} feeds {} alone, so this product is its gradient.", name, alone))
    yield from _difference(step)


def _contribution_rows(contribution: Contribution) -> Iterator[Row]:
    label = Markup("{} rule at {}").format(_capital(contribution.rule), name_markup(contribution.consumer.node.name))
    content = _both(*(_math(contribution.equation.followed_by(numbers)) for numbers in _forms(contribution.equation)))
    if contribution.closed is not None:
        content += _hint(" {}.", contribution.closed)
    yield Row(label, content)


def _kink_rows(contribution: Contribution, sides: Sequence[OneSided]) -> Iterator[Row]:
    """What each side of a kink gives; only of a number."""
    if contribution.operand_index >= len(sides) or sides[contribution.operand_index].left.ndim:
        return
    at, side = contribution.consumer.node, sides[contribution.operand_index]
    words = "{} has no derivative by {} here: from below it is {}, from above {}."
    names = name_markup(at.name), name_markup(at.inputs[contribution.operand_index])
    yield Row(Markup("Kink"), _hint(words, *names, spoken(side.left), spoken(side.right)))


def _path_rows(step: BackwardStep, run: Run, output: str | None) -> Iterator[Row]:
    """The gradient as the sum over its paths to the output, where there is more than the step itself shows."""
    if step.seed is not None or not step.count:
        return
    try:
        paths = find_paths(run, output, step.node.name, _MOST_PATHS)
    except (InvalidRequest, Conflict):  # of tensors, or of what is not known
        return
    if all(len(path.edges) < 2 for path in paths.paths):
        return
    content = _math(paths.equation.formula)
    if paths.expanded is not None:
        content += Markup(" ") + _math(paths.expanded, 1)
    yield Row(Markup("Whole path" if paths.count == 1 else f"All {paths.count} paths"), content)


def _sum_table(step: BackwardStep) -> Markup:
    """Upstream · local = gradient; of several contributions one under the other, with the sum so far."""
    if step.count == 1:
        return _product(step.contributions[0], step.gradient)
    so_far: FloatArray | None = np.zeros(()) if step.seed is None else step.seed
    rows = []
    for contribution in step.contributions:
        if so_far is not None:
            so_far = None if contribution.product is None else np.asarray(so_far + contribution.product)
        cells = (contribution.consumer.upstream, contribution.local, contribution.product, so_far)
        written = Markup("").join(Markup('<td class="n">{}</td>').format(_figure(cell)) for cell in cells)
        rows.append(
            Markup("<tr><th scope=row>{}</th>{}</tr>").format(name_markup(contribution.consumer.node.name), written)
        )
    heads = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(Markup(' class="n"') if k else "", head)
        for k, head in enumerate(("through", "upstream", "local", "product", "sum so far"))
    )
    return Markup('<table class="sums"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>').format(
        heads, Markup("").join(rows)
    )


def _product(contribution: Contribution, gradient: FloatArray | None) -> Markup:
    upstream, local = contribution.consumer.upstream, contribution.local
    if local is None:  # not elementwise: the equation says how
        return _figure(gradient, "g")
    parts = [
        (_cellmath(upstream, "g"), "upstream"),
        (Markup("<mo>·</mo>"), ""),
        (_cellmath(local, "", bracketed=True), "local"),
        (Markup("<mo>{}</mo>").format("≈" if gradient is not None and is_shortened(gradient) else "="), ""),
        (_cellmath(gradient, "g"), "gradient"),
    ]
    above = Markup("").join(Markup("<mtd>{}</mtd>").format(part) for part, _ in parts)
    below = Markup("").join(
        Markup('<mtd><mtext class="lab">{}</mtext></mtd>').format(word) if word else Markup("<mtd></mtd>")
        for _, word in parts
    )
    return Markup('<math displaystyle="true"><mtable><mtr>{}</mtr><mtr>{}</mtr></mtable></math>').format(above, below)


def _cellmath(figure: FloatArray | None, kind: str, bracketed: bool = False) -> Markup:
    number = figure_mathml(figure)
    if bracketed and "<mo>−</mo>" in number:
        flat = Markup("") if "<mfrac>" in number else Markup(' stretchy="false"')
        number = Markup("<mrow><mo{0}>(</mo>{1}<mo{0}>)</mo></mrow>").format(flat, number)
    return Markup('<mstyle displaystyle="true" class="{}">{}</mstyle>').format(kind, number)


def _figure(figure: FloatArray | None, kind: str = "") -> Markup:
    return Markup('<math displaystyle="true"><mrow class="{}">{}</mrow></math>').format(kind, figure_mathml(figure))


def _forms(equation: Equation) -> tuple[Formula | None, Formula | None]:
    """The numbers of an equation for reading, and in full."""
    return equation.readable, equation.full


def _both(short: Markup, full: Markup) -> Markup:
    """What is read, and what stands in its place where all digits are asked for."""
    return short if short == full else Markup('<span class="r">{}</span><span class="x">{}</span>').format(short, full)


def _math(formula: Formula, first: int = 0) -> Markup:
    """A formula, each side of it from the `first` in a `<math>` of its own, so that a long one wraps."""
    written = (Markup('<math displaystyle="true">{}</math>').format(Markup(side)) for side in formula.sides[first:])
    return Markup(" ").join(written)


def _hint(text: str, *parts: Any) -> Markup:
    return Markup('<span class="hint">{}</span>').format(Markup(text).format(*parts))


def _difference(step: Step) -> Iterator[Row]:
    if step.difference is not None:
        words = "This run's figure is not what follows from its others: it differs by {}."
        yield Row(Markup("But"), _hint(words, spoken(np.asarray(step.difference))))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
