"""Linear programs, by which a layout decides between all that is possible."""

from collections.abc import Iterable, Sequence


def least_cost(
    cost: Sequence[float],
    entries: Iterable[tuple[float, int, int]],
    bounds: Sequence[float],
    least: float | Sequence[float] = 0.0,
) -> list[float]:
    """The x ≥ `least` with the least cost·x at which A·x ≤ `bounds`; `entries` are A's factor, row and column.

    It is a vertex of what is possible, since the simplex method finds it.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # a tenth of the start, and only pictures need it
    from scipy.sparse import coo_array

    factors, rows, columns = zip(*entries, strict=True)
    matrix = coo_array((factors, (rows, columns)), (len(bounds), len(cost))).tocsc()
    # Without a variable that must be whole, `milp` solves the linear program, in a third of the time of `linprog`.
    return [float(each) for each in milp(cost, constraints=LinearConstraint(matrix, ub=bounds), bounds=Bounds(least)).x]
