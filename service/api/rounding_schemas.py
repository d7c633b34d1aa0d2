"""Schemas of the effect of rounding; see `schemas.py`."""

import marshmallow as ma
from marshmallow import fields

from service.api.components import NUMBER, NUMBER_OR_NULL
from service.api.schemas import PageQuery, StrictString
from service.core.rounding.precision import ROUNDED


class RoundingQuery(PageQuery):
    """To which precision the figures are rounded."""

    dtype = StrictString(
        required=True, validate=ma.validate.OneOf(ROUNDED, error=f"one of {', '.join(ROUNDED)} is expected")
    )


class RoundingErrorDocument(ma.Schema):
    """An error of the number that is measured; the relative one is infinite where that is 0."""

    absolute = fields.Raw(required=True, metadata=NUMBER)
    relative = fields.Raw(required=True, metadata=NUMBER)


class RoundedNodeDocument(ma.Schema):
    """What the rounding of one node's figure alone does to the output, in absolute errors.

    `share` is its part in the square of the likely error of all. `amplification` says how many times greater the
    relative error of the node is than those that arrive in it; null where none does.
    """

    name = fields.String(required=True)
    operation = fields.String(required=True)
    likely = fields.Raw(required=True, metadata=NUMBER)
    greatest = fields.Raw(required=True, metadata=NUMBER)
    share = fields.Raw(required=True, metadata=NUMBER)
    amplification = fields.Raw(required=True, metadata=NUMBER_OR_NULL)


class AmplifierDocument(ma.Schema):
    """A node that makes the relative errors that arrive in it `amplification` times as great."""

    node = fields.String(required=True)
    amplification = fields.Raw(required=True, metadata=NUMBER)


class KeptDocument(ma.Schema):
    """The fewest nodes to keep in a finer `dtype` for the likely error to be within the tolerance of the coarse one's
    name, and after them those that only pass on what these give: the first of them, how many they are, and the error
    that is likely then."""

    dtype = fields.String(required=True)
    nodes = fields.List(fields.String(), required=True)
    node_count = fields.Integer(required=True)
    likely = fields.Nested(RoundingErrorDocument, required=True)


class RoundingDocument(ma.Schema):
    """What rounding every figure of a run to a precision may do to `value`, the sum of seed × output.

    The likely and the greatest error hold to first order. `nodes` are those whose rounding makes them, the worst first.
    `overflows` are the first nodes with values beyond the largest number of the precision, which no error tells.
    """

    run = fields.String(required=True)
    dtype = fields.String(required=True)
    output = fields.String(required=True)
    value = fields.Raw(required=True, metadata=NUMBER)
    likely = fields.Nested(RoundingErrorDocument, required=True)
    greatest = fields.Nested(RoundingErrorDocument, required=True)
    sentence = fields.String(required=True)
    amplifier = fields.Nested(AmplifierDocument, required=True, allow_none=True)
    keep = fields.Nested(KeptDocument, required=True)
    overflows = fields.List(fields.String(), required=True)
    nodes = fields.List(fields.Nested(RoundedNodeDocument), required=True)
    next = fields.String(required=True, allow_none=True)
