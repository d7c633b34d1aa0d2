"""Schemas of series; see `schemas.py`."""

from typing import Any

import marshmallow as ma
from marshmallow import fields

from service.api.comparison_schemas import FindingSchema
from service.api.components import INPUTS, NODE_NAME, NUMBER, TOLERANCE
from service.api.http.npz import MEDIA_TYPE as NPZ
from service.api.schemas import (
    REFERENCES,
    JsonObject,
    KeyValue,
    Label,
    ListQuery,
    PageQuery,
    Request,
    StrictInt,
    StrictString,
    Tags,
    one_of,
)
from service.core.rounding.precision import UNIT_ROUNDOFF
from service.usecases.series import RETAINED

_CARRY = {
    "type": "object",
    "additionalProperties": {"type": "string", **NODE_NAME},
    "description": "node of a step → Input of the next step, which takes its value",
}


class SeriesRequest(Request):
    """A training run, whose steps are runs of a graph."""

    graph = StrictString(required=True, metadata={"description": REFERENCES["graph"]})
    carry = JsonObject(
        load_default=dict, metadata={**_CARRY, "x-more": {"propertyNames": {"type": "string", **NODE_NAME}}}
    )
    by = Label(load_default="a training program")
    dtype = StrictString(load_default="float64", validate=one_of(*UNIT_ROUNDOFF))
    tolerance = fields.Raw(metadata={**TOLERANCE, "description": "Left out: that of the dtype"})
    retain = StrictString(
        load_default="auto",
        validate=one_of(*RETAINED),
        metadata={
            "description": "Which steps are kept whole, as recorded runs: the last ones (the limit series_whole), all, "
            "or none. Of each step its verdict is kept, and the norm and a digest of each value; the first wrong one "
            "is kept whole at any rate"
        },
    )
    every = StrictInt(1, load_default=1, metadata={"description": "How far apart the numbers of the steps are"})
    label = Label(load_default=None)
    tags = Tags(load_default=dict)

    @ma.validates_schema
    def check_carry(self, data: dict[str, Any], **options: Any) -> None:
        """Names lead to names."""
        wrong = {name: ["a string is expected"] for name, other in data["carry"].items() if not isinstance(other, str)}
        if wrong:
            raise ma.ValidationError({"carry": wrong})


class StepsRequest(Request):
    """Steps of a series; as .npz each array stands at `values/NAME`."""

    binary = (NPZ,)
    values = JsonObject(
        required=True,
        metadata={
            **INPUTS,
            "x-more": {"propertyNames": {"type": "string", **NODE_NAME}},
            "description": "By node, Inputs among them, its values in these steps, stacked along axis 0; an Input that "
            "is left out has the graph's weight",
        },
    )
    first = StrictInt(
        0,
        metadata={
            "description": "The number of the first of these steps; 409 unless it comes next. Left out: the number "
            "that comes next, and 1 in a series without steps"
        },
    )
    skipped = StrictInt(
        0,
        load_default=0,
        metadata={
            "description": "How many steps the program took before these that were not recorded: they count, and what "
            "the first of these took is not held against what the last that is recorded gave"
        },
    )


class SeriesQuery(ListQuery):
    """Series of a graph, with a label, or with a tag."""

    graph = StrictString(metadata={"description": REFERENCES["graph"]})
    label = StrictString()
    tag = KeyValue(metadata={"description": "key:value"})


class SeriesStepsQuery(PageQuery):
    """A page of steps: all, or only those with origins, or with broken carries."""

    shown = StrictString(data_key="only", validate=one_of("origins", "broken"))


class SeriesDocument(ma.Schema):
    """A series: how it was declared, and how far it has come."""

    id = fields.String(required=True)
    graph_id = fields.String(required=True)
    graph_name = fields.String(required=True)
    graph_version = fields.Integer(required=True)
    carry = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    recorded_by = fields.String(required=True)
    dtype = fields.String(required=True)
    tolerance = fields.Raw(required=True, metadata=TOLERANCE)
    retain = fields.String(required=True, validate=ma.validate.OneOf(RETAINED))
    every = fields.Integer(required=True)
    label = fields.String(required=True, allow_none=True)
    tags = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    created_at = fields.DateTime(required=True)
    steps = fields.Integer(required=True, metadata={"description": "How many there are"})
    first_step = fields.Integer(required=True, allow_none=True)
    last_step = fields.Integer(required=True, allow_none=True)
    first_wrong = fields.Integer(
        required=True, allow_none=True, metadata={"description": "The number of the first step with an origin"}
    )
    wrong = fields.Integer(required=True, metadata={"description": "How many steps have an origin"})
    broken = fields.Integer(
        required=True, metadata={"description": "How many steps took another value than the step before gave"}
    )


class SeriesPage(ma.Schema):
    """A page of series, newest first."""

    series = fields.List(fields.Nested(SeriesDocument), required=True)
    next = fields.String(required=True, allow_none=True)


class SeriesStepDocument(ma.Schema):
    """A step: its verdict, and of each recorded value the Euclidean norm and a digest, equal for equal values."""

    step = fields.Integer(required=True)
    verdict = fields.String(required=True, validate=ma.validate.OneOf(["same", "differ"]))
    origins = fields.List(fields.String(), required=True, metadata={"description": "The first 100 nodes"})
    broken = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "The nodes whose value in the step before is not what this one took"},
    )
    run = fields.String(
        required=True, allow_none=True, metadata={"description": "The run of a step that is kept whole"}
    )
    norms = fields.Dict(keys=fields.String(), values=fields.Raw(metadata=NUMBER), required=True)
    digests = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class SeriesStepPage(ma.Schema):
    """A page of steps in their order."""

    steps = fields.List(fields.Nested(SeriesStepDocument), required=True)
    next = fields.String(required=True, allow_none=True)


class FirstWrongStep(ma.Schema):
    """The first step with an origin: `comparison` is that of the step with what follows from its inputs, null if it was
    deleted, and then nothing is said of the origins but their `nodes`."""

    step = fields.Integer(required=True)
    comparison = fields.String(required=True, allow_none=True)
    nodes = fields.List(fields.String(), required=True)
    cause = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "One mistake that explains all the origins, as gradients that were not set to zero"},
    )
    origins = fields.List(fields.Nested(FindingSchema), required=True)


class BrokenCarryDocument(ma.Schema):
    """An Input that is not what the step before gave, with the norms of both."""

    step = fields.Integer(required=True)
    node = fields.String(required=True)
    input = fields.String(required=True)
    norm_given = fields.Raw(required=True, metadata=NUMBER)
    norm_taken = fields.Raw(required=True, metadata=NUMBER)
    sentence = fields.String(required=True)


class NormCurves(ma.Schema):
    """The norm of each recorded value at `steps`, which are evenly spaced where there are many."""

    steps = fields.List(fields.Integer(), required=True)
    values = fields.Dict(keys=fields.String(), values=fields.List(fields.Raw(metadata=NUMBER)), required=True)


class SeriesVerdictDocument(ma.Schema):
    """Where a series first did what its own state does not explain; each list stops at the limit page."""

    id = fields.String(required=True)
    arose = fields.Boolean(
        required=True,
        metadata={"description": "Whether a step has an origin, or took what the one before did not give"},
    )
    sentence = fields.String(required=True)
    steps = fields.Integer(required=True)
    first_wrong = fields.Nested(FirstWrongStep, required=True, allow_none=True)
    wrong = fields.Integer(required=True)
    wrong_steps = fields.List(fields.Integer(), required=True)
    broken = fields.Integer(required=True)
    broken_carries = fields.List(fields.Nested(BrokenCarryDocument), required=True)
    norms = fields.Nested(NormCurves, required=True)
