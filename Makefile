# PYTHON picks the interpreter that .venv is made from, V=1 shows every command, TESTS narrows `make test`, JOBS is how
# many tests run side by side, DEPTH is how many times as long `make deep` looks, TRIALS and CELLS (a pattern, as 'net.*')
# narrow `make faults` and `make failover`, PAGES (a pattern) narrows `make pages`, ROLLOUT (a pattern) narrows `make rollout`, which begins with
# version OLD, by default the last release, BENCH is what `make bench` measures (`BENCH=--help` lists it),
# BOARD, PROMETHEUS, RANGE and VARS are what `make board` draws.

PYTHON ?= python3
VENV ?= .venv
TESTS ?=
JOBS ?= 4
TRIALS ?= 200
DEPTH ?= 100
CELLS ?= *
PAGES ?= *
ROLLOUT ?= *
OLD ?=
BENCH ?= table
BOARD ?= overview
PROMETHEUS ?= http://127.0.0.1:9090
RANGE ?= 1h
VARS ?=
V ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
Q := $(if $(V),,@)
QUIET := $(if $(V),,--quiet)
# A distribution may ship Python without what puts pip into a virtual environment; then the outer pip serves it.
PIP = $$(if [ -x $(BIN)/pip ]; then echo $(BIN)/python -m pip; else echo $(PYTHON) -m pip --python $(BIN)/python; fi)
PIP_INSTALL = $(PIP) install $(QUIET) $(QUIET) --disable-pip-version-check --no-input
PYTEST = $(BIN)/pytest $(QUIET)
# The exit status of pytest where TESTS holds no test of the kind that is run.
NONE_WAS_ASKED_FOR = [ $$? -eq 5 ]
LOCK = $(BIN)/uv pip compile $(QUIET) --no-config --default-index https://pypi.org/simple --no-build \
	--universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help demo test deep faults storm failover pages rollout bench check docs reference dashboards board chart dist lock ci clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## show real jobs travel the whole path on this machine, in under a minute
	$(Q)$(BIN)/callworker demo

test: $(INSTALLED) ## run the tests; those that need a server that is not here are skipped
	$(Q)$(PYTEST) -m 'not alone' -n $(JOBS) $(TESTS) || $(NONE_WAS_ASKED_FOR)
	$(Q)$(PYTEST) -m alone -n 2 --dist loadfile $(TESTS) || $(NONE_WAS_ASKED_FOR)

deep: $(INSTALLED) ## look for counterexamples to the promises of ledger, lanes and limits for a night, DEPTH times as long as `make test`
	$(Q)CALLWORKER_TEST_DEPTH=$(DEPTH) $(BIN)/pytest $(QUIET) tests/contract/test_ledger_stateful.py \
		tests/contract/test_lanes_stateful.py tests/unit/test_limits.py

faults: $(INSTALLED) ## put every fault in, TRIALS times each, and keep the table in ops/faults.md; hours on two CPUs
	$(Q)$(BIN)/python -m tests.faults --trials $(TRIALS) --cells '$(CELLS)' --write ops/faults.md --keep build/faults

storm: $(INSTALLED) ## 20,000 jobs while workers and servers are killed at random, on both brokers, and keep the table in ops/storm.md; a quarter of an hour
	$(Q)$(BIN)/python -m tests.faults.storm --write ops/storm.md

failover: $(INSTALLED) ## kill, cut off and set back the servers of the state, TRIALS times each, and keep the table in ops/failover.md; 75 minutes on two CPUs, as root
	$(Q)$(BIN)/python -m tests.failover --trials $(TRIALS) --cells '$(CELLS)' --write ops/failover.md --keep build/failover

pages: $(INSTALLED) ## put every fault in under Prometheus and Alertmanager, and keep which alerts it pages in ops/pages.md; 20 minutes on two CPUs
	$(Q)$(BIN)/python -m ops.pages --only '$(PAGES)' --write ops/pages.md

rollout: $(INSTALLED) ## restart, upgrade and roll back workers under load, and keep what was lost and rung twice in ops/rollout.md; six minutes
	$(Q)$(BIN)/python -m ops.rollout --only '$(ROLLOUT)' --old '$(OLD)' --write ops/rollout.md

bench: $(INSTALLED) ## measure callworker beside other queues on this machine; takes the better part of an hour
	$(Q)$(BIN)/python -m ops.bench $(BENCH)

check: $(INSTALLED) ## check format, lint and types
	$(Q)$(BIN)/ruff format $(QUIET) --check .
	$(Q)$(BIN)/ruff check $(QUIET) .
	$(Q)$(BIN)/mypy

docs: $(INSTALLED) ## build the documentation as a site in build/docs; a broken link or any warning is an error
	$(Q)$(BIN)/python -m ops.site

reference: $(INSTALLED) ## write what docs/reference has from the code: settings, commands, metrics, accounts, errors, JSON Schemas
	$(Q)$(BIN)/python -m ops.schemas docs/reference
	$(Q)$(BIN)/python -m ops.reference docs/reference

dashboards: $(INSTALLED) ## write the Grafana dashboards to ops/grafana/dashboards from ops/dashboards
	$(Q)$(BIN)/python -m ops.dashboards ops/grafana/dashboards

board: $(INSTALLED) ## draw dashboard BOARD over the last RANGE from PROMETHEUS to build/boards; VARS are its variables, as account=acme
	$(Q)$(BIN)/python -m ops.board $(BOARD) --prometheus $(PROMETHEUS) --range $(RANGE) --vars '$(VARS)'

chart: $(INSTALLED) ## install what checks the Helm chart, and package it in build/chart
	$(Q)$(PIP_INSTALL) --require-hashes --requirement requirements-chart.lock
	$(Q)mkdir -p build/chart
	$(Q)$(BIN)/python -c 'import helm_python; print(helm_python.package("ops/helm/callworker", destination="build/chart"))'

dist: chart ## build what is published into dist/: worker and client as wheel and sdist, the npm package, and the Helm chart
	$(Q)$(BIN)/hatchling build --directory dist
	$(Q)cd clients/python && $(abspath $(BIN))/hatchling build --directory $(CURDIR)/dist
	$(Q)cd clients/node && npm ci --ignore-scripts --no-audit --no-fund $(QUIET) && \
		npm pack $(QUIET) --pack-destination $(CURDIR)/dist
	$(Q)cp build/chart/callworker-*.tgz dist

lock: $(INSTALLED) ## write new lock files from pyproject.toml, keeping versions that still fit
	$(Q)$(LOCK) --output-file requirements.lock pyproject.toml
	$(Q)$(LOCK) --output-file requirements-dev.lock --constraint requirements.lock --group dev pyproject.toml
	$(Q)$(LOCK) --output-file requirements-otel.lock --constraint requirements-dev.lock --extra otel pyproject.toml
	$(Q)$(LOCK) --output-file requirements-build.lock --constraint requirements-dev.lock --group build
	$(Q)$(LOCK) --output-file requirements-chart.lock --constraint requirements-dev.lock --group chart

ci: ## run what CI runs
	$(Q).ci/run

clean: ## remove the virtual environment, caches and built packages
	$(Q)rm -rf $(VENV) ops/bench/.envs .mypy_cache .ruff_cache .pytest_cache .hypothesis .cache build dist clients/node/dist clients/node/node_modules
	$(Q)find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV), once; about a minute"
	$(Q)$(PIP_INSTALL) --require-hashes --requirement requirements-dev.lock
	$(Q)$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(BIN)/python:
	$(Q)$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "callworker needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(Q)if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then $(PYTHON) -m venv --without-pip $(VENV); \
	else echo "$(PYTHON) has neither ensurepip nor pip; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; fi
