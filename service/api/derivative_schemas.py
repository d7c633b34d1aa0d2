"""Envelopes of derivatives and gradient checks; see `schemas.py`."""

from typing import Any

import marshmallow as ma
from marshmallow import fields

from service.api.schemas import ARRAY, ARRAY_OR_NULL, NAMES, NUMBER, Members, Request, Text
from service.core.gradient_check import METHODS, Verdict

_FIGURES = {"type": "object", "additionalProperties": ARRAY}
_NUMBER_OR_NULL = {"oneOf": [*NUMBER["oneOf"], {"type": "null"}]}
_VERDICTS = [str(verdict) for verdict in Verdict]


class Names(fields.Raw):
    """A list of node names."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, list):
            raise ma.ValidationError("a list of node names is expected")
        faults: dict[Any, Any] = {
            place: ["the name of a node is expected"] for place, name in enumerate(value) if not isinstance(name, str)
        }
        if faults:
            raise ma.ValidationError(faults)
        return value


class GradientCheckRequest(Request):
    """The point at which to check gradients; of every input, and of `nodes`."""

    inputs = Members(required=True, metadata=_FIGURES)
    method = Text(
        load_default="taylor",
        validate=ma.validate.OneOf(METHODS, error="taylor, central or complex-step is expected"),
    )
    nodes = Names(load_default=list, metadata={**NAMES, "description": "Nodes to check besides the inputs"})
    output = Text()


class NodeCheckDocument(ma.Schema):
    """One gradient and its estimate, arrays of the node's shape; by taylor, slopes along a random direction.

    `rate` is the exponent with which the Taylor remainder vanishes, 2 where the gradient is right and 1 where it is
    wrong; null where rounding errors are all that is left of it. `reason` says why the method does not apply.
    """

    name = fields.String(required=True)
    gradient = fields.Raw(required=True, metadata=ARRAY)
    estimate = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    error = fields.Raw(required=True, metadata=_NUMBER_OR_NULL)
    rate = fields.Float(allow_none=True)
    verdict = fields.String(required=True, validate=ma.validate.OneOf(_VERDICTS))
    reason = fields.String()


class GradientCheckDocument(ma.Schema):
    """Verdicts on the inputs, in their order, and on the nodes asked for; the worst of them is the verdict on all.

    The direction of the Taylor test is numpy.random.default_rng(random_seed).standard_normal(shape), each element times
    the magnitude of the value's (1 for 0), scaled to length 1; of a scalar it is 1.
    """

    verdict = fields.String(required=True, validate=ma.validate.OneOf(_VERDICTS))
    method = fields.String(required=True, validate=ma.validate.OneOf(METHODS))
    output = fields.String(required=True)
    random_seed = fields.Integer()
    nodes = fields.List(fields.Nested(NodeCheckDocument), required=True)
