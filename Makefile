# From a bare machine with Python 3.11 or newer:
#   make run     the service, with the seed example in it, on 127.0.0.1:8000
#   make test    the whole suite

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: install run test lint openapi lock bench clean

install: .venv/installed

run: install
	$(BIN)/gradbook migrate --seed-example
	exec $(BIN)/gradbook serve

test: .venv/tested
	$(BIN)/pytest -n 2 --cov --cov-report= --cov-fail-under=0
	$(BIN)/coverage report --include='service/core/*' --fail-under=100
	$(BIN)/coverage report --omit='service/core/*'

lint: .venv/tested
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

openapi: install
	$(BIN)/gradbook openapi > .venv/openapi.yaml
	mv .venv/openapi.yaml openapi.yaml

# The pins stay unless UPGRADE=--upgrade is given. Lock under the oldest Python that pyproject.toml allows, since newer
# releases drop it first; from the ordinary index alone, whatever else this machine's pip is set to look at.
LOCK = env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null \
	CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet $(UPGRADE)
lock: .venv/tested
	$(LOCK) --build-deps-for editable --output-file requirements.lock pyproject.toml
	$(LOCK) --extra dev --constraint requirements.lock --output-file tests/requirements.lock pyproject.toml

# The peers come beside the locked packages and may not move them.
bench: install
	$(PIP) freeze --exclude-editable > .venv/constraints.txt
	$(PIP) install --quiet --constraint .venv/constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks

# All that the targets above have made; a database stays.
clean:
	rm -rf .venv .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find service migrations tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: each step is done again when what it was made from has changed.

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Gradbook needs Python 3.11 or newer, and \
	$(PYTHON) is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv

# The lock holds the build backend too, so that nothing is fetched but what it pins.
.venv/installed: requirements.lock pyproject.toml | .venv/bin/pip
	$(PIP) install --quiet --require-hashes --only-binary :all: --requirement requirements.lock
	$(PIP) install --quiet --no-index --no-deps --no-build-isolation --editable .
	$(BIN)/gradbook warm
	touch $@

.venv/tested: tests/requirements.lock .venv/installed
	$(PIP) install --quiet --require-hashes --only-binary :all: --requirement tests/requirements.lock
	touch $@
