# `make demo` or `make up` is all a newcomer types; each target makes .venv when it is missing.
# Everything is written inside this folder: caches, temporary files and state too.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export TMPDIR := $(CURDIR)/.tmp
export DAGSTER_DISABLE_TELEMETRY := 1
export PYTHONUNBUFFERED := 1

.PHONY: demo up test lint format bench clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(VENV)/.ready: pyproject.toml constraints.txt
	@mkdir -p $(TMPDIR)
	@echo "setting up $(VENV) (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --no-cache-dir --disable-pip-version-check -c constraints.txt uv
	@UV_CACHE_DIR=$(CURDIR)/$(VENV)/cache $(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[dev]'
	@rm -rf $(VENV)/cache
	@touch $@

demo: $(VENV)/.ready ## one day of privacy logs, from DynamoDB to the audit report
	@mkdir -p $(TMPDIR)
	@$(BIN)/privacy-assets demo $(ARGS)

up: $(VENV)/.ready ## AWS, Dagster's webserver and daemon on this machine; Ctrl-C ends them
	@mkdir -p $(TMPDIR)
	@$(BIN)/privacy-assets up $(ARGS)

test: $(VENV)/.ready ## all tests
	@mkdir -p $(TMPDIR)
	@$(BIN)/pytest $(ARGS)

lint: $(VENV)/.ready ## ruff, mypy, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(VENV)/.ready ## rewrite the code as lint wants it
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.ready ## measure speed and memory; writes benchmarks/results
	@mkdir -p $(TMPDIR)
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove what the other targets made
	rm -rf $(VENV) .local .tmp .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
