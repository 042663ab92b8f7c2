# make help          what there is
# The Python environment is in the user's cache, one per checkout and pyproject.toml.

SHELL := /bin/bash
PYTHON ?= python3
CACHE := $(or $(VBOXKIT_CACHE_DIR),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/vboxkit)
KEY := $(shell { cat pyproject.toml; $(PYTHON) --version; pwd; } | cksum | cut -d' ' -f1)
VENV := $(CACHE)/venv-$(KEY)
READY := $(VENV)/ready
RUN := VENV="$(VENV)" bash tests/run.sh

.PHONY: help demo test lint unit bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    boot a machine, fork it, run commands in it"
	@echo "make test    lint, all tests, and a smoke test of the built wheel"
	@echo "make lint    ruff and mypy"
	@echo "make unit    the tests that need no VirtualBox"
	@echo "make bench   the benchmarks"
	@echo "make clean   remove what the others made here (the sandbox: vboxkit sandbox remove)"

demo: $(READY)
	@$(RUN) demo

test: $(READY)
	@$(RUN) lint host sandbox inside wheel

lint: $(READY)
	@$(RUN) lint

unit: $(READY)
	@$(RUN) host

bench: $(READY)
	@$(RUN) bench

# A Debian with python3 alone has no ensurepip; an old pip knows no dependency groups.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { \
	        echo "python3-venv is missing: sudo apt-get install python3-venv" >&2; exit 1; }; \
	    apt-get install -y --no-install-recommends python3-venv || { \
	        apt-get update && apt-get install -y --no-install-recommends python3-venv; }; }
	@echo "making the Python environment $(VENV)"
	@rm -rf "$(VENV)"
	@mkdir -p "$(CACHE)"
	@$(PYTHON) -m venv "$(VENV)"
	@"$(VENV)/bin/python" -m pip install --quiet --upgrade pip
	@"$(VENV)/bin/python" -m pip install --quiet --editable . --group lint --group test
	@touch "$@"

clean:
	rm -rf "$(VENV)" build dist .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
