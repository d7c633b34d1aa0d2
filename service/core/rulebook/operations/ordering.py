"""The order of elements along an axis, as ONNX has it: of equal elements the one with the lower index comes first."""

from typing import Any

import numpy as np

from service.core.rulebook.registry import rulebook_function


@rulebook_function
def sort(x: Any, axis: int, descending: int, output: int) -> Any:
    """Return the elements in ascending or descending order, NaN as the greatest; or their indices if `output` is 1."""
    indices = _argsort(x, axis, descending)
    return indices.astype(np.result_type(x)) if output else np.take_along_axis(x, indices, axis)


@rulebook_function
def top_k(x: Any, k: int, axis: int, largest: int, ordered: int, output: int) -> Any:
    """Return the k largest or smallest elements, or their indices if `output` is 1; if not `ordered`, as they stand."""
    first = np.take(_argsort(x, axis, largest), range(k), axis)
    indices = first if ordered else np.sort(first, axis)
    return indices.astype(np.result_type(x)) if output else np.take_along_axis(x, indices, axis)


@rulebook_function
def sum_of_ties(x: Any, like: Any, axis: int) -> Any:
    """Return for each element the sum of x over the elements along the axis at which `like` is equal to its own."""
    order = np.argsort(like, axis, kind="stable")
    rows, keys = (np.moveaxis(np.take_along_axis(each, order, axis), axis, -1) for each in (x, like))
    starts = np.ones(keys.shape, dtype=np.bool_)
    starts[..., 1:] = keys[..., 1:] != keys[..., :-1]
    group = np.cumsum(starts) - 1
    sums = np.zeros(np.count_nonzero(starts), dtype=np.result_type(x))
    np.add.at(sums, group, rows.reshape(-1))
    found = np.empty(rows.shape, dtype=sums.dtype)
    np.put_along_axis(found, np.moveaxis(order, axis, -1), sums[group].reshape(rows.shape), -1)
    return np.moveaxis(found, -1, axis)


def _argsort(x: Any, axis: int, descending: int) -> Any:
    if not descending:
        return np.argsort(x, axis, kind="stable")
    backward = np.argsort(np.flip(x, axis), axis, kind="stable")
    return np.shape(x)[axis] - 1 - np.flip(backward, axis)
