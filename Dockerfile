# The dependencies, the service and its compiled kernels, in one virtual environment at /venv.
FROM python:3.13-slim AS build
WORKDIR /source
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
COPY requirements.lock .
RUN pip install --no-cache-dir --require-hashes --only-binary :all: --requirement requirements.lock
COPY pyproject.toml .
COPY service service
COPY migrations migrations
RUN pip install --no-cache-dir --no-index --no-deps --no-build-isolation .
# Numba keys its cache by the processor: a generic one lets the kernels that are compiled here be found anywhere.
ENV NUMBA_CACHE_DIR=/venv/compiled NUMBA_CPU_NAME=generic
RUN mkdir $NUMBA_CACHE_DIR && gradbook warm

# What runs: no compiler, no sources; the root may be read-only, for only /data is written to.
FROM python:3.13-slim
RUN useradd --system --uid 10001 --user-group --no-create-home gradbook \
    && install --directory --owner=gradbook --group=gradbook /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
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
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-c", "\
import http.client, os, sys; \
connection = http.client.HTTPConnection('127.0.0.1', int(os.environ['GRADBOOK_PORT']), timeout=4); \
connection.request('GET', '/readyz'); \
sys.exit(connection.getresponse().status != 200)"]
CMD ["gradbook", "serve"]
