# collabtheory. `make` or `make help` prints this manual.
#
#   make verify       set up .venv (first time only) and run the main job:
#                     train a Mult-VAE on a planted world, build the pair table,
#                     check every statement with its negative controls.
#                     Ends with verdicts and runs/planted-quick/report.html.
#   make verify ARGS="--data my.csv --seeds 3"
#                     the same with options (see `collabtheory verify --help`).
#   make test         set up .venv (first time only) and run the tests.
#   make test-slow    the tests that take minutes, too.
#   make bench        speed against public libraries and the machine's limit.
#   make docs         the documentation: docs/_build/index.html.
#   make check        formatting, lint and types.
#   make doctor       is this installation fine?
#   make clean        remove .venv and caches (never your runs).
#
# Variables: PYTHON (default python3, 3.11 or newer), ARGS.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help verify test test-slow bench docs check doctor clean

help:
	@awk '!/^#/ {exit} {sub(/^# ?/, ""); print}' Makefile

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "collabtheory needs Python 3.11 or newer; set PYTHON=..." >&2; exit 2; }
	@echo "setting up $(VENV) (once; a few minutes where PyTorch has to be fetched)"
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/installed-tests: $(VENV)/installed
	$(PIP_INSTALL) --editable '.[test]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed-tests
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(PIP_INSTALL) --editable '.[docs]'
	@touch $@

verify: $(VENV)/installed
	$(BIN)/collabtheory verify $(ARGS)

test: $(VENV)/installed-tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not benchmark" -n 2 --dist loadgroup $(ARGS)

test-slow: $(VENV)/installed-tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not benchmark" -n 2 --dist loadgroup $(ARGS)

bench: $(VENV)/installed-tests
	$(BIN)/python -m pytest -m benchmark -s $(ARGS)

docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build
	@echo "docs/_build/index.html"

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

doctor: $(VENV)/installed
	$(BIN)/collabtheory doctor

clean:
	rm -rf $(VENV) docs/_build docs/statements .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
