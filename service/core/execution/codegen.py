"""The text of the loops over a program, written from the registry: a branch for each operation, a rule in each branch.

Rules are called by the names that `rules_of_loops` gives them. Operands are read where the program says, contributions
are added up in the reverse of the order of execution. The loops are their own and do not call `graph/sweep.py`:
compiled, one node costs a few nanoseconds.
"""

from collections.abc import Callable, Mapping
from textwrap import indent

from service.core.execution.program import Words, opcodes
from service.core.rulebook.attribute import OneOf
from service.core.rulebook.operation import Operation, Rule

# None of these is negative, and a mask says so to the compiler, which else looks at every index for its sign.
_STRETCH = """\
    count, first, last = stretches[stretch + 1] & MASK, stretches[stretch + 2] & MASK, stretches[stretch + 3] & MASK
    edge, given = stretches[stretch + 4] & MASK, stretches[stretch + 5] & MASK
""".replace("MASK", "0x7FFFFFFF")


def rules_of_loops() -> Mapping[str, Rule]:
    """Every rule that the loops call, by the name that it has in their text."""
    rules: dict[str, Rule] = {}
    for (operation, _), code in opcodes().items():
        if fold := operation.fold:
            rules[f"step_{code}"], rules[f"finish_{code}"] = fold.step, fold.finish
            rules[f"tally_{code}"], rules[f"local_gradient_{code}"] = fold.tally, fold.local_gradient
        else:
            assert operation.local_gradients is not None
            rules[f"forward_{code}"], rules[f"local_gradients_{code}"] = operation.forward, operation.local_gradients
        if operation.kinks:
            rules[f"nondifferentiable_{code}"] = operation.kinks.where
    return rules


def loops_text() -> str:
    """The source of the functions `forward`, `backward` and `kinks`, described at `kernel.Loops`."""
    forward = f"""\
def forward(stretches, nodes, operands, attributes, values):
    for stretch in range(0, len(stretches), 6):
{indent(_STRETCH, "    ")}\
{_branches(_forward_branch)}"""
    # A sum that starts from −0 keeps every bit of its first term, −0 among them; what nothing reaches has gradient 0.
    backward = f"""\
def backward(stretches, nodes, operands, attributes, values, reached, target, seed, gradients):
    for place in range(len(gradients)):
        gradients[place] = -0.0 if reached[place] else 0.0
    gradients[target] = seed
    for stretch in range(len(stretches) - 6, -1, -6):
{indent(_STRETCH, "    ")}\
{_branches(_backward_branch)}"""
    kinks = f"""\
def kinks(stretches, nodes, operands, attributes, values, marks):
    for stretch in range(0, len(stretches), 6):
{indent(_STRETCH, "    ")}\
{_branches(_kinks_branch)}"""
    return "\n".join([forward, backward, kinks])


def _branches(branch: Callable[[Operation, Words, int], str]) -> str:
    written = {code: branch(operation, words, code) for (operation, words), code in opcodes().items()}
    parts = [f"if stretches[stretch] == {code}:\n{indent(text, '    ')}" for code, text in written.items() if text]
    return indent("el".join(parts), " " * 8)


def _attributes(operation: Operation, words: Words) -> list[str]:
    """The attributes of the k-th node: numbers from the program, words as they are."""
    width = len(operation.attributes) - len(words)
    numbers = (f"attributes[given + (k - first) * {width} + {index}]" for index in range(width))
    spelled = map(repr, words)
    return [next(spelled if isinstance(each.read, OneOf) else numbers) for each in operation.attributes]


def _places(operation: Operation) -> list[str]:
    """The positions of the operands of the k-th node."""
    width = len(operation.operands)
    return [f"operands[edge + (k - first) * {width} + {operand_index}]" for operand_index in range(width)]


def _tallied(code: int) -> str:
    return f"""\
    start = edge + (k - first) * count
    z = values[nodes[k]]
    total = tally_{code}(values[operands[start]], z)
    for slot in range(start + 1, start + count):
        total = total + tally_{code}(values[operands[slot]], z)
"""


def _forward_branch(operation: Operation, words: Words, code: int) -> str:
    if operation.fold:
        return f"""\
for k in range(first, last):
    start = edge + (k - first) * count
    accumulated = values[operands[start]]
    for slot in range(start + 1, start + count):
        accumulated = step_{code}(accumulated, values[operands[slot]])
    values[nodes[k]] = finish_{code}(accumulated, count)
"""
    arguments = [*(f"values[{position}]" for position in _places(operation)), *_attributes(operation, words)]
    return f"""\
for k in range(first, last):
    values[nodes[k]] = forward_{code}({", ".join(arguments)})
"""


def _backward_branch(operation: Operation, words: Words, code: int) -> str:
    opening = """\
for k in range(last - 1, first - 1, -1):
    if not reached[nodes[k]]:
        continue
    upstream = gradients[nodes[k]]
"""
    if operation.fold:
        return f"""\
{opening}{_tallied(code)}\
    for slot in range(start, start + count):
        place = operands[slot]
        gradients[place] += upstream * local_gradient_{code}(values[place], z, count, total)
"""
    positions = "".join(
        f"    place_{operand_index} = {position}\n" for operand_index, position in enumerate(_places(operation))
    )
    arguments = [
        *(f"values[place_{operand_index}]" for operand_index in range(len(operation.operands))),
        "values[nodes[k]]",
    ]
    added = "".join(
        f"    gradients[place_{operand_index}] += upstream * local[{operand_index}]\n"
        for operand_index in range(len(operation.operands))
    )
    return f"""\
{opening}{positions}\
    local = local_gradients_{code}({", ".join([*arguments, *_attributes(operation, words)])})
{added}"""


def _kinks_branch(operation: Operation, words: Words, code: int) -> str:
    if not operation.kinks:
        return ""
    if operation.fold:
        return f"""\
for k in range(first, last):
{_tallied(code)}\
    marks[nodes[k]] = nondifferentiable_{code}(total)
"""
    arguments = [
        *(f"values[{position}]" for position in _places(operation)),
        "values[nodes[k]]",
        *_attributes(operation, words),
    ]
    return f"""\
for k in range(first, last):
    marks[nodes[k]] = nondifferentiable_{code}({", ".join(arguments)})
"""
