"""What a worker of dask.distributed does with a chunk.

Graphs and sweeps are sent to a worker once: a chunk names what it needs, and a worker that lacks some of it says so. A
graph is known by its digest, a sweep by its job's id.
"""

import pickle
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import scipy
from cachetools import LRUCache

import service
from service.core.execution import kernel
from service.core.graph.graph import Graph
from service.core.sweeps.chunks import Stopped, compute_chunk
from service.core.sweeps.sweep import Sweep
from service.storage.contents import read_content, write_content

_KEPT = 256 * 1024 * 1024  # bytes of what was sent
_LOOK = 0.25  # seconds between two looks whether the job was stopped: each asks the scheduler

_kept: LRUCache[str, tuple[int, Any]] = LRUCache(_KEPT, getsizeof=lambda entry: entry[0])
_keeping = Lock()


class Unfit(Exception):
    """The worker would compute by other code than the service; the message says which."""


def written(thing: Graph | Sweep) -> bytes:
    """A graph or a sweep, as it is sent."""
    if isinstance(thing, Sweep):
        return pickle.dumps(thing)
    return pickle.dumps((write_content(thing), thing.inputs, thing.outputs))


@dataclass(frozen=True, slots=True)
class Done:
    """What became of each chunk of a task: what is stored of it, or what was raised; and the seconds of a
    processor that it took."""

    outcomes: Sequence[bytes | Exception]
    seconds: float


def run_chunks(
    names: Sequence[str],
    numbers: Sequence[int],
    versions: Mapping[str, str],
    given: Mapping[str, bytes],
    event: str,
    announce: bool = False,
) -> Done | tuple[str, ...]:
    """Compute chunks, given the names of the graphs and, last, of the sweep; or the names of those that are neither
    known nor `given`.

    The scheduler's `event` of that name stops it; with `announce` the event named so and `-begun` is set first. Raises
    Unfit, Stopped.
    """
    from dask.distributed import Event

    if apart := _apart(versions):
        raise Unfit(f"a worker on {platform.node()} has {apart}")
    known = {name: _thing(name, given.get(name)) for name in names}
    if missing := tuple(name for name, thing in known.items() if thing is None):
        return missing
    if announce:
        Event(f"{event}-begun").set()
    kernel.warm()
    begin = time.thread_time()
    *graphs, sweep = known.values()
    stop = _seldom(Event(event).is_set)
    outcomes = [_outcome(graphs, sweep, number, stop) for number in numbers]
    return Done(outcomes, time.thread_time() - begin)


def _outcome(graphs: Sequence[Graph], sweep: Sweep, number: int, stop: Callable[[], bool]) -> bytes | Exception:
    try:
        return compute_chunk(graphs, sweep, number, stop)
    except Stopped:
        raise
    except Exception as error:
        return error


def _apart(versions: Mapping[str, str]) -> str:
    """What this process has otherwise, in words."""
    pairs = [(name, has, versions.get(name)) for name, has in own_versions().items()]
    return ", ".join(f"{name} {has}, not {wanted}" for name, has, wanted in pairs if has != wanted)


@cache
def own_versions() -> Mapping[str, str]:
    """What the bits of a figure depend on, and may be told apart by."""
    root = Path(service.__file__).parent
    code = sha256()
    for file in sorted((root / "core").rglob("*.py")):
        code.update(f"{file.relative_to(root)}\n".encode() + file.read_bytes())
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
        "Gradbook's code": code.hexdigest()[:12],
    }


def _thing(name: str, given: bytes | None) -> Any:
    """What goes by that name, None if it is not known."""
    with _keeping:
        if name in _kept:
            return _kept[name][1]
        if given is None:
            return None
        thing = pickle.loads(given)
        if isinstance(thing, tuple):
            thing = read_content(*thing)
        if len(given) <= _KEPT:
            _kept[name] = (len(given), thing)
        return thing


def _seldom(ask: Callable[[], bool]) -> Callable[[], bool]:
    """The same question, asked not more often than each `_LOOK` seconds."""
    asked = time.monotonic()

    def stop() -> bool:
        nonlocal asked
        if time.monotonic() < asked + _LOOK:
            return False
        asked = time.monotonic()
        return ask()

    return stop
