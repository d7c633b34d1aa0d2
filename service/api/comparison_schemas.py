"""Schemas of comparisons and checks; see `schemas.py`."""

import marshmallow as ma
from marshmallow import fields

from service.api.alignment_schemas import AlignmentDocument, PairedRuns
from service.api.components import (
    ARRAY_OR_NULL,
    NUMBER,
    NUMBER_OR_NULL,
    SOME_FIGURES,
    TOLERANCE,
    given,
    given_figures,
)
from service.api.rounding_schemas import AmplifierDocument
from service.api.schemas import (
    REFERENCES,
    JsonObject,
    Label,
    ListQuery,
    NodeName,
    PageQuery,
    Query,
    Request,
    StrictBool,
    StrictString,
    Tags,
)
from service.usecases.alignments import ALIGNMENTS

_CLAIMED = {
    "description": "By node a number, or nested lists of numbers, each of which may be text. Text is a fraction (2/3, "
    "1 1/3), or a decimal (0.667, ≈0.667, 0,667) right to its last digit. Where tolerance is left out a number with a "
    "fraction and two significant digits or more may be rounded to its last digit too; whole numbers are exact. "
    "null claims that there is no figure.",
    **given_figures("WrittenFigure", none=True),
}
_TOLERANCE_OR_COARSER = {
    **TOLERANCE,
    "description": "Left out: that of the coarser of the two runs' dtypes, float64 unless one of them is coarser",
}


class ComparisonRequest(PairedRuns):
    """Two runs to compare."""

    tolerance = fields.Raw(metadata=_TOLERANCE_OR_COARSER)
    align = StrictString(
        load_default=ALIGNMENTS[0],
        validate=ma.validate.OneOf(ALIGNMENTS, error="names or probes is expected"),
        metadata={
            "description": "What pairs the nodes that `names` leaves out: their names, or what they compute at the "
            "same random inputs, as `align_runs` says"
        },
    )


class Claims(Request):
    """Figures that somebody claims."""

    more = SOME_FIGURES
    by = Label()
    values = JsonObject(metadata=_CLAIMED)
    gradients = JsonObject(metadata=_CLAIMED)


class CheckRequest(Request):
    """Claims to check against a run at these inputs."""

    as_written = True
    inputs = JsonObject(required=True, metadata=given_figures("WrittenFigure"))
    claims = fields.Nested(Claims, required=True)
    output = NodeName()
    seed = fields.Raw(metadata=given("WrittenFigure"))
    tolerance = fields.Raw(metadata=_TOLERANCE_OR_COARSER)
    keep = StrictBool(load_default=True, metadata={"description": "false: check and answer, store nothing"})
    label = Label(load_default=None, metadata={"description": "A label of the run that holds the claims"})
    tags = Tags(load_default=dict, metadata={"description": "Tags of the run that holds the claims"})


class GraphComparisonsQuery(ListQuery):
    """Comparisons with that verdict."""

    verdict = StrictString(validate=ma.validate.OneOf(["same", "differ"], error="same or differ is expected"))


class ComparisonsQuery(GraphComparisonsQuery):
    """Such comparisons, of all runs, or that have a run, or a run of a graph, on either side."""

    run = StrictString(metadata={"description": REFERENCES["run"]})
    graph = StrictString(metadata={"description": REFERENCES["graph"]})


class ComparisonQuery(Query):
    """Which figures to show, and in what order."""

    shown = StrictString(
        data_key="only",
        validate=ma.validate.OneOf(["differences", "origins"], error="differences or origins is expected"),
    )
    order = StrictString(
        validate=ma.validate.OneOf(["topological", "relative_error"], error="topological or relative_error is expected")
    )


class NodesOfComparisonQuery(ComparisonQuery, PageQuery):
    """A page of figures."""


_SENTENCE = {"description": "The sentence as HTML: escaped text, with each formula in MathML"}


class HypothesisDocument(ma.Schema):
    """A mistake that may explain a figure, in a sentence with its numbers."""

    name = fields.String(required=True)
    sentence = fields.String(required=True)
    sentence_mathml = fields.String(required=True, metadata=_SENTENCE)
    error = fields.Raw(required=True, metadata=NUMBER_OR_NULL)


class Place(ma.Schema):
    """A figure: a node's value (forward) or gradient (backward)."""

    phase = fields.String(required=True, validate=ma.validate.OneOf(["forward", "backward"]))
    node = fields.String(required=True)


class MissingFigure(Place):
    """A figure that the baseline has and the candidate lacks; "none" if it says that there was no such figure."""

    given = fields.String(required=True, validate=ma.validate.OneOf(["none", "absent"]))


class CompensatedFigure(Place):
    """A figure that is right although what it follows from is not; `sentence` says what it would be."""

    sentence = fields.String(required=True)
    sentence_mathml = fields.String(required=True, metadata=_SENTENCE)


class FindingSchema(Place):
    """A figure with what explains it; `sentence` says what it is, what it should be, why, and the best hypothesis."""

    sentence = fields.String(required=True)
    sentence_mathml = fields.String(required=True, metadata=_SENTENCE)
    hypotheses = fields.List(fields.Nested(HypothesisDocument), required=True)


class CauseSchema(ma.Schema):
    """One finding, and the origins that it explains; each of the first 100 origins stands in one."""

    sentence = fields.String(required=True)
    sentence_mathml = fields.String(required=True, metadata=_SENTENCE)
    explains = fields.List(fields.Nested(Place), required=True)


class GrownRoundingSchema(Place):
    """What rounding in both runs may do to the first figure that differs, where nothing introduced that difference.

    `likely` and `greatest` are absolute errors at the element `worst` of a tensor, and `seen` is how far the runs are
    apart there; of a gradient no greatest error is known. `amplifier` is the node that amplifies relative errors, null
    if none does much.
    """

    dtype = fields.String(required=True)
    worst = fields.List(fields.Integer())
    likely = fields.Raw(required=True, metadata=NUMBER)
    greatest = fields.Raw(required=True, metadata=NUMBER_OR_NULL)
    seen = fields.Raw(required=True, metadata=NUMBER)
    amplifier = fields.Nested(AmplifierDocument, required=True, allow_none=True)
    sentence = fields.String(required=True)


class ComparedCounts(ma.Schema):
    """How many figures were compared."""

    values = fields.Integer(required=True)
    gradients = fields.Integer(required=True)


class MinimumTolerance(ma.Schema):
    """The least rtol, with atol 0, and the least atol, with rtol 0, under which the runs are the same; null if none."""

    rtol = fields.Float(required=True, allow_none=True)
    atol = fields.Float(required=True, allow_none=True)


class ComparisonNode(ma.Schema):
    """One figure; of a tensor, the errors of its worst element, whose index is `worst`."""

    name = fields.String(required=True)
    baseline_name = fields.String(metadata={"description": "What the baseline calls the node, where that is otherwise"})
    phase = fields.String(required=True)
    baseline = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    candidate = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    expected = fields.Raw(required=True, metadata=ARRAY_OR_NULL)
    absolute_error = fields.Raw(required=True, metadata=NUMBER)
    relative_error = fields.Raw(required=True, metadata=NUMBER)
    ulps = fields.Integer(required=True, allow_none=True)
    verdict = fields.String(
        required=True, validate=ma.validate.OneOf(["same", "origin", "inherited", "compensated", "convention"])
    )
    conventions = fields.List(
        fields.String(), metadata={"description": "Whose choices at a point without a derivative give this figure"}
    )
    rounded = fields.Boolean(
        metadata={
            "description": "true: claimed rounded to its last digit, which is right; the candidate is the figure itself"
        }
    )
    worst = fields.List(fields.Integer())


class ComparisonSummary(ma.Schema):
    """A comparison without its figures."""

    id = fields.String(required=True)
    baseline = fields.String(required=True)
    candidate = fields.String(required=True)
    verdict = fields.String(required=True, validate=ma.validate.OneOf(["same", "differ"]))
    tolerance = fields.Raw(required=True, metadata=TOLERANCE)
    names = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    align = fields.String(required=True, validate=ma.validate.OneOf(ALIGNMENTS))
    counts = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    created_at = fields.DateTime(required=True)


class ComparisonDocument(ComparisonSummary):
    """A comparison with the first 1,000 of its figures."""

    arose = fields.Boolean(
        required=True,
        metadata={
            "description": "Whether an origin or a convention exists; else every difference was inherited from errors "
            "below the tolerance"
        },
    )
    sentence = fields.String(
        required=True, allow_none=True, metadata={"description": "That the inputs differ, or that nothing arose"}
    )
    alignment = fields.Nested(AlignmentDocument, metadata={"description": "Where nodes were aligned by probes"})
    compared = fields.Nested(ComparedCounts, required=True)
    only_in_baseline = fields.List(fields.String(), required=True)
    only_in_candidate = fields.List(fields.String(), required=True)
    first_difference = fields.Nested(FindingSchema, required=True, allow_none=True)
    rounding = fields.Nested(GrownRoundingSchema)
    origins = fields.List(fields.Nested(FindingSchema), required=True)
    causes = fields.List(fields.Nested(CauseSchema), required=True)
    inherited = fields.List(fields.Nested(Place), required=True)
    compensated = fields.List(fields.Nested(CompensatedFigure), required=True)
    missing = fields.List(fields.Nested(MissingFigure), required=True)
    minimum_tolerance = fields.Nested(MinimumTolerance, required=True)
    nodes = fields.List(fields.Nested(ComparisonNode), required=True)
    next = fields.String(required=True, allow_none=True)


class UnkeptComparisonDocument(ComparisonDocument):
    """A comparison that is not stored, with all its figures."""

    id = fields.String(required=True, allow_none=True, dump_default=None)
    baseline = fields.String(required=True, allow_none=True)
    candidate = fields.String(required=True, allow_none=True)


class ComparisonPage(ma.Schema):
    """A page of comparisons, newest first."""

    comparisons = fields.List(fields.Nested(ComparisonSummary), required=True)
    next = fields.String(required=True, allow_none=True)


class ComparisonNodePage(ma.Schema):
    """A page of a comparison's figures."""

    nodes = fields.List(fields.Nested(ComparisonNode), required=True)
    next = fields.String(required=True, allow_none=True)
