"""What the marks of a picture mean, for the line below it."""

from service.web.captions import MARKS, Subject
from service.web.view import View

MEANINGS = {
    "origin": "wrong by itself",
    "inherited": "follows from a wrong figure",
    "compensated": "right, although what it follows from is not",
    "convention": "another choice where no derivative exists",
}


def legend(subject: Subject, view: View) -> str:
    """Say what is marked in the view and, where tensors are shown, that ‖·‖ is the norm; empty if nothing is."""
    shown = set(view.positions)
    verdicts = {each.verdict for (_, position), each in subject.differences.items() if position in shown}
    told = [f"{MARKS[verdict]} {verdict}: {meaning}" for verdict, meaning in MEANINGS.items() if verdict in verdicts]
    if subject.first is not None and subject.first[1] in shown:
        told.append("ring: the first difference in the order of the sweep")
    if any(map(subject.shares.seen, shown)):
        error = f"the likely error of rounding to {subject.shares.dtype}"
        told.append(f"shade and %: the share in {error}, darker from 1, 10 and 50 %")
    if _shows_tensors(subject, view):
        told.append("‖·‖ is the norm")
    return f"{'; '.join(told)}." if told else ""


def _shows_tensors(subject: Subject, view: View) -> bool:
    run = subject.run
    if run is None:
        return False
    figures = [run.values, *([] if run.gradients is None else [run.gradients])]
    return any(each.shapes is not None and any(map(each.shape, view.positions)) for each in figures)
