# The only commands to remember. Needs Python 3.11 or newer, and make.
#   make demo [ARGS=--all]   make up   make test   make check   make bench

PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
READY := .venv/.made
# The lock holds everything, extras included: pip never resolves, so nothing published later can change an install.
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := headrace schemas ingest_api processors serving access infra tests bench examples
COVERAGE := --cov --cov-report=term

.PHONY: venv lock demo up test format check bench bench-full clean

venv: $(READY)

# Made again only when what it is made from changes.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Headrace needs Python 3.11 or newer; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --no-deps --require-hashes --requirement requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	$(PIP) check
	@touch $@

# Resolves all versions anew, for every platform and Python.
lock:
	scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	$(PYTHON) -m venv "$$scratch" && \
	"$$scratch/bin/python" -m pip install --quiet --disable-pip-version-check uv && \
	"$$scratch/bin/uv" pip compile --universal --generate-hashes --python-version 3.11 --all-extras --no-annotate \
		--no-header --no-emit-index-url --no-emit-find-links --quiet pyproject.toml -o requirements.lock

demo: $(READY)
	$(BIN)/python -m examples.flights.demo $(ARGS)

up: $(READY)
	$(BIN)/headrace up $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

format: $(READY)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

check: $(READY)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(COVERAGE) $(ARGS)

bench: $(READY)
	$(BIN)/python -m bench $(ARGS)

bench-full: $(READY)
	$(BIN)/python -m bench --full $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage dist
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
