"""Functions that the code needs besides the library's own, each a text that is written where something calls it.

They are written once, for arrays of NumPy, and mean the same in JAX and PyTorch: what another library spells otherwise
is replaced, and a function that it has of its own, or cannot take so, has a text of its own. `numpy.` counts positions:
that is never done by the library itself.
"""

import re
from collections.abc import Iterable, Mapping

from service.core.source.window_helpers import WINDOWS

_NUMPY = '''
def take(x, positions, axis):
    """The elements of x at these positions along an axis."""
    return x[(slice(None),) * (axis % x.ndim) + (positions,)]


def add_at(whole, positions, parts):
    """Add each part to the whole at its position along the first axis."""
    np.add.at(whole, positions, parts)
    return whole


def scatter(x, positions, axis, length):
    """Sum the elements of x along an axis, or several, into the positions that they have on one of this length."""
    axes = tuple(range(axis, axis + positions.ndim))
    parts = np.moveaxis(x, axes, tuple(range(positions.ndim)))
    whole = np.zeros((length, *parts.shape[positions.ndim :]), dtype=x.dtype)
    return np.moveaxis(add_at(whole, positions, parts), 0, axis)


def sum_to(x, shape):
    """Sum x down to a shape that broadcasts to its own."""
    added = x.ndim - len(shape)
    axes = (*range(added), *(i + added for i, n in enumerate(shape) if n == 1 != x.shape[i + added]))
    return np.sum(x, axis=axes).reshape(shape) if axes else x


def matmul_left_adjoint(upstream, y, shape):
    """The gradient of x, of this shape, in x @ y."""
    if y.ndim == 1:
        return sum_to(upstream[..., None] * y, shape)
    if len(shape) == 1:
        return sum_to((y @ upstream[..., None])[..., 0], shape)
    return sum_to(upstream @ np.swapaxes(y, -1, -2), shape)


def matmul_right_adjoint(x, upstream, shape):
    """The gradient of y, of this shape, in x @ y."""
    if x.ndim == 1:
        rows = upstream[..., None, :] if len(shape) > 1 else upstream[..., None]
        return sum_to((x[:, None] if len(shape) > 1 else x) * rows, shape)
    if len(shape) == 1:
        return sum_to((np.swapaxes(x, -1, -2) @ upstream[..., None])[..., 0], shape)
    return sum_to(np.swapaxes(x, -1, -2) @ upstream, shape)


def softmax(x, axis):
    powers = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return powers / np.sum(powers, axis=axis, keepdims=True)


def log_softmax(x, axis):
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def logsumexp(x, axis=None, keepdims=False):
    greatest = np.max(x, axis=axis, keepdims=True)
    shift = np.where(np.isfinite(greatest), greatest, 0.0)
    total = np.sum(np.exp(x - shift), axis=axis, keepdims=keepdims)
    return np.log(total) + shift.reshape(total.shape)


def layer_norm(x, scale, bias, axis, epsilon):
    axes = tuple(range(axis if axis < 0 else axis - x.ndim, 0))
    centred = x - np.mean(x, axis=axes, keepdims=True)
    normal = centred / np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True) + epsilon)
    return normal * scale if bias is None else normal * scale + bias


def over_channels(x, shape):
    """One number a channel, the second axis, broadcast to a shape."""
    return np.broadcast_to(x.reshape((shape[1], *[1] * (len(shape) - 2))), shape)


def sum_of_channels(x):
    """The sum over all axes but that of the channels, the second."""
    return np.sum(x, axis=(0, *range(2, x.ndim)))


def batch_norm(x, scale, bias, mean, variance, epsilon):
    factor = scale / np.sqrt(variance + epsilon)
    return x * over_channels(factor, x.shape) + over_channels(bias - mean * factor, x.shape)


def one_hot(labels, like, ignore_index=None):
    """1 at each label's class along the second axis of `like`, 0 elsewhere and for the label to ignore."""
    classes = np.arange(like.shape[1]).reshape((-1, *[1] * (like.ndim - 2)))
    encoded = classes == labels[:, None]
    if ignore_index is not None:
        encoded = np.logical_and(encoded, labels[:, None] != ignore_index)
    return np.where(encoded, np.ones_like(like), np.zeros_like(like))


def encoded(labels, values, depth, axis):
    """The second value at each label's class along an axis, the first elsewhere; −1 is the last class."""
    axis = axis % (labels.ndim + 1)
    classes = np.arange(depth).reshape((-1, *[1] * (labels.ndim - axis)))
    whole = labels.reshape((*labels.shape[:axis], 1, *labels.shape[axis:]))
    hot = np.logical_or(classes == whole, classes - depth == whole)
    return np.where(hot, values[1], values[0])


def cross_entropy(scores, labels, weights, reduction, ignore_index=None):
    return likelihood_loss(log_softmax(scores, 1), labels, weights, reduction, ignore_index)


def likelihood_loss(logarithms, labels, weights, reduction, ignore_index=None):
    encoded = one_hot(labels, logarithms, ignore_index)
    if weights is not None:
        encoded = encoded * over_channels(weights, logarithms.shape)
    losses = -np.sum(np.where(encoded == 0.0, 0.0, encoded * logarithms), axis=1)
    if reduction == "none":
        return losses
    return np.sum(losses) if reduction == "sum" else np.sum(losses) / np.sum(encoded)


def take_slices(x, slices):
    """The part of x that slices, by axis, name."""
    for axis, part in slices.items():
        x = take(x, numpy.arange(x.shape[axis])[part].copy(), axis)
    return x


def put_slices(part, shape, slices):
    """The part where slices, by axis, name it in zeros of a shape."""
    for axis, where in slices.items():
        axis = axis % len(shape)
        part = scatter(part, numpy.arange(shape[axis])[where].copy(), axis, shape[axis])
    return part


def split_slice(length, count, number):
    """One of `count` parts of an axis; the last may be shorter."""
    longest = -(-length // count)
    return slice(longest * number, longest * (number + 1))


def part_of_concat(whole, parts, axis, number):
    """The part of the whole that belongs to one of the parts that were joined."""
    start = sum(part.shape[axis] for part in parts[:number])
    return take_slices(whole, {axis: slice(start, start + parts[number].shape[axis])})


def gather_adjoint(upstream, like, positions, axis):
    return scatter(upstream, positions, axis % like.ndim, like.shape[axis])


def padded_positions(length, before, after, mode):
    """For each element along a padded axis the position that it is copied from; -1 for the constant."""
    positions = numpy.arange(-before, length + after)
    if mode == "edge":
        return numpy.clip(positions, 0, length - 1)
    if mode == "reflect":
        period = max(2 * (length - 1), 1)
        return numpy.minimum(positions % period, -positions % period) if length > 1 else 0 * positions
    if mode == "wrap":
        return positions % length
    return numpy.where((positions >= 0) & (positions < length), positions, -1)


def pad(x, pads, mode="constant", value=0.0):
    """Pad each axis before and after, by `pads`; a negative one removes elements."""
    for axis, (before, after) in pads.items():
        positions = padded_positions(x.shape[axis], before, after, mode)
        axis, known = axis % x.ndim, positions >= 0
        known = np.asarray(known.reshape((-1, *[1] * (x.ndim - axis - 1))))
        if x.shape[axis]:
            x = np.where(known, take(x, numpy.maximum(positions, 0), axis), value)
        else:
            x = np.full((*x.shape[:axis], len(positions), *x.shape[axis + 1 :]), value, dtype=x.dtype)
    return x


def pad_adjoint(x, shape, pads, mode="constant"):
    for axis, (before, after) in reversed(pads.items()):
        axis, positions = axis % len(shape), padded_positions(shape[axis], before, after, mode)
        x = scatter(take(x, numpy.flatnonzero(positions >= 0), axis), positions[positions >= 0], axis, shape[axis])
    return x


def scan(function, x, axis, exclusive=False, reverse=False):
    """Sums or products up to each element along an axis, without it if exclusive, from the end if reversed."""
    x = np.flip(x, (axis,)) if reverse else x
    if exclusive:
        first = np.ones_like(x) if function is np.cumprod else np.zeros_like(x)
        parts = take_slices(first, {axis: slice(0, 1)}), take_slices(x, {axis: slice(0, x.shape[axis] - 1)})
        x = np.concatenate(parts, axis=axis) if x.shape[axis] else x
    summed = function(x, axis)
    return np.flip(summed, (axis,)) if reverse else summed


def linear_recurrence(u, x, axis, reverse):
    """e with e[0] = 0 and e[k] = u[k - 1] + x[k - 1] * e[k - 1] along an axis, from the end if reversed."""
    u, x = np.moveaxis(u, axis, 0), np.moveaxis(x, axis, 0)
    sums, so_far = [], np.zeros_like(u[0]) if len(u) else 0.0
    for k in reversed(range(len(u))) if reverse else range(len(u)):
        sums.append(so_far)
        so_far = u[k] + x[k] * so_far
    return np.moveaxis(np.stack(sums[::-1] if reverse else sums), 0, axis) if sums else np.moveaxis(u, 0, axis)


def norm(x, axis=None, keepdims=False):
    """The square root of the sum of squares, of which none overflows."""
    largest = np.max(np.abs(x), axis=axis, keepdims=True)
    unit = np.where(np.logical_and(largest > 0.0, np.isfinite(largest)), largest, 1.0)
    total = np.sum((x / unit) ** 2, axis=axis, keepdims=keepdims)
    return np.sqrt(total) * unit.reshape(total.shape)


def cofactors(x):
    """The matrix of cofactors, from a singular value decomposition: defined where x is singular too."""
    u, s, vt = np.linalg.svd(x)
    n = s.shape[-1]
    others = np.where(np.asarray(numpy.eye(n, dtype=bool)), 1.0, s[..., None, :])
    products = np.prod(others, axis=-1)
    sign = np.round(np.linalg.det(u) * np.linalg.det(vt))[..., None, None]
    return sign * ((u * products[..., None, :]) @ vt)


def cofactors_along(x, direction):
    """The derivative of the cofactors of x along a direction."""
    u, s, vt = np.linalg.svd(x)
    n = s.shape[-1]
    same = numpy.eye(n, dtype=bool)
    left_out = np.asarray(same[:, None, :] | same[None, :, :])
    products = np.prod(np.where(left_out, 1.0, s[..., None, None, :]), axis=-1)
    products = np.where(np.asarray(same), 0.0, products)
    turned = np.swapaxes(u, -1, -2) @ direction @ np.swapaxes(vt, -1, -2)
    diagonal = np.sum(np.where(np.asarray(same), turned, 0.0), axis=-1)
    inner = np.where(
        np.asarray(same), (products @ diagonal[..., None]), -products * np.swapaxes(turned, -1, -2)
    )
    sign = np.round(np.linalg.det(u) * np.linalg.det(vt))[..., None, None]
    return sign * (u @ inner @ vt)


def chosen_index(function, x, axis, keepdims, last):
    """The index of the greatest or least element along an axis; of equal ones the first, or the last."""
    found = function(np.flip(x, (axis,)) if last else x, axis=axis, keepdims=keepdims)
    return 1.0 * (x.shape[axis] - 1 - found if last else found)


def element_places(indices, axis):
    """The positions of elements, of which each index names that along an axis."""
    count = indices.ndim
    places = [numpy.arange(n).reshape([-1 if k == i else 1 for k in range(count)]) for i, n in enumerate(indices.shape)]
    return tuple(indices if i == axis % count else np.asarray(place) for i, place in enumerate(places))


def part_places(indices, batch_dims):
    """The positions of parts, of which each row of the indices names that along the first axes."""
    count = indices.ndim - 1
    batch = [
        numpy.arange(n).reshape([-1 if k == i else 1 for k in range(count)])
        for i, n in enumerate(indices.shape[:batch_dims])
    ]
    return (*map(np.asarray, batch), *(indices[..., k] for k in range(indices.shape[-1])))


def put_at(x, places, updates, reduction="none"):
    """A copy of x with updates in their places, or combined with what stands there."""
    made = np.array(x)
    if reduction == "none":
        made[places] = updates
    else:
        {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[reduction].at(made, places, updates)
    return made


def stable_order(x, axis):
    return np.argsort(x, axis=axis, kind="stable")


def order_along(x, axis, descending):
    """The indices that put elements in order; of equal ones the lower comes first."""
    if not descending:
        return stable_order(x, axis)
    return x.shape[axis] - 1 - np.flip(stable_order(np.flip(x, (axis,)), axis), (axis,))


def sort(x, axis, descending, output):
    order = order_along(x, axis, descending)
    return 1.0 * order if output else x[element_places(order, axis)]


def top_k(x, k, axis, largest, in_order, output):
    order = take_slices(order_along(x, axis, largest), {axis: slice(0, k)})
    if not in_order:  # as they stand
        order = order[element_places(stable_order(order, axis), axis)]
    return 1.0 * order if output else x[element_places(order, axis)]


def sum_of_ties(x, like, axis):
    """For each element the sum of x over those along the axis at which `like` is equal to its own."""
    figures, keys = np.moveaxis(x, axis, -1), np.moveaxis(like, axis, -1)
    equal = keys[..., :, None] == keys[..., None, :]
    return np.moveaxis(np.sum(np.where(equal, figures[..., None, :], 0.0), axis=-1), -1, axis)


def tile_adjoint(upstream, shape, repeats):
    """The sum of all copies of each element."""
    lengths = [n for pair in zip(repeats, shape) for n in pair]
    return np.sum(upstream.reshape(lengths), axis=tuple(range(0, len(lengths), 2))) if lengths else upstream


def depth_to_space(x, size, channels_at):
    """The channels of each pixel, side by side as a square of pixels."""
    batch, depth, height, width = x.shape
    lengths = [size, size]
    lengths.insert(channels_at - 1, depth // size**2)
    apart = np.moveaxis(x.reshape((batch, *lengths, height, width)), channels_at, 1)
    apart = np.moveaxis(apart, (4, 5), (2, 4))
    return apart.reshape((batch, depth // size**2, height * size, width * size))


def space_to_depth(x, size, channels_at):
    """The pixels of each square, side by side as channels of one pixel."""
    batch, channels, height, width = x.shape
    blocks = x.reshape((batch, channels, height // size, size, width // size, size))
    together = np.moveaxis(np.moveaxis(blocks, (2, 4), (4, 5)), 1, channels_at)
    return together.reshape((batch, channels * size**2, height // size, width // size))
'''

_JAX = '''
def add_at(whole, positions, parts):
    """Add each part to the whole at its position along the first axis."""
    return whole.at[positions].add(parts)


def put_at(x, places, updates, reduction="none"):
    """A copy of x with updates in their places, or combined with what stands there."""
    at = x.at[places]
    return {"none": at.set, "add": at.add, "mul": at.multiply, "max": at.max, "min": at.min}[reduction](updates)


def stable_order(x, axis):
    return jnp.argsort(x, axis=axis, stable=True)
'''

_TORCH = '''
def take(x, positions, axis):
    """The elements of x at these positions along an axis."""
    return x[(slice(None),) * (axis % x.ndim) + (torch.as_tensor(positions),)]


def add_at(whole, positions, parts):
    """Add each part to the whole at its position along the first axis."""
    return whole.index_put((torch.as_tensor(positions),), parts, accumulate=True)


def put_at(x, places, updates, reduction="none"):
    """A copy of x with updates in their places, or combined with what stands there."""
    if reduction in ("none", "add"):
        return x.index_put(places, updates, accumulate=reduction == "add")
    flat = torch.arange(x.numel()).reshape(x.shape)[places]
    flat, updates = torch.broadcast_tensors(flat, updates)
    reduce = {"mul": "prod", "max": "amax", "min": "amin"}[reduction]
    return x.reshape(-1).scatter_reduce(0, flat.reshape(-1), updates.reshape(-1), reduce).reshape(x.shape)


def stable_order(x, axis):
    return torch.argsort(x, dim=axis, stable=True)


def expand_dims(x, axes):
    for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def prod(x, dim, keepdim=False):
    """The product along several axes."""
    for axis in sorted((each % x.ndim for each in dim), reverse=True):
        x = torch.prod(x, dim=axis, keepdim=keepdim)
    return x
'''

_C = """
static double sign(double x) {
    return isnan(x) ? x : (double)((x > 0.0) - (x < 0.0));
}

static double maximum(double x, double y) {
    return x == 0.0 && y == 0.0 ? x + y : isnan(x) || x > y ? x : y;
}

static double minimum(double x, double y) {
    return x == 0.0 && y == 0.0 ? -(-x - y) : isnan(x) || x < y ? x : y;
}

/* x - y * floor(x / y), exact, with the sign of y. */
static double modulo(double x, double y) {
    double left = fmod(x, y);
    return left == 0.0 ? copysign(0.0, y) : (y < 0.0) != (left < 0.0) ? left + y : left;
}

static double floor_divide(double x, double y) {
    double left = fmod(x, y);
    double whole = y == 0.0 ? x / y : (x - left) / y - (left != 0.0 && (y < 0.0) != (left < 0.0));
    return y == 0.0 ? whole : whole == 0.0 ? copysign(0.0, x / y) : floor(whole + 0.5);
}
"""


_HEAD = re.compile(r"^(?:def|static double) (\w+)\(", re.MULTILINE)


def _parts(text: str) -> dict[str, str]:
    """The functions of a text by their names, each with the comment before it."""
    blocks = re.split(r"\n\n+(?=def |static |/\*)", text.strip())
    return {_HEAD.findall(block)[0]: block for block in blocks}


# How PyTorch calls what NumPy and JAX call otherwise.
_IN_TORCH = {
    "np.concatenate(": "torch.cat(",
    "np.max(": "torch.amax(",
    "np.min(": "torch.amin(",
    "np.": "torch.",
    "axis=": "dim=",
    "keepdims=": "keepdim=",
    ".astype(int)": ".long()",
}


def in_torch(text: str) -> str:
    """Code for NumPy as code for PyTorch."""
    for ours, theirs in _IN_TORCH.items():
        text = re.sub(rf"(?<![\w.]){re.escape(ours)}" if ours[0].isalpha() else re.escape(ours), theirs, text)
    return text


def in_jax(text: str) -> str:
    """Code for NumPy as code for JAX."""
    return re.sub(r"(?<!\w)np\.", "jnp.", text)


HELPERS: Mapping[str, Mapping[str, str]] = {
    "numpy": {name: text.replace("numpy.", "np.") for name, text in _parts(_NUMPY + WINDOWS).items()},
    "jax": {name: in_jax(text) for name, text in _parts(_NUMPY + WINDOWS).items()} | _parts(_JAX),
    "torch": {name: in_torch(text) for name, text in _parts(_NUMPY + WINDOWS).items()} | _parts(_TORCH),
    "c": _parts(_C),
}


def needed(language: str, code: Iterable[str]) -> list[str]:
    """The functions that code calls, and those that they call, each after those that it calls itself."""
    known, found = HELPERS[language], set[str]()
    called = re.compile(rf"(?<![\w.])({'|'.join(known)})\b")
    waiting = list(code)
    while waiting:
        for name in set(called.findall(waiting.pop())) - found:
            found.add(name)
            waiting.append(known[name])
    return [text for name, text in known.items() if name in found]
