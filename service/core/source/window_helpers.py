"""Functions that code of convolutions, pools and resizing calls, written as those in `helpers.py`."""

WINDOWS = '''
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
'''
