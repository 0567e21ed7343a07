# The only commands to remember. Needs Python 3.11 or newer, and make.
#   make demo [ARGS=--all]   make up   make test   make check   make bench
# Of the docs: make docs (a site)   make reference (pages that are made of the code)
# Parts of `make check`: make lint   make unit   make broker   make slow. What CI runs besides: make long

PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
# One environment in two sizes: what runs and shows Headrace, and on top of it what develops it.
DEMO_PACKAGES := .venv/.demo-packages
DEMO_READY := .venv/.demo
READY := .venv/.made
SOURCES := headrace schemas ingest_api processors serving access infra tests bench examples
COVERAGE := --cov --cov-report=term
# What computes has no line and no branch that no test reaches; the floor of the rest stands in pyproject.toml.
PURE_COVERAGE = $(BIN)/coverage report --include="schemas/*" --fail-under=100
# Tests wait for Kafka and for processes as long as they compute, so there are more workers than cores.
WORKERS ?= 4
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder
QUICK := --hypothesis-profile quick

PIP := $(BIN)/python -m pip --disable-pip-version-check
# The locks hold everything, extras and what builds included: pip neither resolves nor chooses, so nothing that is
# published later can change or break an install.
INSTALL := $(PIP) install --quiet --no-deps --no-build-isolation
LOCKED := $(INSTALL) --require-hashes --requirement

# What builds the site is no part of what develops Headrace, and has an environment of its own.
DOCS_VENV ?= .venv-docs
DOCS_READY := $(DOCS_VENV)/.made
DOCS_PIP := $(DOCS_VENV)/bin/python -m pip --disable-pip-version-check
SITE ?= site

.PHONY: venv venv-demo lock reference docs demo up test unit broker slow long format lint check check-tests bench bench-full clean mutations

venv: $(READY)

venv-demo: $(DEMO_READY)

# Begins with an empty environment when a lock changes, so that nothing stays which is locked no longer.
$(DEMO_PACKAGES): requirements-build.lock requirements-demo.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Headrace needs Python 3.11 or newer; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv --clear .venv
	$(LOCKED) requirements-build.lock
	$(LOCKED) requirements-demo.lock
	@touch $@

$(DEMO_READY): $(DEMO_PACKAGES) pyproject.toml
	$(INSTALL) --editable .
	$(PIP) check
	@touch $@

$(READY): $(DEMO_READY) requirements.lock
	$(LOCKED) requirements.lock
	$(PIP) check
	@touch $@

# Resolves what pyproject.toml asks for, for every platform and Python, and keeps what is locked where it still fits;
# ARGS=--upgrade takes the newest of everything. Then looks whether each platform gets each package as a wheel.
COMPILE := pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-strip-extras --no-annotate \
	--no-header --no-emit-index-url --no-emit-find-links
PLATFORMS := x86_64-manylinux_2_34 aarch64-manylinux_2_34 aarch64-apple-darwin
# Built on arm64 by what requirements-build.lock holds.
WITHOUT_WHEEL := --no-binary faust-streaming

lock:
	set -e; scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	$(PYTHON) -m venv "$$scratch"; \
	"$$scratch/bin/python" -m pip install --quiet --disable-pip-version-check uv; \
	uv="$$scratch/bin/uv"; \
	$$uv $(COMPILE) pyproject.toml --extra kafka --extra postgresql --group build --group demo --group dev -o requirements.lock $(ARGS); \
	$$uv $(COMPILE) pyproject.toml --extra kafka --group build --group demo -c requirements.lock -o requirements-demo.lock; \
	$$uv $(COMPILE) --group build -c requirements.lock -o requirements-build.lock; \
	$$uv $(COMPILE) --group docs -c requirements.lock -o requirements-docs.lock $(ARGS); \
	for lock in requirements.lock requirements-docs.lock; do \
	for platform in $(PLATFORMS); do for python in 3.11 3.12 3.13 3.14; do \
		$$uv pip install --quiet --dry-run --target "$$scratch/none" --no-deps --only-binary :all: $(WITHOUT_WHEEL) \
			--require-hashes --python-platform $$platform --python-version $$python -r $$lock; \
	done; done; done

# Writes the pages anew that are made of tables in the code: settings, metrics, error codes, limits, commands.
reference: $(READY)
	$(BIN)/python -m tests.docs.reference

# Builds README and docs into a site, whose links are all checked: open site/index.html, or serve the folder.
$(DOCS_READY): requirements-docs.lock
	$(PYTHON) -m venv --clear $(DOCS_VENV)
	$(DOCS_PIP) install --quiet --no-deps --require-hashes --requirement requirements-docs.lock
	$(DOCS_PIP) check
	@touch $@

docs: $(DOCS_READY)
	rm -rf $(SITE)
	$(DOCS_VENV)/bin/python -m tests.docs.site $(SITE)

demo: $(DEMO_READY)
	$(BIN)/python -m examples.flights.demo $(ARGS)

up: $(DEMO_READY)
	$(BIN)/headrace up $(ARGS)

test: $(READY)
	$(PYTEST) -m "not slow and not long" $(QUICK) $(ARGS)

unit: $(READY)
	$(PYTEST) -m "not slow and not long and not broker" $(ARGS)

broker: $(READY)
	$(PYTEST) -m "broker and not slow and not long" $(ARGS)

slow: $(READY)
	$(PYTEST) -m slow $(ARGS)

long: $(READY)
	$(PYTEST) -m long $(ARGS)

format: $(READY)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lint: $(READY)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint check-tests

check-tests: $(READY)
	$(PYTEST) -m "not long" $(COVERAGE) $(ARGS)
	@$(PURE_COVERAGE) >/dev/null || { $(PURE_COVERAGE) --show-missing; exit 2; }

# Breaks the core on purpose, one listed change after the other, and shows that tests fail (docs/mutations.md).
mutations: $(READY)
	$(BIN)/python -m tests.mutations $(ARGS)

bench: $(READY)
	$(BIN)/python -m bench $(ARGS)

bench-full: $(READY)
	$(BIN)/python -m bench --full $(ARGS)

clean:
	rm -rf .venv .venv-docs site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage dist
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
