"""How weights add up."""

from service.core.figures.weight import Weight


def test_weights_add_up_by_whether_memory_is_held_or_let_go() -> None:
    first, second = Weight(10, 100), Weight(1, 300)
    assert first + second == Weight(11, 400)
    assert first.then(second) == Weight(11, 300)
    assert first * 3 == Weight(30, 300)
    assert first.times(3) == Weight(30, 100) and first.times(0) == Weight()
    assert first.fits(Weight(10, 100)) and not first.fits(Weight(9, 100)) and not first.fits(Weight(10, 99))
