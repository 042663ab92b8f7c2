# make help          what there is
# tests/run.sh makes the Python environment, in the user's cache; PYTHON=python3.13 chooses another.

SHELL := /bin/bash
PYTHON ?= python3
export PYTHON
RUN := bash tests/run.sh

.PHONY: help demo test test-debian lint unit docs bench fuzz clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    boot a machine, fork it, run commands in it"
	@echo "make test    lint, all tests, the site, and a smoke test of the built wheel"
	@echo "make test-debian   the tests of the Debian guest, some ten minutes"
	@echo "make lint    ruff, mypy and pyright"
	@echo "make unit    the tests that need no VirtualBox"
	@echo "make docs    the site, from docs/ and the docstrings, into site/"
	@echo "make bench   the benchmarks"
	@echo "make fuzz    the reader of appliances against any bytes, a minute"
	@echo "make clean   remove what the others made here (the sandbox: vboxkit sandbox remove)"

demo:
	@$(RUN) demo

test:
	@$(RUN) lint host docs sandbox inside wheel

test-debian:
	@$(RUN) debian

lint:
	@$(RUN) lint

unit:
	@$(RUN) host

docs:
	@$(RUN) docs

bench:
	@$(RUN) bench

fuzz:
	@$(RUN) fuzz

clean:
	@$(RUN) --clean
