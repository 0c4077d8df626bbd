.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.11
BIN := .venv/bin
ORDERS ?=

.PHONY: help run stop test prove lint rehearse bench package lock clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.venv/local: pyproject.toml infra/aws/constraints.txt
	@test -x $(BIN)/python || command -v $(PYTHON) > /dev/null || { \
		echo "Python 3.11 is needed, and $(PYTHON) is absent. Install it, or set PYTHON=… to its command." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the dependencies of the local stack ..."
	@$(BIN)/python -m pip install $(QUIET) -c infra/aws/constraints.txt -e '.[local]'
	@touch $@

.venv/ready: .venv/local
	@echo "installing the dependencies of the tests ..."
	@$(BIN)/python -m pip install $(QUIET) -c infra/aws/constraints.txt -e '.[local,dev]'
	@touch $@

QUIET := -qq --disable-pip-version-check

run: .venv/local ## Run the whole stack on this machine until Ctrl-C (ports: LIVEDROP_HTTP_PORT, LIVEDROP_AWS_PORT)
	@exec $(BIN)/livedrop run

stop: ## Stop everything that `make run` started
	@if test -x $(BIN)/livedrop; then $(BIN)/livedrop stop; \
		else echo "cannot look for a running stack: $(BIN)/livedrop is absent (make .venv/local makes it)"; fi

test: .venv/ready lint ## Lint, then run all tests and check the coverage of the domain rooms
	@$(BIN)/python -m pytest -n 2 $(SEARCH_SUITES)  # without coverage, which would triple their time
	@$(BIN)/python -m pytest -n 2 --cov --cov-report= $(SEARCH_SUITES:%=--ignore=%)
	@$(BIN)/coverage report --skip-covered --show-missing \
		--include='$(subst $(space),$(comma),$(DOMAIN_ROOMS:%=chalicelib/%/*))'

SEARCH_SUITES := tests/simulation tests/crashes
LONG_RUNS := tests/capture/test_paced_run.py tests/recovery/reconciliation/test_year_of_provider_events.py
DOMAIN_ROOMS := stock shows pricing discounts risk payments purchase checkout refunds capture recovery finance
comma := ,
space := $(subst ,, )

prove: .venv/ready ## Run the long forms of races (two engines; needs Java), crashes, schedules and a year at the provider: three hours or more
	@LIVEDROP_SCHEDULES=20000 LIVEDROP_CRASHES=all LIVEDROP_RACES=20 LIVEDROP_SECOND_ENGINE=1 LIVEDROP_STEPS=20000 \
		LIVEDROP_ORDERS=2000 LIVEDROP_DAYS=365 \
		$(BIN)/python -m pytest -n 2 $(SEARCH_SUITES) tests/races $(LONG_RUNS)

lint: .venv/ready ## Check format, lint rules, strict types and import arrows
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary app.py chalicelib infra tests
	@$(BIN)/mypy --no-error-summary --python-version 3.13 app.py chalicelib  # the Python on AWS
	@$(BIN)/lint-imports --no-logo > .import-arrows || { cat .import-arrows; rm -f .import-arrows; exit 1; }
	@rm -f .import-arrows

rehearse: .venv/local ## Drive real orders through the local stack and check everything (ORDERS=FILE.csv)
	@exec $(BIN)/livedrop rehearse $(ORDERS)

bench: .venv/ready ## Measure the speed and cost of stock (about ten minutes)
	@exec $(BIN)/livedrop bench

package: .venv/local ## Package the application for AWS and print its size
	@$(BIN)/livedrop package

lock: .venv/ready ## Update all pinned versions: requirements.txt for AWS, infra/aws/constraints.txt for development
	@$(BIN)/pip-compile $(LOCK) -o requirements.txt pyproject.toml
	@$(BIN)/pip-compile $(LOCK) --all-extras --constraint requirements.txt -o infra/aws/constraints.txt pyproject.toml

LOCK := --quiet --upgrade --strip-extras --no-header --no-annotate --allow-unsafe \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

clean: stop ## Stop the local stack; delete its data, builds and environments
	@rm -rf .venv .livedrop build
