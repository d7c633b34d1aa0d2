"""A graph in DOT, the language of Graphviz: https://graphviz.org/doc/info/lang.html."""

from service.web.captions import Subject, write_captions
from service.web.view import View


def write_dot(subject: Subject, view: View, *, down: bool = False) -> str:
    """Write the view in DOT; each node's label is its operation, name and figures."""
    graph = subject.graph
    shown = set(view.positions)
    edges: list[str] = []
    way = "TB" if down else "LR"
    lines = ["digraph {", f"  rankdir={way}", f"  label={_quoted(' '.join([subject.title, view.sentence]).strip())}"]
    for position, caption in zip(view.positions, write_captions(subject, view.positions), strict=True):
        shape = "ellipse" if caption.kind == "operation" else "box"
        written = [line.text for line in (*caption.body, *caption.above, *caption.below)]
        told = {"label": "\n".join(written), "shape": shape, "tooltip": caption.words}
        attributes = ", ".join(f"{name}={_quoted(text)}" for name, text in told.items())
        lines.append(f"  {_quoted(graph.nodes[position].name)} [{attributes}]")
        node = graph.nodes[position]
        for index, (name, source) in enumerate(zip(node.inputs, graph.operands[position], strict=True)):
            if source in shown:
                style = " [style=dashed]" if index in caption.closed else ""
                edges.append(f"  {_quoted(name)} -> {_quoted(node.name)}{style}")
    return "\n".join([*lines, *edges, "}", ""])


def _quoted(text: str) -> str:
    """Quote a string; in labels a backslash begins an escape, so a literal one is doubled."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
