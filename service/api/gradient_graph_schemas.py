"""Schemas of formulas and gradient graphs; see `schemas.py`."""

import marshmallow as ma
from marshmallow import fields

from service.api.components import DISTINCT_NAMES
from service.api.schemas import Label, NodeName, Query, Request, Tags


class FormulaQuery(Query):
    """The node, and the node to differentiate it with respect to."""

    of = NodeName(metadata={"description": "Any node; left out, the graph's only output"})
    wrt = NodeName(metadata={"description": "Any node; left out, the formula is that of the node itself"})


class FormulaDocument(ma.Schema):
    """One formula in the graph's inputs, as an equation in three languages."""

    expression = fields.String(required=True, metadata={"description": "It can be posted as a graph"})
    latex = fields.String(required=True)
    mathml = fields.String(required=True, metadata={"description": "Presentation MathML, to be put inside <math>"})


class GradientGraphRequest(Request):
    """What to differentiate, and with respect to which nodes."""

    output = NodeName(metadata={"description": "Any node; left out, the graph's only output"})
    wrt = fields.Raw(metadata={**DISTINCT_NAMES, "description": "Any nodes; left out, all inputs"})
    name = Label(metadata={"description": "Left out, the graph's name and d<output>"})
    tags = Tags(load_default=dict)
