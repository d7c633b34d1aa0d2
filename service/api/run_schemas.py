"""Schemas of runs; see `schemas.py`."""

from typing import Any, ClassVar

import marshmallow as ma
from flask import current_app
from marshmallow import fields

from service.api.components import (
    ARRAY_OR_NULL,
    FIGURES_OR_NULL,
    INPUTS_OR_NULL,
    SOME_FIGURES,
    TAGS,
    given,
    given_figures,
    or_null,
)
from service.api.http.npz import MEDIA_TYPE as NPZ
from service.api.schemas import (
    REFERENCES,
    WEIGHTS_TOO,
    JsonObject,
    Label,
    NodeName,
    Query,
    Request,
    StrictBool,
    StrictString,
    TagChanges,
    TaggedQuery,
    Tags,
)
from service.core.rounding.precision import UNIT_ROUNDOFF
from service.core.rulebook.operation import CONVENTIONS


class BackwardRequest(Request):
    """A backward pass for a run that has values only."""

    output = NodeName()
    seed = fields.Raw(metadata=given("Figure"))
    convention = StrictString(
        data_key="conventions",
        validate=ma.validate.OneOf(CONVENTIONS, error=f"one of {', '.join(CONVENTIONS)} is expected"),
        metadata={"description": "Whose choice is returned where no derivative exists; left out: minimum-norm"},
    )


class BaselineRequest(Request):
    """The label of a baseline."""

    label = Label(load_default="main")


class RunChanges(Request):
    """What of a run is changed; null takes the label, or all tags, away."""

    label = Label(allow_none=True)
    tags = TagChanges(allow_none=True)


class Recorded(Request):
    """Figures that another program or a person computed, of any subset of the nodes; null is none, which is not 0."""

    more = SOME_FIGURES
    by = Label(required=True)
    dtype = StrictString(
        load_default="float64",
        validate=ma.validate.OneOf([*UNIT_ROUNDOFF], error=f"one of {', '.join(UNIT_ROUNDOFF)} is expected"),
    )
    values = JsonObject(load_default=dict, metadata=given_figures("Figure", none=True))
    gradients = JsonObject(load_default=dict, metadata=given_figures("Figure", none=True))


SEEDED = {"properties": {"backward": {"const": True}}}


def require_backward(data: dict[str, Any]) -> None:
    """Raise ValidationError for a seed that starts no backward pass."""
    if "seed" in data and not data["backward"]:
        raise ma.ValidationError("a seed needs a backward pass, but backward is false", "seed")


class RunRequest(BackwardRequest):
    """A run of a stored graph; with `recorded`, one that was computed elsewhere."""

    binary = (NPZ,)
    more: ClassVar[dict[str, Any]] = {
        "dependentSchemas": {
            "recorded": {"properties": {"backward": {"const": True}, "keep": {"const": True}, "conventions": False}},
            "seed": SEEDED,
        }
    }
    inputs = JsonObject(required=True, metadata={**given_figures("Figure"), "description": WEIGHTS_TOO})
    backward = StrictBool(load_default=True)
    keep = StrictBool(load_default=True, metadata={"description": "false: compute and answer, store nothing"})
    recorded = fields.Nested(Recorded)
    label = Label(load_default=None)
    tags = Tags(load_default=dict)

    @ma.validates_schema
    def check_recorded(self, data: dict[str, Any], **options: Any) -> None:
        """Refuse what only a computed run has."""
        if "recorded" in data and not (data["backward"] and data["keep"]):
            raise ma.ValidationError("backward and keep do not apply to a recorded run", "recorded")
        if "recorded" in data and "convention" in data:
            raise ma.ValidationError("conventions do not apply to a recorded run", "conventions")

    @ma.validates_schema
    def check_seed(self, data: dict[str, Any], **options: Any) -> None:
        """A seed starts a backward pass."""
        require_backward(data)


class RunOfBatch(Request):
    """One of the runs: its inputs, and what it is found by."""

    inputs = JsonObject(required=True, metadata={**given_figures("Figure"), "description": WEIGHTS_TOO})
    label = Label(load_default=None)
    tags = Tags(load_default=dict)


class RunsOfBatch(fields.Nested):
    """From one to `batch_runs` (a limit) runs."""

    def __init__(self) -> None:
        described = {"minItems": 1, "x-limits": {"maxItems": "batch_runs"}}
        super().__init__(RunOfBatch, many=True, required=True, metadata=described)

    def _deserialize(self, value: Any, attr: str | None, data: Any, partial: Any = None, **options: Any) -> Any:
        if not isinstance(value, list):
            raise ma.ValidationError("a list of runs is expected")
        most = current_app.extensions["gradbook"].limits.batch_runs
        if not 1 <= len(value) <= most:
            raise ma.ValidationError(f"1 to {most} runs are expected (the limit batch_runs); {len(value)} given")
        return super()._deserialize(value, attr, data, partial, **options)


class RunBatchRequest(BackwardRequest):
    """Runs of a stored graph, made together."""

    more: ClassVar[dict[str, Any]] = {"dependentSchemas": {"seed": SEEDED}}
    runs = RunsOfBatch()
    backward = StrictBool(load_default=True)

    @ma.validates_schema
    def check_seed(self, data: dict[str, Any], **options: Any) -> None:
        """A seed starts a backward pass."""
        require_backward(data)


class GraphRunsQuery(TaggedQuery):
    """Runs with a label or a tag, computed here or recorded, by a certain program or person, or with a text in the
    label, in who recorded it or in the graph's name."""

    label = StrictString()
    source = StrictString(
        validate=ma.validate.OneOf(["computed", "recorded"], error="computed or recorded is expected")
    )
    recorded_by = StrictString()


class RunsQuery(GraphRunsQuery):
    """Such runs, of all graphs or of one."""

    graph = StrictString(metadata={"description": REFERENCES["graph"]})


class RunQuery(Query):
    """How much of a run to answer."""

    gradients = StrictString(
        validate=ma.validate.OneOf(["inputs"], error="only 'inputs' is known"),
        metadata={"description": "inputs: leave nodes out, and show the inputs' gradients whole"},
    )


class NonfiniteOfOneKind(ma.Schema):
    """The nodes with the first value and the first gradient of one kind."""

    forward = fields.String(required=True, allow_none=True)
    backward = fields.String(required=True, allow_none=True)


class Nonfinite(NonfiniteOfOneKind):
    """The nodes with the first value that is NaN, or infinite though its operands are finite, and with the first such
    gradient in the order of the sweep. An infinity that was given, as a mask, and what follows from it do not count.
    Where there is one, `infinity` and `nan` name the first of each kind; runs of earlier releases have neither."""

    infinity = fields.Nested(NonfiniteOfOneKind)
    nan = fields.Nested(NonfiniteOfOneKind)


class RunSummary(ma.Schema):
    """A run without its nodes."""

    id = fields.String(required=True, allow_none=True)
    graph_id = fields.String(required=True)
    graph_name = fields.String(required=True)
    graph_version = fields.Integer(required=True)
    graph_digest = fields.String(required=True)
    source = fields.String(required=True, validate=ma.validate.OneOf(["computed", "recorded"]))
    recorded_by = fields.String(allow_none=True)
    dtype = fields.String()
    inputs = fields.Raw(required=True, metadata=INPUTS_OR_NULL)
    output = fields.String(required=True, allow_none=True)
    seed = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    outputs = fields.Raw(required=True, metadata=FIGURES_OR_NULL)
    gradients = fields.Raw(required=True, metadata=or_null(FIGURES_OR_NULL))
    nonfinite = fields.Nested(Nonfinite, required=True)
    conventions = fields.String(validate=ma.validate.OneOf(CONVENTIONS))
    label = fields.String(required=True, allow_none=True)
    tags = fields.Dict(required=True, metadata=TAGS)
    created_at = fields.DateTime(required=True)


class OneSidedDocument(ma.Schema):
    """The derivatives by one operand from below and from above."""

    operand = fields.String(required=True)
    left = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    right = fields.Raw(required=True, metadata=ARRAY_OR_NULL)


class RunNodeDocument(ma.Schema):
    """A node with its figures; `shape` where it is not a scalar."""

    name = fields.String(required=True)
    operation = fields.String(required=True)
    shape = fields.List(fields.Integer())
    value = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    gradient = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    closed = fields.List(
        fields.String(),
        metadata={
            "description": "The operands with which the node does not change here, as relu below 0: whatever the "
            "node's gradient is, nothing of it passes to them"
        },
    )
    nondifferentiable = fields.Boolean()
    one_sided = fields.List(
        fields.Nested(OneSidedDocument),
        metadata={
            "description": "Where no derivative exists: element by element of the value; of a reduction or a pool the "
            "derivatives of the sum of its elements by each element of the operand alone"
        },
    )


class RunDocument(RunSummary):
    """A run with the first 1,000 of its nodes in topological order."""

    nodes = fields.List(fields.Nested(RunNodeDocument))
    next = fields.String(allow_none=True)


class RunBatch(ma.Schema):
    """The runs that were made together, in the order in which they were asked for."""

    runs = fields.List(fields.Nested(RunSummary), required=True)


class RunPage(ma.Schema):
    """A page of runs, newest first."""

    runs = fields.List(fields.Nested(RunSummary), required=True)
    next = fields.String(required=True, allow_none=True)


class RunNodePage(ma.Schema):
    """A page of a run's nodes in topological order."""

    nodes = fields.List(fields.Nested(RunNodeDocument), required=True)
    next = fields.String(required=True, allow_none=True)
