# Everything a newcomer types. `make demo` and `make test` work on a fresh machine with Python 3.10 or newer and no GPU.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-peers
ARGS ?= --help
SERVICES := $(shell cat tests/services.apt)

.PHONY: setup setup-emulation setup-services demo test test-service test-slow check docs pages format bench-peers clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@echo "Installing edgerd, and what its tests need, into $(VENV): takes some minutes, and 2.4 GB with the PyTorch for CPUs."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# What the tests of the GPU path run on (tests/emulation/README.md). Not needed for anything else, and not fatal: the
# tests say what is missing, and fail for it in CI.
setup-emulation: setup
	-$(BIN)/python tests/emulation/install.py

# The programs that tests marked `service` talk to: a broker, cameras. Not needed for anything else, and not fatal: those
# tests are skipped with a reason where a program is missing.
APT_INSTALL := DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends $(SERVICES)
setup-services:
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		$(APT_INSTALL) || { apt-get update --quiet && $(APT_INSTALL); } || echo "Some could not be installed."; \
	else \
		echo "For the tests marked service, as root on Debian or Ubuntu: apt-get install $(SERVICES)"; \
	fi

demo: setup
	$(BIN)/edgerd demo

test: setup setup-emulation
	$(BIN)/pytest -n auto --dist loadfile

test-service: setup
	$(BIN)/pytest -m service

test-slow: setup
	$(BIN)/pytest -m slow

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_layers.py

# The documentation as a site, in site/index.html, for a browser without a network
docs: setup
	$(BIN)/python -m tools.build_site

# The pages of docs/reference/ that are written by scripts; tests fail where they are not up to date
pages: setup
	for page in recipe commands exit_codes api events; do $(BIN)/python -m tools.$${page}_page || exit 1; done

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# edgerd beside anomalib, in an environment of its own: make bench-peers ARGS="--data ... --weights ... --work ..."
bench-peers: $(PEERS)/.ready
	$(PEERS)/bin/python benchmarks/peers.py $(ARGS)

$(PEERS)/.ready: pyproject.toml constraints.txt benchmarks/peer/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --upgrade pip
	$(PEERS)/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(PEERS)/bin/pip install --quiet --no-deps --requirement benchmarks/peer/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) .emulation .cache edgerd-demo build dist site *.egg-info
