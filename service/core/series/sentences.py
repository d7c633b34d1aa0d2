"""What is said of a series in sentences."""

from service.core.figures.text import told_apart
from service.core.series.steps import BrokenCarry


def series_sentence(steps: int, wrong: int, first_wrong: int | None, broken: int) -> str:
    """What was found in so many steps: how many are wrong, which is the first, and how many have broken carries."""
    if not steps:
        return "No step has been added yet."
    if not wrong and not broken:
        return (
            f"Each of {steps} steps follows from what it took." if steps > 1 else "The step follows from what it took."
        )
    found = []
    if wrong:
        found.append(f"{wrong} of {steps} steps {_have(wrong)} an origin; the first is step {first_wrong}.")
    if broken:
        found.append(f"{broken} of {steps} steps {_have(broken)} taken another value than the step before gave.")
    return " ".join(found)


def carry_sentence(carry: BrokenCarry) -> str:
    """What a step took in place of what it was to take."""
    given, taken = told_apart(carry.norm_given, carry.norm_taken)
    norms = f"of norm {taken}, where the step before gave {carry.node} of norm {given}"
    if carry.norm_given == carry.norm_taken:
        norms = f"other than what the step before gave as {carry.node}, of the same norm {given}"
    return f"Step {carry.step} took {carry.taken} {norms}: it was written in between."


def _have(count: int) -> str:
    return "has" if count == 1 else "have"
