"""The table of slips, in the order in which those that explain a figure equally well are reported."""

from collections.abc import Sequence

from service.core.comparison.slips.attributes import ATTRIBUTE_SLIPS
from service.core.comparison.slips.common import COMMON_SLIPS, CONSTANT_FACTOR, OTHER_FIGURE, USED_RIGHT
from service.core.comparison.slips.cuts import ALONE_TWICE, FAR_SLIPS, TWICE
from service.core.comparison.slips.guess import Slip
from service.core.comparison.slips.local_gradients import LOCAL_GRADIENT_SLIPS
from service.core.comparison.slips.losses import LOSS_SLIPS
from service.core.comparison.slips.matrix_products import MATRIX_PRODUCT_SLIPS
from service.core.comparison.slips.tensor_operations import TENSOR_OPERATION_SLIPS
from service.core.comparison.slips.tensors import PART_SLIPS, TENSOR_SLIPS
from service.core.comparison.slips.updates import DECAY, UPDATE_SLIPS
from service.core.comparison.slips.values import FAR_VALUE_SLIPS, NAN_SLIPS, PEN_SLIPS, ROUNDED_TO_ZERO, VALUE_SLIPS

# What makes NaN comes first where there is one; exact slips come before fitted ones, local before far.
NAN, LOCAL, FAR, FITTED = range(4)


def _ranked(rank: int, slips: Sequence[Slip]) -> list[tuple[int, Slip]]:
    return [(rank, slip) for slip in slips]


HYPOTHESES: tuple[tuple[int, Slip], ...] = (
    *_ranked(NAN, NAN_SLIPS),
    *_ranked(
        LOCAL,
        [
            ROUNDED_TO_ZERO,
            *COMMON_SLIPS,
            TWICE,
            *LOCAL_GRADIENT_SLIPS,
            *VALUE_SLIPS,
            *MATRIX_PRODUCT_SLIPS,
            *LOSS_SLIPS,
            *TENSOR_OPERATION_SLIPS,
            *ATTRIBUTE_SLIPS,
            ALONE_TWICE,
            *TENSOR_SLIPS,
        ],
    ),
    *_ranked(
        FAR,
        [
            *FAR_SLIPS,
            *FAR_VALUE_SLIPS,
            *UPDATE_SLIPS,
            OTHER_FIGURE,
            USED_RIGHT,
        ],
    ),
    *_ranked(FITTED, [CONSTANT_FACTOR, DECAY, *PEN_SLIPS, *PART_SLIPS]),
)

# Hypotheses that a fitting number may fulfil by chance.
DOUBTFUL = (
    *("another node's figure", "another node for an operand", "constant factor", "worked from a rounded figure"),
    *("rounded or cut", "digits exchanged", "one part wrong", "float32 rounding"),
)
