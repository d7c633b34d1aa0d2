"""Schemas of graphs; see `schemas.py`."""

from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields

from service.api.components import DIGEST, NAMES, NODES, TAGS, reference
from service.api.http.onnx import MEDIA_TYPE as ONNX
from service.api.schemas import JsonObject, Label, Query, Request, StrictString, TagChanges, TaggedQuery, Tags, order

WEIGHTS = {"type": "object", "additionalProperties": DIGEST}
_NODES = {**NODES, "x-limits": {"maxItems": "nodes"}}


class GraphRequest(Request):
    """A graph to build, from an expression or from nodes."""

    more: ClassVar[dict[str, Any]] = {
        "if": {"required": ["expression"]},
        "then": {"properties": {"nodes": False, "inputs": False}},
        "else": {"required": ["nodes"]},
    }
    binary = (ONNX,)
    name = Label(required=True)
    expression = StrictString(
        metadata={
            "minLength": 1,
            "x-limits": {"maxLength": "expression_bytes"},
            "description": "Statements `name = expression`, parted by `;` or a new line. Besides + - * / ^ @ there are "
            "% // and comparisons, |x|, x², √x, lists [a, b], subscripts x[..., 0], and the operations by name; a "
            "product is written with *",
        }
    )
    nodes = fields.Raw(metadata={**_NODES, "minItems": 1})
    outputs = fields.Raw(metadata={**NAMES, "minItems": 1})
    inputs = fields.Raw(metadata={**NAMES, "description": "The order of the Input nodes, where nodes are given"})
    weights = JsonObject(
        load_default=dict,
        metadata={
            **WEIGHTS,
            "description": "Tensors that are stored, for inputs: the values of these wherever none are given",
        },
    )
    tags = Tags(load_default=dict)

    @ma.validates_schema
    def check_form(self, data: dict[str, Any], **options: Any) -> None:
        """Require one of the two forms, and inputs only with nodes, since an expression orders its own."""
        if ("expression" in data) == ("nodes" in data):
            raise ma.ValidationError("either expression or nodes is expected")
        if "expression" in data and "inputs" in data:
            raise ma.ValidationError(
                "an expression orders its inputs itself, as F(a, b) = … does: leave inputs out", "inputs"
            )


class ImportQuery(Query):
    """How an ONNX model is imported; left out where the body is JSON."""

    name = Label(metadata={"description": "The graph's name; needed where the body is a model"})
    input = fields.List(
        StrictString(),
        metadata={
            "description": "The shape of an input whose own is not enough, NAME=LENGTH,LENGTH…, parted at the last =; "
            "or the value of an input that is one whole number, NAME=NUMBER, on which an If may depend. One for each "
            "such input"
        },
    )
    outputs = fields.List(
        StrictString(), metadata={"description": "A tensor that is an output, instead of the model's own; one for each"}
    )


class NodesRequest(Request):
    """Nodes to add to a stored graph."""

    nodes = fields.Raw(required=True, metadata=_NODES)
    outputs = fields.Raw(metadata={**NAMES, "minItems": 1})
    tags = Tags(load_default=dict)


class GraphChanges(Request):
    """What of a graph is changed; null takes all tags away."""

    tags = TagChanges(allow_none=True)


class GraphsQuery(TaggedQuery):
    """Graphs of a name, with a tag, or with a text in name or expression."""

    name = StrictString()
    sort = order("created_at", "name")


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
    weights = fields.Dict(metadata={**WEIGHTS, "description": "The tensors of inputs; left out if there are none"})
    tags = fields.Dict(required=True, metadata=TAGS)
    created_at = fields.DateTime(required=True)


class GraphDocument(GraphSummary):
    """A graph with the first 1,000 of its nodes in topological order."""

    hints = fields.List(
        fields.String(),
        metadata={"description": "What the posted text may have meant otherwise, such as exp(x) for e^x; else absent"},
    )
    parts = fields.Raw(
        metadata={
            "type": "array",
            "items": reference("Part"),
            "description": "What nodes were expanded from: a part h has the node h and those named h/…; else absent",
        }
    )
    warnings = fields.List(
        fields.String(),
        metadata={
            "description": "Where an imported model is, or may be, not as the program that it was exported from, such "
            "as weights that have several uses; left out if none"
        },
    )
    nodes = fields.Raw(required=True, metadata=NODES)
    next = fields.String(required=True, allow_none=True)


class GraphPage(ma.Schema):
    """A page of graphs, newest first."""

    graphs = fields.List(fields.Nested(GraphSummary), required=True)
    next = fields.String(required=True, allow_none=True)


class GraphNodePage(ma.Schema):
    """A page of a graph's nodes in topological order."""

    nodes = fields.Raw(required=True, metadata=NODES)
    next = fields.String(required=True, allow_none=True)
