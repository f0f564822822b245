# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?= -n 2 --dist worksteal

.PHONY: demo test check bench clean tools

demo: $(VENV)/.runtime
	$(BIN)/fleetsim run quickstart

test: $(VENV)/.dev tools
	$(BIN)/python -m pytest $(PYTEST_ARGS) tests

check: $(VENV)/.dev
	$(BIN)/ruff check fleetsim tests
	$(BIN)/ruff format --check fleetsim tests
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf $(VENV) dist .coverage* .hypothesis .mypy_cache .ruff_cache .pytest_cache

# Programs that are not Python packages and that some tests compare against. Installed
# when the package manager is there and we may use it; otherwise those tests skip
# (and fail where CI is set).
tools:
	@missing=""; \
	for tool in nginx haproxy tshark s3cmd openssl curl; do \
	  command -v $$tool >/dev/null 2>&1 || missing="$$missing $$tool"; \
	done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    echo "installing:$$missing"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	      --no-install-recommends --no-upgrade $$missing >/dev/null; \
	  else \
	    echo "not installed, tests against them skip:$$missing"; \
	  fi; \
	fi

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@
