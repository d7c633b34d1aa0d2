"""The tutorial's story: its function at its point, the figures that it prints, and what is found about them."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from markupsafe import Markup

from service import example
from service.core.comparison.judging import compare
from service.core.comparison.verdicts import TOLERANCES, Comparison
from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.figures.figures import pack
from service.core.graph.building import assemble_graph
from service.core.language.expression import parse_expression
from service.web.pages.pictures import inline_picture
from service.web.subjects import comparison_subject
from service.web.view import choose_view


@dataclass(frozen=True)
class Story:
    """What the welcome page tells: the comparison of the tutorial's figures with the right ones, and its picture."""

    found: Comparison
    picture: Markup


@cache
def tell_story() -> Story:
    """Run the tutorial's function, and hold what the tutorial prints against the right figures."""
    parsed = parse_expression(example.EXPRESSION, max_bytes=len(example.EXPRESSION), max_depth=10)
    graph, inputs = assemble_graph(parsed), {name: np.asarray(value) for name, value in example.INPUTS.items()}
    values = forward_pass(graph, inputs, max_elements=len(graph), max_tensor=1)
    output, one = graph.outputs[0], np.ones(())
    right = Run(graph, values, backward=Backward(output, one, backward_pass(graph, values, output, one)))
    given = pack([inputs.get(node.name) for node in graph.nodes])
    printed = pack([np.float64(example.TUTORIAL_GRADIENTS[node.name]) for node in graph.nodes])
    claimed = Run(graph, given, backward=Backward(output, one, printed))
    found = compare(right, claimed, TOLERANCES["float64"])
    picture = inline_picture(comparison_subject(found, "tutorial"), choose_view(graph, None, None))
    return Story(found, picture)
