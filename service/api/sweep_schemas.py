"""Schemas of sweeps; see `schemas.py`."""

from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields

from service.api.components import DISTINCT_NAMES, NODE_NAME, NUMBER, NUMBER_OR_NULL, SWEPT_INPUT, TOLERANCE
from service.api.job_schemas import JobDocument
from service.api.schemas import (
    REFERENCES,
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
from service.core.sweeps.sweep import REDUCTIONS

MODES = ("grid", "zip")

_INPUTS = {"type": "object", "additionalProperties": SWEPT_INPUT}


class AgainstRequest(Request):
    """A second graph, whose outputs are held against those of the same names at every point."""

    graph = StrictString(required=True, metadata={"description": REFERENCES["graph"]})
    outputs = JsonObject(
        load_default=dict,
        metadata={
            "type": "object",
            "additionalProperties": {"type": "string", **NODE_NAME},
            "x-more": {"propertyNames": {"type": "string", **NODE_NAME}},
            "description": "The node there that stands for an output, where it is not called the same",
        },
    )
    tolerance = fields.Raw(metadata={**TOLERANCE, "description": "Left out: float64's"})


class SweepRequest(Request):
    """A graph at many points: what its inputs are, and what is kept."""

    more: ClassVar[dict[str, Any]] = {
        "dependentSchemas": {
            "output": {
                "anyOf": [
                    {"properties": {member: {"const": True}}, "required": [member]} for member in ("gradients", "check")
                ]
            }
        }
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
    reduce = fields.List(
        StrictString(validate=one_of(*REDUCTIONS)),
        load_default=None,
        allow_none=True,
        metadata={"description": "What of the points is kept instead of all of them; null: every point"},
    )
    against = fields.Nested(AgainstRequest)
    check = StrictBool(
        load_default=False,
        metadata={"description": "true: hold the gradients against differences at every point, and keep both"},
    )

    @ma.validates_schema
    def check_output(self, data: dict[str, Any], **options: Any) -> None:
        """An output is named to be differentiated."""
        if "output" in data and not (data["gradients"] or data["check"]):
            raise ma.ValidationError("an output is named for its gradients, but gradients is false", "output")


class SweepPointsQuery(PageQuery):
    """Some of the points, in their order."""

    limit = QueryInt(
        metadata={
            "description": "The most points: in JSON at most as many as the limit page, and so many unless it says; in "
            "other forms as many as there are"
        }
    )
    offset = QueryInt(0, metadata={"description": "The number of the first, counted from 0"})


class AgainstDocument(ma.Schema):
    """The graph that the sweep's is held against: its node for each output, and how far the two may differ."""

    graph_id = fields.String(required=True)
    outputs = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    tolerance = fields.Raw(required=True, metadata=TOLERANCE)


class PlaceDocument(ma.Schema):
    """A point: its number, and the inputs that vary there."""

    point = fields.Integer(required=True)
    at = fields.Dict(keys=fields.String(), values=fields.Raw(metadata=NUMBER), required=True)


class ExtremeDocument(PlaceDocument):
    """A figure, and the first point that has it."""

    value = fields.Raw(required=True, metadata=NUMBER)


class NonfiniteDocument(ExtremeDocument):
    """A figure that is not finite, by the name of its column."""

    figure = fields.String(required=True)


class ReducedDocument(ma.Schema):
    """What a column amounts to, as far as `reduce` asks for it; a NaN is neither the least nor the greatest figure, and
    has no part in the mean, which is null where every figure is NaN.

    The histogram is of the finite figures: from where, to where, how many; sixteen buckets lie between two powers of 2.
    """

    min = fields.Nested(ExtremeDocument, allow_none=True)
    max = fields.Nested(ExtremeDocument, allow_none=True)
    mean = fields.Raw(metadata=NUMBER_OR_NULL)
    argmin = fields.Nested(PlaceDocument, allow_none=True)
    histogram = fields.Raw(
        metadata={
            "type": "array",
            "items": {"type": "array", "items": NUMBER, "minItems": 3, "maxItems": 3},
        }
    )
    nonfinite = fields.Dict(keys=fields.String(), values=fields.Integer())


class PartedDocument(ma.Schema):
    """At how many points a column parts from the one that it is held against, or a gradient is wrong; the first of
    them; and the greatest absolute difference at any point."""

    figure = fields.String(required=True)
    points = fields.Integer(required=True)
    first = fields.Nested(PlaceDocument, required=True, allow_none=True)
    greatest_difference = fields.Nested(ExtremeDocument, required=True, allow_none=True)
    not_judged = fields.Integer(
        required=True, metadata={"description": "At how many points nothing can be said of a gradient"}
    )


class SweepDocument(ma.Schema):
    """A sweep: what was asked, how far it has come, and what the points that are computed amount to."""

    id = fields.String(required=True)
    job = fields.Nested(JobDocument, required=True)
    graph_id = fields.String(required=True)
    inputs = fields.Raw(required=True, metadata=_INPUTS)
    mode = fields.String(required=True, validate=ma.validate.OneOf(MODES))
    outputs = fields.List(fields.String(), required=True)
    output = fields.String(required=True, allow_none=True)
    conventions = fields.String(required=True, validate=ma.validate.OneOf(CONVENTIONS))
    reduce = fields.List(fields.String(), required=True, allow_none=True)
    against = fields.Nested(AgainstDocument, required=True, allow_none=True)
    check = fields.Boolean(required=True)
    points = fields.Integer(required=True)
    computed = fields.Integer(required=True, metadata={"description": "Of how many points what follows is"})
    reduced = fields.Dict(keys=fields.String(), values=fields.Nested(ReducedDocument), required=True)
    nonfinite = fields.List(
        fields.Nested(NonfiniteDocument),
        required=True,
        metadata={
            "description": "What is not finite, by points: the first 1,000 figures of each column, 10,000 of all"
        },
    )
    parted = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(PartedDocument),
        required=True,
        metadata={"description": "By the column of what others are held against: against F, estimate dF/da"},
    )
    columns = fields.List(
        fields.String(), required=True, metadata={"description": "The figures that each point has: F, dF/da"}
    )


class SweepPointDocument(PlaceDocument):
    """A point and its figures."""

    figures = fields.Dict(keys=fields.String(), values=fields.Raw(metadata=NUMBER), required=True)


class SweepPointPage(ma.Schema):
    """A page of the points that are computed, in their order."""

    complete = fields.Boolean(
        required=True, metadata={"description": "Whether none that the page should have is still to be computed"}
    )
    points = fields.List(fields.Nested(SweepPointDocument), required=True)
    next = fields.String(required=True, allow_none=True)
