# make demo | make test: each does its own set-up on a fresh machine (Python 3.11 or newer).
# Both need an Apache Kafka 4 (KAFKA_HOME, Java 17) or THALWEG_KAFKA__BOOTSTRAP_SERVERS;
# without either, a Kafka in ../shared/kafka is used where there is one.

PYTHON ?= python3
EXTRAS := local,train,dev
BIN := .venv/bin
STAMP := .venv/.complete

ifeq ($(strip $(KAFKA_HOME)),)
KAFKA_HOME := $(abspath $(wildcard ../shared/kafka))
endif
export KAFKA_HOME

.PHONY: setup demo up down test check fix bench chaos needs-kafka

setup: $(STAMP)

demo: needs-kafka setup
	@$(BIN)/thalweg demo $(ARGS)

up: needs-kafka setup
	@$(BIN)/thalweg up --detach $(ARGS)

down: setup
	@$(BIN)/thalweg down $(ARGS)

test: needs-kafka setup
	@$(BIN)/python -m pytest $(ARGS)

check: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fix: setup
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: needs-kafka setup
	@$(BIN)/python -m tests.bench $(ARGS)

# The long form; `make test` kills fewer times.
chaos: needs-kafka setup
	@CHAOS_KILLS=$${CHAOS_KILLS:-100} $(BIN)/python -m pytest -m chaos --timeout=7200 $(ARGS)

needs-kafka:
	@if [ -z "$$KAFKA_HOME$$THALWEG_KAFKA__BOOTSTRAP_SERVERS" ]; then \
	  echo "No Kafka to use: set KAFKA_HOME to an Apache Kafka 4 folder (needs Java 17), or THALWEG_KAFKA__BOOTSTRAP_SERVERS to a running cluster." >&2; \
	  exit 2; \
	fi

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
