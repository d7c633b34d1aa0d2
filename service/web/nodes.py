"""The nodes of a picture: how much room each takes, and how it is drawn there, from left to right or downwards."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from service.web.captions import Caption, CaptionLine, Subject, text_width
from service.web.layout import Box
from service.web.style import FIGURE, NAME, SIGN
from service.web.svg import Markup, element, number, text_element

_ONE_LINE, _TWO_LINES = 30.0, 40.0  # heights of a node's body
_LEAD = 10.0  # the space before the body for the arrowhead
_STUB, _BARE_STUB = 7.0, 8.0  # the margin of a stub on both sides of its label, and its length without one
_CUT = 20.0  # the least length of what is visible of edges that lead out of the picture
_CLEAR = 4.0  # between an edge and the figures at it
_RING = 5.0  # between a body and the ring around it
_TARGET = 28.0  # the breadth of what can be pointed at
FIRST = "first"

_SIZES = {"sign": SIGN, "value": FIGURE, "implied": FIGURE, "gradient": FIGURE, "input": FIGURE}
_RADII = {"input": 6.0, "constant": 0.0}


@dataclass(frozen=True, slots=True)
class Axes:
    """Where a picture's edges run: along x, from left to right, or along y, downwards."""

    down: bool

    def turn(self, along: float, across: float) -> tuple[float, float]:
        """x and y of a point, or width and height of what is so long and so broad; and back."""
        return (across, along) if self.down else (along, across)

    def point(self, along: float, across: float) -> str:
        """A point of a path."""
        x, y = self.turn(along, across)
        return f"{number(x)} {number(y)}"

    def level(self, along: float) -> str:
        """The part of a path that goes straight to there, as edges run."""
        return f"{'V' if self.down else 'H'}{number(along)}"

    def arrow(self, along: float, across: float) -> str:
        """The head of an arrow that ends there."""
        tail = along - 8
        return f"M{self.point(tail, across - 4)}L{self.point(along, across)}L{self.point(tail, across + 4)}Z"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A node to draw: its caption, the size of its body, and the box around body, labels and stubs, along the axes.

    `joined` says whether edges are drawn into and out of it; `cut` holds the neighbours on each side that are not
    drawn, once for each edge, and `tails` how much of those edges is seen.
    """

    position: int
    name: str
    caption: Caption
    width: float
    height: float
    box: Box
    joined: tuple[bool, bool]
    cut: tuple[Sequence[int], Sequence[int]]
    tails: tuple[float, float]
    is_output: bool
    is_first: bool

    @property
    def words(self) -> str:
        """The description of the node for screen readers."""
        told = [self.caption.words]
        if self.is_output:
            told.append("an output")
        if self.is_first:
            told.append("the first difference")
        for cut, what in zip(self.cut, ("from nodes", "to nodes"), strict=True):
            if cut:
                told.append(f"{len(cut)} edge{'s' if len(cut) > 1 else ''} {what} that are left out")
        return "; ".join(told)


def measure(subject: Subject, position: int, caption: Caption, shown: Container[int], axes: Axes) -> Drawn:
    """Measure a node of which the neighbours in `shown` are drawn too."""
    graph = subject.graph
    name = graph.nodes[position].name
    is_output = name in graph.outputs or name == subject.output
    is_first = subject.first is not None and subject.first[1] == position
    ends = graph.operands[position], [consumer for consumer, _ in graph.consumers[position]]
    cut = tuple(other for other in ends[0] if other not in shown), tuple(o for o in ends[1] if o not in shown)
    joined = len(cut[0]) < len(ends[0]), len(cut[1]) < len(ends[1]) or is_output
    tails = _tail(len(cut[0])), _tail(len(cut[1]))
    height = _ONE_LINE if len(caption.body) == 1 else _TWO_LINES
    width = max(_TWO_LINES, max(map(_line_width, caption.body)) + height / 2)
    along, across = (side / 2 for side in axes.turn(width, height))
    lead = _LEAD if ends[0] else _RING + 2 if is_first else 0.0
    stub, (before, after) = _room(caption, bool(ends[1]) or is_output, axes)
    if is_first:
        word = 4 + text_width(FIRST, NAME) if axes.down else 1.25 * NAME
        before, after = max(before, across + _RING + 2 + word), max(after, across + _RING + 2)
    box = Box(along + lead + tails[0], along + stub + tails[1], max(across, before), max(across, after))
    return Drawn(position, name, caption, width, height, box, joined, cut, tails, is_output, is_first)


def _room(caption: Caption, has_stub: bool, axes: Axes) -> tuple[float, tuple[float, float]]:
    """How long the stub of a node is, and how much room its labels take on both sides of it."""
    labels = caption.above, caption.below
    lines = [line for label in labels for line in label]
    if not lines:
        return _BARE_STUB if has_stub else 0.0, (0.0, 0.0)
    widest = max(map(_line_width, lines))
    if axes.down:
        return sum(map(_line_height, lines)) + _STUB, (0.0, _CLEAR + widest)
    above, below = (_CLEAR + sum(map(_line_height, label)) for label in labels)
    return widest + 2 * _STUB, (above, below)


def _tail(count: int) -> float:
    return max(_CUT, text_width(_more(count), NAME) + 2) if count else 0.0


def _more(count: int) -> str:
    return f"+{count}"


def _line_size(line: CaptionLine) -> float:
    return _SIZES.get(line.kind, NAME)


def _line_width(line: CaptionLine) -> float:
    return 2 * round(text_width(line.text, _line_size(line)) / 2)


def _line_height(line: CaptionLine) -> float:
    return 1.25 * _line_size(line)


# --- drawing ------------------------------------------------------------------------------------------------------


def draw_outline(node: Drawn, x: float, y: float, axes: Axes) -> list[Markup]:
    """Draw the body around its centre, and the parts of edges that belong to the node."""
    along, across = axes.turn(x, y)
    half = axes.turn(node.width, node.height)[0] / 2
    start, end = along - node.box.left, along + node.box.right
    inner_start, inner_end = start + node.tails[0], end - node.tails[1]
    radius = _RADII.get(node.caption.kind, node.height / 2)
    corner = x - node.width / 2, y - node.height / 2
    drawn = [element("rect", x=corner[0], y=corner[1], width=node.width, height=node.height, rx=radius)]
    if node.joined[0] or node.cut[0]:
        begin = axes.point(start if node.joined[0] else inner_start, across)
        drawn.append(element("path", class_="in", d=f"M{begin}{axes.level(along - half)}"))
        drawn.append(element("path", class_="arrow", d=axes.arrow(along - half, across)))
    if end > along + half:
        to = axes.level(end if node.joined[1] else inner_end)
        drawn.append(element("path", class_="out", d=f"M{axes.point(along + half, across)}{to}"))
    if node.is_output:
        drawn.append(element("path", class_="arrow", d=axes.arrow(end + 8, across)))
    return drawn


def draw_body(node: Drawn, x: float, y: float) -> list[Markup]:
    """Write what stands in the body."""
    offsets = (4.5,) if len(node.caption.body) == 1 else (1.0, 13.0)
    return [
        text_element("text", line.text, class_=f"body {line.kind}", x=x, y=y + offset)
        for line, offset in zip(node.caption.body, offsets, strict=True)
    ]


def draw_flag(node: Drawn, mark: str, x: float, y: float) -> Markup:
    """A page's mark at the body's corner; an empty one is there for a script to set."""
    outside, below = (7.0, 2.0) if node.caption.kind == "input" else (1.0, 4.0)
    return text_element("text", mark, class_="flag", x=x - node.width / 2 - outside, y=y - node.height / 2 + below)


def draw_labels(node: Drawn, x: float, y: float, axes: Axes) -> list[Markup]:
    """Draw the figures at the stub: above and below it, or to the right of one that leads downwards."""
    caption = node.caption
    if axes.down:
        lower = y + node.height / 2 + _STUB / 2
        return _lines((*caption.above, *caption.below), "beside", x + _CLEAR, lower, 1)
    middle = (x + node.width / 2 + x + node.box.right - node.tails[1]) / 2
    return [
        *_lines(caption.above, "label", middle, y - _CLEAR, -1),
        *_lines(caption.below, "label", middle, y + _CLEAR, 1),
    ]


def _lines(lines: Sequence[CaptionLine], kind: str, x: float, y: float, direction: int) -> list[Markup]:
    """Draw lines of text from y upwards (−1) or downwards (1); baselines are a quarter of a line above its end."""
    drawn = []
    for line in lines:
        height = _line_height(line)
        lower = (y if direction < 0 else y + height) - 0.25 * height
        title = text_element("title", line.full)
        drawn.append(text_element("text", line.text, title, class_=f"{kind} {line.kind}", x=x, y=lower))
        y += direction * height
    return drawn


def draw_tail(node: Drawn, side: int, x: float, y: float, axes: Axes) -> list[Markup]:
    """Draw what is seen of the edges to nodes that are left out, before (0) or after (1) the node, and their count."""
    (_, across), (outer, inner) = axes.turn(x, y), _tail_ends(node, side, x, y, axes)
    middle = (outer + inner) / 2
    way = f"M{axes.point(outer, across - 11)}Q{axes.point(middle, across)} {axes.point(inner, across)}"
    at = axes.turn(middle, across)
    count = _more(len(node.cut[side]))
    if axes.down:
        label = text_element("text", count, class_="beside more", x=at[0] + _CLEAR, y=at[1] + 0.35 * NAME)
    else:
        label = text_element("text", count, class_="label more", x=at[0], y=at[1] + _CLEAR + 0.8 * NAME)
    return [element("path", class_="cut", d=way), label]


def draw_target(node: Drawn, side: int, x: float, y: float, axes: Axes) -> Markup:
    """An area to point at, as large as a finger needs, where `draw_tail` draws."""
    (_, across), (outer, inner) = axes.turn(x, y), _tail_ends(node, side, x, y, axes)
    broad = _TARGET if axes.down else _TARGET / 2  # a count stands to the right, or below
    left, top = axes.turn(min(outer, inner), across - _TARGET / 2)
    width, height = axes.turn(abs(outer - inner), _TARGET / 2 + broad)
    return element("rect", class_="hit", x=left, y=top, width=width, height=height)


def _tail_ends(node: Drawn, side: int, x: float, y: float, axes: Axes) -> tuple[float, float]:
    """Where along the axes the edges that are cut end in the picture, and where they meet the node's stub."""
    along, _ = axes.turn(x, y)
    outer = along + node.box.right if side else along - node.box.left
    return outer, outer - node.tails[1] if side else outer + node.tails[0]


def draw_ring(node: Drawn, x: float, y: float, axes: Axes) -> list[Markup]:
    """Draw a ring around the body, and say what it means."""
    width, height = node.width + 2 * _RING, node.height + 2 * _RING
    radius = _RADII.get(node.caption.kind, node.height / 2) + _RING
    left, top = x - width / 2, y - height / 2
    at = (left - 4 - text_width(FIRST, NAME) / 2, y + 0.35 * NAME) if axes.down else (x, top - 4)
    return [
        element("rect", class_="ring", x=left, y=top, width=width, height=height, rx=radius),
        text_element("text", FIRST, class_="ringed label", x=at[0], y=at[1]),
    ]
