# The dependencies, the service and its compiled kernels, in one virtual environment at /venv.
FROM python:3.13-slim AS build
# What it can do beyond the service itself, by requirements-EXTRA.lock: --build-arg EXTRAS="postgres arrow onnx dask otel".
ARG EXTRAS=postgres
WORKDIR /source
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
COPY requirements*.lock .
RUN for lock in requirements.lock $(printf 'requirements-%s.lock ' $EXTRAS); do \
        pip install --require-hashes --only-binary :all: --requirement $lock || exit 1; \
    done
COPY pyproject.toml .
COPY docs docs
COPY service service
COPY migrations migrations
RUN pip install --no-index --no-deps --no-build-isolation .
# Numba keys its cache by the processor: a generic one lets the kernels that are compiled here be found anywhere.
ENV NUMBA_CACHE_DIR=/venv/compiled NUMBA_CPU_NAME=generic
RUN mkdir $NUMBA_CACHE_DIR && gradbook warm
# What only builds, or tests the dependencies, has no use any more.
RUN pip uninstall --quiet --yes editables hatchling pathspec pluggy trove-classifiers pip \
    && find /venv/lib -type d -name tests -prune -exec rm -r {} + \
    && find /venv/lib -name '*.pyi' -delete

# What runs: no compiler, no installer, no sources; the root may be read-only, for only /data is written to.
FROM python:3.13-slim
LABEL org.opencontainers.image.title="Gradbook" \
      org.opencontainers.image.description="A REST service that keeps the book of computational graphs and their gradients" \
      org.opencontainers.image.version="0.1.0"
RUN groupadd --gid 10001 gradbook \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin gradbook \
    && install --directory --owner=gradbook --group=gradbook /data \
    && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip
COPY --from=build /venv /venv
# SQLite sorts large indices in a file, for which /tmp may be too small.
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SQLITE_TMPDIR=/data \
    NUMBA_CACHE_DIR=/venv/compiled \
    NUMBA_CPU_NAME=generic \
    NUMBA_CACHE_LOCATOR_CLASSES=service.core.execution.numba_cache.ReadOnlyCacheLocator \
    GRADBOOK_HOST=0.0.0.0 \
    GRADBOOK_PORT=8000 \
    GRADBOOK_DATABASE_URL=sqlite:////data/gradbook.db
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=500ms CMD ["python", "-c", "\
import http.client, os, sys; \
connection = http.client.HTTPConnection('127.0.0.1', int(os.environ['GRADBOOK_PORT']), timeout=4); \
connection.request('GET', '/readyz'); \
sys.exit(connection.getresponse().status != 200)"]
CMD ["gradbook", "serve"]
