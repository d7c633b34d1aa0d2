"""Schemas of tensors; see `schemas.py`."""

import marshmallow as ma
from marshmallow import fields

from service.api.components import DIGEST


class TensorDocument(ma.Schema):
    """A stored tensor: its digest, and of its .npy the dtype as NumPy writes it, the shape and the length."""

    digest = fields.String(required=True, metadata=DIGEST)
    dtype = fields.String(required=True)
    shape = fields.List(fields.Integer(), required=True)
    bytes = fields.Integer(required=True)
    created_at = fields.DateTime(required=True)
