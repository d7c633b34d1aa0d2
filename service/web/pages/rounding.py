"""What rounding may do, on the page of a run."""

from service.api.http.request import context
from service.core.errors import Conflict, GradbookError
from service.core.rounding.precision import ROUNDED
from service.usecases.rounding import RoundingOfRun, get_rounding


def find_rounding(
    run_id: str, dtype: str | None, problem: GradbookError | None
) -> tuple[RoundingOfRun | None, GradbookError | None]:
    """What rounding to the dtype that is asked for may do, if one is, and the page's problem: why that cannot be told,
    if nothing else is wrong."""
    if dtype not in ROUNDED:
        return None, problem
    try:
        return get_rounding(context(), run_id, dtype=dtype), problem
    except Conflict as error:
        return None, problem or error
