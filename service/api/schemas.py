"""Envelopes: what requests may hold, checked by marshmallow; and what answers hold, for the document of the API.

Bulk (nodes, figures) passes through unread: the core checks it faster and says more. Answers are written by
`documents.py`; a test holds them against these schemas.
"""

from typing import Any

import marshmallow as ma
from flask import current_app
from marshmallow import fields

from service.core.rulebook.operation import CONVENTIONS

NUMBER = {"oneOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]}
ARRAY: dict[str, Any] = {
    "description": "A number, or nested lists of numbers; NaN, Infinity and -Infinity as strings",
    "oneOf": [*NUMBER["oneOf"], {"type": "array"}],
}
ARRAY_OR_NULL = {**ARRAY, "oneOf": [*ARRAY["oneOf"], {"type": "null"}]}
_NODE = {
    "type": "object",
    "required": ["name", "operation"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 256},
        "operation": {"type": "string"},
        "inputs": {"type": "array", "items": {"type": "string"}},
        "attributes": {"type": "object"},
    },
    "additionalProperties": False,
}
NAMES = {"type": "array", "items": {"type": "string"}}
_MESSAGES = {"type": "an object is expected", "unknown": "there is nothing of this name"}
_TAGS = {"type": "object", "additionalProperties": {"type": "string"}}


class Label(fields.String):
    """A graph's name, a label or a tag: 1 to the limit name_length characters, no control characters."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, str):
            raise ma.ValidationError("a string is expected")
        most = current_app.extensions["gradbook"].limits.name_length
        if not 1 <= len(value) <= most:
            raise ma.ValidationError(f"1 to {most} characters are expected (the limit name_length); {len(value)} given")
        if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in value):
            raise ma.ValidationError("there may be no control characters")
        return value


class Text(fields.String):
    """A string, and nothing that could be made one; without NUL, which PostgreSQL doesn't hold in a text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, str):
            raise ma.ValidationError("a string is expected")
        if "\0" in value:
            raise ma.ValidationError("there may be no NUL character")
        return value


class Truth(fields.Boolean):
    """true or false, and nothing that could be taken for it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, bool):
            raise ma.ValidationError("true or false is expected")
        return value


class Tags(fields.Dict):
    """An object of strings."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, dict):
            raise ma.ValidationError("an object of strings is expected")
        most = current_app.extensions["gradbook"].limits.tags
        if len(value) > most:
            raise ma.ValidationError(f"at most {most} tags are taken (the limit tags)")
        faults: dict[str, Any] = {}
        for key, text in value.items():
            for part in (key, text):
                try:
                    Label().deserialize(part)
                except ma.ValidationError as error:
                    faults[key] = error.messages
        if faults:
            raise ma.ValidationError(faults)
        return value


class Members(fields.Raw):
    """An object whose members the core checks."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, dict):
            raise ma.ValidationError("an object is expected")
        return value


class Whole(fields.Integer):
    """A whole number of a query, in plain decimal digits."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not (isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10 and int(value) > 0):
            raise ma.ValidationError("a whole number from 1 is expected")
        return int(value)


# --- requests -----------------------------------------------------------------------------------------------------


class Request(ma.Schema):
    """A body or a query, whose faults are told in our words."""

    class Meta:
        unknown = ma.RAISE

    error_messages = _MESSAGES
    npz = False  # whether an .npz may stand for it


class GraphRequest(Request):
    """A graph to build, from an expression or from nodes."""

    name = Label(required=True)
    expression = Text()
    nodes = fields.Raw(metadata={"type": "array", "items": _NODE})
    outputs = fields.Raw(metadata=NAMES)
    inputs = fields.Raw(metadata={**NAMES, "description": "The order of the Input nodes, where nodes are given"})
    tags = Tags(load_default=dict, metadata=_TAGS)

    @ma.validates_schema
    def check_form(self, data: dict[str, Any], **options: Any) -> None:
        """One of the two forms, and the order of inputs only where an expression does not fix it."""
        if ("expression" in data) == ("nodes" in data):
            raise ma.ValidationError("either expression or nodes is expected")
        if "expression" in data and "inputs" in data:
            raise ma.ValidationError("an expression fixes the order of its inputs itself: F(a, b) = …", "inputs")


class NodesRequest(Request):
    """Nodes to add to a stored graph."""

    nodes = fields.Raw(required=True, metadata={"type": "array", "items": _NODE})
    outputs = fields.Raw(metadata=NAMES)
    tags = Tags(load_default=dict, metadata=_TAGS)


class BackwardRequest(Request):
    """A backward pass for a run that has values only."""

    output = Text()
    seed = fields.Raw(metadata=ARRAY)
    convention = Text(
        data_key="conventions",
        validate=ma.validate.OneOf(CONVENTIONS, error=f"one of {', '.join(CONVENTIONS)} is expected"),
        metadata={"description": "Whose choice is returned where no derivative exists; left out: minimum-norm"},
    )


class Recorded(Request):
    """Figures that somebody else computed, of any subset of the nodes."""

    by = Label(required=True)
    dtype = Text(
        load_default="float64",
        validate=ma.validate.OneOf(["float64", "float32"], error="float64 or float32 is expected"),
    )
    values = Members(load_default=dict, metadata={"type": "object", "additionalProperties": ARRAY})
    gradients = Members(load_default=dict, metadata={"type": "object", "additionalProperties": ARRAY})


class RunRequest(BackwardRequest):
    """A run of a stored graph; with `recorded`, one that somebody else computed."""

    npz = True
    inputs = Members(required=True, metadata={"type": "object", "additionalProperties": ARRAY})
    backward = Truth(load_default=True)
    keep = Truth(load_default=True, metadata={"description": "false: compute and answer, store nothing"})
    recorded = fields.Nested(Recorded)
    label = Label(load_default=None)
    tags = Tags(load_default=dict, metadata=_TAGS)

    @ma.validates_schema
    def check_recorded(self, data: dict[str, Any], **options: Any) -> None:
        """A recorded run is kept as given: there is nothing to compute."""
        if "recorded" in data and not (data["backward"] and data["keep"]):
            raise ma.ValidationError("backward and keep are for runs that we compute", "recorded")
        if "recorded" in data and "convention" in data:
            raise ma.ValidationError("conventions are for runs that we compute", "conventions")

    @ma.validates_schema
    def check_seed(self, data: dict[str, Any], **options: Any) -> None:
        """A seed starts a backward pass."""
        if "seed" in data and not data["backward"]:
            raise ma.ValidationError("a seed is for a backward pass, and backward is false", "seed")


class PageQuery(Request):
    """One page of a list."""

    limit = Whole(metadata={"minimum": 1})
    cursor = Text()


class TaggedQuery(PageQuery):
    """One page of those with a tag."""

    tag = Text(metadata={"description": "key:value"})


class GraphsQuery(TaggedQuery):
    """Graphs of a name or with a tag."""

    name = Text()


class RunsQuery(TaggedQuery):
    """Runs of a graph, with a label or a tag, or recorded by somebody."""

    graph = Text()
    label = Text()
    recorded_by = Text()


class RunQuery(Request):
    """How much of a run to answer."""

    gradients = Text(
        validate=ma.validate.OneOf(["inputs"], error="only 'inputs' is known"),
        metadata={"description": "inputs: leave nodes out, and show the inputs' gradients whole"},
    )


# --- answers ------------------------------------------------------------------------------------------------------


class GraphSummary(ma.Schema):
    """A graph without its nodes."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    version = fields.Integer(required=True)
    digest = fields.String(required=True, metadata={"pattern": "^[0-9a-f]{64}$"})
    inputs = fields.List(fields.String(), required=True)
    outputs = fields.List(fields.String(), required=True)
    node_count = fields.Integer(required=True)
    expression = fields.String(required=True, allow_none=True)
    parent = fields.String(required=True, allow_none=True)
    tags = fields.Dict(required=True, metadata=_TAGS)
    created_at = fields.DateTime(required=True)


class GraphDocument(GraphSummary):
    """A graph with the first 1,000 of its nodes in topological order."""

    nodes = fields.List(fields.Raw(metadata=_NODE), required=True)
    next = fields.String(required=True, allow_none=True)


class GraphPage(ma.Schema):
    """A page of graphs, newest first."""

    graphs = fields.List(fields.Nested(GraphSummary), required=True)
    next = fields.String(required=True, allow_none=True)


class GraphNodePage(ma.Schema):
    """A page of a graph's nodes in topological order."""

    nodes = fields.List(fields.Raw(metadata=_NODE), required=True)
    next = fields.String(required=True, allow_none=True)


class Nonfinite(ma.Schema):
    """The nodes with the first value and, in the order of the sweep, the first gradient that is not finite."""

    forward = fields.String(required=True, allow_none=True)
    backward = fields.String(required=True, allow_none=True)


class RunSummary(ma.Schema):
    """A run without its nodes."""

    id = fields.String(required=True, allow_none=True)
    graph_id = fields.String(required=True)
    graph_digest = fields.String(required=True)
    source = fields.String(required=True, validate=ma.validate.OneOf(["computed", "recorded"]))
    recorded_by = fields.String(allow_none=True)
    dtype = fields.String()
    inputs = fields.Raw(required=True, metadata={"type": "object", "additionalProperties": ARRAY_OR_NULL})
    output = fields.String(required=True, allow_none=True)
    seed = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    outputs = fields.Raw(required=True, metadata={"type": "object", "additionalProperties": ARRAY_OR_NULL})
    gradients = fields.Raw(required=True, metadata={"type": ["object", "null"], "additionalProperties": ARRAY_OR_NULL})
    nonfinite = fields.Nested(Nonfinite, required=True)
    conventions = fields.String(validate=ma.validate.OneOf(CONVENTIONS))
    label = fields.String(required=True, allow_none=True)
    tags = fields.Dict(required=True, metadata=_TAGS)
    created_at = fields.DateTime(required=True)


class OneSidedDocument(ma.Schema):
    """The derivatives by one operand from below and from above."""

    operand = fields.String(required=True)
    left = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    right = fields.Raw(required=True, metadata=ARRAY_OR_NULL)


class RunNodeDocument(ma.Schema):
    """A node with its figures; `shape` where it is no scalar."""

    name = fields.String(required=True)
    operation = fields.String(required=True)
    shape = fields.List(fields.Integer())
    value = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    gradient = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    nondifferentiable = fields.Boolean()
    one_sided = fields.List(fields.Nested(OneSidedDocument))


class RunDocument(RunSummary):
    """A run with the first 1,000 of its nodes in topological order."""

    nodes = fields.List(fields.Nested(RunNodeDocument))
    next = fields.String(allow_none=True)


class RunPage(ma.Schema):
    """A page of runs, newest first."""

    runs = fields.List(fields.Nested(RunSummary), required=True)
    next = fields.String(required=True, allow_none=True)


class RunNodePage(ma.Schema):
    """A page of a run's nodes in topological order."""

    nodes = fields.List(fields.Nested(RunNodeDocument), required=True)
    next = fields.String(required=True, allow_none=True)


class Formula(ma.Schema):
    """A formula in the service's own expression language and in LaTeX."""

    text = fields.String(required=True)
    latex = fields.String(required=True)


class LocalGradient(Formula):
    """The formula of one operand's local gradient; z is the operation's value."""

    operand = fields.String(required=True)


class Kink(Formula):
    """Where no derivative exists, and what is returned there."""

    returned = fields.String(required=True)


class AttributeDocument(ma.Schema):
    """An attribute of an operation."""

    name = fields.String(required=True)
    required = fields.Boolean(required=True)
    default = fields.Raw(required=True, allow_none=True)


class OperationDocument(ma.Schema):
    """One entry of the rulebook."""

    name = fields.String(required=True)
    aliases = fields.List(fields.String(), required=True)
    operands = fields.List(fields.String(), required=True)
    least_inputs = fields.Integer(required=True)
    most_inputs = fields.Integer(required=True, allow_none=True)
    attributes = fields.List(fields.Nested(AttributeDocument), required=True)
    rule = fields.Nested(Formula, required=True, allow_none=True)
    local_gradients = fields.List(fields.Nested(LocalGradient), required=True)
    contributions = fields.List(fields.Nested(LocalGradient), required=True)
    nondifferentiable = fields.Nested(Kink, required=True, allow_none=True)
    conventions = fields.Dict(metadata={"description": "The local gradients of libraries that choose otherwise there"})


class OperationPage(ma.Schema):
    """The whole rulebook."""

    operations = fields.List(fields.Nested(OperationDocument), required=True)
    next = fields.String(required=True, allow_none=True)


class LimitDocument(ma.Schema):
    """One limit."""

    name = fields.String(required=True)
    maximum = fields.Integer(required=True)
    meaning = fields.String(required=True)
    variable = fields.String(required=True)


class LimitPage(ma.Schema):
    """The table of limits."""

    limits = fields.List(fields.Nested(LimitDocument), required=True)


class StateDocument(ma.Schema):
    """Whether the service is well."""

    status = fields.String(required=True)


class FaultDocument(ma.Schema):
    """One fault: a pointer into the body, or a parameter."""

    pointer = fields.String()
    parameter = fields.String()
    detail = fields.String(required=True)


class ProblemDocument(ma.Schema):
    """A problem (RFC 9457); `type` is stable."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    errors = fields.List(fields.Nested(FaultDocument))
    limit = fields.String()
    maximum = fields.Integer()
    line = fields.Integer()
    column = fields.Integer()
    place = fields.String()
