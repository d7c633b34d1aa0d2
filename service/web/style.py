"""Fonts and colours of a picture, in light and in dark mode."""

from pathlib import Path

SIGN, FIGURE, NAME = 15.0, 13.0, 10.5  # sizes of text

# The contrast of text to its background is at least 7:1 (WCAG 2.2, 1.4.6), that of lines 3:1 (1.4.11).
PALETTES = {
    "light": {
        **{
            "paper": "#ffffff",
            "body": "#f6f8fa",
            "ink": "#1f2328",
            "edge": "#7b8490",
            "soft": "#4a515d",
            "line": "#d8dce2",
        },
        **{"value": "#0a5a20", "gradient": "#96001f", "accent": "#2646b8"},
        **{"q1": "#dfe6fd", "q2": "#c3cffb", "q3": "#a3b5f8", "q4": "#92a7f5"},
    },
    "dark": {
        **{
            "paper": "#0d1117",
            "body": "#1b222c",
            "ink": "#e6edf3",
            "edge": "#8b949e",
            "soft": "#aeb6c2",
            "line": "#303743",
        },
        **{"value": "#7ee28f", "gradient": "#ffa3ab", "accent": "#a3b6ff"},
        **{"q1": "#1b2440", "q2": "#233058", "q3": "#2b3c72", "q4": "#34498c"},
    },
}

# Real names before system-ui, which is whatever a bare system has; none is wider than `captions.text_width` says.
_FONTS = '-apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, system-ui, sans-serif'

_SERIF = 'Charter, "Iowan Old Style", STIXGeneral, Cambria, Georgia, serif'

_FIXED = f"""
& {{font: {FIGURE}px {_FONTS}}}
& text {{unicode-bidi: isolate}}
& .body, & .label {{text-anchor: middle}}
& .sign {{font-size: {SIGN}px}}
& .name, & .verdict, & .baseline, & .share, & .note, & .more, & .ringed {{font-size: {NAME}px}}
& path {{fill: none; stroke-width: 1.3}}
& .node rect {{stroke-width: 1.5}}
& .focus rect {{stroke-width: 3}}
& .origin rect {{stroke-width: 4}}
& .kink rect {{stroke-dasharray: 1 2.5}}
& .inherited rect, & .compensated rect, & .convention rect {{stroke-dasharray: 5 3}}
& .ring {{fill: none; stroke-width: 2}}
& .cut {{stroke-dasharray: 3 2}}
& .closed {{stroke-dasharray: 6 4}}
"""

_COLOURED = """
& .paper {fill: PAPER}
& text {fill: INK}
& .node rect {fill: BODY; stroke: INK}
& .q1 rect {fill: Q1}
& .q2 rect {fill: Q2}
& .q3 rect {fill: Q3}
& .q4 rect {fill: Q4}
& path {stroke: EDGE}
& .arrow {fill: EDGE; stroke: none}
& .value {fill: VALUE}
& .gradient {fill: GRADIENT}
& .ring {stroke: ACCENT}
& .ringed {fill: ACCENT}
"""


_PLOT = (Path(__file__).parent / "pages" / "static" / "plot.css").read_text()


def write_plot_style(key: str) -> str:
    """Write the style sheet of a plot that stands alone, scoped in the same way; pages have its rules in `plot.css`."""
    light, dark = (
        "".join(f"--{name}:{colour};" for name, colour in PALETTES[scheme].items()) for scheme in ("light", "dark")
    )
    fonts = f"--sans:{_FONTS};--serif:{_SERIF}"
    schemes = f"& {{{light}{fonts}}}@media (prefers-color-scheme: dark) {{& {{{dark}}}}}"
    return f"{schemes}& .paper {{fill: var(--paper)}}{_PLOT.replace('.plot', '&')}".replace("&", f"#{key}")


def write_style(key: str) -> str:
    """Write the style sheet of the picture with that id, scoped so that it styles nothing else on a page."""
    light, dark = (_colour(PALETTES[scheme]) for scheme in ("light", "dark"))
    return f"{_FIXED}{light}@media (prefers-color-scheme: dark) {{{dark}}}\n".replace("&", f"#{key}")


def _colour(palette: dict[str, str]) -> str:
    text = _COLOURED
    for name, colour in palette.items():
        text = text.replace(name.upper(), colour)
    return text
