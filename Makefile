# make demo   environment, install, the demo study, its report's path
# make test   environment, install, the test suite
# make check  what CI runs: lint, format, types, tests
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test check lint format types install clean

install: $(VENV)/.installed

# what the demo needs
$(VENV)/.usable: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

# and what tests and checks need
$(VENV)/.installed: $(VENV)/.usable
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: $(VENV)/.usable
	$(BIN)/polydrift demo

test: install
	$(BIN)/python -m pytest -n 2

check: install lint types test

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format:
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types:
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo-results build dist
