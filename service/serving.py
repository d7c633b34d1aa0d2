"""Start the service: migrate its database, then serve in this process, an event loop and several threads, or in several
processes like it."""

import gc
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from service.fitting import cached, fit_memory, share
from service.settings import Settings
from service.upkeep import CannotStart, migrate, open_database

_SECONDS_OF_A_TURN = 0.002  # 5 ms by default, which eight busy views make 40 ms for each step of the event loop


def serve(settings: Settings) -> None:
    """Migrate, then serve until SIGTERM or SIGINT; raises CannotStart if the address is unavailable, ValueError for
    several processes over a file."""
    if settings.workers > 1 and settings.database_url.startswith("sqlite"):
        raise ValueError(
            f"{settings.workers} processes that serve need PostgreSQL, since SQLite has one writer: give "
            "GRADBOOK_DATABASE_URL=postgresql://…, or serve in one process"
        )
    with _signals_end_the_process() as came, _bind(settings.host, settings.port) as listener:
        migrate(settings)
        _refuse_strangers(settings)

        def started() -> None:
            if came:
                signal.raise_signal(came[0])
            else:
                _announce(listener, settings.prefix)

        if settings.workers == 1:
            from service.server.sources import Listener

            serve_from(Listener(listener), settings, started)
        else:
            _supervise(listener, settings, started)


def _supervise(listener: socket.socket, settings: Settings, started: Callable[[], None]) -> None:
    """Have several processes serve, each with its share of what the settings let one take, and measured together."""
    from service.api.http.siblings import Sibling
    from service.server.supervisor import Supervisor
    from service.workers import memory

    # Rather than have each process find that something is not installed, and be begun again and again.
    if settings.opentelemetry:
        _open_telemetry()
    if settings.dask:
        _dask_engine()
    each = partial(serve_from, settings=share(settings, memory.available()))
    with tempfile.TemporaryDirectory(prefix="gradbook-") as folder:
        serves = [partial(each, sibling=Sibling(folder, number)) for number in range(settings.workers)]
        try:
            Supervisor(serves, stop_seconds=settings.server.stop_seconds).run(listener, started)
        except OSError as error:
            raise _cannot_listen(settings.host, settings.port, error) from error


def serve_from(
    source: Any, settings: Settings, started: Callable[[], None] = lambda: None, sibling: Any = None
) -> None:
    """Serve the connections of a source, over a migrated database, until SIGTERM or SIGINT; raises CannotStart if it
    cannot listen."""
    from service.api.http.elsewhere import hand_over
    from service.api.http.readings import gauges
    from service.server.server import Server
    from service.workers import memory

    settings, free = fit_memory(settings, memory.available())
    with _traces(settings), _worker_processes(settings, free) as pool:
        app = load_app(settings, pool)
        if pool and settings.work.processes:
            hand_over(app, pool, settings.work.deadline_seconds)
        measurements = app.extensions["measurements"]
        if pool:
            measurements.add(lambda: gauges("gradbook_worker", pool.load()))
        refuse, most = app.extensions["refuse"], settings.limits.body_bytes
        server = Server(
            app,
            refuse,
            threads=settings.threads,
            body_bytes=most,
            bounds=settings.server,
            prefix=settings.prefix,
        )
        measurements.add(lambda: gauges("gradbook_server", server.load()))
        if sibling:
            measurements.share(sibling)
        try:
            with _jobs(settings, app, pool):
                server.run(source, started, signals=True)
        except OSError as error:
            raise _cannot_listen(settings.host, settings.port, error) from error
    app.extensions["gradbook"].database.finish()  # no process but this one has it open any more


@contextmanager
def _traces(settings: Settings) -> Iterator[None]:
    """Send spans, if that is asked for; raises CannotStart where what it needs is not installed."""
    if not settings.opentelemetry:
        yield
        return
    from service.tracing import spans

    tracer = _open_telemetry()()
    spans.use(tracer)
    try:
        yield
    finally:
        spans.use(None)
        tracer.close()


def _open_telemetry() -> Any:
    """What makes a tracer; raises CannotStart where it is not installed."""
    try:
        from service.tracing.otel import OpenTelemetry
    except ImportError as error:
        said = "GRADBOOK_OPENTELEMETRY=1 needs the extra `otel`: pip install 'gradbook[otel]'"
        raise CannotStart(f"{said} ({error})") from error
    return OpenTelemetry


def _refuse_strangers(settings: Settings) -> None:
    """Raise ValueError where others than this machine could ask for anything, and nobody has said that they may."""
    if settings.admits_anybody:
        return
    from service.storage.access_keys import list_access_keys

    with open_database(settings) as database, database.read() as connection:
        keys = list_access_keys(connection)
    if not keys:
        raise ValueError(
            f"others reach {settings.host}, and there is no key yet: make one with `gradbook key create`, or let "
            "anybody in with GRADBOOK_ALLOW_ANONYMOUS=1"
        )


@contextmanager
def _worker_processes(settings: Settings, nbytes: int) -> Iterator[Any]:
    """The pool of processes for what is too large for a thread, None if there is to be none."""
    count = settings.work.processes + settings.work.job_processes
    if not count:
        yield None
        return
    from service.workers import memory
    from service.workers.pool import Pool

    if not memory.can_be_bounded():
        print("This system does not let the service bound the memory of its processes.", file=sys.stderr)
    begin = partial(_begin_work, settings, compiled=False)
    pool = Pool(begin, count, nbytes, cached=cached(settings.work.worker_cache_bytes))
    try:
        yield pool
    finally:
        pool.close()


@contextmanager
def _jobs(settings: Settings, app: Any, pool: Any) -> Iterator[None]:
    """Do the jobs of the database, beside what is done within."""
    if not settings.work.job_processes:
        yield
        return
    from service.jobs.measured import MeasuredEngine, traced
    from service.jobs.processes import ProcessEngine
    from service.jobs.requests import perform_request
    from service.jobs.runner import Runner
    from service.jobs.sweeps import perform_sweep

    context = app.extensions["gradbook"].unbounded()
    processes = ProcessEngine(pool, settings.work.job_processes)
    engine = MeasuredEngine(_engine(settings, processes), app.extensions["measurements"].record_chunk)
    does = {"sweep": partial(perform_sweep, context, engine), "request": partial(perform_request, app, processes)}
    perform = {kind: traced(do) for kind, do in does.items()}
    runner = Runner(context.database, perform, settings.work.job_days)
    runner.begin()
    try:
        yield
    finally:
        runner.close()
        engine.close()
        processes.close()


def _engine(settings: Settings, processes: Any) -> Any:
    """What computes the chunks of jobs, these processes or others; raises CannotStart where that is not installed."""
    return _dask_engine()(settings.dask) if settings.dask else processes


def _dask_engine() -> Any:
    """What makes an engine on dask.distributed; raises CannotStart where it is not installed."""
    try:
        from service.jobs.dask_engine import DaskEngine
    except ImportError as error:
        raise CannotStart(f"GRADBOOK_DASK needs the extra `dask`: pip install 'gradbook[dask]' ({error})") from error
    return DaskEngine


def _begin_work(settings: Settings, compiled: bool) -> Any:
    """What the worker processes do, with the compiled loops if those are found on disk."""
    # What pictures are laid out by is mapped before processes are forked, whose memory is limited.
    import scipy.optimize
    import scipy.sparse  # noqa: F401
    from threadpoolctl import threadpool_limits

    from service.api.http.elsewhere import work_with
    from service.app import create_app
    from service.core.execution import kernel
    from service.jobs.processes import compute_with

    threadpool_limits(settings.blas_threads, user_api="blas")
    if compiled:
        kernel.warm()
    work = replace(settings.work, cache_bytes=settings.work.worker_cache_bytes)
    app = create_app(replace(settings, work=work))
    return partial(_work, compute_with(app.extensions["gradbook"]), work_with(app))


def _work(compute: Any, answer: Any, task: Any, given: Any) -> Any:
    """Do what a process is handed: a chunk of a job, or a request."""
    from service.jobs.processes import ChunkTask

    return compute(task) if isinstance(task, ChunkTask) else answer(task, given)


@contextmanager
def _signals_end_the_process() -> Iterator[list[int]]:
    """Have SIGTERM and SIGINT end the process with 0, as long as the server does not heed them yet; yield those that
    came: where one comes while C calls Python back, as it does to find libraries, nothing ends."""
    numbers, came = (signal.SIGTERM, signal.SIGINT), list[int]()

    def end(number: int, frame: object) -> None:
        came.append(number)
        sys.exit(0)

    before = [signal.signal(number, end) for number in numbers]
    try:
        yield came
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _announce(listener: socket.socket, prefix: str) -> None:
    """Say where the service is and what to try next, as the last lines before those of the log."""
    address, port = listener.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    where = f"http://{shown}:{port}{prefix}"
    program = sys.argv[0] if Path(sys.argv[0]).name == "gradbook" else "gradbook"
    print(
        f"Gradbook serves at {where} and explains its API at {prefix}/docs\n"
        f"Next: open {where} in a browser, or ask in another terminal: {program} run list --url {where}",
        file=sys.stderr,
        flush=True,
    )


def load_app(settings: Settings, pool: Any = None) -> Any:
    """Create the application.

    It serves at once; meanwhile a thread compiles the rulebook, or loads it from the cache, and then has the worker
    processes begin.
    """
    gc.disable()  # what is imported stays
    from threadpoolctl import threadpool_limits

    from service.app import create_app
    from service.core.execution import kernel
    from service.workers.garbage import collect_rarely

    app = create_app(settings)
    threadpool_limits(settings.blas_threads, user_api="blas")
    collect_rarely()
    # The event loop takes its turn at the interpreter among the views: each computes for no longer than this before.
    sys.setswitchinterval(_SECONDS_OF_A_TURN)

    def warm() -> None:
        loops = kernel.warm()
        if pool:
            pool.begin_processes(partial(_begin_work, settings, compiled=loops.kept))
        app.extensions["openapi"]()  # so that nobody waits for it to be written

    Thread(target=warm, name="warm", daemon=True).start()
    return app


def _bind(host: str, port: int) -> socket.socket:
    """A socket that is bound to the address and does not listen yet; a port of 0 becomes a free one.

    Raises CannotStart.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    return listener


def _cannot_listen(host: str, port: int, error: OSError) -> CannotStart:
    return CannotStart(f"cannot listen at {host}:{port}: {error.strerror or error}")
