"""The settings, read once from the environment into a frozen object. Flags override the environment."""

import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# What Kubernetes sets in every container beside a Service named gradbook.
_OF_KUBERNETES = re.compile(r"GRADBOOK_(SERVICE|PORT)_.*")
_OF_THE_CLIENT = {"GRADBOOK_URL", "GRADBOOK_KEY"}
# Bytes of memory: what a process takes for a request that is not weighed, and what a thread may take for one.
UNWEIGHED, MEMORY_OF_A_THREAD = 64 * 1024 * 1024, 8 * 1024 * 1024
_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_ORIGIN = re.compile(r"(?!http://.*:80$|https://.*:443$)[a-z][a-z0-9+.-]*://[^\s/?#@*]+")
_CLUSTER = re.compile(r"|local:[1-9][0-9]{0,2}|(tcp|tls|ws|wss)://[^\s/?#@]+:[0-9]{1,5}")
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")


def _limit(default: int, meaning: str, most: int = 2**40) -> Any:
    """A limit from 1 to `most`: what more than that would break is in the code, not in the machine's size."""
    return field(default=default, metadata={"meaning": meaning, "most": most})


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits, shown at GET /v1/limits; each is set by GRADBOOK_MAX_ and its name in capitals."""

    body_bytes: int = _limit(64 * 1024 * 1024, "bytes of a request's body")
    json_depth: int = _limit(64, "lists and objects within one another in a request's body", most=256)
    expression_bytes: int = _limit(64 * 1024, "bytes of an expression, in UTF-8")
    expression_depth: int = _limit(200, "brackets within one another in an expression", most=1000)
    formula_characters: int = _limit(64 * 1024, "characters of a formula, in the expression language")
    formula_nodes: int = _limit(4096, "nodes that a formula is written of")
    nodes: int = _limit(250_000, "nodes of one graph")
    tensor_elements: int = _limit(10_000_000, "elements of one node's value")
    run_elements: int = _limit(50_000_000, "elements of the values of all nodes of one run")
    name_length: int = _limit(128, "characters of a graph's name, a label or a tag", most=10_000)
    tags: int = _limit(32, "tags of one graph or run", most=10_000)
    batch_runs: int = _limit(10_000, "runs that one request makes", most=1_000_000)
    series_steps: int = _limit(100_000, "steps of one series", most=2**31 - 1)
    series_whole: int = _limit(16, "last steps that a series keeps whole, unless it keeps all", most=100_000)
    sweep_points: int = _limit(10**9, "points of one sweep", most=2**31 - 1)
    archive_members: int = _limit(16_384, "arrays of a body in the form .npz", most=1_000_000)
    answer_bytes: int = _limit(256 * 1024 * 1024, "bytes of an answer that is not cut into pages, by estimate")
    request_memory: int = _limit(
        8 * 1024**3, "bytes of memory that one request takes, its answer included, by estimate"
    )
    # Of thirty seconds of work, the deadline, at most 5e11 are estimated (benchmarks/growth.py's acts with Weight).
    operations: int = _limit(
        10**12, "operations on numbers that one request takes, by estimate; about a nanosecond each, or less"
    )
    job_operations: int = _limit(10**15, "operations on numbers that one job takes, by estimate", most=2**53)
    page: int = _limit(
        1000, "items of one page of a list, which also ends where its tensors have a million numbers", most=1_000_000
    )


def _bound(default: float, least: float, most: float, meaning: str) -> Any:
    return field(default=default, metadata={"least": least, "most": most, "meaning": meaning})


@dataclass(frozen=True, slots=True)
class ServerBounds:
    """How long the server waits for a client, and how much it holds; each is set by GRADBOOK_ and its name in capitals.

    Without them a client that stalls, or many that send at once, would hold connections and memory without end.
    """

    head_seconds: float = _bound(10.0, 0.1, 600, "seconds for a request's line and headers to come")
    body_seconds: float = _bound(10.0, 0.1, 600, "seconds for the next bytes of a body to come")
    reader_seconds: float = _bound(10.0, 0.1, 600, "seconds for a client to read the next 64 KiB of an answer")
    transfer_seconds: float = _bound(
        60.0, 0.1, 3600, "seconds for a whole body or answer, and one more for each 100 kB"
    )
    keep_alive_seconds: float = _bound(30.0, 0.1, 30, "seconds for the next request on a connection to begin")
    stop_seconds: float = _bound(30.0, 0.1, 3600, "seconds for requests under way to end after SIGTERM")
    connections: int = _bound(1000, 1, 100_000, "connections that are open at once")
    bytes_in_flight: int = _bound(
        256 * 1024 * 1024, 1, 2**63 - 1, "bytes of bodies that are read and not yet done with"
    )
    unsent_bytes: int = _bound(
        256 * 1024 * 1024, 1, 2**63 - 1, "bytes of answers that are not yet read by their clients"
    )
    waiting_requests: int = _bound(256, 0, 100_000, "requests that wait for one of the threads")


@dataclass(frozen=True, slots=True)
class WorkBounds:
    """What requests may take of the machine; each is set by GRADBOOK_ and its name in capitals."""

    processes: int = _bound(
        2, 0, 64, "processes for what is too large for a thread; 0: threads do everything, unbounded"
    )
    job_processes: int = _bound(
        2, 0, 64, "processes more for jobs, which take longer than a request; 0: none are done here"
    )
    job_days: int = _bound(30, 1, 36_500, "days after its end that a job is deleted with all that it did")
    deadline_seconds: float = _bound(30.0, 0.1, 3600, "seconds for a request to be done")
    lock_seconds: float = _bound(5.0, 0.1, 3600, "seconds that a request waits for others to write to the database")
    statement_seconds: float = _bound(
        10.0, 0.1, 3600, "seconds that PostgreSQL takes for one statement, or does nothing in a transaction"
    )
    connect_seconds: float = _bound(5.0, 2, 600, "seconds that it takes for a connection to PostgreSQL")
    memory_bytes: int = _bound(0, 0, 2**50, "bytes of memory that the service takes; 0: what the container has")
    cache_bytes: int = _bound(512 * 1024 * 1024, 0, 2**50, "bytes of graphs that are kept in memory")

    @property
    def worker_cache_bytes(self) -> int:
        """Bytes of graphs that each worker process keeps in memory."""
        return self.cache_bytes // 4


def _setting(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Settings:
    """Everything that can be configured; each is set by GRADBOOK_ and its name in capitals."""

    database_url: str = _setting("sqlite:///gradbook.db", "the database")
    host: str = _setting("127.0.0.1", "the address to listen at")
    port: int = _setting(8000, "the port to listen at")
    threads: int = _setting(8, "requests served concurrently")
    workers: int = _setting(1, "processes that serve, which share what one would take; several need PostgreSQL")
    # Requests run at once, and each would take all threads.
    blas_threads: int = _setting(1, "threads of one matrix product")
    hosts: tuple[str, ...] = _setting(("localhost", "127.0.0.1", "::1"), "the names it is called by; *: any")
    origins: tuple[str, ...] = _setting((), "the origins of other sites whose pages may call it")
    prefix: str = _setting("", "the path below which a proxy shows it")
    proxies: tuple[Network, ...] = _setting((), "the proxies that are believed what they say of their clients")
    allow_anonymous: bool = _setting(False, "1: as long as there is no key, anybody is answered, at any address")
    requests_per_minute: int = _setting(0, "requests a minute with each key; 0: as many as it likes")
    dask: str = _setting(
        "", "the scheduler of the workers that compute the chunks of jobs, or local:N for N of its own"
    )
    opentelemetry: bool = _setting(False, "1: spans are sent to where the variables OTEL_… say")
    limits: Limits = field(default_factory=Limits)
    server: ServerBounds = field(default_factory=ServerBounds)
    work: WorkBounds = field(default_factory=WorkBounds)
    # Where the variables that were given came from.
    origin: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def admits_anybody(self) -> bool:
        """Whether requests need no key as long as there is none: from this machine alone, unless that is allowed."""
        return self.allow_anonymous or _is_loopback(self.host)


def read_settings(environment: Mapping[str, str] | None = None, **flags: Any) -> Settings:
    """Read the settings from GRADBOOK_* variables; `flags` that are not None override them.

    Raises ValueError, naming the variable, where one is unknown or is not what it should be.
    """
    given = _Variables(os.environ if environment is None else environment)
    limits = {
        name: given.whole_number(variable_of(name, limit=True), getattr(Limits(), name), most=limit.metadata["most"])
        for limit in fields(Limits)
        for name in [limit.name]
    }
    chosen: dict[str, Any] = {
        "database_url": given.text("GRADBOOK_DATABASE_URL", Settings.database_url),
        "host": given.text("GRADBOOK_HOST", Settings.host),
        "port": given.whole_number("GRADBOOK_PORT", Settings.port, least=0, most=65_535),
        "threads": given.whole_number("GRADBOOK_THREADS", Settings.threads, most=1000),
        "workers": given.whole_number("GRADBOOK_WORKERS", Settings.workers, most=64),
        "blas_threads": given.whole_number("GRADBOOK_BLAS_THREADS", Settings.blas_threads, most=1000),
        "hosts": given.names("GRADBOOK_HOSTS", Settings.hosts),
        "origins": given.origins("GRADBOOK_ORIGINS"),
        "prefix": given.prefix("GRADBOOK_PREFIX"),
        "proxies": given.networks("GRADBOOK_PROXIES"),
        "allow_anonymous": given.whole_number("GRADBOOK_ALLOW_ANONYMOUS", 0, least=0, most=1) == 1,
        "requests_per_minute": given.whole_number("GRADBOOK_REQUESTS_PER_MINUTE", 0, least=0, most=1_000_000),
        "dask": given.cluster("GRADBOOK_DASK"),
        "opentelemetry": given.whole_number("GRADBOOK_OPENTELEMETRY", 0, least=0, most=1) == 1,
        "limits": Limits(**limits),
        "server": ServerBounds(**{bound.name: given.bound(bound) for bound in fields(ServerBounds)}),
        "work": WorkBounds(**{bound.name: given.bound(bound) for bound in fields(WorkBounds)}),
    }
    given.refuse_others()
    taken = {name: value for name, value in flags.items() if value is not None}
    origin = dict.fromkeys(given.variables, "environment") | dict.fromkeys(map(variable_of, taken), "flag")
    return Settings(**{**chosen, **taken}, origin=origin)


def variable_of(name: str, limit: bool = False) -> str:
    """The variable that sets a setting or a limit."""
    return f"GRADBOOK_{'MAX_' if limit else ''}{name.upper()}"


def _is_loopback(host: str) -> bool:
    try:
        addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:  # there is no such name; whoever listens there says so
        return False
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses)


class _Variables:
    """The variables GRADBOOK_*, and which of them are known: those that were asked for."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._given = {
            name: value
            for name, value in environment.items()
            if name.startswith("GRADBOOK_") and not _is_of_kubernetes(name, value)
        }
        self._known = set(_OF_THE_CLIENT)

    @property
    def variables(self) -> tuple[str, ...]:
        """Those that are set."""
        return tuple(self._given)

    def text(self, variable: str, default: str) -> str:
        self._known.add(variable)
        return self._given.get(variable, default)

    def names(self, variable: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """What stands between commas, in lower case."""
        text = self.text(variable, ",".join(default))
        return tuple(name for name in re.split(r"[\s,]+", text.lower()) if name)

    def origins(self, variable: str) -> tuple[str, ...]:
        """Origins between commas, as browsers write them: without a path, and without a port that goes without saying.

        No `*`, which would let every site's page that somebody here opens do what they may.
        """
        names = self.names(variable, ())
        for name in names:
            if not _ORIGIN.fullmatch(name):
                raise ValueError(f"{variable} has {name!r}; origins are expected, each as https://notes.example")
        return names

    def prefix(self, variable: str) -> str:
        """A path, without a slash at its end."""
        text = self.text(variable, "").removesuffix("/")
        if not _PREFIX.fullmatch(text):
            raise ValueError(f"{variable} is {text!r}; a path as /gradbook is expected")
        return text

    def cluster(self, variable: str) -> str:
        """The address of a scheduler of dask.distributed, or how many workers are to be begun."""
        text = self.text(variable, Settings.dask)
        if not _CLUSTER.fullmatch(text):
            raise ValueError(f"{variable} is {text!r}; an address as tcp://scheduler:8786 is expected, or local:2")
        return text

    def networks(self, variable: str) -> tuple[Network, ...]:
        """Addresses and networks between commas."""
        try:
            return tuple(ipaddress.ip_network(each) for each in self.names(variable, ()))
        except ValueError as error:
            raise ValueError(f"{variable}: {error}; addresses and networks are expected, as 10.0.0.0/8") from error

    def whole_number(self, variable: str, default: int, *, least: int = 1, most: int) -> int:
        text = self.text(variable, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
            raise ValueError(f"{variable} is {text!r}; a whole number from {least} to {most} is expected")
        return int(text)

    def bound(self, bound: Field[Any]) -> Any:
        """A bound, a whole number where its default is one, else seconds."""
        variable, least, most = variable_of(bound.name), bound.metadata["least"], bound.metadata["most"]
        if isinstance(bound.default, int):
            return self.whole_number(variable, bound.default, least=least, most=most)
        text = self.text(variable, str(bound.default))
        if not (_SECONDS.fullmatch(text) and least <= float(text) <= most):
            raise ValueError(f"{variable} is {text!r}; a number of seconds from {least} to {most} is expected")
        return float(text)

    def refuse_others(self) -> None:
        unknown = sorted(self._given.keys() - self._known)
        if unknown:
            raise ValueError(f"{unknown[0]} is no setting; those are {', '.join(sorted(self._known))}")


def _is_of_kubernetes(name: str, value: str) -> bool:
    return bool(_OF_KUBERNETES.fullmatch(name)) or (name == "GRADBOOK_PORT" and "://" in value)
