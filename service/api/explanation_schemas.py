"""Schemas of explanations; see `schemas.py`."""

import marshmallow as ma
from marshmallow import fields

from service.api.components import ARRAY, ARRAY_OR_NULL, NUMBER, NUMBER_OR_NULL
from service.api.schemas import NodeName, PageQuery, Query, QueryInt

_MATHML = {"description": "Presentation MathML, to be put inside <math>"}
_NUMBERS = {"description": "The formula with numbers substituted, and its value; null where a number is not known"}
_FRACTIONS = {"description": "The same with 2 / 3 for 0.666…; left out where no number is close to a simple fraction"}


_COUNT = {
    "description": "The exact number of all paths; above 2^53, beyond which JSON readers round, a string of its digits",
    "oneOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]+$"}],
}


class StepsQuery(PageQuery):
    """A page of steps, or the steps of one node."""

    node = NodeName()


class LineDocument(ma.Schema):
    """A formula, and the same with numbers substituted; a tensor appears as its shape."""

    formula = fields.String(required=True)
    formula_latex = fields.String(required=True)
    formula_mathml = fields.String(required=True, metadata=_MATHML)
    numbers = fields.String(required=True, allow_none=True, metadata=_NUMBERS)
    numbers_latex = fields.String(required=True, allow_none=True)
    numbers_mathml = fields.String(required=True, allow_none=True)
    fractions = fields.String(metadata=_FRACTIONS)
    fractions_latex = fields.String()
    fractions_mathml = fields.String()


class ContributionDocument(LineDocument):
    """What one out-edge contributes to a gradient: upstream × local, summed where the operand was broadcast.

    `operand` is the node's index among the consumer's inputs, from 0. `local` is null where the operation is not
    elementwise; the formula is then that of the product.
    """

    consumer = fields.String(required=True)
    operand = fields.Integer(required=True)
    rule = fields.String(required=True)
    local = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    upstream = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    product = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    closed = fields.String(
        metadata={"description": "Where the consumer does not change with the operand: that nothing passes, in words"}
    )


class StepDocument(LineDocument):
    """A step: forward, an operation with its value; backward, a gradient as the sum of its contributions.

    The numbers, and `sum`, are computed from the run's own figures; a value that was not recorded is inferred from
    those that were. `difference` is how far they are from the run's value or gradient, null where they are
    bit-identical or one is not known. Of more than 1,000 contributions the first 1,000 are listed; their figures are
    null where they would have more than a million numbers together.
    """

    phase = fields.String(required=True, validate=ma.validate.OneOf(["forward", "backward"]))
    node = fields.String(required=True)
    shape = fields.List(fields.Integer(), metadata={"description": "Of a figure that is not a scalar"})
    operation = fields.String(metadata={"description": "Forward"})
    inputs = fields.List(fields.String(), metadata={"description": "Forward"})
    rule = fields.String(metadata={"description": "Forward"})
    value = fields.Raw(metadata={**ARRAY_OR_NULL, "description": "Forward"})
    seed = fields.Raw(
        metadata={**ARRAY, "description": "Backward, at the output; left out where it has too many elements for a list"}
    )
    contributions = fields.List(fields.Nested(ContributionDocument), metadata={"description": "Backward"})
    contribution_count = fields.Integer(metadata={"description": "Backward"})
    sum = fields.Raw(metadata={**ARRAY_OR_NULL, "description": "Backward"})
    gradient = fields.Raw(metadata={**ARRAY_OR_NULL, "description": "Backward"})
    difference = fields.Raw(required=True, metadata=NUMBER_OR_NULL)


class StepPage(ma.Schema):
    """A page of steps: forward in topological order, then backward in the order of the sweep."""

    steps = fields.List(fields.Nested(StepDocument), required=True)
    next = fields.String(required=True, allow_none=True)


class PathsQuery(Query):
    """The node where paths start, and how many to list."""

    node = NodeName(required=True)
    limit = QueryInt(metadata={"x-limits": {"maximum": "page"}})


class FactorDocument(ma.Schema):
    """The local gradient of a node with respect to one of its operands, the one at index `operand`, from 0."""

    of = fields.String(required=True)
    wrt = fields.String(required=True)
    operand = fields.Integer(required=True)
    value = fields.Raw(required=True, metadata=NUMBER)


class PathDocument(ma.Schema):
    """A path by its nodes, and by the factors from each to the next; `product` is the seed times all factors."""

    nodes = fields.List(fields.String(), required=True)
    factors = fields.List(fields.Nested(FactorDocument), required=True)
    product = fields.Raw(required=True, metadata=NUMBER)


class PathsDocument(LineDocument):
    """The largest paths by magnitude, largest first, and the sum of all of them, the gradient.

    `formula` writes the sum by local gradients, `expanded` by their formulas, null where an operation has none. `share`
    is listed_sum / sum: 1 where all are listed, more where others cancel, null where it is not a number. `gradient` is
    the run's own, null before a backward pass.
    """

    node = fields.String(required=True)
    output = fields.String(required=True)
    seed = fields.Raw(required=True, metadata=NUMBER)
    paths = fields.List(fields.Nested(PathDocument), required=True)
    path_count = fields.Raw(required=True, metadata=_COUNT)
    sum = fields.Raw(required=True, metadata=NUMBER)
    listed_sum = fields.Raw(required=True, metadata=NUMBER)
    share = fields.Raw(required=True, metadata=NUMBER_OR_NULL)
    gradient = fields.Raw(required=True, metadata=NUMBER_OR_NULL)
    expanded = fields.String(required=True, allow_none=True)
    expanded_latex = fields.String(required=True, allow_none=True)
    expanded_mathml = fields.String(required=True, allow_none=True)
