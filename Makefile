# `make demo` and `make test` set up everything they need in .venv, from python3 alone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= auto
# One process for each core, one thread in each: threads of several would only wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --maxprocesses 16 --dist loadfile --no-loadscope-reorder

.PHONY: demo test quick test-slow fuzz check format docs clean

demo: $(VENV)/demo.stamp
	$(BIN)/oodkit bench

test: $(VENV)/test.stamp check
	$(PYTEST)

# Only files that hold a quick test are collected: importing the others would take longer than running these.
quick: $(VENV)/test.stamp
	$(PYTEST) -m quick $$(grep -rlE 'mark\.quick' tests plugins --include='test_*.py')

test-slow: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m slow

# Damages files and reads them, for SECONDS in all; what breaks is kept in build/fuzz.
SECONDS ?= 60
fuzz: $(VENV)/test.stamp
	$(BIN)/python tests/fuzz/fuzz_run.py --seconds $(SECONDS)

check: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/test.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The documentation as a site: site/index.html opens in any browser, without a server and without the network.
docs: $(VENV)/docs.stamp
	$(BIN)/python docs/website

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/test.stamp: Makefile pyproject.toml plugins/oodkit-sklearn/pyproject.toml plugins/oodkit-transformers/pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[dev,ray]' -e 'plugins/oodkit-sklearn[test,pyod]' \
		-e 'plugins/oodkit-transformers[test]'
	touch $(VENV)/demo.stamp $@

$(VENV)/docs.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	touch $(VENV)/demo.stamp $@

clean:
	rm -rf $(VENV) build site *.egg-info plugins/*/*.egg-info
