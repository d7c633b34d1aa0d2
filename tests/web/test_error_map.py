"""Maps of where a tensor is wrong."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from service.web.error_map import draw_error_map, heat, map_errors

EXACT = (0.0, 0.0)


def of_class(root: ET.Element, *classes: str) -> list[ET.Element]:
    """The elements that have one of these classes."""
    return [element for element in root if element.get("class") in classes]


@pytest.mark.parametrize(("error", "expected"), [(0.0, 0), (1e-16, 1), (0.1, 2), (1.0, 3), (10.0, 4), (np.inf, 4)])
def test_heat_grows_by_decades(error: float, expected: int) -> None:
    assert heat(error) == expected


def test_each_element_of_a_small_tensor_is_a_cell_with_its_number() -> None:
    right = np.arange(1.0, 7.0).reshape(2, 3)
    wrong = right + np.array([[0.0, 1e-12, 3.0], [0.0, 0.0, 60.0]])
    found = map_errors(wrong, right, (1, 2), (1e-9, 0.0))
    assert found.cells.tolist() == [[0.0, 0.0, 1.0], [0.0, 0.0, 10.0]]
    assert (found.row, found.column, found.wrong, found.in_blocks, found.sliced) == (1, 2, 2, False, "")
    root = ET.fromstring(draw_error_map(found, "<the> worst"))
    assert root.get("aria-label") == "<the> worst"
    cells = of_class(root, "q0", "q1", "q2", "q3", "q4")
    assert [cell.get("class") for cell in cells] == ["q0", "q0", "q3", "q0", "q0", "q4"]
    (frame,) = of_class(root, "worst")
    assert (frame.get("x"), frame.get("y")) == (cells[-1].get("x"), cells[-1].get("y"))
    assert [text.text for text in of_class(root, "mid ink")] == ["1", "10"]
    assert [text.text for text in of_class(root, "mid")] == ["0", "1", "2"]
    assert [text.text for text in of_class(root, "end")] == ["axis 1", "axis 0", "0", "1"]


def test_a_vector_is_a_row() -> None:
    found = map_errors(np.array([1.0, np.nan]), np.array([1.0, 2.0]), (1,), EXACT)
    assert found.cells.tolist() == [[0.0, np.inf]] and (found.row, found.column, found.wrong) == (0, 1, 1)
    assert [text.text for text in of_class(ET.fromstring(draw_error_map(found, "")), "end")] == ["axis 0"]


def test_a_large_tensor_is_parted_into_blocks_that_show_their_worst() -> None:
    right = np.ones((100, 1000))
    wrong = right.copy()
    wrong[99, 0], wrong[0, 999], wrong[50, 500] = 2.0, 3.0, 1.5
    found = map_errors(wrong, right, (0, 999), EXACT)
    assert found.cells.shape == (24, 24) and found.in_blocks
    assert [found.cells[at] for at in ((23, 0), (0, 23), (12, 12))] == [1.0, 2.0, 0.5]
    assert np.count_nonzero(found.cells) == found.wrong == 3
    assert (found.row, found.column) == (0, 23)
    labels = [text.text for text in of_class(ET.fromstring(draw_error_map(found, "")), "mid")]
    assert labels[:3] == ["0", "83", "166"]  # every other column's: all would not fit


def test_of_several_axes_the_part_with_the_worst_element_is_shown() -> None:
    right = np.ones((2, 3, 4))
    wrong = right.copy()
    wrong[0, 1, 1] = wrong[1, 2, 3] = 5.0
    found = map_errors(wrong, right, (1, 2, 3), EXACT)
    assert found.sliced == "[1, ·, ·]" and found.wrong == 1
    assert found.cells[found.row, found.column] == 4.0
