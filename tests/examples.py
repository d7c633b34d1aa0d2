"""How many random examples a property test draws: a few in the quick suite, more where thoroughness is asked for."""

from hypothesis import settings

THOROUGH = 30


def examples(count: int) -> int:
    """`count` in the thorough profile; in another, as many fewer as its default is below that of the thorough one."""
    return max(2, round(count * settings().max_examples / THOROUGH))
