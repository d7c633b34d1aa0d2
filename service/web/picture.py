"""Draw a graph as accessible SVG."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from service.core.caches import Cache
from service.web.captions import Subject, text_width, write_captions
from service.web.columns import Edge
from service.web.layout import Box, Layout, Stretch, lay_out
from service.web.legend import legend
from service.web.nodes import (
    Axes,
    Drawn,
    draw_body,
    draw_flag,
    draw_labels,
    draw_outline,
    draw_ring,
    draw_tail,
    draw_target,
    measure,
)
from service.web.style import NAME, write_style
from service.web.svg import Markup, element, text_element
from service.web.view import View

MARGIN = 14.0
NOTE_LINE, _NARROWEST_NOTE = 1.5 * NAME, 300.0
_BOW, _WIDEST_BOW = 7.0, 28.0  # between two edges from one node to another, and between many

# In a page: how many units are an em, how much they may be scaled, and the width in em of the column to fill by that.
_EM, _SMALLEST, _LARGEST, _COLUMN, _NARROW_COLUMN = 16.0, 0.95, 1.4, 43.1, 18.0

Link = Callable[[str], str]  # the address of a page around the node of that name


@dataclass(frozen=True, slots=True)
class Plan:
    """What is drawn and where; `strands` says of each of the edges from one node to another whether it is closed."""

    subject: Subject
    view: View
    axes: Axes
    nodes: Sequence[Drawn]
    strands: Mapping[Edge, Sequence[bool]]
    layout: Layout

    @property
    def key(self) -> str:
        """The id of the picture, with which all ids in it begin."""
        view, parts = self.view, [self.subject.key]
        if view.focus is not None:
            parts += [str(self.subject.graph.position[view.focus]), str(view.hops)]
        return "-".join([*parts, "down"] if self.axes.down else parts)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height, without margins."""
        return self.axes.turn(self.layout.width, self.layout.height)


def draw_svg(subject: Subject, view: View, *, down: bool = False) -> Markup:
    """Draw the view as SVG: operation and name in each node, value above its out-edge and gradient below.

    Edges run from left to right or, for narrow screens, downwards, with both figures on their right.
    """
    plan = plan_picture(subject, view, Axes(down))
    notes = [view.sentence, legend(subject, view)]
    lines = [line for note in notes if note for line in wrapped(note, max(plan.size[0], _NARROWEST_NOTE))]
    width = max([plan.size[0], *(text_width(line, NAME) for line in lines)]) + 2 * MARGIN
    below = plan.size[1] + MARGIN + NAME  # of the drawing
    height = below + NOTE_LINE * len(lines) + MARGIN - NAME
    return _root(
        plan,
        (width, height),
        {"width": f"{width:.0f}", "height": f"{height:.0f}"},
        element("style", write_style(plan.key)),
        element("rect", class_="paper", width="100%", height="100%", rx=6),
        _draw(plan, inline=False),
        *(
            text_element("text", line, class_="note", x=MARGIN, y=below + NOTE_LINE * (rank + 1) - NAME / 2)
            for rank, line in enumerate(lines)
        ),
    )


def draw_inline(subject: Subject, view: View, *, down: bool = False, link: Link | None = None) -> Markup:
    """Draw the same for a page, whose style sheet has its rules (class `pic`); it grows with the page's type.

    What would be too small if it were fitted into a column has the class `wide`, and is to be scrolled.

    `view.sentence` and `legend` are left to the page. Where edges are cut, `link` leads on.
    """
    plan = plan_picture(subject, view, Axes(down))
    width, height = plan.size[0] + 2 * MARGIN, plan.size[1] + 2 * MARGIN
    filling = (_NARROW_COLUMN if down else _COLUMN) * _EM / width
    scale = min(max(_SMALLEST, filling), _LARGEST)
    kinds = ["pic", *(["down"] if down else []), *(["wide"] if filling < _SMALLEST else [])]
    attributes = {"class_": " ".join(kinds), "width": f"{scale * width / _EM:.2f}em"}
    return _root(plan, (width, height), attributes, _draw(plan, inline=True, link=link))


def plan_picture(subject: Subject, view: View, axes: Axes) -> Plan:
    """Measure what the view shows, and lay it out."""
    operands, rank = subject.graph.operands, {position: index for index, position in enumerate(view.positions)}
    captions = write_captions(subject, view.positions)
    nodes = [
        measure(subject, position, caption, rank, axes)
        for position, caption in zip(view.positions, captions, strict=True)
    ]
    strands: dict[Edge, list[bool]] = {}
    for position, caption in zip(view.positions, captions, strict=True):
        for index, source in enumerate(operands[position]):
            if source in rank:
                strands.setdefault((rank[source], rank[position]), []).append(index in caption.closed)
    layout = _lay_out(tuple(node.box for node in nodes), tuple(strands))
    return Plan(subject, view, axes, nodes, strands, layout)


def _lay_out(boxes: tuple[Box, ...], edges: tuple[Edge, ...]) -> Layout:
    """Lay out boxes, cached: box widths are rounded, so that most runs of one graph share a layout."""
    return layouts.get((boxes, edges), lambda: lay_out(boxes, edges))


# A layout and its key take about 500 bytes for each box and 300 for each edge.
layouts: Cache[Hashable, Layout] = Cache(
    16 * 1024 * 1024, lambda layout: 1000 + 500 * len(layout.centres) + 300 * len(layout.routes)
)


# --- writing ------------------------------------------------------------------------------------------------------


def _root(plan: Plan, size: tuple[float, float], attributes: Mapping[str, str], *children: Markup) -> Markup:
    key = plan.key
    told = {"aria_labelledby": f"{key}-title", "aria_describedby": f"{key}-description"}
    return element(
        "svg",
        text_element("title", plan.subject.title, id=told["aria_labelledby"]),
        text_element("desc", _description(plan), id=told["aria_describedby"]),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        id=key,
        role="graphics-document document",
        **told,
        **attributes,
        viewBox=f"0 0 {size[0]:.0f} {size[1]:.0f}",
    )


def _description(plan: Plan) -> str:
    subject, down = plan.subject, plan.axes.down
    way = "from top to bottom" if down else "from left to right"
    told = [f"Edges run {way}, from what is given to what is computed."]
    if subject.run is not None:
        told.append(f"{'Beside' if down else 'Above'} each node's out-edge stands its value.")
    if subject.implied is not None:
        told.append("A value in brackets is not given, but follows from those that are.")
    if subject.run is not None and subject.run.gradients is not None:
        place = "Below the value" if down else "Below each node's out-edge"
        told.append(f"{place} stands the gradient of {subject.output} with respect to it.")
    if any(map(any, plan.strands.values())):
        told.append("Along a dashed edge no gradient flows: there the node does not change with its operand.")
    if subject.shares.parts:
        error = f"the likely error that rounding to {subject.shares.dtype} makes in {subject.output}"
        told.append(f"The percentage at a node, which is shaded by it, is its share in {error}.")
    if subject.differences:
        told.append("A figure that is not the baseline's is marked as origin, inherited or compensated.")
    return " ".join([*told, *filter(None, [plan.view.sentence])])


def _draw(plan: Plan, *, inline: bool, link: Link | None = None) -> Markup:
    placed = [(node, *plan.axes.turn(*centre)) for node, centre in zip(plan.nodes, plan.layout.centres, strict=True)]
    return element(
        "g",
        element("g", *_edges(plan), class_="edges", aria_hidden="true"),
        element("g", *(_item(plan, *each, inline=inline, cut=link is None) for each in placed), role="list"),
        *(markup for each in placed if each[0].is_first for markup in draw_ring(*each, plan.axes)),
        *(_way_on(plan, *each, side, link) for each in placed for side in (0, 1) if link and each[0].cut[side]),
        transform=f"translate({MARGIN:g} {MARGIN:g})",
    )


def _edges(plan: Plan) -> list[Markup]:
    drawn = []
    for edge, closed in plan.strands.items():
        names = {f"data_{end}": plan.nodes[index].name for end, index in zip(("from", "to"), edge, strict=True)}
        for strand, shut in enumerate(closed):
            path = edge_path(plan.layout.routes[edge], strand * min(_BOW, _WIDEST_BOW / len(closed)), plan.axes)
            drawn.append(element("path", **({"class_": "closed"} if shut else {}), d=path, **names))
    return drawn


def _item(plan: Plan, node: Drawn, x: float, y: float, *, inline: bool, cut: bool) -> Markup:
    """The drawing of one node: its body, stubs and labels, and, unless they lead on, the edges that are `cut`."""
    seen = draw_outline(node, x, y, plan.axes)
    if inline:
        seen.append(draw_flag(node, plan.subject.flags.get(node.position, ""), x, y))
    seen += draw_body(node, x, y)
    for side in (0, 1):
        if cut and node.cut[side]:
            seen += draw_tail(node, side, x, y, plan.axes)
    seen += draw_labels(node, x, y, plan.axes)
    kinds = ["node", node.caption.kind, *node.caption.marks, *(["focus"] if node.name == plan.view.focus else [])]
    return element(
        "g",
        *([] if inline else [text_element("title", node.words)]),
        element("g", *seen, aria_hidden="true"),
        class_=" ".join(kinds),
        role="listitem",
        data_node=node.name,
        aria_label=node.words,
        id=f"{plan.key}-node-{node.position}",
    )


def _way_on(plan: Plan, node: Drawn, x: float, y: float, side: int, link: Link) -> Markup:
    """What is drawn of edges that lead out of the picture, as a link to the first node there."""
    graph, others = plan.subject.graph, dict.fromkeys(node.cut[side])
    name = graph.nodes[next(iter(others))].name
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    words = f"{name}{more}, {'after' if side else 'before'} {node.name}"
    seen = draw_tail(node, side, x, y, plan.axes)
    return element("a", draw_target(node, side, x, y, plan.axes), *seen, class_="on", href=link(name), aria_label=words)


def edge_path(route: Sequence[Stretch], bow: float, axes: Axes) -> str:
    """A path of level stretches joined by smooth curves; a bow in the first curve keeps parallel edges apart."""
    path = [f"M{axes.point(route[0].start, route[0].y)}{axes.level(route[0].end)}"]
    for before, after in pairwise(route):
        middle = (before.end + after.start) / 2
        bends = f"{axes.point(middle, before.y + bow)} {axes.point(middle, after.y + bow)}"
        path.append(f"C{bends} {axes.point(after.start, after.y)}{axes.level(after.end)}")
        bow = 0.0
    return "".join(path)


def wrapped(text: str, width: float) -> list[str]:
    """Break a text into lines that are not wider than `width`, where its words allow it."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, NAME) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
