"""JAX's primitives in the operations of a graph: one table, from a primitive's name to the terms of its results."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import jax.numpy as jnp

from service.recorders.jax import indexing, products, windows
from service.recorders.jax.program import MOST_STEPS, Slot, Step
from service.recorders.jax.terms import Applied, NoOperation, Operand, apply, number, reshape, transpose
from service.recorders.recording import DTYPES

Rule: TypeAlias = Callable[[Step], Operand | list[Operand]]


def terms_of(step: Step) -> Sequence[Operand] | None:
    """The terms of a step's results; None where it has a derivative rule of its own, and is to be opened.

    Raises NoOperation where there is no rule for it here.
    """
    if any(jnp.issubdtype(slot.dtype, jnp.complexfloating) for slot in (*step.operands, *step.results)):
        raise NoOperation("complex numbers")
    rule = RULES.get(step.primitive)
    if rule is None and step.body is not None:
        return None
    if rule is None:
        long = step.primitive in ("scan", "while")
        raise NoOperation(f"more than {MOST_STEPS:,} operations" if long else "the rulebook has no operation for it")
    return _listed(rule(step))


def _listed(terms: Operand | list[Operand]) -> list[Operand]:
    return terms if isinstance(terms, list) else [terms]


def _same(operation: str) -> Rule:
    return lambda step: apply(operation, *step.operands)


def _of_truth_values(operation: str) -> Rule:
    def rule(step: Step) -> Applied:
        if step.operands[0].dtype != bool:
            raise NoOperation("bits of whole numbers")
        return apply(operation, *step.operands)

    return rule


def _unary(function: Callable[[Slot], Operand]) -> Rule:
    return lambda step: function(step.operands[0])


# --- elementwise -----------------------------------------------------------------------------------------------------


def _truncated(x: Operand) -> Applied:
    """Rounded toward zero."""
    return apply("Mul", apply("Sign", x), apply("Floor", apply("Abs", x)))


def _divide(step: Step) -> Applied:
    quotient = apply("Div", *step.operands)
    return quotient if step.results[0].real else _truncated(quotient)


def _round(step: Step) -> Applied:
    (x,) = step.operands
    if int(step.parameters["rounding_method"]):
        return apply("Round", x)
    return apply("Mul", apply("Sign", x), apply("Floor", apply("Add", apply("Abs", x), 0.5)))


def _convert(step: Step) -> Applied:
    (x,), (z,) = step.operands, step.results
    if z.dtype == bool:
        return apply("NotEqual", x, 0.0)
    if not z.real:
        return _truncated(x) if x.real else apply("Identity", x)
    if str(z.dtype) not in DTYPES:
        raise NoOperation(f"the dtype {z.dtype}")
    return apply("Cast", x, to=str(z.dtype))


def _reduce_precision(step: Step) -> Applied:
    kinds = {(8, 7): "bfloat16", (5, 10): "float16", (8, 23): "float32", (11, 52): "float64"}
    kind = kinds.get((step.parameters["exponent_bits"], step.parameters["mantissa_bits"]))
    if kind is None:
        raise NoOperation("a precision that has no name")
    return apply("Cast", step.operands[0], to=kind)


def _clamp(step: Step) -> Applied:
    low, x, high = step.operands
    bounds = number(low), number(high)
    if None not in bounds:
        return apply("Clip", x, min=bounds[0], max=bounds[1])
    return apply("Min", apply("Max", x, low), high)


def _select(step: Step) -> Operand:
    which, *cases = step.operands
    if which.dtype == bool:
        return apply("Where", which, cases[1], cases[0])
    chosen: Operand = cases[-1]
    for place in reversed(range(len(cases) - 1)):
        chosen = apply("Where", apply("Equal", which, float(place)), cases[place], chosen)
    return chosen


_SAME: Mapping[str, str] = {
    **{"abs": "Abs", "acos": "Acos", "acosh": "Acosh", "add": "Add", "add_any": "Add", "asin": "Asin"},
    **{"asinh": "Asinh", "atan": "Atan", "atan2": "Atan2", "atanh": "Atanh", "ceil": "Ceil", "copy": "Identity"},
    **{"cos": "Cos", "cosh": "Cosh", "digamma": "Digamma", "eq": "Equal", "eq_to": "Equal"},
    **{
        "erf": "Erf",
        "erfc": "Erfc",
        "exp": "Exp",
        "expm1": "Expm1",
        "floor": "Floor",
        "ge": "GreaterOrEqual",
        "gt": "Greater",
    },
    **{"le_to": "LessOrEqual", "lt_to": "Less"},
    **{"le": "LessOrEqual", "lgamma": "Lgamma", "log": "Log", "log1p": "Log1p", "logistic": "Sigmoid", "lt": "Less"},
    **{"max": "Max", "min": "Min", "mul": "Mul", "ne": "NotEqual", "neg": "Neg", "pow": "Pow"},
    **{"sign": "Sign", "sin": "Sin", "sinh": "Sinh", "sqrt": "Sqrt"},
    **{"stop_gradient": "StopGradient", "sub": "Sub", "tan": "Tan", "tanh": "Tanh"},
}

_ELEMENTWISE: Mapping[str, Rule] = {
    **{name: _same(operation) for name, operation in _SAME.items()},
    **{name: _of_truth_values(operation) for name, operation in {"and": "And", "or": "Or", "not": "Not"}.items()},
    "xor": _of_truth_values("NotEqual"),
    "cbrt": _unary(lambda x: apply("Mul", apply("Sign", x), apply("Pow", apply("Abs", x), 1 / 3))),
    "clamp": _clamp,
    "convert_element_type": _convert,
    "div": _divide,
    "exp2": _unary(lambda x: apply("Pow", 2.0, x)),
    "integer_pow": lambda step: apply("Pow", step.operands[0], float(step.parameters["y"])),
    "is_finite": _unary(lambda x: apply("Equal", apply("Sub", x, x), 0.0)),
    "optimization_barrier": lambda step: [apply("Identity", x) for x in step.operands],
    "reduce_precision": _reduce_precision,
    "rem": lambda step: apply("Mod", *step.operands, fmod=1),
    "round": _round,
    "rsqrt": _unary(lambda x: apply("Pow", x, -0.5)),
    "select_n": _select,
    "square": _unary(lambda x: apply("Mul", x, x)),
}

# --- reductions and scans --------------------------------------------------------------------------------------------


def _reduce(operation: str) -> Rule:
    def rule(step: Step) -> Applied:
        axes = [int(axis) for axis in step.parameters["axes"]]
        return (
            apply(operation, step.operands[0], axes=axes, keepdims=0) if axes else apply("Identity", step.operands[0])
        )

    return rule


def _argument(operation: str) -> Rule:
    return lambda step: apply(operation, step.operands[0], axis=int(step.parameters["axes"][0]), keepdims=0)


def _scan(operation: str) -> Rule:
    def rule(step: Step) -> Applied:
        return apply(operation, *step.operands, axis=step.parameters["axis"], reverse=int(step.parameters["reverse"]))

    return rule


def _sort(step: Step) -> list[Operand]:
    keys, axis = step.operands, int(step.parameters["dimension"])
    if step.parameters["num_keys"] != 1:
        raise NoOperation("several keys")
    order = apply("Sort", keys[0], axis=axis, output=1)
    return [
        apply("Sort", keys[0], axis=axis),
        *(apply("GatherElements", other, order, axis=axis) for other in keys[1:]),
    ]


def _top_k(step: Step) -> list[Operand]:
    axis = int(step.parameters.get("axis", -1))
    return [apply("TopK", *step.operands, k=int(step.parameters["k"]), axis=axis, output=place) for place in (0, 1)]


_REDUCTIONS: Mapping[str, Rule] = {
    "argmax": _argument("ArgMax"),
    "argmin": _argument("ArgMin"),
    "cumprod": _scan("CumProd"),
    "cumsum": _scan("CumSum"),
    "reduce_and": _reduce("ReduceMin"),
    "reduce_max": _reduce("ReduceMax"),
    "reduce_min": _reduce("ReduceMin"),
    "reduce_or": _reduce("ReduceMax"),
    "reduce_prod": _reduce("ReduceProd"),
    "reduce_sum": _reduce("ReduceSum"),
    "sort": _sort,
    "top_k": _top_k,
}

# --- shapes ----------------------------------------------------------------------------------------------------------


def _to_shape_of_result(step: Step) -> Applied:
    return reshape(step.operands[0], step.results[0].shape)


def _broadcast(step: Step) -> Applied:
    (x, *_), shape = step.operands, step.results[0].shape
    aligned = [1] * len(shape)
    for length, axis in zip(x.shape, step.parameters["broadcast_dimensions"], strict=True):
        aligned[axis] = length
    if math.prod(aligned) == math.prod(shape):
        return reshape(x, shape)
    leading = len(shape) - len(x.shape)
    own = tuple(aligned) == (*[1] * leading, *x.shape)  # where broadcasting, as NumPy does it, needs no axes named
    return apply("Expand", x if own else reshape(x, aligned), shape=list(shape))


def _slice(step: Step) -> Applied:
    starts, ends, steps = (step.parameters[name] for name in ("start_indices", "limit_indices", "strides"))
    return indexing.part(step.operands[0], starts, ends, steps)


def _split(step: Step) -> list[Operand]:
    axis, sizes = int(step.parameters["axis"]), [int(size) for size in step.parameters["sizes"]]
    return [apply("Split", *step.operands, axis=axis, split=sizes, output=place) for place in range(len(sizes))]


def _reverse(step: Step) -> Applied:
    axes = [int(axis) for axis in step.parameters["dimensions"]]
    ends = [-step.operands[0].shape[axis] - 1 for axis in axes]
    return apply("Slice", *step.operands, starts=[-1] * len(axes), ends=ends, axes=axes, steps=[-1] * len(axes))


def _stack(step: Step) -> Applied:
    axis, shape = int(step.parameters.get("axis", 0)), list(step.operands[0].shape)
    shape.insert(axis, 1)
    return apply("Concat", *(reshape(part, shape) for part in step.operands), axis=axis)


def _unstack(step: Step) -> list[Operand]:
    (x,), axis = step.operands, int(step.parameters["axis"])
    return [
        reshape(apply("Slice", x, starts=[place], ends=[place + 1], axes=[axis]), slot.shape)
        for place, slot in enumerate(step.results)
    ]


_SHAPES: Mapping[str, Rule] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda step: apply("Concat", *step.operands, axis=int(step.parameters["dimension"])),
    "reshape": _to_shape_of_result,
    "rev": _reverse,
    "slice": _slice,
    "split": _split,
    "squeeze": _to_shape_of_result,
    "stack": _stack,
    "tile": lambda step: apply("Tile", *step.operands, repeats=[int(each) for each in step.parameters["reps"]]),
    "transpose": lambda step: transpose(step.operands[0], step.parameters["permutation"]),
    "unstack": _unstack,
}

# --- what has a module of its own -------------------------------------------------------------------------------------

_OTHERS: Mapping[str, Rule] = {
    # Functions of JAX's: those under jit are WHOLE, the others have a derivative rule of their own.
    "jax.cholesky": products.cholesky,
    "jax.det": _same("Det"),
    "jax.logaddexp": _same("LogAddExp"),
    "jax.relu": _same("Relu"),
    "jax.slogdet_lu": products.logarithm_of_determinant,
    "jax.xlogy": _same("XLogY"),
    # Primitives.
    "custom_linear_solve": products.linear_solve,
    "conv_general_dilated": windows.convolution,
    "dot_general": products.product,
    "reduce_window_max": windows.max_pool,
    "reduce_window_min": windows.min_pool,
    "reduce_window_sum": windows.sum_pool,
    "triangular_solve": products.triangular_solve,
}

RULES: Mapping[str, Rule] = {
    **_ELEMENTWISE,
    **_REDUCTIONS,
    **_SHAPES,
    **_OTHERS,
    "dynamic_slice": indexing.dynamic_slice,
    "dynamic_update_slice": indexing.dynamic_update_slice,
    "gather": indexing.gather,
    "pad": indexing.pad,
    "scatter": indexing.scatter,
    **{f"scatter-{kind}": indexing.scatter for kind in ("add", "max", "min", "mul", "sub")},
}

WHOLE = frozenset({"jax.cholesky"})  # of the functions under jit those that are not opened
