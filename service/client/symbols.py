"""Symbols: the nodes of a graph that is being written, of which Python's operators and NumPy's functions make nodes.

This is tracing, as JAX does it: code that computes with arrays writes a graph when it is given symbols.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from typing import Any, NoReturn, Protocol, TypeAlias, TypeVar

import numpy as np

# From the arguments of a function, a symbol among them, what it gives: a symbol, or a list of several.
Writer: TypeAlias = Callable[..., Any]
Decorated = TypeVar("Decorated", bound=Writer)

writers: dict[Callable[..., Any], Writer] = {}  # filled by `numpy_functions.py` and `indexing.py`

# The operations of universal functions, NumPy's and SciPy's, by the functions' names.
UFUNCS: Mapping[str, str] = {
    **{"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow", "negative": "Neg"},
    **{"reciprocal": "Reciprocal", "floor_divide": "FloorDiv", "remainder": "Mod", "positive": "Identity"},
    **{"sqrt": "Sqrt", "hypot": "Hypot", "absolute": "Abs", "sign": "Sign", "floor": "Floor", "ceil": "Ceil"},
    **{"rint": "Round", "maximum": "Max", "minimum": "Min", "matmul": "MatMul", "logaddexp": "LogAddExp"},
    **{"exp": "Exp", "expm1": "Expm1", "log": "Log", "log2": "Log2", "log10": "Log10", "log1p": "Log1p"},
    **{"sin": "Sin", "cos": "Cos", "tan": "Tan", "arcsin": "Asin", "arccos": "Acos", "arctan": "Atan"},
    **{"sinh": "Sinh", "cosh": "Cosh", "tanh": "Tanh", "arcsinh": "Asinh", "arccosh": "Acosh", "arctanh": "Atanh"},
    **{"arctan2": "Atan2", "equal": "Equal", "not_equal": "NotEqual", "less": "Less", "less_equal": "LessOrEqual"},
    **{"greater": "Greater", "greater_equal": "GreaterOrEqual", "logical_not": "Not"},
    **{"logical_and": "And", "logical_or": "Or"},
    **{"expit": "Sigmoid", "erf": "Erf", "erfc": "Erfc", "gammaln": "Lgamma", "psi": "Digamma", "xlogy": "XLogY"},
}
_CONDITIONS = ("Equal", "NotEqual", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Not")
# An array's methods that are functions of NumPy's under the same names, with the same arguments.
_METHODS = (
    *("sum", "mean", "prod", "max", "min", "std", "var", "argmax", "argmin", "argsort", "cumsum", "cumprod"),
    *("clip", "dot", "ravel", "round", "squeeze", "swapaxes", "take"),
)


class Tape(Protocol):
    """The graph that symbols are nodes of."""

    def apply(self, operation: str, *operands: Any, **attributes: Any) -> "Symbol":
        """Make a node."""


def writes(*functions: Callable[..., Any]) -> Callable[[Decorated], Decorated]:
    """Let a writer stand for functions that are called with a symbol; its parameters are what it can take of theirs."""

    def enter(writer: Decorated) -> Decorated:
        writers.update(dict.fromkeys(functions, writer))
        return writer

    return enter


def apply(operation: str, *operands: Any, **attributes: Any) -> "Symbol":
    """Make a node in the graph of the symbols among the operands; the other operands become Constants."""
    for operand in operands:
        if isinstance(operand, Symbol):
            return operand.graph.apply(operation, *operands, **attributes)
    raise TypeError(f"{operation} is given no node")


def _write(called: Callable[..., Any], arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    name = called.__name__
    if isinstance(called, np.ufunc) and name in UFUNCS:
        if options:
            raise TypeError(f"{name} makes a node without {', '.join(options)}")
        return apply(UFUNCS[name], *arguments)
    writer = writers.get(called)
    if writer is None:
        raise TypeError(f"{name} makes no node; an operation of the service is applied by g.apply(NAME, x)")
    taken = signature(writer)
    try:
        taken.bind(*arguments, **options)
    except TypeError as error:
        shown = taken.replace(
            parameters=[each.replace(annotation=each.empty) for each in taken.parameters.values()],
            return_annotation=taken.empty,
        )
        raise TypeError(f"{error}; a node is made by {name}{shown}") from None
    return writer(*arguments, **options)


def _binary(called: Callable[..., Any]) -> Any:
    return lambda self, other: _write(called, (self, other), {})


def _reflected(called: Callable[..., Any]) -> Any:
    return lambda self, other: _write(called, (other, self), {})


def _unary(called: Callable[..., Any]) -> Any:
    return lambda self: _write(called, (self,), {})


class Symbol:
    """A node of a graph that is being written: of an Input its shape may be known, of others nothing is yet.

    Operators, NumPy's functions and an array's methods make further nodes of it; it never changes itself.
    """

    __slots__ = ("_shape", "graph", "number", "operation")
    __hash__ = object.__hash__

    def __init__(self, graph: Tape, number: int, operation: str, shape: Iterable[int | None] | None = None) -> None:
        self.graph, self.number, self.operation = graph, number, operation
        self._shape = None if shape is None else tuple(shape)

    def __repr__(self) -> str:
        return f"<node {self.number} of {self.graph!r}: {self.operation}>"

    @property
    def is_condition(self) -> bool:
        """Whether its figures are 0 and 1: false and true."""
        return self.operation in _CONDITIONS

    # --- what NumPy asks for --------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        if method != "__call__":
            raise TypeError(f"{ufunc.__name__}.{method} makes no node")
        return _write(ufunc, operands, options)

    def __array_function__(self, called: Callable[..., Any], types: Any, arguments: Any, options: Any) -> Any:
        return _write(called, arguments, options)

    def __array__(self, *asked: Any, **options: Any) -> NoReturn:
        raise TypeError("a node has no figures before its graph is run; np.stack makes one node of several")

    # --- what only a figure has -----------------------------------------------------------------------------------

    def __bool__(self) -> NoReturn:
        raise TypeError("whether it is true is known when the graph is run; np.where chooses between two nodes")

    def __float__(self) -> NoReturn:
        raise TypeError("a node is no number before its graph is run; NumPy's functions take it, math's do not")

    __int__ = __index__ = __complex__ = __float__

    def __iter__(self) -> NoReturn:
        raise TypeError("how many elements a node has is known when the graph is run; x[0] is the first")

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise TypeError("a node never changes; np.where makes another with other elements")

    # --- an array's attributes and methods ------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(f"a node has no attribute {name!r}")
        called = getattr(np, name)
        return lambda *arguments, **options: _write(called, (self, *arguments), options)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape that an Input declares, None for any length; raises TypeError for a node without one."""
        if self._shape is None:
            raise TypeError("only an Input that declares its shape has one before the graph is run")
        return self._shape

    @property
    def ndim(self) -> int:
        """The number of axes of an Input that declares its shape."""
        return len(self.shape)

    def __len__(self) -> int:
        size = (self.shape or (None,))[0]
        if size is None:
            raise TypeError("the length is known when the graph is run")
        return size

    @property
    def T(self) -> "Symbol":
        """The axes in reverse order."""
        return apply("Transpose", self)

    @property
    def mT(self) -> "Symbol":
        """The last two axes exchanged."""
        return apply("MatrixTranspose", self)

    def reshape(self, *shape: Any) -> Any:
        """As np.reshape; the lengths may also be given one by one."""
        return _write(np.reshape, (self, shape[0] if len(shape) == 1 else shape), {})

    def transpose(self, *axes: Any) -> Any:
        """As np.transpose; the axes may also be given one by one."""
        return _write(np.transpose, (self, axes if len(axes) > 1 else axes[0] if axes else None), {})

    def flatten(self) -> Any:
        """As np.ravel."""
        return _write(np.ravel, (self,), {})

    def astype(self, dtype: Any) -> "Symbol":
        """The figures rounded to a dtype."""
        return apply("Cast", self, to=np.dtype(dtype).name)

    # --- operators ------------------------------------------------------------------------------------------------

    __getitem__ = _binary(operator.getitem)

    __pos__ = lambda self: self  # noqa: E731
    __neg__, __abs__ = _unary(np.negative), _unary(np.absolute)
    __add__, __radd__ = _binary(np.add), _reflected(np.add)
    __sub__, __rsub__ = _binary(np.subtract), _reflected(np.subtract)
    __mul__, __rmul__ = _binary(np.multiply), _reflected(np.multiply)
    __truediv__, __rtruediv__ = _binary(np.divide), _reflected(np.divide)
    __floordiv__, __rfloordiv__ = _binary(np.floor_divide), _reflected(np.floor_divide)
    __mod__, __rmod__ = _binary(np.remainder), _reflected(np.remainder)
    __pow__, __rpow__ = _binary(np.power), _reflected(np.power)
    __matmul__, __rmatmul__ = _binary(np.matmul), _reflected(np.matmul)
    __lt__, __le__, __gt__, __ge__ = map(_binary, (np.less, np.less_equal, np.greater, np.greater_equal))
    __eq__, __ne__ = _binary(np.equal), _binary(np.not_equal)
    __and__, __rand__ = _binary(np.bitwise_and), _reflected(np.bitwise_and)
    __or__, __ror__ = _binary(np.bitwise_or), _reflected(np.bitwise_or)
    __invert__ = _unary(np.invert)
