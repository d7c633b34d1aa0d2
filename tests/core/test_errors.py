"""What is raised in one process is raised in another."""

import pickle

import pytest

from service.core.errors import Fault, GradbookError, InvalidExpression, InvalidInputs, LimitExceeded, NotFound

ERRORS = [
    InvalidInputs([Fault(("inputs", "x"), "a number is expected")]),
    InvalidExpression("no operand", 1, 2, "a +\n  ^"),
    LimitExceeded("nodes", 5, 6, "too many"),
    NotFound("there is no graph 'x'", ("graph",)),
    GradbookError("wrong"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_pickled_with_all_that_it_says(error: GradbookError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and vars(again) == vars(error) and str(again) == str(error)
