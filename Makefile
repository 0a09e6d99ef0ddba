# make demo | make test: each does its own set-up on a fresh machine (Python 3.11 or newer).
# The broker is the embedded one. KAFKA_HOME (an Apache Kafka 4, run by Java 17) takes that instead,
# THALWEG_KAFKA__BOOTSTRAP_SERVERS a cluster that runs; the tests take both brokers with KAFKA_HOME.

PYTHON ?= python3
EXTRAS := local,train,drift,dev
BIN := .venv/bin
STAMP := .venv/.complete

.PHONY: setup demo up down test check fix bench chaos

setup: $(STAMP)

demo: setup
	@$(BIN)/thalweg demo $(ARGS)

up: setup
	@$(BIN)/thalweg up --detach $(ARGS)

down: setup
	@$(BIN)/thalweg down $(ARGS)

# Two halves at once: tests with real brokers, which mostly wait, and the others (tests/conftest.py).
test: setup
	@$(BIN)/python -m pytest -n 2 $(ARGS)

check: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fix: setup
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: setup
	@$(BIN)/python -m tests.bench $(ARGS)

# The long form; `make test` kills fewer times.
chaos: setup
	@CHAOS_KILLS=$${CHAOS_KILLS:-100} $(BIN)/python -m pytest -m chaos --timeout=7200 $(ARGS)

# Once per change of what is installed. torch always comes through pip, whose own configuration may
# offer a CPU build: uv does not read it, and would pull gigabytes of CUDA onto a machine without a GPU.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Thalweg needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	@if command -v uv >/dev/null; then \
	  uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[$(EXTRAS)]' \
	  || { echo "uv could not install it; trying pip, which has a configuration of its own" >&2; false; }; \
	else false; fi \
	|| $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@
