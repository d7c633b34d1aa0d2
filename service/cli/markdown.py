"""A comparison as Markdown, which CI systems show: what arose, in sentences, and the figures that differ."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from service.cli.verdicts import located, subject, told_apart
from service.client import Client
from service.client.results.comparisons import Comparison

_MOST_SENTENCES = _MOST_FIGURES = 20
_COLUMNS = ("verdict", "figure", "baseline", "candidate", "expected")
_PUNCTUATION = re.compile(r"[\\`*_{}\[\]<>()#+\-!|~&$]")


def write_markdown(
    service: Client, compared: Comparison, baseline: str, failures: Sequence[str], sources: Mapping[str, str]
) -> str:
    """Write Markdown.

    `failures` are what failed, in words, `baseline` is how the baseline was named, and `sources` say where nodes arise
    in the program.
    """
    return "\n".join(_lines(service, compared, baseline, failures, sources)) + "\n"


def _lines(
    service: Client, compared: Comparison, baseline: str, failures: Sequence[str], sources: Mapping[str, str]
) -> Iterator[str]:
    verdict = f"fails: {', '.join(failures)}" if failures else "passes"
    yield f"### Against {_plain(baseline)} it {verdict}"
    yield ""
    counted = ", ".join(f"{count} {verdict}" for verdict, count in compared.counts.items() if count)
    yield f"{counted or 'no figure in common'}. [The comparison]({service.url}/comparisons/{compared.id})"
    sentences = [compared.sentence] if compared.sentence else []
    sentences += [located(origin, sources) for origin in compared.origins]
    sentences += [cause.sentence for cause in compared.causes if len(cause.explains) > 1]
    if sentences:
        yield ""
    yield from (f"- {_plain(sentence)}" for sentence in sentences[:_MOST_SENTENCES])
    if len(sentences) > _MOST_SENTENCES:
        yield f"- and {len(sentences) - _MOST_SENTENCES} more"
    figures = list(islice(service.list_comparison_nodes(compared, only="differences"), _MOST_FIGURES))
    if not figures:
        return
    yield from ("", _row(_COLUMNS), _row(["---"] * len(_COLUMNS)))
    for figure in figures:
        named = subject(figure.phase, figure.name)
        yield _row([figure.verdict, *map(_plain, (named, *told_apart(figure)))])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Text in which no character means anything to Markdown."""
    return _PUNCTUATION.sub(r"\\\g<0>", text)
