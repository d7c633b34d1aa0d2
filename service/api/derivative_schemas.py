"""Schemas of derivatives and gradient checks; see `schemas.py`."""

from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields

from service.api.components import (
    ARRAY,
    ARRAY_OR_NULL,
    DISTINCT_NAMES,
    FIGURES,
    INPUTS,
    NAMES,
    NUMBER_OR_NULL,
    TOLERANCE,
    given,
    given_figures,
    or_null,
)
from service.api.schemas import JsonObject, NodeName, Request, StrictString
from service.core.derivatives.gradient_check import METHODS, CheckVerdict
from service.usecases.derivatives import KINDS

_VERDICTS = [str(verdict) for verdict in CheckVerdict]


class GradientCheckRequest(Request):
    """The point at which to check gradients; of every input, and of `nodes`.

    Of `gradients` that are given, and of those that a recorded `run` holds, these are checked instead of ours; the run
    says at which inputs, of which output and from which seed. They may be off by `tolerance`; left out, that of the
    run's dtype, or float64's.
    """

    inputs = JsonObject(
        load_default=dict,
        metadata={**given_figures("Figure"), "description": "Needed unless the run that is given has them"},
    )
    method = StrictString(
        load_default="taylor",
        validate=ma.validate.OneOf(METHODS, error="taylor, central or complex-step is expected"),
    )
    nodes = fields.Raw(load_default=list, metadata={**NAMES, "description": "Nodes to check besides the inputs"})
    output = NodeName()
    run = StrictString(metadata={"description": "The run, of this graph, whose gradients to check"})
    gradients = JsonObject(
        load_default=dict, metadata={**given_figures("Figure"), "description": "Gradients to check, by node"}
    )
    tolerance = fields.Raw(metadata=TOLERANCE)


class NodeCheckDocument(ma.Schema):
    """One gradient and its estimate, arrays of the node's shape; with taylor, slopes along a random direction.

    `rate` is the exponent with which the Taylor remainder vanishes, 2 where the gradient is right and 1 where it is
    wrong; null where only rounding errors remain. `reason` says why the method does not apply. A node that is `held` is
    a label, a mask or an index: it was left where it is, and does not count in the verdict on all.
    """

    name = fields.String(required=True)
    gradient = fields.Raw(required=True, metadata=ARRAY)
    estimate = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    error = fields.Raw(required=True, metadata=NUMBER_OR_NULL)
    rate = fields.Float(allow_none=True)
    verdict = fields.String(required=True, validate=ma.validate.OneOf(_VERDICTS))
    reason = fields.String()
    held = fields.Boolean()


class GradientCheckDocument(ma.Schema):
    """Verdicts on the inputs, in order, and on the nodes asked for; `verdict` is the worst of them.

    The direction of the Taylor test is numpy.random.default_rng(random_seed).standard_normal(shape), each element times
    the magnitude of the value's element (1 for 0), scaled to length 1; for a scalar it is 1.
    """

    verdict = fields.String(required=True, validate=ma.validate.OneOf(_VERDICTS))
    method = fields.String(required=True, validate=ma.validate.OneOf(METHODS))
    output = fields.String(required=True)
    random_seed = fields.Integer()
    nodes = fields.List(fields.Nested(NodeCheckDocument), required=True)


class DerivativesRequest(Request):
    """What to differentiate, with respect to what, and at which point."""

    more: ClassVar[dict[str, Any]] = {
        "if": {"properties": {"kind": {"enum": ["jvp", "vjp", "hvp"]}}},
        "then": {"required": ["vector"]},
        "else": {"properties": {"vector": False}},
        "dependentSchemas": {
            "outputs": {
                "if": {"properties": {"kind": {"enum": ["hvp", "hessian"]}}},
                "then": {"properties": {"outputs": {"maxItems": 1}}},
            }
        },
    }
    kind = StrictString(
        required=True, validate=ma.validate.OneOf(KINDS, error="jacobian, jvp, vjp, hvp or hessian is expected")
    )
    inputs = JsonObject(required=True, metadata=given_figures("Figure"))
    outputs = fields.Raw(metadata={**DISTINCT_NAMES, "description": "Any nodes; left out, the graph's outputs"})
    wrt = fields.Raw(metadata={**DISTINCT_NAMES, "description": "Any nodes; left out, the graph's inputs"})
    vector = fields.Raw(
        metadata={
            "description": "Directions for nodes of wrt (jvp, hvp), seeds for nodes of outputs (vjp), 0 for those left "
            "out. Where there is one node, its array alone will do",
            "oneOf": [given("Figure"), given_figures("Figure")],
        }
    )


class BlockDocument(ma.Schema):
    """The derivative of the node `of` with respect to the node `wrt`, of shape (*shape of `of`, *shape of `wrt`).

    For second derivatives (hessian, hvp) `of` is a node of wrt, whose gradient is differentiated. A product with a
    vector has the shape of one node; the other is null, unless there is only one it can be.
    """

    of = fields.String(required=True, allow_none=True)
    wrt = fields.String(required=True, allow_none=True)
    shape = fields.List(fields.Integer())
    value = fields.Raw(required=True, metadata=ARRAY)


class DerivativesSummary(ma.Schema):
    """Derivatives without their figures."""

    id = fields.String(required=True)
    graph_id = fields.String(required=True)
    graph_digest = fields.String(required=True)
    kind = fields.String(required=True, validate=ma.validate.OneOf(KINDS))
    outputs = fields.List(fields.String(), required=True)
    wrt = fields.List(fields.String(), required=True)
    created_at = fields.DateTime(required=True)


class DerivativesDocument(DerivativesSummary):
    """Derivatives at a point, in float64."""

    inputs = fields.Raw(required=True, metadata=INPUTS)
    vector = fields.Raw(required=True, metadata=or_null(FIGURES))
    blocks = fields.List(fields.Nested(BlockDocument), required=True)


class DerivativesPage(ma.Schema):
    """A page of derivatives, newest first unless the query says otherwise."""

    derivatives = fields.List(fields.Nested(DerivativesSummary), required=True)
    next = fields.String(required=True, allow_none=True)
