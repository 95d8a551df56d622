# Needs Python 3.11 or newer with pip, and make; everything else is installed into .venv beside this file.
#   make demo     set up, then fine-tune on a small data set and show what came out
#   make test     set up, then run the tests
#   make check    format, lint, types and the rules of the house, nothing is changed
#   make audit    compare what is installed with the public lists of known flaws; needs a network
#   make format   put the code into the house's format
#   make clean    take away .venv and what the tools left
# PYTHON=python3.12 picks an interpreter, JOBS=4 the number of test processes, ARGS='-k words' goes to pytest or the demo.

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for python in python3 python python3.14 python3.13 python3.12 python3.11; do \
	$$python -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && { echo $$python; break; }; done)
endif
JOBS ?= auto
ARGS ?=
RUN := .venv/bin/python

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check audit format clean

help:
	@sed -n 's/^#   //p' Makefile

demo: .venv/ready
	$(RUN) -m sightline demo $(ARGS)

# One thread a process: several processes that each start a thread a core would get in one another's way.
test: .venv/ready-dev
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(JOBS) --maxprocesses 8 --dist worksteal $(ARGS)

check: .venv/ready-dev
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	$(RUN) -m pytest -q tests/house

audit: .venv/ready-dev
	test -x .venv/audit/bin/pip-audit || { $(RUN) -m venv .venv/audit && .venv/audit/bin/python -m pip install pip-audit; }
	.venv/audit/bin/pip-audit --skip-editable --path "$$($(RUN) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

format: .venv/ready-dev
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build dist

# Where Python came without ensurepip (Debian splits it off), the pip that is there sets up the environment's own.
.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "sightline needs Python 3.11 or newer; none was found. Name one: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -c '$(NEW_ENOUGH)' || { echo "sightline needs Python 3.11 or newer; $(PYTHON) is older."; exit 1; }
	$(PYTHON) -m venv .venv || { $(PYTHON) -m venv --clear --without-pip .venv && $(PYTHON) -m pip --python .venv/bin/python install pip; }

# The stamp is made last, so an installation that was broken off is taken up again by the next make.
.venv/ready: pyproject.toml | .venv/bin/python
	$(RUN) -m pip install --disable-pip-version-check -e .
	@touch $@

.venv/ready-dev: pyproject.toml | .venv/bin/python
	$(RUN) -m pip install --disable-pip-version-check -e ".[dev]"
	@touch $@
