# Everything a person does with the project. `make run` and `make test` set up what they need.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || echo python3.11)
# The oldest Python has the smallest choice of versions: what is pinned there installs on all three.
LOCK_PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup run test test-long mutation dev serve check docs lock benchmark clean reset

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)  ## make .venv with everything pinned in requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) found: install Python 3.11 to 3.13 and pass PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: setup  ## source, backfill, model, gate, recommendations; ends with what it made
	$(BIN)/moovitamix run

test: setup  ## the test suite
	$(BIN)/python -m pytest -n auto --dist loadfile

test-long: setup  ## the exhaustive forms: many kills, many faults
	$(BIN)/python -m pytest -m long

# Lines that differ from BASE, or whole modules: make mutation MODULE=moovitamix_assets/training/gate/promotion.py
BASE ?= HEAD
mutation: setup  ## small defects made in changed code: which of them no unit test notices
	$(BIN)/python -m moovitamix_assets_tests.mutation --base $(BASE) $(MODULE:%=--module %)

dev: setup  ## the source and the Dagster UI together; Ctrl-C stops both
	$(BIN)/moovitamix dev

serve: setup  ## the recommendation API: http://127.0.0.1:8080
	$(BIN)/moovitamix serve

check: setup  ## ruff (imports, docstrings, complexity) and strict types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The models on public data: make benchmark DATASET=path/to/hetrec-lastfm-2k FORMAT=hetrec SPLIT=time
FORMAT ?= hetrec
SPLIT ?= random
benchmark: setup  ## the figures of docs/model.md, side by side; the models on the bundled world or DATASET=folder
	$(BIN)/python -m benchmarks.top_n
ifdef DATASET
	$(BIN)/python -m benchmarks.quality --format $(FORMAT) --path $(DATASET) --split $(SPLIT)
else
	$(BIN)/python -m benchmarks.quality
endif

docs: setup  ## write the generated pages of docs/ (settings, data dictionary)
	$(BIN)/python docs/generate.py

lock:  ## pin the newest versions for Python 3.11 that satisfy pyproject.toml, by name and version alone
	$(LOCK_PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --editable '.[dev]' 'setuptools>=77'
	.venv-lock/bin/python -m pip freeze --all --exclude moovitamix-assets --exclude pip \
		| awk -F== '{ name = tolower($$1); gsub(/[_.]+/, "-", name); print name "==" $$2 }' \
		| LC_ALL=C sort -t= -k1,1 > requirements.lock
	rm -rf .venv-lock

reset: setup  ## delete what runs made: data and Dagster's records; asks first
	@$(BIN)/moovitamix reset

clean:  ## remove caches (keeps .venv, data and Dagster's records)
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
