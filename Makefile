# `make demo` or `make up` is all a newcomer types; each target makes .venv when it is missing.
# Everything is written inside this folder: caches, temporary files and state too.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INFRA := infra/.venv
export TMPDIR := $(CURDIR)/.tmp
export DAGSTER_DISABLE_TELEMETRY := 1
export PYTHONUNBUFFERED := 1

.PHONY: demo up test lint format bench synth infra deploy clean
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

$(INFRA)/.ready: $(VENV)/.ready infra/requirements.txt infra/constraints.txt
	@node --version >/dev/null 2>&1 || { echo "node: not found, expected Node.js 20 or later: CDK runs on it"; exit 2; }
	@echo "setting up $(INFRA) (once)"
	@test -x $(INFRA)/bin/python || $(PYTHON) -m venv $(INFRA)
	@UV_CACHE_DIR=$(CURDIR)/$(INFRA)/cache $(BIN)/uv pip install -q --python $(INFRA)/bin/python -c infra/constraints.txt -r infra/requirements.txt
	@rm -rf $(INFRA)/cache
	@touch $@

synth: $(INFRA)/.ready ## the AWS deployment as CloudFormation, in infra/cdk.out; offline
	@mkdir -p $(TMPDIR)
	@CDK_OUTDIR=infra/cdk.out $(INFRA)/bin/python -m infra.app && echo "infra/cdk.out: $$(ls infra/cdk.out/*.template.json | wc -l) templates"

infra/.checkov/.ready: $(VENV)/.ready infra/checkov.txt
	@echo "setting up infra/.checkov (once)"
	@test -x infra/.checkov/bin/python || $(PYTHON) -m venv infra/.checkov
	@UV_CACHE_DIR=$(CURDIR)/infra/.checkov/cache $(BIN)/uv pip install -q --python infra/.checkov/bin/python -c infra/checkov.txt checkov
	@rm -rf infra/.checkov/cache
	@touch $@

infra: $(INFRA)/.ready infra/.checkov/.ready ## checks of the deployment: synth twice, cdk-nag, cfn-lint, checkov
	@mkdir -p $(TMPDIR)
	@$(BIN)/python -m infra.checks

deploy: $(INFRA)/.ready ## STAGE=<of infra/stages.yaml>: builds the image and deploys (docker, Node.js, a login)
	@bash infra/deploy.sh

clean: ## remove what the other targets made
	rm -rf $(VENV) $(INFRA) infra/.checkov infra/cdk.out .local .tmp .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
