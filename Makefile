# Two commands for a machine with Python 3.11 or later: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
STAMP := $(VENV)/.stamp

.PHONY: demo up constraints test lint format golden examples tracker properties fuzz document chaos benchmark kafka-up kafka-down clean help

help: ## show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

# What runs the service; and, on top of it, what the tests and benchmarks need.
$(RUNTIME): pyproject.toml constraints.txt
	@echo "Making the environment in $(VENV) (once)."
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Touchline needs Python 3.11 or later; set PYTHON=")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1' uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[parquet]'
	@touch $(RUNTIME)

$(STAMP): $(RUNTIME)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --group dev
	@touch $(STAMP)

constraints: $(STAMP) ## write constraints.txt anew: the newest version of every package that pyproject.toml allows, on Python 3.11 and later
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links --all-extras --group dev pyproject.toml --output-file constraints.txt

demo: $(RUNTIME) ## a lively sample workspace with its dashboard; PORT says on which port in place of 8300
	@$(BIN)/touchline demo $(if $(PORT),--port $(PORT))

up: $(RUNTIME) ## everything, on a data directory of its own; PORT says on which port in place of 8300, SEALED=1 seals a new one
	@$(BIN)/touchline up $(if $(PORT),--port $(PORT)) $(if $(SEALED),--sealed)

test: lint ## all checks and tests that this machine can run, a file of tests at a time on each core
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: $(STAMP) ## style, types and the house's directions
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }

format: $(STAMP) ## put the code into shape
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

golden: $(STAMP) ## note the rows of the golden world beside the CONTENT that they belong to
	@$(BIN)/python -m tests.golden_world

examples: $(STAMP) ## write the examples of /openapi.json anew, as the service answers now
	@$(BIN)/python -m tests.examples

tracker: ## build the script for web pages, /t.js, of web/tracker; takes Node and npm
	@cd web/tracker && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error && npm run --silent types && npm run --silent build

properties: $(STAMP) ## the long property suites: 20,000 worlds on the rules, 1,000 through PostgreSQL
	@TOUCHLINE_MEMORY_EXAMPLES=20000 TOUCHLINE_STORE_EXAMPLES=1000 $(BIN)/python -m pytest tests/properties -o timeout=7200

fuzz: $(STAMP) ## hostile events and questions for a `touchline up`; PAYLOADS says how many, SEED which, SECONDS how long at most
	@$(BIN)/python -m tests.fuzz --payloads $(or $(PAYLOADS),200000) $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS))

document: $(STAMP) ## some 5,000 requests that /openapi.json allows or does not allow, with keys of every scope
	@TOUCHLINE_DOCUMENT_EXAMPLES=60 $(BIN)/python -m pytest tests/system/test_document.py -o timeout=7200

chaos: $(STAMP) ## ten minutes of faults under load: three brokers and six processes, then one `touchline up`; TOUCHLINE_CHAOS_S sets how long
	@$(BIN)/python -m tests.chaos --stage many
	@$(BIN)/python -m tests.chaos --stage up

kafka-up: ## Apache Kafka on this machine, thrown away by kafka-down; BROKERS=3 for failover. Takes Java 17 and Maven
	@$(PYTHON) deploy/kafka/brokers.py up --brokers $(or $(BROKERS),1)

kafka-down: ## end it, its data with it
	@$(PYTHON) deploy/kafka/brokers.py down

benchmark: $(STAMP) ## measure; see benchmarks/README.md
	@$(BIN)/python -m benchmarks

clean: ## remove the environment and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
