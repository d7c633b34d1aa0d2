"""Schemas of alignments; see `schemas.py`."""

from typing import Any

import marshmallow as ma
from marshmallow import fields

from service.api.components import NODE_NAME
from service.api.schemas import REFERENCES, JsonObject, Request, StrictString
from service.core.alignment.alignment import How


class PairedRuns(Request):
    """Two runs, and names of nodes that are one."""

    baseline = StrictString(required=True, metadata={"description": REFERENCES["run"]})
    candidate = StrictString(required=True, metadata={"description": REFERENCES["run"]})
    names = JsonObject(
        load_default=dict,
        metadata={
            "type": "object",
            "additionalProperties": {"type": "string", **NODE_NAME},
            "x-more": {"propertyNames": {"type": "string", **NODE_NAME}},
            "description": "candidate → baseline",
        },
    )

    @ma.validates_schema
    def check_names(self, data: dict[str, Any], **options: Any) -> None:
        """Names lead to names."""
        wrong = {name: ["a string is expected"] for name, other in data["names"].items() if not isinstance(other, str)}
        if wrong:
            raise ma.ValidationError({"names": wrong})


class AlignmentRequest(PairedRuns):
    """Two runs whose nodes to pair."""


class UnpairedNodes(ma.Schema):
    """The nodes of each graph without a partner in the other."""

    candidate = fields.List(fields.String(), required=True)
    baseline = fields.List(fields.String(), required=True)


class AlignmentDocument(ma.Schema):
    """Which nodes of two graphs are one; of a comparison, the first 1,000 of each list."""

    pairs = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "candidate → baseline; a comparison that is aligned by probes takes them as `names`"},
    )
    how = fields.Dict(
        keys=fields.String(),
        values=fields.String(validate=ma.validate.OneOf([how.value for how in How])),
        required=True,
        metadata={
            "description": "How each pair was found: by name; by equal figures on the probes; by structure, that is by "
            "its operands or its use; or verified, which most of what follows agrees with"
        },
    )
    counts = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "How many pairs were found in each way, of all"},
    )
    cuts = fields.List(
        fields.List(fields.String(), validate=ma.validate.Length(equal=2)),
        required=True,
        metadata={"description": "The pairs, candidate and baseline, that compute another function"},
    )
    layouts = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "The pairs whose elements lie otherwise, transposed or reshaped"},
    )
    unpaired = fields.Nested(UnpairedNodes, required=True)
