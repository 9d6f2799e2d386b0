# Needs Python 3.11 or newer (with venv and pip) and make. Everything else comes from hash-locked wheels.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin

# A stamp is named after a hash of what it stands for: an unchanged second start does no pip work, whatever the clocks say.
hash = $(shell $(PYTHON) -c "import hashlib,sys;print(hashlib.sha256(b''.join(open(f,'rb').read() for f in sys.argv[1:])+sys.version.encode()).hexdigest()[:16])" $(1) 2>/dev/null)
RUN := .venv/.installed-$(call hash,requirements.lock)
DEV := .venv/.installed-dev-$(call hash,requirements.lock requirements-dev.lock)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all:

.PHONY: help up console reset demo status key worker api test check bench faults docs lint format types histories sbom

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; choose one with: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv .venv || { echo "python3 -m venv failed; on Debian and Ubuntu: apt install python3-venv"; rm -rf .venv; exit 1; }

$(RUN): | $(BIN)/python
	@echo "installing what requirements.lock names into .venv; this happens once"
	@$(PIP) -r requirements.lock
	@rm -f .venv/.installed-*; touch $@

# The development lock contains the other one, at the same versions.
$(DEV): | $(BIN)/python
	@echo "installing what requirements-dev.lock names into .venv; this happens once"
	@$(PIP) -r requirements-dev.lock
	@rm -f .venv/.installed-*; touch $(RUN) $@

up: $(RUN) ## Start everything on this machine; options: make up ARGS='--api-port 8001'
	@$(BIN)/python -m supply console || true
	@$(BIN)/python stack.py up $(ARGS)

console: $(RUN) ## Build the console, if its sources changed
	@$(BIN)/python -m supply console

reset: $(RUN) ## Delete the state of `make up`
	@$(BIN)/python stack.py reset $(ARGS)

demo: $(RUN) ## Tell a running stack a few stories and show what it decided
	@$(BIN)/python stack.py demo $(ARGS)

status: $(RUN) ## Say what runs
	@$(BIN)/python stack.py status $(ARGS) || true

key: $(RUN) ## Issue an API key: make key ARGS='--scopes ingest'
	@$(BIN)/python stack.py new-key $(ARGS)

worker: $(RUN) ## Run one more worker beside `make up`
	@. ./.data/stack.env && exec $(BIN)/python worker.py

api: $(RUN) ## Run one more API beside `make up`: make api PORT=8001
	@. ./.data/stack.env && HOLDFAST_API_PORT=$(or $(PORT),8001) exec $(BIN)/python -m api.main

# Without ARGS the whole suite, in processes with servers of their own.
JOBS ?= 2
SUITE := --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --durations 25 --durations-min 1

test: $(DEV) ## Run the tests
	@$(BIN)/python -m pytest $(or $(ARGS),$(SUITE))

check: lint types ## Check style, types, layering and layout
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/test_layout.py

lint: $(DEV) ## Check style only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(DEV) ## Check types only
	@$(BIN)/mypy .
	@$(BIN)/basedpyright

format: $(DEV) ## Bring the code into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(DEV) ## Measure against the floor and peers
	@$(BIN)/python -m bench $(ARGS)

faults: $(DEV) ## Kill everything under load and look: make faults ARGS='--tier ci --seed 7'
	@$(BIN)/python -m tests.faults $(ARGS)

histories: $(DEV) ## Record the golden histories anew; commit what changes only when it is meant
	@$(BIN)/python -m tests.record_histories $(ARGS)

docs: $(DEV) ## Regenerate docs/reference
	@$(BIN)/python -c 'import settings; settings.write_reference()'
	@$(BIN)/python -m supply licences

sbom: $(RUN) ## Write the bill of materials: build/sbom.cdx.json
	@$(BIN)/python -m supply sbom
