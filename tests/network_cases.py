"""Random operands for the operations of neural networks."""

import numpy as np
from hypothesis import strategies as st

from service.core.figures import FloatArray
from service.core.operation import Shape
from tests.tensor_cases import broadcasting
from tests.tensors import Drawn, draws, lengths, shapes


@draws("Softmax", "LogSoftmax")
def _softmax(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes(least=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    return [shape], {} if axis == -1 else {"axis": axis}


@draws("LayerNormalization")
def _layer_normalization(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes(least=1))
    axis = draw(st.integers(1, len(shape)))
    scale = draw(st.sampled_from([(), shape[-axis:], shape[-1:], (1,)]))
    bias = draw(st.sampled_from([[], [()], [shape[-axis:]]]))
    # Far from 0, so that an axis of one element, of variance 0, has differences too.
    return [shape, scale, *bias], {"axis": -axis, "epsilon": draw(st.sampled_from([0.5, 2.0]))}


def classified(draw: st.DrawFn) -> tuple[Shape, FloatArray, int | None]:
    """The shape of scores, labels, and the label to ignore, if any."""
    scores = (draw(lengths()), draw(lengths(1)), *draw(shapes(most=2)))
    ignored = draw(st.sampled_from([None, -100, 0]))
    generator = np.random.default_rng(draw(st.integers(0, 2**16)))
    labels = generator.integers(0, scores[1], (scores[0], *scores[2:])).astype(np.float64)
    if ignored is not None and labels.size:
        labels.flat[0] = ignored
    return scores, labels, ignored


@draws("OneHot")
def _one_hot(draw: st.DrawFn) -> Drawn:
    scores, labels, ignored = classified(draw)
    return [labels, scores], {"ignore_index": ignored}


@draws("SoftmaxCrossEntropyLoss")
def _cross_entropy(draw: st.DrawFn) -> Drawn:
    scores, labels, ignored = classified(draw)
    counted = np.any(labels != ignored) if ignored is not None else labels.size  # else the mean is NaN
    given = {
        "ignore_index": ignored,
        "reduction": draw(st.sampled_from(["mean", "sum", "none"] if counted else ["sum", "none"])),
    }
    weights = []
    if draw(st.booleans()):
        weights = [np.linspace(0.5, 1.5, scores[1])]
    return [scores, labels, *weights], given


@draws("MeanSquaredError")
def _squared_error(draw: st.DrawFn) -> Drawn:
    whole, part = draw(broadcasting())
    if 0 in whole:  # the mean of nothing is NaN, whatever moves
        part = whole
    return draw(st.permutations([whole, part])), {}


@draws("OverChannels")
def _over_channels(draw: st.DrawFn) -> Drawn:
    like = draw(shapes(least=2))
    return [like[1:2], like], {}


@draws("SumOfChannels")
def _sum_of_channels(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes(least=2))
    return [shape, shape[1:2]], {}
