"""Draw a graph as accessible SVG."""

from collections.abc import Container, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree as ET

from service.core.caches import Cache
from service.web.captions import Caption, CaptionLine, Subject, text_width, write_caption
from service.web.columns import Edge
from service.web.layout import Box, Layout, Stretch, lay_out
from service.web.style import FIGURE, NAME, SIGN, write_style
from service.web.view import View

MARGIN = 14.0
_ONE_LINE, _TWO_LINES = 30.0, 40.0  # heights of a node's body
_LEAD = 10.0  # the space before the body for the arrowhead
_STUB, _BARE_STUB = 7.0, 8.0  # the margin of a stub on both sides of its label, and its length without one
_CUT = 20.0  # the visible length of an edge that leads out of the picture
_BOW, _WIDEST_BOW = 7.0, 28.0  # between two edges from one node to another, and between many
_CLEAR = 4.0  # between an edge and the figures at it

# In a page: how many units are an em, how much they may be scaled, and the width in em of the column to fill by that.
_EM, _SMALLEST, _LARGEST, _COLUMN = 16.0, 0.95, 1.4, 43.1

_SIZES = {"sign": SIGN, "value": FIGURE, "implied": FIGURE, "gradient": FIGURE, "input": FIGURE}
_RADII = {"input": 6.0, "constant": 0.0}


@dataclass(frozen=True, slots=True)
class _Node:
    """A node to draw: its caption, the size of its body, and the box around body, labels and stubs.

    `joined` says whether edges are drawn into and out of it, `cut` counts the edges on each side that are not.
    """

    name: str
    caption: Caption
    width: float
    height: float
    box: Box
    joined: tuple[bool, bool]
    cut: tuple[int, int]
    is_output: bool


def draw_svg(subject: Subject, view: View) -> str:
    """Draw the view as SVG: operation and name in each node, value above its out-edge and gradient below."""
    return _draw(subject, view, inline=False)


def draw_inline(subject: Subject, view: View) -> str:
    """Draw the same for a page, whose style sheet has its rules (class `pic`); it grows with the page's type."""
    return _draw(subject, view, inline=True)


def _draw(subject: Subject, view: View, *, inline: bool) -> str:
    graph = subject.graph
    rank = {position: index for index, position in enumerate(view.positions)}
    nodes = [_measure(subject, position, rank) for position in view.positions]
    edges: list[Edge] = []
    strands: dict[Edge, list[bool]] = {}  # whether each of the edges between two nodes is closed
    for position, node in zip(view.positions, nodes, strict=True):
        for index, source in enumerate(graph.operands[position]):
            if source in rank:
                edges.append((rank[source], rank[position]))
                strands.setdefault(edges[-1], []).append(index in node.caption.closed)
    layout = _lay_out(tuple(node.box for node in nodes), tuple(edges))
    note_height = 2 * NAME if view.sentence else 0.0
    width = max(layout.width, text_width(view.sentence, NAME)) + 2 * MARGIN
    height = layout.height + note_height + 2 * MARGIN
    key = subject.key if view.focus is None else f"{subject.key}-{graph.position[view.focus]}-{view.hops}"

    root = ET.Element("svg", xmlns="http://www.w3.org/2000/svg", id=key, role="graphics-document document")
    root.attrib |= {"aria-labelledby": f"{key}-title", "aria-describedby": f"{key}-description"}
    root.set("viewBox", f"0 0 {width:.0f} {height:.0f}")
    _add(root, "title", subject.title, id=f"{key}-title")
    _add(root, "desc", _description(subject, view, any(map(any, strands.values()))), id=f"{key}-description")
    if inline:
        scale = min(max(_SMALLEST, _COLUMN * _EM / width), _LARGEST)
        root.attrib |= {"class": "pic", "width": f"{scale * width / _EM:.2f}em"}
    else:
        root.attrib |= {"width": f"{width:.0f}", "height": f"{height:.0f}"}
        _add(root, "style", write_style(key))
        _add(root, "rect", class_="paper", width="100%", height="100%", rx=6)
    drawing = _add(root, "g", transform=f"translate({MARGIN:g} {MARGIN:g})")
    drawn = _add(drawing, "g", class_="edges", aria_hidden="true")
    for edge, closed in strands.items():
        ends = {f"data-{end}": _clean(nodes[index].name) for end, index in zip(("from", "to"), edge, strict=True)}
        for strand, shut in enumerate(closed):
            path = _edge_path(layout.routes[edge], strand * min(_BOW, _WIDEST_BOW / len(closed)))
            _add(drawn, "path", d=path, **({"class_": "closed"} if shut else {})).attrib.update(ends)
    listed = _add(drawing, "g", role="list")
    for position, node, centre in zip(view.positions, nodes, layout.centres, strict=True):
        item = _add_node(listed, node, *centre, inline=inline)
        item.set("id", f"{key}-node-{position}")
        if node.name == view.focus:
            item.set("class", f"{item.get('class')} focus")
    if view.sentence:
        _add(root, "text", view.sentence, class_="note", x=MARGIN, y=height - MARGIN)
    return ET.tostring(root, encoding="unicode")


def _lay_out(boxes: tuple[Box, ...], edges: tuple[Edge, ...]) -> Layout:
    """Lay out boxes, cached: box widths are rounded, so that most runs of one graph share a layout."""
    return _layouts.get((boxes, edges), lambda: lay_out(boxes, edges))


# A layout and its key take about 500 bytes for each box and 300 for each edge.
_layouts: Cache[Hashable, Layout] = Cache(
    16 * 1024 * 1024, lambda layout: 1000 + 500 * len(layout.centres) + 300 * len(layout.routes)
)


def _description(subject: Subject, view: View, is_closed: bool) -> str:
    told = ["Edges run from left to right, from what is given to what is computed."]
    if subject.run is not None:
        told.append("Above each node's out-edge stands its value.")
    if subject.implied is not None:
        told.append("A value in brackets is not given, but follows from those that are.")
    if subject.run is not None and subject.run.gradients is not None:
        told.append(f"Below each node's out-edge stands the gradient of {subject.output} with respect to it.")
    if is_closed:
        told.append("Along a dashed edge no gradient flows: there the node does not change with its operand.")
    if subject.differences:
        told.append("A figure that is not the baseline's is marked as origin, inherited or compensated.")
    return " ".join([*told, *filter(None, [view.sentence])])


# --- nodes --------------------------------------------------------------------------------------------------------


def _measure(subject: Subject, position: int, shown: Container[int]) -> _Node:
    graph, caption = subject.graph, write_caption(subject, position)
    name = graph.nodes[position].name
    is_output = name in graph.outputs or name == subject.output
    ends = graph.operands[position], [consumer for consumer, _ in graph.consumers[position]]
    cut_before, cut_after = (sum(other not in shown for other in others) for others in ends)
    joined_before, joined_after = (any(other in shown for other in others) for others in ends)
    labels = caption.above, caption.below
    lines = [line for label in labels for line in label]
    stub = max(map(_line_width, lines)) + 2 * _STUB if lines else _BARE_STUB if ends[1] or is_output else 0.0
    height = _ONE_LINE if len(caption.body) == 1 else _TWO_LINES
    width = max(_TWO_LINES, max(map(_line_width, caption.body)) + height / 2)
    above, below = (max(height / 2, _CLEAR + sum(map(_line_height, label))) for label in labels)
    box = Box(
        left=width / 2 + (_LEAD if ends[0] else 0.0) + (_CUT if cut_before else 0.0),
        right=width / 2 + stub + (_CUT if cut_after else 0.0),
        above=above,
        below=below,
    )
    joined = joined_before, joined_after or is_output
    return _Node(name, caption, width, height, box, joined, (cut_before, cut_after), is_output)


def _line_size(line: CaptionLine) -> float:
    return _SIZES.get(line.kind, NAME)


def _line_width(line: CaptionLine) -> float:
    return 2 * round(text_width(line.text, _line_size(line)) / 2)


def _line_height(line: CaptionLine) -> float:
    return 1.25 * _line_size(line)


def _add_node(parent: ET.Element, node: _Node, x: float, y: float, *, inline: bool) -> ET.Element:
    caption, words = node.caption, _words(node)
    item = _add(parent, "g", class_=" ".join(["node", caption.kind, *caption.marks]), role="listitem")
    item.attrib |= {"data-node": _clean(node.name), "aria-label": _clean(words)}
    if not inline:
        _add(item, "title", words)
    seen = _add(item, "g", aria_hidden="true")
    left, right = x - node.width / 2, x + node.width / 2
    radius = _RADII.get(caption.kind, node.height / 2)
    _add(seen, "rect", x=left, y=y - node.height / 2, width=node.width, height=node.height, rx=radius)
    if inline:  # room for a mark that the page sets
        corner = (7.0, -2.0) if caption.kind == "input" else (1.0, -4.0)
        _add(seen, "text", "", class_="flag", x=left - corner[0], y=y - node.height / 2 - corner[1])
    start, end = x - node.box.left, x + node.box.right
    inner_start, inner_end = (start + _CUT if node.cut[0] else start), (end - _CUT if node.cut[1] else end)
    if start < left:
        _add(
            seen,
            "path",
            class_="in",
            d=f"M{_number(start if node.joined[0] else inner_start)} {_number(y)}H{_number(left)}",
        )
        _add(seen, "path", class_="arrow", d=_arrow(left, y))
    if end > right:
        _add(
            seen,
            "path",
            class_="out",
            d=f"M{_number(right)} {_number(y)}H{_number(end if node.joined[1] else inner_end)}",
        )
    if node.is_output:
        _add(seen, "path", class_="arrow", d=_arrow(end + 8, y))
    for outer, inner in ((start, inner_start), (end, inner_end)):
        if outer != inner:
            way = f"M{_number(outer)} {_number(y - 11)}Q{_number((outer + inner) / 2)} {_number(y)}"
            _add(seen, "path", class_="cut", d=f"{way} {_number(inner)} {_number(y)}")
    for line, offset in zip(caption.body, (4.5,) if len(caption.body) == 1 else (1.0, 13.0), strict=True):
        _add(seen, "text", line.text, class_=f"body {line.kind}", x=x, y=y + offset)
    middle = (right + inner_end) / 2
    _add_label(seen, caption.above, middle, y - _CLEAR, -1)
    _add_label(seen, caption.below, middle, y + _CLEAR, 1)
    return item


def _words(node: _Node) -> str:
    """The description of a node for screen readers."""
    told = [node.caption.words]
    if node.is_output:
        told.append("an output")
    for count, what in zip(node.cut, ("from nodes", "to nodes"), strict=True):
        if count:
            told.append(f"{count} edge{'s' if count > 1 else ''} {what} that are left out")
    return "; ".join(told)


def _add_label(parent: ET.Element, lines: Sequence[CaptionLine], x: float, y: float, direction: int) -> None:
    """Add lines beside an edge, the first nearest to it; baselines are a quarter of a line above its lower end."""
    for line in lines:
        height = _line_height(line)
        lower = y if direction < 0 else y + height
        text = _add(parent, "text", line.text, class_=f"label {line.kind}", x=x, y=lower - 0.25 * height)
        _add(text, "title", line.full)
        y += direction * height


# --- lines --------------------------------------------------------------------------------------------------------


def _edge_path(route: Sequence[Stretch], bow: float) -> str:
    """An SVG path of level stretches joined by smooth curves; a bow in the first curve keeps parallel edges apart."""
    path = [f"M{_number(route[0].start)} {_number(route[0].y)}H{_number(route[0].end)}"]
    for left, right in pairwise(route):
        middle = _number((left.end + right.start) / 2)
        control = f"{middle} {_number(left.y + bow)} {middle} {_number(right.y + bow)}"
        path.append(f"C{control} {_number(right.start)} {_number(right.y)}H{_number(right.end)}")
        bow = 0.0
    return "".join(path)


def _arrow(x: float, y: float) -> str:
    return f"M{_number(x - 8)} {_number(y - 4)}L{_number(x)} {_number(y)}L{_number(x - 8)} {_number(y + 4)}Z"


# --- elements -----------------------------------------------------------------------------------------------------


def _add(parent: ET.Element, tag: str, text: str | None = None, **attributes: str | float) -> ET.Element:
    """Add an element; in an attribute's name _ stands for -, and a trailing _ is dropped (`class_`)."""
    element = ET.SubElement(parent, tag)
    for name, value in attributes.items():
        written = _clean(value) if isinstance(value, str) else _number(value)
        element.set(name.rstrip("_").replace("_", "-"), written)
    element.text = None if text is None else _clean(text)
    return element


def _clean(text: str) -> str:
    """Replace the two characters that a node's name may have but XML may not."""
    return text.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
