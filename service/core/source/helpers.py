"""Functions that the code needs besides the library's own, each a text that is written where something calls it.

They are written once, for arrays of NumPy, and mean the same in JAX and PyTorch: what another library spells otherwise
is replaced, and a function that it has of its own, or cannot take so, has a text of its own. `numpy.` counts positions:
that is never done by the library itself.
"""

import re
from collections.abc import Iterable, Mapping

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


def cross_entropy(scores, labels, weights, reduction, ignore_index=None):
    encoded = one_hot(labels, scores, ignore_index)
    if weights is not None:
        encoded = encoded * over_channels(weights, scores.shape)
    losses = -np.sum(np.where(encoded == 0.0, 0.0, encoded * log_softmax(scores, 1)), axis=1)
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


def window_positions(shape, lengths, strides, dilations):
    """The positions, in one row, of the elements under a window at each step: of shape (*steps, *lengths)."""
    positions, count = numpy.zeros((1,) * (2 * len(shape)), dtype=int), len(shape)
    for i in range(count):
        span = dilations[i] * (lengths[i] - 1) + 1
        starts = numpy.arange(0, shape[i] - span + 1, strides[i])
        along = starts[:, None] + dilations[i] * numpy.arange(lengths[i])
        around = [1] * (2 * count)
        around[i], around[count + i] = along.shape
        positions = positions * shape[i] + along.reshape(around)
    return positions


def window_pads(shape, lengths, strides, dilations, pads, auto_pad, ceil_mode):
    """The pads with which a window slides over this shape: those that auto_pad chooses; ceil_mode adds some behind."""
    pads, count = list(pads), len(lengths)
    for i in range(count):
        length, span = shape[2 + i], dilations[i] * (lengths[i] - 1) + 1
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            total = max((-(-length // strides[i]) - 1) * strides[i] + span - length, 0)
            pads[i] = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
            pads[count + i] = total - pads[i]
        padded = length + pads[i] + pads[count + i]
        last = -(-(padded - span) // strides[i]) * strides[i]
        if ceil_mode and last < length + pads[i]:
            pads[count + i] += max(last + span - padded, 0)
    return tuple(pads)


def windows(x, lengths, strides, dilations, pads, value=0.0):
    """The elements under a window at each step: of shape (samples, channels, *steps, *lengths)."""
    count = len(lengths)
    x = pad(x, {2 + i: (pads[i], pads[count + i]) for i in range(count)}, "constant", value)
    positions = window_positions(x.shape[2:], lengths, strides, dilations)
    return take(x.reshape((*x.shape[:2], -1)), positions, 2)


def windows_adjoint(parts, shape, lengths, strides, dilations, pads):
    """The sum of what lies under all windows on each element, of this shape."""
    count = len(lengths)
    padded = [shape[2 + i] + pads[i] + pads[count + i] for i in range(count)]
    positions = window_positions(padded, lengths, strides, dilations)
    whole = scatter(parts, positions, 2, math.prod(padded)).reshape((*shape[:2], *padded))
    return pad(whole, {2 + i: (-pads[i], -pads[count + i]) for i in range(count)})


def in_groups(x, groups, axis):
    """An axis in two: the groups, and the channels of a group."""
    return x.reshape((*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :]))


def conv(x, kernel, bias, groups, strides, dilations, pads):
    steps, positions = "xyz"[: kernel.ndim - 2], "uvw"[: kernel.ndim - 2]
    parts = in_groups(windows(x, kernel.shape[2:], strides, dilations, pads), groups, 1)
    value = np.einsum(f"ngc{steps}{positions},gmc{positions}->ngm{steps}", parts, in_groups(kernel, groups, 0))
    value = value.reshape((value.shape[0], kernel.shape[0], *value.shape[3:]))
    return value if bias is None else value + over_channels(bias, value.shape)


def conv_input_adjoint(upstream, kernel, shape, groups, strides, dilations, pads):
    """The gradient of x, of this shape, in a convolution."""
    steps, positions = "xyz"[: kernel.ndim - 2], "uvw"[: kernel.ndim - 2]
    equation = f"ngm{steps},gmc{positions}->ngc{steps}{positions}"
    parts = np.einsum(equation, in_groups(upstream, groups, 1), in_groups(kernel, groups, 0))
    parts = parts.reshape((*shape[:2], *parts.shape[3:]))
    return windows_adjoint(parts, shape, kernel.shape[2:], strides, dilations, pads)


def conv_kernel_adjoint(x, upstream, shape, groups, strides, dilations, pads):
    """The gradient of the kernel, of this shape, in a convolution."""
    steps, positions = "xyz"[: len(shape) - 2], "uvw"[: len(shape) - 2]
    parts = in_groups(windows(x, shape[2:], strides, dilations, pads), groups, 1)
    equation = f"ngc{steps}{positions},ngm{steps}->gmc{positions}"
    return np.einsum(equation, parts, in_groups(upstream, groups, 1)).reshape(shape)


def transposed_pads(shape, lengths, strides, dilations, pads, added, wanted, auto_pad):
    """The lengths of the axes over which the window of a transposed convolution slides, and the pads of that."""
    pads, count, sizes = list(pads), len(lengths), []
    for i in range(count):
        reached = (shape[2 + i] - 1) * strides[i] + dilations[i] * (lengths[i] - 1) + 1
        size = reached + added[i] - pads[i] - pads[count + i]
        if wanted is not None or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            least = shape[2 + i] * strides[i] if wanted is None else wanted[i]
            total = max(size - least, 0)
            pads[i] = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
            size = size - total if wanted is None else wanted[i]
        pads[count + i] = reached - pads[i] - size
        sizes.append(size)
    return tuple(sizes), tuple(pads)


def conv_transpose(x, kernel, bias, groups, strides, dilations, sizes, pads):
    shape = (x.shape[0], kernel.shape[1] * groups, *sizes)
    value = conv_input_adjoint(x, kernel, shape, groups, strides, dilations, pads)
    return value if bias is None else value + over_channels(bias, value.shape)


def max_pool(x, lengths, strides, dilations, pads):
    return np.max(windows(x, lengths, strides, dilations, pads, -np.inf), axis=tuple(range(-len(lengths), 0)))


def pooled_maxima(x, z, lengths, strides, dilations, pads):
    """1 at the maximum of each window, and at each of its ties; 0 elsewhere."""
    parts = windows(x, lengths, strides, dilations, pads, np.nan)
    return np.where(parts == z[(..., *[None] * len(lengths))], 1.0, 0.0)


def max_pool_ties(x, z, lengths, strides, dilations, pads):
    """How many elements of each window equal its maximum."""
    return np.sum(pooled_maxima(x, z, lengths, strides, dilations, pads), axis=tuple(range(-len(lengths), 0)))


def max_pool_adjoint(upstream, x, lengths, strides, dilations, pads):
    """The upstream gradient of each maximum, shared equally by its ties."""
    chosen = pooled_maxima(x, max_pool(x, lengths, strides, dilations, pads), lengths, strides, dilations, pads)
    shared = upstream / np.sum(chosen, axis=tuple(range(-len(lengths), 0)))
    parts = np.where(chosen == 1.0, shared[(..., *[None] * len(lengths))], 0.0)
    return windows_adjoint(parts, x.shape, lengths, strides, dilations, pads)


def max_pool_tangent(tangent, x, lengths, strides, dilations, pads):
    """The mean of the tangents of each window's maximum and its ties."""
    chosen = pooled_maxima(x, max_pool(x, lengths, strides, dilations, pads), lengths, strides, dilations, pads)
    moved = np.where(chosen == 1.0, windows(tangent, lengths, strides, dilations, pads), 0.0)
    axes = tuple(range(-len(lengths), 0))
    return np.sum(moved, axis=axes) / np.sum(chosen, axis=axes)


def pooled_counts(shape, lengths, strides, dilations, pads, counted):
    """The divisor of each window's mean: its elements, and those of the padding that are counted."""
    count = len(lengths)
    ones = np.ones((1, 1, *[shape[2 + i] + counted[i] + counted[count + i] for i in range(count)]))
    rest = [each - other for each, other in zip(pads, counted)]
    counts = np.sum(windows(ones, lengths, strides, dilations, rest), axis=tuple(range(-count, 0)))
    return np.where(counts == 0.0, 1.0, counts)


def average_pool(x, lengths, strides, dilations, pads, divisor):
    return np.sum(windows(x, lengths, strides, dilations, pads), axis=tuple(range(-len(lengths), 0))) / divisor


def average_pool_adjoint(upstream, shape, lengths, strides, dilations, pads, divisor):
    """The upstream gradient of each mean, shared equally by the elements under its window."""
    shared = upstream / divisor
    parts = np.broadcast_to(shared[(..., *[None] * len(lengths))], (*shared.shape, *lengths))
    return windows_adjoint(parts, shape, lengths, strides, dilations, pads)


def lp_pool(x, lengths, strides, dilations, pads, p):
    parts = np.abs(windows(x, lengths, strides, dilations, pads)) ** p
    return np.sum(parts, axis=tuple(range(-len(lengths), 0))) ** (1.0 / p)


def resized_axes(shape, axes, scales, sizes, policy, roi):
    """Of each axis that is resized its number, its length, that of the result, the scale, and the part of interest."""
    axes = range(len(shape)) if axes is None else [axis % len(shape) for axis in axes]
    lengths = [shape[axis] for axis in axes]
    if scales is not None:
        sizes = [int(n * scale) for n, scale in zip(lengths, scales)]
    else:
        scales = [size / n for size, n in zip(sizes, lengths)]
        if policy != "stretch":
            scales = [(min if policy == "not_larger" else max)(scales)] * len(lengths)
            sizes = [int(scale * n + 0.5) for scale, n in zip(scales, lengths)]
    roi = (0.0,) * len(lengths) + (1.0,) * len(lengths) if roi is None else roi
    every = zip(axes, lengths, sizes, scales, roi[: len(lengths)], roi[len(lengths) :])
    return [each for each in every if each[1] != each[2] or abs(each[3] - 1.0) > 1e-9 or each[4:] != (0.0, 1.0)]


def places(n, wanted, scale, start, end, coordinates):
    """Where along an axis of n elements those of the result lie."""
    y, width = numpy.arange(wanted) + 0.0, scale * n
    if coordinates in ("align_corners", "tf_crop_and_resize"):
        if width == 1.0:
            return 0.0 * y + (n - 1) * (0.0 if coordinates == "align_corners" else (start + end) / 2.0)
        return y * (end - start) * (n - 1) / (width - 1.0) + start * (n - 1)
    if coordinates == "asymmetric":
        return y / scale
    if coordinates == "tf_half_pixel_for_nn":
        return (y + 0.5) / scale
    if coordinates == "pytorch_half_pixel" and wanted == 1:
        return 0.0 * y
    offset = n / 2.0 * (1.0 - wanted / width) if coordinates == "half_pixel_symmetric" else 0.0
    return offset + (y + 0.5) / scale - 0.5


def left_out(n, x, coordinates):
    """Which places lie outside of an axis of n elements, so that nothing is interpolated there."""
    return numpy.logical_and(coordinates == "tf_crop_and_resize", numpy.logical_or(x < 0.0, x > n - 1))


def interpolation(n, x, scale, coordinates, mode, nearest, a, exclude_outside, antialias):
    """The weights of an axis's n elements at each place x between them, a row for each."""
    before = numpy.ceil(x) - 1.0
    ratio, shrunk = (x - before)[:, None], min(scale, 1.0) if antialias else 1.0
    if mode == "nearest":
        offsets = numpy.arange(2.0)
        later = {"floor": ratio == 1.0, "ceil": ratio > 0.0, "round_prefer_floor": ratio > 0.5}
        later = later.get(nearest, ratio >= 0.5)
        weights = numpy.where(offsets == 1.0, later, ~later) * 1.0
    else:
        first = math.floor(-(1.0 if mode == "linear" else 2.0) / shrunk) + 1.0
        offsets = numpy.arange(first, 2.0 - first)
        d = numpy.abs((offsets - ratio) * shrunk)
        near = ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
        far = numpy.where(d < 2.0, ((d - 5.0) * d + 8.0) * d * a - 4.0 * a, 0.0)
        weights = numpy.maximum(1.0 - d, 0.0) if mode == "linear" else numpy.where(d <= 1.0, near, far)
        weights = weights / weights.sum(1)[:, None] if antialias else weights
    at = before[:, None] + offsets
    if exclude_outside:
        weights = numpy.where(numpy.logical_or(at < 0.0, at > n - 1), 0.0, weights)
        total = weights.sum(1)[:, None]
        weights = weights / numpy.where(total == 0.0, 1.0, total)
    weights = numpy.where(left_out(n, x, coordinates)[:, None], 0.0, weights)
    whole = numpy.zeros((len(x), n))
    numpy.add.at(whole, (numpy.arange(len(x))[:, None], numpy.clip(at, 0, n - 1).astype("int64")), weights)
    return whole


def along_axis(x, weights, axis):
    """Multiply a matrix with each column along an axis."""
    return np.moveaxis(np.moveaxis(x, axis, -1) @ np.asarray(weights.T.copy(), dtype=x.dtype), -1, axis)


def resize(x, resized, value, coordinates, *how):
    outside = []
    for axis, n, wanted, scale, start, end in resized:
        at = places(n, wanted, scale, start, end, coordinates)
        x = along_axis(x, interpolation(n, at, scale, coordinates, *how), axis)
        outside.append(left_out(n, at, coordinates).reshape((-1, *[1] * (x.ndim - 1 - axis))))
    for each in outside:
        x = np.where(np.asarray(each), value, x) if each.any() else x
    return x


def resize_adjoint(x, resized, value, coordinates, *how):
    """The gradient of what was resized, from that of the result."""
    for axis, n, wanted, scale, start, end in resized:
        at = places(n, wanted, scale, start, end, coordinates)
        x = along_axis(x, interpolation(n, at, scale, coordinates, *how).T, axis)
    return x


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
'''

_JAX = '''
def add_at(whole, positions, parts):
    """Add each part to the whole at its position along the first axis."""
    return whole.at[positions].add(parts)
'''

_TORCH = '''
def take(x, positions, axis):
    """The elements of x at these positions along an axis."""
    return x[(slice(None),) * (axis % x.ndim) + (torch.as_tensor(positions),)]


def add_at(whole, positions, parts):
    """Add each part to the whole at its position along the first axis."""
    return whole.index_put((torch.as_tensor(positions),), parts, accumulate=True)


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
    "numpy": {name: text.replace("numpy.", "np.") for name, text in _parts(_NUMPY).items()},
    "jax": {name: in_jax(text) for name, text in _parts(_NUMPY).items()} | _parts(_JAX),
    "torch": {name: in_torch(text) for name, text in _parts(_NUMPY).items()} | _parts(_TORCH),
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
