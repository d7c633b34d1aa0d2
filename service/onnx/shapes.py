"""The shapes of a model's inputs, as the file and the caller give them, and those that follow from them."""

from collections.abc import Mapping, Sequence

from onnx import ValueInfoProto

from service.core.errors import Fault, unknown_names
from service.core.figures.figures import Shape
from service.core.rulebook.operation import Attributes, Operation
from service.onnx.values import CannotImport, Lengths

_PROBE = 8  # a length in place of an unknown one, where only the rank is asked


def bind_shapes(
    inputs: Sequence[ValueInfoProto], given: Mapping[str, Sequence[int]]
) -> tuple[dict[str, Lengths], list[Fault]]:
    """The shape of each input: what `given` says, else what the file says, where a symbol has one length throughout.

    Lengths that nothing gives are None. The faults are those of `given`: an unknown name, or a shape that is not the
    file's.
    """
    declared = {each.name: _declared(each) for each in inputs}
    unknown = unknown_names(given, declared, "the model has no input")
    faults = [Fault(("input",), sentence) for _, sentence in unknown]
    symbols: dict[str, int] = {}
    shapes: dict[str, Lengths] = {}
    for name, shape in given.items():
        lengths = declared.get(name)
        if lengths is None:
            continue
        fits = len(lengths) == len(shape) and all(
            length == own or (isinstance(own, str) and symbols.setdefault(own, length) == length)
            for own, length in zip(lengths, shape, strict=True)
        )
        if not fits:
            written = ",".join(str(own) or "?" for own in lengths)
            detail = f"the model declares {name!r} with shape [{written}]; {list(shape)} is given"
            faults.append(Fault(("input",), detail))
    for name, lengths in declared.items():
        if name in given:
            shapes[name] = tuple(given[name])
        elif lengths is None:
            shapes[name] = None
        else:
            shapes[name] = tuple(own if isinstance(own, int) else symbols.get(own) for own in lengths)
    return shapes, faults


def _declared(value: ValueInfoProto) -> tuple[int | str, ...] | None:
    """A length, a symbol, or a name of its own for each axis; None where not even the rank is declared."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(
        each.dim_value
        if each.HasField("dim_value") and each.dim_value > 0  # some exporters write 0 or −1 for any length
        else each.dim_param.strip("?") or f"\0{value.name}\0{axis}"
        for axis, each in enumerate(tensor.shape.dim)
    )


def infer_shape(operation: Operation, shapes: Sequence[Lengths], attributes: Attributes) -> Lengths:
    """The shape of an operation's value; raises CannotImport where the shapes do not fit.

    Where a length is unknown only the rank is inferred: that a length does not depend on it is not known.
    """
    if None in shapes:
        return None
    probed: list[Shape] = [tuple(_PROBE if each is None else each for each in shape or ()) for shape in shapes]
    complete = all(None not in (shape or ()) for shape in shapes)
    try:
        shape = tuple(operation.infer_shape(probed, attributes))
    except ValueError as error:
        if not complete:
            return None
        listed = ", ".join(str(list(each)) for each in probed)
        raise CannotImport(f"it cannot take the shapes {listed}: {error}") from None
    return shape if complete else (None,) * len(shape)
