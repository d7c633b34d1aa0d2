"""The source of the loops over a program, generated from the registry: a branch for each operation, its rule in it.

Rules are called by the names that `rules_of_loops` gives them. Contributions are added in reverse order of execution.
The loops are their own and do not call `graph/sweep.py`, for speed: compiled, one node costs a few nanoseconds.
"""

from collections.abc import Callable, Mapping
from textwrap import indent

from service.core.execution.program import Choices, Opcodes
from service.core.rulebook.attribute import OneOf
from service.core.rulebook.operation import Operation, Rule

# None of these is negative; the mask tells the compiler, which otherwise tests the sign of every index.
_STRETCH = """\
    count, first, last = stretches[stretch + 1] & MASK, stretches[stretch + 2] & MASK, stretches[stretch + 3] & MASK
    first_edge, first_attribute = stretches[stretch + 4] & MASK, stretches[stretch + 5] & MASK
""".replace("MASK", "0x7FFFFFFF")
_UPSTREAM = """\
for k in range(last - 1, first - 1, -1):
    if not reached[nodes[k]]:
        continue
    upstream = gradients[nodes[k]]
"""


def rules_of_loops(codes: Opcodes) -> Mapping[str, Rule]:
    """Return every rule that the loops over these opcodes call, by its name in their source."""
    rules: dict[str, Rule] = {}
    for (operation, _), code in codes.items():
        if fold := operation.fold:
            rules[f"step_{code}"], rules[f"finish_{code}"] = fold.step, fold.finish
            rules[f"tally_{code}"], rules[f"local_gradient_{code}"] = fold.tally, fold.local_gradient
        else:
            assert operation.local_gradients is not None
            rules[f"forward_{code}"], rules[f"local_gradients_{code}"] = operation.forward, operation.local_gradients
        if operation.kinks:
            rules[f"nondifferentiable_{code}"] = operation.kinks.where
    return rules


def loops_text(codes: Opcodes) -> str:
    """Write the source of the functions over packed arrays (see `kernel.Loops`) for these opcodes."""
    forward = f"""\
def forward(stretches, nodes, operands, attributes, values):
    for stretch in range(0, len(stretches), 6):
{indent(_STRETCH, "    ")}\
{_branches(codes, _forward_branch)}"""
    backward = f"""\
def backward(stretches, nodes, operands, attributes, values, reached, gradients):
    for stretch in range(len(stretches) - 6, -1, -6):
{indent(_STRETCH, "    ")}\
{_branches(codes, _backward_branch)}
    lost = False
    for position in range(len(gradients)):
        lost |= gradients[position] != gradients[position]
    return lost"""
    kinks = f"""\
def kinks(stretches, nodes, operands, attributes, values, marks):
    for stretch in range(0, len(stretches), 6):
{indent(_STRETCH, "    ")}\
{_branches(codes, _kinks_branch)}"""
    return "\n".join([forward, backward, kinks])


def _branches(codes: Opcodes, branch: Callable[[Operation, Choices, int], str]) -> str:
    written = {code: branch(operation, choices, code) for (operation, choices), code in codes.items()}
    parts = [f"if stretches[stretch] == {code}:\n{indent(text, '    ')}" for code, text in written.items() if text]
    return indent("el".join(parts), " " * 8)


def _attributes(operation: Operation, choices: Choices) -> list[str]:
    """The attributes of the k-th node: numbers from the program, words as literals."""
    width = len(operation.attributes) - len(choices)
    numbers = (f"attributes[first_attribute + (k - first) * {width} + {index}]" for index in range(width))
    spelled = map(repr, choices)
    return [next(spelled if isinstance(each.read, OneOf) else numbers) for each in operation.attributes]


def _operand_positions(operation: Operation) -> list[str]:
    """The positions of the operands of the k-th node."""
    width = len(operation.operands)
    return [f"operands[first_edge + (k - first) * {width} + {operand_index}]" for operand_index in range(width)]


def _of_two_or_any(written: Callable[[str], str]) -> str:
    """The branch of a fold, given the text of its number of operands: for two in loops that the compiler unrolls."""
    return f"if count == 2:\n{indent(written('2'), '    ')}else:\n{indent(written('count'), '    ')}"


def _tallied(code: int, count: str) -> str:
    return f"""\
    start = first_edge + (k - first) * {count}
    z = values[nodes[k]]
    total = tally_{code}(values[operands[start]], z)
    for edge in range(start + 1, start + {count}):
        total = total + tally_{code}(values[operands[edge]], z)
"""


def _fold_forward(code: int, count: str) -> str:
    return f"""\
for k in range(first, last):
    start = first_edge + (k - first) * {count}
    accumulated = values[operands[start]]
    for edge in range(start + 1, start + {count}):
        accumulated = step_{code}(accumulated, values[operands[edge]])
    values[nodes[k]] = finish_{code}(accumulated, {count})
"""


def _fold_backward(code: int, count: str) -> str:
    return f"""\
{_UPSTREAM}{_tallied(code, count)}\
    for edge in range(start, start + {count}):
        position = operands[edge]
        gradients[position] += upstream * local_gradient_{code}(values[position], z, {count}, total)
"""


def _forward_branch(operation: Operation, choices: Choices, code: int) -> str:
    if operation.fold:
        return _of_two_or_any(lambda count: _fold_forward(code, count))
    arguments = [
        *(f"values[{position}]" for position in _operand_positions(operation)),
        *_attributes(operation, choices),
    ]
    return f"""\
for k in range(first, last):
    values[nodes[k]] = forward_{code}({", ".join(arguments)})
"""


def _backward_branch(operation: Operation, choices: Choices, code: int) -> str:
    if operation.fold:
        return _of_two_or_any(lambda count: _fold_backward(code, count))
    positions = "".join(
        f"    position_{operand_index} = {position}\n"
        for operand_index, position in enumerate(_operand_positions(operation))
    )
    arguments = [
        *(f"values[position_{operand_index}]" for operand_index in range(len(operation.operands))),
        "values[nodes[k]]",
    ]
    added = "".join(
        f"    gradients[position_{operand_index}] += upstream * local[{operand_index}]\n"
        for operand_index in range(len(operation.operands))
    )
    return f"""\
{_UPSTREAM}{positions}\
    local = local_gradients_{code}({", ".join([*arguments, *_attributes(operation, choices)])})
{added}"""


def _kinks_branch(operation: Operation, choices: Choices, code: int) -> str:
    if not operation.kinks:
        return ""
    if operation.fold:
        return f"""\
for k in range(first, last):
{_tallied(code, "count")}\
    marks[nodes[k]] = nondifferentiable_{code}(total)
"""
    arguments = [
        *(f"values[{position}]" for position in _operand_positions(operation)),
        "values[nodes[k]]",
        *_attributes(operation, choices),
    ]
    return f"""\
for k in range(first, last):
    marks[nodes[k]] = nondifferentiable_{code}({", ".join(arguments)})
"""
