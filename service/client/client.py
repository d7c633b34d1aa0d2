"""The service from Python, over HTTP: a method for each operationId, frozen results, figures as NumPy arrays.

    with Client("http://127.0.0.1:8000") as gradbook:
        graph = gradbook.create_graph("blog", expression="F(a, b, c, d) = ((a + b) * c) / d")
        run = gradbook.create_run(graph, {"a": 5, "b": 1, "c": -2, "d": -3})
        run.values["F"], run.gradients["d"]

Every method raises Problem where the service refuses, and ServiceUnavailable where none answers:

    ClientError
    ├── Problem              an application/problem+json answer (RFC 9457)
    │   └── JobFailed        a job's
    ├── JobCancelled         the job that was waited for was stopped
    └── ServiceUnavailable   no answer, or not one of Gradbook's
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Self

from service.client.methods.comparisons import ComparisonMethods
from service.client.methods.derivatives import DerivativeMethods
from service.client.methods.explanations import ExplanationMethods
from service.client.methods.graphs import GraphMethods
from service.client.methods.jobs import JobMethods
from service.client.methods.pictures import PictureMethods
from service.client.methods.runs import RunMethods
from service.client.methods.series import SeriesMethods
from service.client.methods.state import StateMethods
from service.client.methods.sweeps import SweepMethods
from service.client.methods.tensors import TensorMethods
from service.client.results.jobs import Job
from service.client.tensors import Tensors
from service.client.transport import ANSWER_SECONDS, CONNECT_SECONDS, Transport


class Client(
    GraphMethods,
    RunMethods,
    TensorMethods,
    ExplanationMethods,
    ComparisonMethods,
    SeriesMethods,
    PictureMethods,
    DerivativeMethods,
    SweepMethods,
    JobMethods,
    StateMethods,
):
    """A service at a URL, over one session; a context manager.

    `access_key` is a key of the service's, by default what GRADBOOK_KEY holds; without one a service that has keys
    answers nothing but whether it is alive and ready.
    `timeout` is in seconds, for the answer or as (connection, answer). A request that met no answer or a passing
    failure is sent again up to `retries` times if it is a GET, a PUT or a POST: every POST carries an Idempotency-Key,
    the caller's `key` or one made for it, under which it takes effect once. Each request is sent, and answered, within
    `during()`: there a program may show that it waits.

    What would take longer than the service answers is refused. With `on_job` it becomes a job instead, which `on_job`
    is given and returns when it has ended, as `Job.wait` does; the method then returns what came of it.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        access_key: str | None = None,
        timeout: float | tuple[float, float] = (CONNECT_SECONDS, ANSWER_SECONDS),
        retries: int = 3,
        during: Callable[[], AbstractContextManager[None]] = nullcontext,
        on_job: Callable[[Job], Job] | None = None,
    ) -> None:
        key = os.environ.get("GRADBOOK_KEY", "") if access_key is None else access_key
        self._http = Transport(url, timeout, retries, key.strip(), during)
        if on_job is not None:
            self._http.finish = partial(self._finish, on_job)
        self._tensors = Tensors(self._http)

    @property
    def url(self) -> str:
        """Where the service is."""
        return self._http.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
