"""The worked derivation of a run as a page to hand out, and the same as a worksheet with figures left blank.

An article is headings, sentences and equations, made from the run's steps and paths; `service/web/articles/` writes it
as HTML, Markdown and LaTeX.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np

from service.core.errors import Conflict, InvalidRequest
from service.core.execution.run import Backward, Run
from service.core.explanation.paths import find_paths
from service.core.explanation.run_view import RunView
from service.core.explanation.steps import BackwardStep, Contribution, ForwardStep, Step, count_steps, explain
from service.core.figures.figures import Figures, FloatArray
from service.core.figures.text import figure_text, listed, short_number
from service.core.graph.graph import Graph
from service.core.symbolic.equation import (
    Equation,
    Formula,
    equate,
    formula_of,
    gradient_of,
    local_gradient_of,
    summed,
    times,
    write_equation,
)
from service.core.symbolic.term import Variable

# The inputs that are listed, and whose gradients are expanded into paths; the paths and consumers that are written out.
MOST_INPUTS, _MOST_WRITTEN = 20, 8
_LONGEST_FUNCTION = 2000  # characters of the LaTeX of the whole function
_MOST_COUNTED = 10**12  # paths whose exact number is told


class Blank(NamedTuple):
    """A figure to fill in: the `value` or the `gradient` of a node."""

    kind: str
    node: str


Part: TypeAlias = str | Formula
Sentence: TypeAlias = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of level 2 or 3."""

    level: int
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences."""

    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Displayed:
    """An equation on lines of its own, with = and a blank after it where it is to be finished."""

    formula: Formula
    blank: Blank | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """The picture of the run, with a sentence below."""

    caption: str


Block: TypeAlias = Heading | Paragraph | Displayed | Drawing


@dataclass(frozen=True, slots=True)
class Article:
    """A title and what follows it; `blanks` are the figures left out, in the order in which they are asked for."""

    title: str
    blocks: tuple[Block, ...]
    blanks: tuple[Blank, ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """What an article says of a run besides its figures.

    `origin` says which run it is, `by` who gives its figures. `function` is the output as one formula of the inputs,
    None if it is too long; `kinks` are the nodes without a derivative, at which `convention` chooses one.
    """

    origin: str
    by: str = "The run"
    function: Formula | None = None
    kinks: Set[str] = frozenset()
    convention: str = ""


def write_article(run: Run, about: About, blanks: Sequence[Blank] = ()) -> Article:
    """Explain a run from its graph to the gradients of its inputs, with `blanks` in place of some figures."""
    sheet = _Sheet(RunView(run), about, frozenset(blanks))
    steps = list(explain(run, 0, count_steps(run)))
    blocks: list[Block] = [*_opening(sheet), *_forward(sheet, steps), *_backward(sheet, steps)]
    if run.backward:
        blocks += [*_products(sheet, run.backward), *_general_rule(sheet)]
    what = "Worksheet: the" if blanks else "The"
    return Article(f"{what} {_subject(sheet)}, step by step", tuple(blocks), tuple(blanks))


def write_answers(run: Run, about: About, blanks: Sequence[Blank]) -> Article:
    """List the figures that a worksheet leaves blank."""
    sheet = _Sheet(RunView(run), about, frozenset())
    blocks: list[Block] = [Paragraph((about.origin,)), *(_answer(sheet, blank) for blank in blanks)]
    return Article(f"Answers: the {_subject(sheet)}", tuple(blocks))


def choose_blanks(run: Run, kinds: Sequence[str], names: Set[str] | None) -> list[Blank]:
    """The figures of these kinds, `value` or `gradient`, to leave blank: of the nodes named, of all if None.

    They stand in the order of the steps. The values of Inputs and Constants are given, as is the seed.
    """
    graph, positions = run.graph, range(len(run.graph))
    computed = [position for position in positions if graph.operands[position]] if "value" in kinds else []
    found = [Blank("value", graph.nodes[position].name) for position in computed]
    if "gradient" in kinds and run.backward:
        swept = [graph.nodes[position] for position in reversed(positions)]
        given = run.backward.output
        found += [Blank("gradient", node.name) for node in swept if node.has_gradient and node.name != given]
    return [blank for blank in found if names is None or blank.node in names]


def without_blanks(run: Run, blanks: Sequence[Blank]) -> Run:
    """The run without the figures that are left blank, to be drawn."""
    values = _without(run.graph, run.values, [blank.node for blank in blanks if blank.kind == "value"])
    backward = run.backward
    if backward is not None:
        names = [blank.node for blank in blanks if blank.kind == "gradient"]
        backward = replace(backward, gradients=_without(run.graph, backward.gradients, names))
    return replace(run, values=values, backward=backward)


def _without(graph: Graph, figures: Figures, names: Sequence[str]) -> Figures:
    present = np.ones(len(graph), dtype=bool) if figures.present is None else figures.present.copy()
    present[[graph.position[name] for name in names]] = False
    return replace(figures, present=present)


# --- what all sections share ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sheet:
    view: RunView
    about: About
    blanks: Set[Blank]

    def hides(self, kind: str, *names: str) -> bool:
        """Whether the figure of any of these nodes is left blank."""
        return any((kind, name) in self.blanks for name in names)


def _subject(sheet: _Sheet) -> str:
    backward = sheet.view.run.backward
    return f"gradients of {sheet.view.quantity}" if backward else f"values of {listed(sheet.view.graph.outputs)}"


def _name(name: str) -> Formula:
    return formula_of(Variable(name))


def _names(names: Sequence[str]) -> Sentence:
    """Names as a sentence lists them: a, b and c."""
    parts: list[Part] = []
    for index, name in enumerate(names):
        parts += [*([" and " if index == len(names) - 1 else ", "] if index else []), _name(name)]
    return tuple(parts)


def _shown(equation: Equation) -> Displayed:
    """The formula, and the numbers put in as far as they are known."""
    return Displayed(equation.followed_by(equation.readable))


def _figure(subject: Variable, figure: FloatArray | None) -> Displayed:
    """Subject = figure, the subject alone where it is not known."""
    return _shown(write_equation(None, subject, {} if figure is None else {subject.name: figure}, figure))


def _only_result(equation: Equation, subject: Variable, figure: FloatArray | None) -> Displayed:
    """The formula and its result, without the numbers that are put in."""
    result = write_equation(None, subject, {} if figure is None else {subject.name: figure}, figure)
    return Displayed(equation.followed_by(result.readable))


def _answer(sheet: _Sheet, blank: Blank) -> Displayed:
    run, position = sheet.view.run, sheet.view.graph.position[blank.node]
    if blank.kind == "value":
        return _figure(Variable(blank.node), run.values[position])
    figure = None if run.gradients is None else run.gradients[position]
    return _figure(gradient_of(sheet.view.quantity, blank.node), figure)


def _apart(sheet: _Sheet, step: Step, kind: str, own: FloatArray | None) -> Iterator[Paragraph]:
    """Say that a figure is not given, or is not the one that follows from the others."""
    by, position = sheet.about.by, sheet.view.graph.position[step.node.name]
    misshapen = sheet.view.run.misshapen.get((kind, position))
    if misshapen is not None:
        yield Paragraph((f"{by} has a figure of another shape here, {list(misshapen.shape)}.",))
    elif own is None:
        follows = "the figures that are do not say it" if step.equation.numbers is None else "it follows from others"
        yield Paragraph((f"This figure is not given; {follows}.",))
    elif step.difference is not None:
        away = short_number(step.difference)
        told = f"other figures here, up to {away} away" if own.ndim else f"{figure_text(own)} here, {away} away"
        yield Paragraph((f"{by} has {told}.",))


# --- steps 1 and 2 ----------------------------------------------------------------------------------------------------


def _opening(sheet: _Sheet) -> Iterator[Block]:
    run, about = sheet.view.run, sheet.about
    yield Paragraph((about.origin,))
    yield Heading(2, ("Step 1: the function as a graph",))
    if about.function is not None and len(about.function.latex) <= _LONGEST_FUNCTION:
        yield Displayed(about.function)
    yield Paragraph(
        (
            "Each operation is a node. An edge leads from each operand to the operation that uses it, so that every "
            "node is computed from the nodes before it.",
        )
    )
    told = "Above the edge out of each node stands its value"
    if run.backward:
        told += f", below it the gradient of {sheet.view.quantity} with respect to it"
    yield Drawing(f"{told}.{' Figures to fill in are left out.' if sheet.blanks else ''}")


def _forward(sheet: _Sheet, steps: Sequence[Step]) -> Iterator[Block]:
    graph, run = sheet.view.graph, sheet.view.run
    yield Heading(2, ("Step 2: the forward pass",))
    given: list[Part] = ["Put in the inputs, "]
    for name in graph.inputs[:MOST_INPUTS]:
        given += [_figure(Variable(name), run.values[graph.position[name]]).formula, ", "]
    more = len(graph.inputs) - MOST_INPUTS
    given += [f"{more} more, "] if more > 0 else []
    yield Paragraph((*given, "and compute each node from those before it:"))
    for step in steps:
        if isinstance(step, ForwardStep):
            yield from _forward_step(sheet, step)


def _forward_step(sheet: _Sheet, step: ForwardStep) -> Iterator[Block]:
    name = step.node.name
    if sheet.hides("value", name):
        yield Displayed(step.equation.formula, Blank("value", name))
    elif sheet.hides("value", *step.node.inputs):
        yield _only_result(step.equation, Variable(name), step.value)
    else:
        yield _shown(step.equation)
        yield from _apart(sheet, step, "forward", step.value)


# --- step 3 -----------------------------------------------------------------------------------------------------------


def _backward(sheet: _Sheet, steps: Sequence[Step]) -> Iterator[Block]:
    quantity, backward = sheet.view.quantity, sheet.view.run.backward
    yield Heading(2, ("Step 3: the backward pass",))
    if backward is None:
        yield Paragraph(("This run has no gradients: it was not run backward.",))
        return
    yield Paragraph(
        (
            "The sweep goes from ",
            _name(backward.output),
            " back to the inputs. The gradient of ",
            _name(quantity),
            " with respect to a node is the sum, over the nodes that use it, of the gradient that has arrived there, "
            "the upstream gradient, times the local gradient.",
        )
    )
    for step in steps:
        if isinstance(step, BackwardStep):
            yield from _backward_step(sheet, step)


def _backward_step(sheet: _Sheet, step: BackwardStep) -> Iterator[Block]:
    name = step.node.name
    yield Heading(3, ("The gradient of ", _name(name)))
    asked, before = sheet.hides("gradient", name), _paths_out(sheet, step)
    if step.count != 1:
        yield Paragraph(before)
        before = ()
    for each in step.contributions[:_MOST_WRITTEN]:
        yield from _contribution(sheet, each, asked, before)
    if step.seed is None and step.contributions:
        yield Paragraph(("So, by the chain rule:",))
    if asked:
        yield Displayed(step.equation.formula, Blank("gradient", name))
    elif any(_hides_summand(sheet, each) for each in step.contributions):
        yield _only_result(step.equation, gradient_of(sheet.view.quantity, name), step.gradient)
    else:
        yield _shown(step.equation)
        yield from _apart(sheet, step, "backward", step.gradient)


def _paths_out(sheet: _Sheet, step: BackwardStep) -> Sentence:
    """Where the gradient of a node comes from."""
    name, quantity = _name(step.node.name), _name(sheet.view.quantity)
    if step.seed is not None:
        is_itself = sheet.view.quantity == step.node.name
        return (name, " is where the sweep starts", ", with 1:" if is_itself else ", with the seed that was given:")
    if not step.contributions:
        return (name, " does not lead to ", quantity, ": its gradient is 0.")
    consumers = list(dict.fromkeys(each.consumer.node.name for each in step.contributions))
    if step.count == 1:
        return (name, " is used by ", _name(consumers[0]), " alone. ")
    more: Sentence = (f" and {len(consumers) - _MOST_WRITTEN} more",) if len(consumers) > _MOST_WRITTEN else ()
    times_used = f", {step.count} times in all" if step.count > len(consumers) else ""
    used = (name, " is used by ", *_names(consumers[:_MOST_WRITTEN]), *more, times_used)
    return (*used, f": its gradient is the sum over {step.count} edges.")


def _contribution(sheet: _Sheet, each: Contribution, asked: bool, before: Sentence) -> Iterator[Block]:
    node = each.consumer.node
    rule = f"By the {each.rule} rule at "
    if each.rule == "chain" or not node.operation.is_elementwise:
        rule = f"By the derivative of {node.operation.name} at "
    yield Paragraph((*before, rule, _name(node.name), ":"))
    hidden = asked or sheet.hides("value", *each.consumer.figures)
    if not node.operation.is_elementwise:
        hidden = hidden or sheet.hides("gradient", node.name)
    yield Displayed(each.equation.formula) if hidden else _shown(each.equation)
    if node.name in sheet.about.kinks:
        yield Paragraph(
            (_name(node.name), f" has no derivative at this point; {sheet.about.convention} chooses what passes back.")
        )
    if each.closed is not None and not sheet.blanks:
        yield Paragraph((f"{each.closed}.",))


def _hides_summand(sheet: _Sheet, each: Contribution) -> bool:
    """Whether a summand with its numbers would show a figure that is left blank."""
    return sheet.hides("gradient", each.consumer.node.name) or sheet.hides("value", *each.consumer.figures)


# --- the products and the general rule --------------------------------------------------------------------------------


def _products(sheet: _Sheet, backward: Backward) -> Iterator[Block]:
    graph = sheet.view.graph
    names = [name for name in graph.inputs if graph.nodes[graph.position[name]].has_gradient]
    yield Heading(2, ("Step 4: the gradients of the inputs as products",))
    yield Paragraph(
        (
            "Put each gradient into the next: the gradient of an input is the sum, over all paths from it to ",
            _name(backward.output),
            ", of the product of the local gradients along the path.",
        )
    )
    for name in names[:MOST_INPUTS]:
        try:
            yield from _product(sheet, backward, name)
        except (InvalidRequest, Conflict) as refusal:
            yield Paragraph((f"For {name} it is not written out: {refusal.detail}.",))
    if len(names) > MOST_INPUTS:
        yield Paragraph((f"{len(names) - MOST_INPUTS} more inputs are left out.",))


def _product(sheet: _Sheet, backward: Backward, name: str) -> Iterator[Block]:
    found = find_paths(sheet.view.run, backward.output, name, _MOST_WRITTEN)
    if found.count > len(found.paths):
        count = found.count if found.count <= _MOST_COUNTED else f"More than {_MOST_COUNTED}"
        yield Paragraph((f"{count} paths; the largest are written out:",))
    equation = found.equation
    if found.expanded is not None:
        formula = Formula(equation.formula.first, (*equation.formula.others, *found.expanded.others))
        equation = replace(equation, formula=formula)
    yield Displayed(equation.formula) if sheet.blanks else _shown(equation)


def _general_rule(sheet: _Sheet) -> Iterator[Block]:
    quantity = sheet.view.quantity
    product = times(gradient_of(quantity, "z"), local_gradient_of("z", "x"))
    yield Heading(2, ("The general rule",))
    yield Paragraph(("For any node ", _name("x"), ", summed over the nodes ", _name("z"), " that use it:"))
    yield Displayed(equate(gradient_of(quantity, "x"), summed(product)))
