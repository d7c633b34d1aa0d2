"""Schemas of the rulebook; see `schemas.py`."""

import marshmallow as ma
from marshmallow import fields


class FormulaSchema(ma.Schema):
    """A formula in the service's own expression language, in LaTeX and in MathML."""

    text = fields.String(required=True)
    latex = fields.String(required=True)
    mathml = fields.String(required=True, metadata={"description": "Presentation MathML, to be put inside <math>"})


class LocalGradient(FormulaSchema):
    """The formula of one operand's local gradient; z is the operation's value."""

    operand = fields.String(required=True)


class Kink(FormulaSchema):
    """Where no derivative exists, and what is returned there."""

    returned = fields.String(required=True)


class AttributeDocument(ma.Schema):
    """An attribute of an operation."""

    name = fields.String(required=True)
    required = fields.Boolean(required=True)
    default = fields.Raw(required=True, allow_none=True)


class Composition(ma.Schema):
    """What an operation is composed of, at these shapes of its operands."""

    summary = fields.String(required=True)
    outputs = fields.List(fields.String(), required=True, metadata={"description": "Empty if there is but one"})
    definition = fields.String(required=True, metadata={"description": "Statements in the expression language"})
    shapes = fields.Dict(keys=fields.String(), values=fields.List(fields.Integer()), required=True)


class OperationDocument(ma.Schema):
    """One operation of the rulebook."""

    name = fields.String(required=True)
    aliases = fields.List(fields.String(), required=True)
    operands = fields.List(fields.String(), required=True)
    least_inputs = fields.Integer(required=True)
    most_inputs = fields.Integer(required=True, allow_none=True)
    attributes = fields.List(fields.Nested(AttributeDocument), required=True)
    rule = fields.Nested(FormulaSchema, required=True, allow_none=True)
    local_gradients = fields.List(fields.Nested(LocalGradient), required=True)
    contributions = fields.List(fields.Nested(LocalGradient), required=True)
    nondifferentiable = fields.Nested(Kink, required=True, allow_none=True)
    conventions = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.Nested(LocalGradient)),
        metadata={
            "description": "The local gradients or contributions of libraries that choose differently there: PyTorch "
            "2.13, JAX 0.10.2 and TensorFlow 2.21. Empty where no formula says it; a library that is not named returns "
            "the same"
        },
    )
    composed = fields.Nested(
        Composition, metadata={"description": "For an operation that is expanded into others; it has no rules"}
    )


class OperationPage(ma.Schema):
    """The whole rulebook."""

    operations = fields.List(fields.Nested(OperationDocument), required=True)
    next = fields.String(required=True, allow_none=True)
