"""Node documents {"name", "operation", "inputs"?, "attributes"?}: nodes as JSON."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from service.core.errors import Fault, nearest
from service.core.graph.graph import Node
from service.core.graph.names import name_fault
from service.core.graph.parts import Use
from service.core.rulebook.operation import NO_ATTRIBUTES, Attributes, Operation
from service.core.rulebook.registry import find, operation_of, operations
from service.core.rulebook.signature import Signature

_MEMBERS = frozenset({"name", "operation", "inputs", "attributes"})
_ACCEPTED = _MEMBERS | {"part_of"}  # answers have it, and may be posted back
_KNOWN = ", ".join(sorted(_MEMBERS))

# What a name stands for that is no operation's: a composed operation or a stored graph.
FindCallee: TypeAlias = Callable[[str], Signature | None]


def no_callee(name: str) -> None:
    """Find no operation beside those of the rulebook."""


def read_node(
    document: object, brief: bool = False, find_callee: FindCallee = no_callee
) -> tuple[list[Fault], Node | Use | None]:
    """Read one node and find its faults.

    Returns None for a node without a usable name. One with other faults is returned, so that its users are not blamed.
    If `brief`, the names nearest to an unknown one, which take a millisecond to find, are left out.
    """
    if not isinstance(document, dict):
        return [Fault((), "a node is an object with name, operation and inputs")], None
    faults = [] if document.keys() <= _ACCEPTED else _unknown_members(document)
    name = document.get("name")
    if wrong := name_fault(name):
        return [*faults, Fault(("name",), wrong if "name" in document else "a node needs a name")], None
    inputs, attributes = document.get("inputs", ()), document.get("attributes", NO_ATTRIBUTES)
    countable = isinstance(inputs, (list, tuple))
    if not countable:
        faults.append(Fault(("inputs",), "inputs are a list of node names"))
        inputs = ()
    while inputs and inputs[-1] == "":  # trailing optional inputs may be listed as "", as in ONNX
        inputs = inputs[:-1]
    operation = document.get("operation")
    found: Signature | None = (find(operation) or find_callee(operation)) if isinstance(operation, str) else None
    required = found.least_inputs if found is not None and not isinstance(found, Operation) else len(inputs)
    for position, source in enumerate(inputs):
        if not isinstance(source, str):
            faults.append(Fault(("inputs", position), "an input is the name of a node"))
        elif not source and position < required:
            faults.append(Fault(("inputs", position), "only the last inputs may be left out"))
    if found is None:
        missing = "operation" not in document
        faults.append(Fault(("operation",), "a node needs an operation" if missing else _unknown(operation, brief)))
        found = operation_of("Identity")
    else:
        count = len(inputs) if countable else None
        if attributes is NO_ATTRIBUTES and isinstance(found, Operation):
            attributes, misused = _read_plain(found, count)
        else:
            attributes, misused = _read_use(found, count, attributes)
        faults += misused
    assert isinstance(name, str)
    if faults:
        inputs = [source for source in inputs if isinstance(source, str) and source]
        found = operation_of("Identity")
    if isinstance(found, Operation):
        return faults, Node(name, found, tuple(inputs), attributes)
    return faults, Use(name, str(operation), found, tuple(inputs), attributes)


def _unknown_members(document: Mapping[str, object]) -> list[Fault]:
    return [
        Fault((member,), f"unknown member `{member}`; known: {_KNOWN}")
        for member in document
        if member not in _ACCEPTED
    ]


def _read_use(operation: Signature, count: int | None, given: object) -> tuple[Attributes, Sequence[Fault]]:
    """The attributes of an operation, and what is wrong with them and with the number of inputs, if that is known."""
    misused = [] if count is None else arity_faults(operation, count)
    attributes, wrong = read_attributes(operation, given)
    return attributes, [_with_form(operation, fault) for fault in misused + wrong]


@lru_cache(maxsize=1024)
def _read_plain(operation: Operation, count: int | None) -> tuple[Attributes, Sequence[Fault]]:
    """As `_read_use`, of no attributes, which most nodes have: those of an operation share one mapping of defaults."""
    return _read_use(operation, count, NO_ATTRIBUTES)


def _unknown(operation: object, brief: bool) -> str:
    if not isinstance(operation, str):
        return "an operation is given by its name"
    if brief:
        return f"there is no operation {operation!r}"
    others = (alias for each in operations() for alias in each.aliases if alias != each.name.lower())
    return f"there is no operation {operation!r}{nearest(operation, [*(each.name for each in operations()), *others])}"


def _with_form(operation: Signature, fault: Fault) -> Fault:
    """Say what the operation takes, unless the fault is in the value of an attribute, which says so itself."""
    if any(fault.location == ("attributes", attribute.name) for attribute in operation.attributes):
        return fault
    return replace(fault, detail=f"{fault.detail}; its form is {operation.form(operation.name)}")


def arity_faults(operation: Signature, count: int) -> list[Fault]:
    """Return a fault if the operation does not take that number of inputs."""
    least, most = operation.least_inputs, operation.most_inputs
    if least <= count and (most is None or count <= most):
        return []
    needs = f"{least} or more" if most is None else f"{least}" if least == most else f"{least} to {most}"
    return [Fault(("inputs",), f"{operation.name} takes {needs} input{'' if needs == '1' else 's'}; {count} given")]


def read_attributes(operation: Signature, given: object) -> tuple[Attributes, list[Fault]]:
    """Read the attributes of an operation and find their faults.

    They are in declared order with defaults filled in, so that equal nodes have equal digests.
    """
    if not isinstance(given, Mapping):
        return NO_ATTRIBUTES, [Fault(("attributes",), "attributes are an object")]
    known = {attribute.name for attribute in operation.attributes}
    faults = [
        Fault(("attributes", name), f"{operation.name} has no attribute {name!r}")
        for name in given
        if name not in known
    ]
    values = {}
    for attribute in operation.attributes:
        nullable = attribute.default is None and not attribute.required
        if attribute.name not in given or (nullable and given[attribute.name] is None):
            if attribute.required:
                faults.append(Fault(("attributes",), f"{operation.name} needs the attribute {attribute.name!r}"))
            values[attribute.name] = attribute.default
        else:
            try:
                values[attribute.name] = attribute.read(given[attribute.name])
            except ValueError as error:
                faults.append(Fault(("attributes", attribute.name), str(error)))
        if attribute.implied and not operation.operands and values.get(attribute.name) == attribute.default:
            values.pop(attribute.name, None)
    return MappingProxyType(values) if values else NO_ATTRIBUTES, faults
