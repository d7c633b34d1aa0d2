"""What a request may take is decided before it is done."""

import pytest

from service.core.figures.weight import Weight
from service.usecases.weighing import NeedsMore, admit


@pytest.mark.parametrize(("operations", "nbytes"), [(11, 0), (0, 101), (11, 101)])
def test_work_over_what_is_granted_asks_for_more(operations: float, nbytes: float) -> None:
    with pytest.raises(NeedsMore) as raised:
        admit(Weight(operations, nbytes), Weight(10, 100))
    assert raised.value.weight == Weight(operations, nbytes)


def test_work_within_what_is_granted_may_begin() -> None:
    admit(Weight(10, 100), Weight(10, 100))
    admit(Weight(1e30, 1e30), None)
