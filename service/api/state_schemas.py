"""Schemas of the limits and of the service's state."""

import marshmallow as ma
from marshmallow import fields


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
    """Whether the service is healthy."""

    status = fields.String(required=True)
