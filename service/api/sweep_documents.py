"""What is answered of a sweep: what was asked, how far it has come, and what its points amount to."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from service.api.jobs import job_document
from service.api.numbers import write_number
from service.core.figures.figures import FloatArray
from service.core.sweeps.reductions import Extreme, Parting, Reduction, Reductions
from service.core.sweeps.sweep import Against, Sweep
from service.usecases.sweeps import MOST_NAMED, StoredSweep


def sweep_document(stored: StoredSweep) -> dict[str, Any]:
    """A sweep as it is answered."""
    record, sweep, reductions = stored.record, stored.sweep, stored.reductions
    return {
        "id": record.id,
        "job": job_document(record),
        "graph_id": record.graph_id,
        "inputs": record.task["inputs"],
        "mode": sweep.mode,
        "outputs": sweep.outputs,
        "output": sweep.output,
        "conventions": sweep.convention,
        "reduce": sweep.reduce,
        "against": sweep.against and _against_document(sweep.against, record.other_graph_id),
        "check": sweep.check,
        "points": sweep.points,
        "columns": sweep.columns,
        **_found(sweep, reductions),
    }


def point_at(columns: Mapping[str, FloatArray], place: int) -> dict[str, Any]:
    """By column, its number at one of the points."""
    return {name: write_number(column[place].item()) for name, column in columns.items()}


def _against_document(against: Against, graph_id: str | None) -> dict[str, Any]:
    tolerance = against.tolerance
    written = "exact" if tolerance.exact else {"rtol": tolerance.rtol, "atol": tolerance.atol}
    return {"graph_id": graph_id, "outputs": against.outputs, "tolerance": written}


def _found(sweep: Sweep, reductions: Reductions | None) -> dict[str, Any]:
    """What the points amount to that are computed."""
    if reductions is None:
        return {"computed": 0, "reduced": {}, "nonfinite": [], "parted": {}}
    places = _Places(sweep, _named(reductions))
    told = [(each, name) for name, column in reductions.columns.items() for each in column.nonfinite]
    named = sorted(told, key=lambda each: each[0].point)[:MOST_NAMED] if _tells(sweep.reduce, "nonfinite") else []
    return {
        "computed": next(iter(reductions.columns.values())).count,
        "reduced": {name: _reduced(each, sweep.reduce, places) for name, each in reductions.columns.items()},
        "nonfinite": [{"figure": name, **places.extreme(each)} for each, name in named],
        "parted": {name: _parted(sweep, name, each, places) for name, each in reductions.partings.items()},
    }


class _Places:
    """Where points are, of those with these numbers: what varies there."""

    def __init__(self, sweep: Sweep, points: Iterable[int]) -> None:
        numbers = np.unique(np.fromiter(points, dtype=np.int64))
        self._index = {number: place for place, number in enumerate(numbers.tolist())}
        self._inputs = {name: each for name, each in sweep.at(numbers).items() if name in sweep.axes}

    def point(self, number: int) -> dict[str, Any]:
        """A point."""
        return {"point": number, "at": point_at(self._inputs, self._index[number])}

    def extreme(self, extreme: Extreme) -> dict[str, Any]:
        """A figure, and where it is."""
        return {"value": write_number(extreme.value), **self.point(extreme.point)}


def _named(reductions: Reductions) -> Iterable[int]:
    """The numbers of the points that are named."""
    for column in reductions.columns.values():
        yield from (each.point for each in (column.least, column.greatest, *column.nonfinite) if each)
    for parting in reductions.partings.values():
        yield from () if parting.first is None else (parting.first,)
        yield from () if parting.greatest is None else (parting.greatest.point,)


def _reduced(column: Reduction, told: tuple[str, ...] | None, places: _Places) -> dict[str, Any]:
    least = column.least and places.extreme(column.least)
    document = {
        "min": least,
        "max": column.greatest and places.extreme(column.greatest),
        "mean": None if column.mean is None else write_number(column.mean),
        "argmin": least and {"point": least["point"], "at": least["at"]},
        "histogram": [[*map(write_number, bucket[:2]), bucket[2]] for bucket in column.histogram],
        "nonfinite": {"NaN": column.nan, "Infinity": column.above, "-Infinity": column.below},
    }
    return {name: each for name, each in document.items() if _tells(told, name)}


def _tells(told: tuple[str, ...] | None, name: str) -> bool:
    return told is None or name in told


def _parted(sweep: Sweep, name: str, parting: Parting, places: _Places) -> dict[str, Any]:
    return {
        "figure": sweep.pairs[name],
        "points": parting.count,
        "first": None if parting.first is None else places.point(parting.first),
        "greatest_difference": parting.greatest and places.extreme(parting.greatest),
        "not_judged": parting.unjudged,
    }
