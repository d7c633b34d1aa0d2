"""The worked derivation of a run as an article, from its graph to the gradients of its inputs; the same as a worksheet.

What it says of each figure are the run's steps and paths.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

from service.core.errors import Conflict, InvalidRequest
from service.core.execution.run import Backward, Run
from service.core.explanation.article import (
    About,
    Article,
    Blank,
    Block,
    Displayed,
    Drawing,
    Heading,
    Paragraph,
    Part,
    Sentence,
)
from service.core.explanation.paths import find_paths
from service.core.explanation.run_view import RunView
from service.core.explanation.steps import BackwardStep, Contribution, ForwardStep, Step, count_steps, explain
from service.core.figures.figures import FloatArray
from service.core.figures.text import figure_text, listed, short_number
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
from service.core.symbolic.names import named
from service.core.symbolic.term import Variable

# The inputs that are listed, and whose gradients are expanded into paths; the paths and consumers that are written out.
MOST_INPUTS, _MOST_WRITTEN = 20, 8
_LONGEST_FUNCTION = 2000  # characters of the LaTeX of the whole function
_MOST_COUNTED = 10**12  # paths whose exact number is told


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


# --- what all sections share ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sheet:
    view: RunView
    about: About
    blanks: Set[Blank]

    def hides(self, kind: str, *names: str) -> bool:
        """Whether the figure of any of these nodes is left blank."""
        return any((kind, name) in self.blanks for name in names)

    def variable(self, name: str) -> Variable:
        """A node, written."""
        return named(name, self.view.graph.position)

    def gradient(self, name: str) -> Variable:
        """The gradient with respect to a node, written."""
        return gradient_of(self.view.quantity, name, self.view.graph.position)

    def names(self, *names: str) -> Sentence:
        """Names as a sentence lists them: a, b and c."""
        parts: list[Part] = []
        for index, name in enumerate(names):
            comma = [" and " if index == len(names) - 1 else ", "] if index else []
            parts += [*comma, formula_of(self.variable(name))]
        return tuple(parts)


def _subject(sheet: _Sheet) -> str:
    backward = sheet.view.run.backward
    return f"gradients of {sheet.view.quantity}" if backward else f"values of {listed(sheet.view.graph.outputs)}"


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
        return _figure(sheet.variable(blank.node), run.values[position])
    figure = None if run.gradients is None else run.gradients[position]
    return _figure(sheet.gradient(blank.node), figure)


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
        given += [_figure(sheet.variable(name), run.values[graph.position[name]]).formula, ", "]
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
        yield _only_result(step.equation, sheet.variable(name), step.value)
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
            *sheet.names(backward.output),
            " back to the inputs. The gradient of ",
            *sheet.names(quantity),
            " with respect to a node is the sum, over the nodes that use it, of the gradient that has arrived there, "
            "the upstream gradient, times the local gradient.",
        )
    )
    for step in steps:
        if isinstance(step, BackwardStep):
            yield from _backward_step(sheet, step)


def _backward_step(sheet: _Sheet, step: BackwardStep) -> Iterator[Block]:
    name = step.node.name
    yield Heading(3, ("The gradient of ", *sheet.names(name)))
    asked, before = sheet.hides("gradient", name), _paths_out(sheet, step)
    if step.count != 1:
        yield Paragraph(before)
        before = ()
    # The contribution of an operation that is not elementwise is upstream and local gradient in one.
    whole = step.count == 1 and not step.contributions[0].consumer.node.operation.is_elementwise
    for each in step.contributions[:_MOST_WRITTEN]:
        yield Paragraph((*before, *_rule(sheet, each)))
        if not whole:
            yield _local(sheet, each, asked)
        yield from _notes(sheet, each)
    if step.contributions and not whole:
        yield Paragraph(("So, by the chain rule:",))
    if asked:
        yield Displayed(step.equation.formula, Blank("gradient", name))
    elif any(_hides_summand(sheet, each) for each in step.contributions):
        yield _only_result(step.equation, sheet.gradient(name), step.gradient)
    else:
        yield _shown(step.equation)
        yield from _apart(sheet, step, "backward", step.gradient)


def _paths_out(sheet: _Sheet, step: BackwardStep) -> Sentence:
    """Where the gradient of a node comes from."""
    name, quantity = sheet.names(step.node.name), sheet.names(sheet.view.quantity)
    if step.seed is not None:
        is_itself = sheet.view.quantity == step.node.name
        return (*name, " is where the sweep starts", ", with 1:" if is_itself else ", with the seed that was given:")
    if not step.contributions:
        return (*name, " does not lead to ", *quantity, ": its gradient is 0.")
    consumers = list(dict.fromkeys(each.consumer.node.name for each in step.contributions))
    if step.count == 1:
        return (*name, " is used by ", *sheet.names(consumers[0]), " alone. ")
    more: Sentence = (f" and {len(consumers) - _MOST_WRITTEN} more",) if len(consumers) > _MOST_WRITTEN else ()
    times_used = f", {step.count} times in all" if step.count > len(consumers) else ""
    used = (*name, " is used by ", *sheet.names(*consumers[:_MOST_WRITTEN]), *more, times_used)
    return (*used, f": its gradient is the sum over {step.count} edges.")


def _rule(sheet: _Sheet, each: Contribution) -> Sentence:
    node = each.consumer.node
    rule = f"By the {each.rule} rule at "
    if each.rule == "chain" or not node.operation.is_elementwise:
        rule = f"By the derivative of {node.operation.name} at "
    return (rule, *sheet.names(node.name), ":")


def _local(sheet: _Sheet, each: Contribution, asked: bool) -> Displayed:
    """The local gradient, or the whole contribution of an operation that is not elementwise."""
    hidden = asked or (_hides_summand(sheet, each) if each.local is None else _hides_values(sheet, each))
    return Displayed(each.equation.formula) if hidden else _shown(each.equation)


def _notes(sheet: _Sheet, each: Contribution) -> Iterator[Paragraph]:
    """That there is no derivative, or that nothing passes."""
    name, chosen = (
        each.consumer.node.name,
        f" has no derivative here; {sheet.about.convention} chooses what passes back.",
    )
    if name in sheet.about.kinks:
        yield Paragraph((*sheet.names(name), chosen))
    if each.closed is not None and not sheet.blanks:
        yield Paragraph((f"{each.closed}.",))


def _hides_values(sheet: _Sheet, each: Contribution) -> bool:
    return sheet.hides("value", *each.consumer.figures)


def _hides_summand(sheet: _Sheet, each: Contribution) -> bool:
    """Whether a summand with its numbers would show a figure that is left blank."""
    return sheet.hides("gradient", each.consumer.node.name) or _hides_values(sheet, each)


# --- the products and the general rule --------------------------------------------------------------------------------


def _products(sheet: _Sheet, backward: Backward) -> Iterator[Block]:
    graph = sheet.view.graph
    names = [name for name in graph.inputs if graph.nodes[graph.position[name]].has_gradient]
    yield Heading(2, ("Step 4: the gradients of the inputs as products",))
    yield Paragraph(
        (
            "Put each gradient into the next: the gradient of an input is the sum, over all paths from it to ",
            *sheet.names(backward.output),
            ", of the product of the local gradients along the path.",
        )
    )
    refused: dict[str, str] = {}
    for name in names[:MOST_INPUTS]:
        try:
            yield from _product(sheet, backward, name)
        except (InvalidRequest, Conflict) as refusal:
            refused[name] = refusal.detail
    if refused:
        yield Paragraph(("It is left out for ", *sheet.names(*refused), f": {next(iter(refused.values()))}."))
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
    product = times(sheet.gradient("z"), local_gradient_of("z", "x"))
    yield Heading(2, ("The general rule",))
    yield Paragraph(
        ("For any node ", *sheet.names("x"), ", summed over the nodes ", *sheet.names("z"), " that use it:")
    )
    yield Displayed(equate(sheet.gradient("x"), summed(product)))
