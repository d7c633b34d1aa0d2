"""Schemas of sweeps; see `schemas.py`."""

from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields

from service.api.components import DISTINCT_NAMES, NODE_NAME, NUMBER, SWEPT_INPUT
from service.api.job_schemas import JobDocument
from service.api.schemas import (
    WEIGHTS_TOO,
    JsonObject,
    NodeName,
    PageQuery,
    QueryInt,
    Request,
    StrictBool,
    StrictString,
    one_of,
)
from service.core.rulebook.operation import CONVENTIONS

MODES = ("grid", "zip")

_INPUTS = {"type": "object", "additionalProperties": SWEPT_INPUT}


class SweepRequest(Request):
    """A graph at many points: what its inputs are, and what is kept."""

    more: ClassVar[dict[str, Any]] = {
        "if": {"properties": {"gradients": {"const": True}}, "required": ["gradients"]},
        "else": {"properties": {"output": False}},
    }
    inputs = JsonObject(
        required=True,
        metadata={
            **_INPUTS,
            "x-more": {"propertyNames": {"type": "string", **NODE_NAME}},
            "description": f"By name how each input varies, or what it is at every point. {WEIGHTS_TOO}",
        },
    )
    mode = StrictString(
        load_default=MODES[0],
        validate=one_of(*MODES),
        metadata={
            "description": "grid: every combination, in which the first input that is named varies slowest; zip: the "
            "inputs, which have equally many numbers, side by side"
        },
    )
    outputs = fields.Raw(
        metadata={**DISTINCT_NAMES, "description": "Nodes whose values are kept; left out, the graph's outputs"}
    )
    gradients = StrictBool(
        load_default=False, metadata={"description": "true: of the output, with respect to each scalar input"}
    )
    output = NodeName(metadata={"description": "What is differentiated; left out, the graph's only output"})
    convention = StrictString(data_key="conventions", validate=one_of(*CONVENTIONS))

    @ma.validates_schema
    def check_output(self, data: dict[str, Any], **options: Any) -> None:
        """An output is named to be differentiated."""
        if "output" in data and not data["gradients"]:
            raise ma.ValidationError("an output is named for its gradients, but gradients is false", "output")


class SweepPointsQuery(PageQuery):
    """Some of the points, in their order."""

    offset = QueryInt(0, metadata={"description": "The number of the first, counted from 0"})


class SweepDocument(ma.Schema):
    """A sweep: what was asked, how far it has come, and what the points amount to."""

    id = fields.String(required=True)
    job = fields.Nested(JobDocument, required=True)
    graph_id = fields.String(required=True)
    inputs = fields.Raw(required=True, metadata=_INPUTS)
    mode = fields.String(required=True, validate=ma.validate.OneOf(MODES))
    outputs = fields.List(fields.String(), required=True)
    output = fields.String(required=True, allow_none=True)
    conventions = fields.String(required=True, validate=ma.validate.OneOf(CONVENTIONS))
    points = fields.Integer(required=True)
    columns = fields.List(
        fields.String(), required=True, metadata={"description": "The figures that each point has: F, dF/da"}
    )


class SweepPointDocument(ma.Schema):
    """A point: its number, the inputs that vary there, and its figures."""

    point = fields.Integer(required=True)
    at = fields.Dict(keys=fields.String(), values=fields.Raw(metadata=NUMBER), required=True)
    figures = fields.Dict(keys=fields.String(), values=fields.Raw(metadata=NUMBER), required=True)


class SweepPointPage(ma.Schema):
    """A page of the points that are computed, in their order."""

    complete = fields.Boolean(
        required=True, metadata={"description": "Whether none that the page should have is still to be computed"}
    )
    points = fields.List(fields.Nested(SweepPointDocument), required=True)
    next = fields.String(required=True, allow_none=True)
