"""Schemas of jobs; see `schemas.py`."""

import marshmallow as ma
from marshmallow import fields

from service.api.schemas import ListQuery, StrictString, one_of
from service.storage.jobs import KINDS, STATES


class JobsQuery(ListQuery):
    """Jobs in a state, or of a kind."""

    state = StrictString(validate=one_of(*STATES))
    kind = StrictString(validate=one_of(*KINDS))


class JobDocument(ma.Schema):
    """A job: how far it has come, and where its result is or why it has none."""

    id = fields.String(required=True)
    kind = fields.String(required=True, validate=ma.validate.OneOf(KINDS))
    state = fields.String(required=True, validate=ma.validate.OneOf(STATES))
    graph_id = fields.String(required=True, allow_none=True)
    done = fields.Integer(required=True, metadata={"description": "of `total`; it never becomes less"})
    total = fields.Integer(required=True)
    unit = fields.String(required=True, metadata={"description": "what is counted: points, requests"})
    estimate = fields.Float(
        required=True,
        allow_none=True,
        metadata={
            "description": "Seconds that it takes in all: as expected from its weight, then from what is done of it; "
            "once it has ended, what it took"
        },
    )
    created_at = fields.String(required=True)
    started_at = fields.String(required=True, allow_none=True)
    ended_at = fields.String(required=True, allow_none=True)
    expires_at = fields.String(
        required=True, allow_none=True, metadata={"description": "When it is deleted with all that it did"}
    )
    result = fields.String(
        required=True, allow_none=True, metadata={"description": "The path of what came of it; null until it is done"}
    )
    problem = fields.Dict(
        keys=fields.String(),
        required=True,
        allow_none=True,
        metadata={"description": "Why it failed, as a problem document; null unless it did"},
    )


class JobPage(ma.Schema):
    """A page of jobs."""

    jobs = fields.List(fields.Nested(JobDocument), required=True)
    next = fields.String(required=True, allow_none=True)


class ResultDocument(ma.Schema):
    """What the request is answered when it is not done as a job."""

    class Meta:
        unknown = ma.INCLUDE
