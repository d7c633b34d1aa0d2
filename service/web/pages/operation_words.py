"""What pages say of operations in words: their kinds, the shapes of their values, the meaning of their attributes."""

from collections.abc import Mapping

from service.core.rulebook.operation import Operation

# Each operation stands in one kind, in the order in which a reader looks for it.
KINDS: Mapping[str, tuple[str, ...]] = {
    kind: tuple(names.split())
    for kind, names in {
        "Arithmetic": "Add Sub Mul Div Neg Reciprocal Pow Sqrt Hypot Abs Sum Mean Mod FloorDiv",
        "Steps, bounds and choices": "Sign Floor Ceil Round Clip Max Min Where Equal NotEqual Less LessOrEqual Greater "
        "GreaterOrEqual And Or Not",
        "Exponentials and logarithms": "Exp Expm1 Log Log1p Log2 Log10 LogAddExp XLogY Erf Erfc NormalDensity "
        "NormalDistribution Lgamma Digamma Polygamma",
        "Trigonometric and hyperbolic functions": "Sin Cos Tan Asin Acos Atan Atan2 Sinh Cosh Tanh Asinh Acosh Atanh",
        "Activation functions": "Sigmoid Relu LeakyRelu PRelu ThresholdedRelu Elu Celu Selu Softplus Softsign Gelu "
        "Swish Mish HardSigmoid HardSwish Shrink Softmax LogSoftmax",
        "Products of matrices": "MatMul Gemm Einsum Transpose MatrixTranspose Det LogDet Inverse Cholesky Solve",
        "Reductions and sums along an axis": "ReduceSum ReduceMean ReduceProd ReduceMax ReduceMin ReduceL1 ReduceL2 "
        "ReduceSumSquare ReduceLogSum ReduceLogSumExp ReduceVar ReduceStd CumSum CumProd Size",
        "Shapes and parts": "Reshape Flatten Squeeze Unsqueeze Expand Tile Slice Split Concat Gather GatherElements "
        "GatherND ScatterElements ScatterND Trilu Pad DepthToSpace SpaceToDepth",
        "Orders": "Sort TopK ArgMax ArgMin",
        "Convolution, pooling and normalization": "Conv ConvTranspose MaxPool AveragePool LpPool GlobalMaxPool Resize "
        "GlobalAveragePool LayerNormalization BatchNormalization",
        "Losses": "MeanSquaredError SoftmaxCrossEntropyLoss NegativeLogLikelihoodLoss OneHot",
        "Inputs and constants": "Input Constant Identity StopGradient Cast",
        "Parts of gradient graphs": "SumTo ExpandTo ReshapeTo OverChannels SumOfChannels MatMulLeftAdjoint "
        "MatMulRightAdjoint Cofactors CofactorsAlong SliceAdjoint SplitAdjoint ConcatAdjoint GatherAdjoint PadAdjoint "
        "ConvInputAdjoint ConvKernelAdjoint ConvTransposeInputAdjoint ConvTransposeKernelAdjoint "
        "MaxPoolTies MaxPoolAdjoint MaxPoolTangent AveragePoolAdjoint ResizeAdjoint "
        "LinearRecurrence TileAdjoint SumOfTies GeluGate Bell Sech",
    }.items()
}
_KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}

_SAME, _LIKE = "that of x", "that of like"
_REDUCED = "that of x with length 1 along the reduced axes, which are left out where keepdims is 0"
_POOLED = "that of x, but for the axes after the second: along each as many elements as windows fit"
_SHAPES: Mapping[str, str] = {
    **dict.fromkeys(("StopGradient", "Cast"), _SAME),
    **dict.fromkeys(("Softmax", "LogSoftmax", "CumSum", "CumProd", "Cofactors", "Inverse", "Cholesky"), _SAME),
    "LayerNormalization": "that of x; output 1 and 2 with length 1 along the axes over which it normalizes",
    "BatchNormalization": "that of x; output 1 and 2 one element for each channel",
    **dict.fromkeys(("CofactorsAlong", "MaxPoolAdjoint"), _SAME),
    **dict.fromkeys(("ConvInputAdjoint", "ConvTransposeInputAdjoint", "MatMulLeftAdjoint", "LinearRecurrence"), _SAME),
    **dict.fromkeys(("SumTo", "ExpandTo", "ReshapeTo", "OverChannels", "SumOfChannels", "PadAdjoint"), _LIKE),
    **dict.fromkeys(("ScatterElements", "ScatterND", "Sort", "SumOfTies", "Trilu"), _SAME),
    **dict.fromkeys(("TileAdjoint", "SliceAdjoint", "SplitAdjoint", "GatherAdjoint", "AveragePoolAdjoint"), _LIKE),
    **{name: _REDUCED for name in KINDS["Reductions and sums along an axis"] if name.startswith("Reduce")},
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _POOLED),
    **dict.fromkeys(("GlobalMaxPool", "GlobalAveragePool"), "that of x with length 1 along the axes after the second"),
    **dict.fromkeys(("Size", "MeanSquaredError"), "a number"),
    "Input": "that of the figure it is given",
    "Constant": "that of its value",
    "Conv": "batch × channels of the kernel × along each further axis as many elements as the kernel fits",
    "ConvTranspose": "batch × channels of the kernel in all groups × along each further axis as many elements as a "
    "convolution slides over that takes a step for each element of x",
    **dict.fromkeys(("ConvKernelAdjoint", "ConvTransposeKernelAdjoint"), "that of the kernel"),
    "Einsum": "the axes after the arrow of the equation, each of the length it has in the operands",
    "Slice": "that of x, along each sliced axis as many elements as are taken",
    "Split": "that of x, along the axis as many elements as the part has",
    "Concat": "that of the operands, along the axis the sum of their lengths",
    "ConcatAdjoint": "that of the operand whose part it is",
    "Gather": "that of x, with the shape of the indices in place of the axis",
    "GatherElements": "that of the indices",
    "GatherND": "that of the indices without their last axis, then the axes of x that they do not name",
    "TopK": "that of x, along the axis k",
    **dict.fromkeys(("ArgMax", "ArgMin"), "that of x with length 1 along the axis; without it where keepdims is 0"),
    "Tile": "that of x, along each axis as often as it is repeated",
    "DepthToSpace": "that of x with blocksize² times fewer channels, blocksize times as many rows and columns",
    "SpaceToDepth": "that of x with blocksize² times as many channels, blocksize times fewer rows and columns",
    "MatMul": "rows of x × columns of y; axes before the last two are broadcast, and an operand of one axis loses it",
    "MatMulRightAdjoint": "that of y",
    "Gemm": "rows of a × columns of b, as they are transposed",
    "MatrixTranspose": "that of x with its last two axes exchanged",
    "LogDet": "that of x without its last two axes, which are of one length",
    "Det": "that of x without its last two axes, which are of one length",
    "Solve": "that of b",
    "NegativeLogLikelihoodLoss": "a number; where the reduction is none, that of the labels",
    "SoftmaxCrossEntropyLoss": "a number; where the reduction is none, that of the labels; output 1 that of the scores",
    "OneHot": "that of like; where a depth is given, that of the labels with a new axis of that length",
    "Pad": "that of x, along each padded axis longer by what is put before and after",
    "MaxPoolTies": "that of z",
    "Resize": "that of x, along each resized axis its size, or its length times the scale, rounded down",
    "ResizeAdjoint": _LIKE,
    "MaxPoolTangent": _POOLED,
    "Transpose": "that of x with its axes in the order of perm, or reversed",
    "Reshape": "the one that is asked for, of as many elements as x has",
    "Flatten": "a matrix: the axes before the given one are its rows, the others its columns",
    "Squeeze": "that of x without axes of length 1",
    "Unsqueeze": "that of x with an axis of length 1 at each given position",
    "Expand": "the one to which those of x and the given one are broadcast",
}  # fmt: skip

_FLAG = "1 or 0"
_MEANINGS: Mapping[str, str] = {
    "alpha": "the factor below 0",
    "gamma": "the factor of the whole",
    "bias": "what is added below -lambd and taken off above lambd",
    "lambd": "up to which magnitude x becomes 0",
    "approximate": "none, by the error function, or tanh, by the usual approximation",
    "min": "the lower bound",
    "max": "the upper bound",
    "auto_pad": "how padding is chosen; NOTSET: by pads, VALID: none, SAME_UPPER and SAME_LOWER: so that there "
    "are as many windows as strides begin on the axis, an odd element of padding after or before it",
    "ceil_mode": f"whether a last window may reach beyond the padding, {_FLAG}",
    "scales": "by what each axis grows",
    "sizes": "the length of each axis, in place of scales",
    "roi": "for tf_crop_and_resize: where the part of interest starts along each axis, then where it ends, from 0 to 1",
    "coordinate_transformation_mode": "where in x an element of the value lies, as ONNX defines it",
    "nearest_mode": "which element of x is taken at a place between two",
    "cubic_coeff_a": "the coefficient of cubic interpolation; -0.5 and -0.75 are usual",
    "exclude_outside": f"whether elements outside x weigh nothing; else they are those at its ends, {_FLAG}",
    "antialias": f"whether an element is an average where an axis shrinks, {_FLAG}",
    "keep_aspect_ratio_policy": "stretch: to the sizes; not_larger, not_smaller: by one scale for all axes",
    "extrapolation_value": "for tf_crop_and_resize: what an element outside x is",
    "storage_order": "the order in which indices count along the axes after the second: 0 row-major, 1 column-major",
    "divisor_override": "what sums are divided by, in place of the elements of the window",
    "p": "the order of the norm",
    "output_padding": "elements put after the end of each axis of the value",
    "output_shape": "the lengths of the value's axes after the second, in place of pads",
    "dilations": "steps between elements of the kernel, one for each axis",
    "group": "groups of channels that are convolved apart",
    "kernel_shape": "the lengths of the window along the axes after the second",
    "pads": "elements put before each axis, then those after each",
    "strides": "steps from one window to the next, one for each axis",
    "equation": "the axes of each operand as letters, an arrow, and those of the value: ij,jk->ik",
    "value": "the number, or nested lists of numbers; of a tensor without elements also its shape: 0x3",
    "dtype": "the precision of its figures: float64, float32, or int64 for counts and indices",
    "starts": "the first index along each axis; negative ones count from the end",
    "ends": "the index after the last along each axis",
    "steps": "steps from one index to the next; 1 unless given",
    "axes": "the axes; all unless given",
    "batch_dims": "how many first axes x and the indices share",
    "k": "how many elements",
    "largest": f"whether the largest are taken, {_FLAG}; else the smallest",
    "sorted": f"whether they are put in order, {_FLAG}; else they keep that of x",
    "descending": f"whether the largest comes first, {_FLAG}",
    "select_last_index": f"whether the last of equal elements counts, {_FLAG}; else the first",
    "depth": "the length of a new axis; like then holds two numbers, that elsewhere and that at the label",
    "repeats": "how often it is repeated along each axis",
    "blocksize": "the number of rows, and of columns, of a square of pixels",
    "upper": f"whether the upper triangle is kept, {_FLAG}; else the lower",
    "axis": "the axis; negative ones count from the end",
    "split": "the lengths of the parts; equal ones unless given",
    "num_outputs": "into how many parts",
    "output": "which of the parts this is, from 0",
    "operand": "which of the operands, from 0",
    "beta": "the factor of c",
    "transA": f"whether a is transposed, {_FLAG}",
    "transB": f"whether b is transposed, {_FLAG}",
    "epsilon": "what is added to the variance before its root is taken",
    "ignore_index": "a label that counts for nothing",
    "reduction": "mean, sum, or none: the loss of each sample",
    "mode": "what the padding is: constant, or x continued by reflect, edge or wrap",
    "constant_value": "the padding, where it is constant",
    "count_include_pad": f"whether padding counts in the mean, {_FLAG}",
    "exclusive": f"whether each element is left out of its own sum or product, {_FLAG}",
    "reverse": f"whether it runs from the end, {_FLAG}",
    "keepdims": f"whether reduced axes stay with length 1, {_FLAG}",
    "noop_with_empty_axes": f"whether nothing is reduced where no axes are given, {_FLAG}",
    "ddof": "what is taken off the count that it divides by: 1 for a sample's variance",
    "perm": "the order of the axes; reversed unless given",
    "shape": "the shape; of Input null for any length along an axis, and any shape unless given",
    "momentum": "the share that the running mean and variance keep of what they were",
    "training_mode": f"whether it normalizes by the mean and the variance of the batch, {_FLAG}",
    "fmod": f"whether the remainder has the sign of x, in place of that of y, {_FLAG}",
    "n": "which derivative of digamma it is, from 1",
    "to": "the precision to round to: float64, float32, bfloat16 or float16",
    "allowzero": f"whether a length of 0 is one; else it keeps the length that x has, {_FLAG}",
}
_MEANINGS_OF_ONE: Mapping[tuple[str, str], str] = {
    ("Trilu", "k"): "the diagonal from which it is kept: 0 the main one, 1 that above it, -1 that below it",
    **{(name, "output"): "0: the elements; 1: their indices" for name in ("Sort", "TopK")},
    **{
        (name, "reduction"): "what becomes of an element and its updates: none, it is replaced; add, mul, max or min"
        for name in ("ScatterElements", "ScatterND")
    },
    **{
        (name, "mode"): "which channels are one square: DCR, those that lie apart, or CRD, those side by side"
        for name in ("DepthToSpace", "SpaceToDepth")
    },
    ("LayerNormalization", "output"): "0 for the normalized x, 1 for the mean, 2 for the reciprocal of the deviation",
    ("BatchNormalization", "output"): "0 for the normalized x, 1 for the running mean, 2 for the running variance",
    ("SoftmaxCrossEntropyLoss", "output"): "0 for the loss, 1 for the logarithms of the softmax",
    ("Gemm", "alpha"): "the factor of the product",
    ("Selu", "alpha"): "the factor below 0, beside gamma",
    ("Celu", "alpha"): "what x is divided by below 0, and the factor there",
    ("Swish", "alpha"): "the factor of x in the sigmoid",
    ("HardSigmoid", "alpha"): "the slope between 0 and 1",
    ("HardSigmoid", "beta"): "the value at 0",
    ("ThresholdedRelu", "alpha"): "above which x is kept",
    ("Reshape", "shape"): "the shape; 0 keeps the length of x along an axis, and one -1 takes what is left",
    ("Expand", "shape"): "the shape; a length of 1 keeps that of x",
    ("Resize", "mode"): "how it interpolates: nearest, linear or cubic",
    ("ResizeAdjoint", "mode"): "how it interpolates: nearest, linear or cubic",
    ("MaxPool", "output"): "0: the maxima, 1: their indices in x",
    ("OneHot", "axis"): "where the new axis stands, if a depth is given",
    ("Flatten", "axis"): "the first axis of the columns",
    ("LayerNormalization", "axis"): "the first of the axes over which it normalizes; those after it follow",
    ("Squeeze", "axes"): "the axes to leave out; all of length 1 unless given",
    ("Unsqueeze", "axes"): "the positions of the new axes in the value",
    ("Slice", "axes"): "the axes of the starts and ends; the first ones unless given",
    ("Pad", "axes"): "the axes of the pads; all unless given",
}


def kind_of(operation: Operation) -> str:
    """The kind under which an operation is listed."""
    return _KIND_OF[operation.name]


def shape_in_words(operation: Operation) -> str:
    """What shape an operation's value has."""
    if operation.name in _SHAPES:
        return _SHAPES[operation.name]
    several = len(operation.operands) > 1 or operation.fold
    return "the one to which those of its operands are broadcast" if several else f"that of {operation.operands[0]}"


def meaning_of(operation: Operation, attribute: str) -> str:
    """What an attribute of an operation means."""
    return _MEANINGS_OF_ONE.get((operation.name, attribute)) or _MEANINGS[attribute]
