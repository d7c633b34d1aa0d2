"""Read an expression as nodes: `e = a + b; F(a, b) = e * sin(a)`.

`parser.py` reads the text into statements. This module resolves their names and makes a node of each operation. It
walks each value from its leaves up with an explicit stack, so that deep expressions need no recursion.
"""

import math
from collections.abc import Callable, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, cast

from lark import Token

from service.core.errors import LimitExceeded, nearest
from service.core.graph.building import written_cycle
from service.core.graph.documents import FindCallee, arity_faults, no_callee, read_attributes
from service.core.graph.graph import Node
from service.core.graph.names import free_names, name_fault
from service.core.graph.parts import Use
from service.core.language.composites import COMPOSITES, composite_of, definition, operand_index
from service.core.language.diagnostics import SourceError, invalid_expression, quote
from service.core.language.parser import CALLABLE, Call, Expr, Statement, read_number, read_statements
from service.core.rulebook.operation import NO_ATTRIBUTES, Attributes, Operation
from service.core.rulebook.registry import find, operation_of, operations
from service.core.rulebook.signature import Signature

# As in Python, these names reduce one operand and combine several elementwise.
_REDUCTIONS = {"max": "ReduceMax", "min": "ReduceMin", "sum": "ReduceSum", "mean": "ReduceMean"}


def parse_expression(text: str, *, max_bytes: int, max_depth: int) -> list[Node]:
    """Read an expression of the rulebook's operations as nodes; as `parse_uses` otherwise."""
    nodes = parse_uses(text, no_callee, max_bytes=max_bytes, max_depth=max_depth)
    return cast(list[Node], nodes)  # without callees there are no uses


def parse_uses(text: str, find_callee: FindCallee, *, max_bytes: int, max_depth: int) -> list[Node | Use]:
    """Read an expression as nodes: the Inputs first, in their order, then the rest as the text evaluates them.

    What `find_callee` finds may be called like an operation; such a node is yet to be expanded. The nodes have distinct
    names and no cycle; `assemble_graph` makes a graph of them. Raises InvalidExpression with line and column,
    LimitExceeded for a text of more than `max_bytes` in UTF-8 or brackets more than `max_depth` deep.
    """
    try:
        size = _size(text)
        if size > max_bytes:
            detail = f"an expression has at most {max_bytes} bytes in UTF-8; this one has {size}"
            raise LimitExceeded("expression_bytes", max_bytes, size, detail)
        return _nodes(read_statements(text, max_depth), find_callee)
    except SourceError as error:
        raise invalid_expression(text, error) from None


def _size(text: str) -> int:
    """Count the bytes of the text in UTF-8."""
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise SourceError("half of a surrogate pair is no character", error.start) from None


# --- from statements to nodes -----------------------------------------------------------------------------------------


def _nodes(statements: list[Statement], find_callee: FindCallee) -> list[Node | Use]:
    if not statements:
        raise SourceError("the expression is empty", 0)
    orders = [_evaluation_order(statement.value) for statement in statements]
    targets = _targets(statements, orders)
    parameters = _parameters(statements, targets)
    references = [part for order in orders for part in order if isinstance(part, Token) and part.type != "NUMBER"]
    if not ("pi" in targets or "pi" in (parameters or ()) or any(token == "`pi`" for token in references)):
        references = [token for token in references if token != "pi"]  # it is the number π
    inputs = _inputs(references, targets, parameters)
    referring = {id(token) for token in references}
    _refuse_cycle(targets, orders, referring)
    names_of = free_names({*targets, *inputs})

    nodes: list[Node | Use] = [Node(name, operation_of("Input")) for name in inputs]

    def append(order: list[Expr], target: str | None, named: Callable[[Token], str | None]) -> str:
        """Append the nodes of a value, the last of which is `target`, and return its name; `named` gives the node that
        a token refers to."""
        operands: list[str] = []
        for part in order:
            if isinstance(part, Token) and (name := named(part)) is not None:
                operands.append(name)
                continue
            first = len(operands) - (0 if isinstance(part, Token) else len(part.operands))
            wanted = target if part is order[-1] else None
            if composite := composite_of(part):
                assert isinstance(part, Call)
                operands[first:] = [
                    append(_evaluation_order(definition(part, composite)), wanted, _among(operands[first:]))
                ]
                continue
            operation, attributes = (
                _constant(part) if isinstance(part, Token) else _operation_of(part, targets, find_callee)
            )
            name = wanted or next(names_of(operation.name))
            if isinstance(operation, Operation):
                nodes.append(Node(name, operation, tuple(operands[first:]), attributes))
            else:
                assert isinstance(part, Call)
                start = part.called.start_pos or 0
                nodes.append(Use(name, part.called.strip("`"), operation, tuple(operands[first:]), attributes, start))
            operands[first:] = [name]
        return operands[0]

    for target, order in zip(targets, orders, strict=True):
        last = append(order, target, lambda token: _name(token) if id(token) in referring else None)
        if last != target or id(order[-1]) in referring:
            nodes.append(Node(target, operation_of("Identity"), (last,)))
    return nodes


def _among(operands: Sequence[str]) -> Callable[[Token], str | None]:
    """What the names in the definition of a composite stand for."""
    return lambda token: None if token.type == "NUMBER" else operands[operand_index(token)]


def _evaluation_order(value: Expr) -> list[Expr]:
    """List every part of a value after its operands, these from left to right."""
    order = []
    waiting = [value]
    while waiting:
        part = waiting.pop()
        order.append(part)
        if isinstance(part, Call):
            waiting.extend(part.operands)
    order.reverse()
    return order


def _targets(statements: list[Statement], orders: list[list[Expr]]) -> dict[str, Statement]:
    """Map the name that each statement assigns to it; the result of a bare expression is named `output`."""
    targets: dict[str, Statement] = {}
    for statement, order in zip(statements, orders, strict=True):
        bare = statement.target is None
        name = "output" if statement.target is None else _name(statement.target)
        refers_to_itself = bare and any(isinstance(part, Token) and part.value.strip("`") == name for part in order)
        if name in targets or refers_to_itself:
            position = statement.target or (order[0] if isinstance(order[0], Token) else order[0].called)
            if bare or targets[name].target is None:
                detail = "the result of an expression without a name is named output, and that name is taken"
            else:
                detail = f"{quote(name)} is assigned twice"
            raise SourceError(detail, position.start_pos)
        targets[name] = statement
    return targets


def _parameters(statements: list[Statement], targets: dict[str, Statement]) -> dict[str, Token] | None:
    """Return the inputs that a header such as F(a, b) lists, in their order; None without a header."""
    headers = [statement for statement in statements if statement.parameters is not None]
    for second in headers[1:]:
        assert second.target is not None
        raise SourceError("only one statement may list its inputs in brackets", second.target.start_pos)
    if not headers:
        return None
    parameters: dict[str, Token] = {}
    for token in headers[0].parameters or ():
        name = _name(token)
        if name in parameters:
            raise SourceError(f"the input {quote(name)} is listed twice", token.start_pos)
        if name in targets:
            raise SourceError(f"{quote(name)} is listed as an input, and is assigned too", token.start_pos)
        parameters[name] = token
    return parameters


def _inputs(references: list[Token], targets: dict[str, Statement], parameters: dict[str, Token] | None) -> list[str]:
    """List the inputs: the header's or, without one, all unassigned names in order of appearance."""
    inputs = dict.fromkeys(parameters or ())
    for token in references:
        name = _name(token)
        if name in targets or name in inputs:
            continue
        if parameters is not None:
            near = nearest(name, [*parameters, *targets])
            raise SourceError(f"{quote(name)} is neither assigned nor an input of the header{near}", token.start_pos)
        inputs[name] = None
    return list(inputs)


def _refuse_cycle(targets: dict[str, Statement], orders: list[list[Expr]], referring: set[int]) -> None:
    """Refuse a statement that depends on itself; it may read what a later one assigns."""
    reads = {
        target: [_name(part) for part in order if isinstance(part, Token) and id(part) in referring]
        for target, order in zip(targets, orders, strict=True)
    }
    try:
        TopologicalSorter(reads).prepare()
    except CycleError as error:
        cycle = error.args[1][:-1]
        # A bare expression that reads itself was refused already: some statement of the cycle has a name.
        starts = [
            (token.start_pos or 0, position) for position, name in enumerate(cycle) if (token := targets[name].target)
        ]
        position, first = min(starts)
        cycle = cycle[first:] + cycle[:first]
        raise SourceError(f"{quote(cycle[0])} is in a cycle: {written_cycle(cycle)}", position) from None


def _constant(token: Token) -> tuple[Operation, Attributes]:
    constant = operation_of("Constant")
    value = read_number(token) if token.type == "NUMBER" else math.pi
    return constant, read_attributes(constant, {"value": value})[0]


def _operation_of(part: Call, targets: dict[str, Statement], find_callee: FindCallee) -> tuple[Signature, Attributes]:
    operation = _operation(part, targets, find_callee)
    for fault in arity_faults(operation, len(part.operands)):
        raise SourceError(f"{fault.detail}; it is written {_form(operation, part)}", part.called.start_pos)
    return operation, _attributes(part, operation)


def _operation(part: Call, targets: dict[str, Statement], find_callee: FindCallee) -> Signature:
    called, arity = part.called, len(part.operands)
    if called.type == "MINUS" and arity == 1:
        name = "Neg"
    elif called in _REDUCTIONS:
        name = _REDUCTIONS[called] if arity == 1 else called.capitalize()
    else:
        name = called.value
    operation = find(name)
    if operation is not None and not operation.is_input:
        return operation
    if operation is None and (callee := find_callee(name.strip("`"))):
        return callee
    if operation is not None:
        detail = "an input is any name that is not assigned; it is not called"
    elif called.type == "QUOTED" or called in targets:
        detail = f'{quote(called)} names a node, and only an operation can be called; a product is written with "*"'
    elif called.type == "VERSIONED":
        detail = f"there is no graph {quote(called)}"
    else:
        aliases = [alias for known in operations() for alias in known.aliases]
        near = nearest(called, filter(str.isidentifier, [*aliases, *COMPOSITES]))
        detail = f"there is no operation {quote(called)}{near}"
        detail += '; a product is written with "*"' if arity == 1 else ""
    raise SourceError(detail, called.start_pos)


def _attributes(part: Call, operation: Signature) -> Attributes:
    """Read the attributes of a call under ONNX's names; called by NumPy's name, an operation has NumPy's defaults."""
    if not part.attributes and not operation.attributes:
        return NO_ATTRIBUTES
    known = {attribute.name for attribute in operation.attributes}
    given: dict[str, Any] = {}
    positions: dict[Any, Token] = {}
    for token, value in part.attributes:
        name = "axes" if token == "axis" and "axes" in known and "axis" not in known else token.value
        if name in given:
            raise SourceError(f"the attribute {quote(token)} is given twice", token.start_pos)
        given[name], positions[name] = value, token
    for attribute in operation.attributes:
        if (
            attribute.numpy
            and attribute.numpy[1] != attribute.default
            and part.called.lower() != operation.name.lower()
        ):
            given.setdefault(attribute.name, attribute.numpy[1])
    attributes, faults = read_attributes(operation, given)
    for fault in faults:
        detail = f"{fault.detail}; it is written {_form(operation, part)}"
        raise SourceError(detail, positions.get(fault.location[-1], part.called).start_pos)
    return attributes


def _form(operation: Signature, part: Call) -> str:
    name: str = part.called
    if part.called.type not in CALLABLE and isinstance(operation, Operation):
        name = next(filter(str.isidentifier, operation.aliases))
    return operation.form(name, as_numpy=name.lower() != operation.name.lower())


def _name(token: Token) -> str:
    name = token.value.strip("`")
    if fault := name_fault(name):
        raise SourceError(fault, token.start_pos)
    return str(name)
