# Every target sets itself up: a virtual environment in .venv, at the pinned versions.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint experiments weights requirements clean

demo: .venv/ready  ## the main job on synthetic scenes, in under 5 minutes on 2 cores
	$(BIN)/shipseg-tiles demo --out demo

test: lint  ## everything that is checked
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: .venv/ready-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

AIRBUS ?= data
OUT ?= runs
CAMPAIGN = --images $(AIRBUS)/images --labels $(AIRBUS)/labels.csv --out $(OUT)/$@ $(FLAGS)

experiments: .venv/ready  ## ways to train, compared by cross-validation; FLAGS="--minutes 30" and the like
	$(BIN)/python benchmarks/campaign/experiments.py $(CAMPAIGN)

weights: .venv/ready  ## train what ships, into OUT/weights/weights
	$(BIN)/python benchmarks/campaign/ship.py $(CAMPAIGN)

.venv/python:
	@$(PYTHON) -c 'import sys; ok = (3, 10) <= sys.version_info < (3, 14); \
	  ok or sys.exit("error: $(PYTHON) is %d.%d; use one from 3.10 to 3.13: make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/ready: .venv/python requirements.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/ready-for-tests: .venv/ready requirements-test.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	@touch $@

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --fork-strategy fewest --no-header \
          --no-emit-index-url pyproject.toml

# Without packages for newer Pythons than the project knows, and the lines that say what needs them.
SUPPORTED = awk "/^[^ ]/ {others = />= '3.14'/} !others"

requirements: .venv/ready  ## pin anew; keeps the comments at the top of both files
	$(BIN)/python -m pip install --quiet uv
	$(COMPILE) --output-file resolved.txt
	{ grep '^#' requirements.txt; $(SUPPORTED) resolved.txt; } > requirements.new && mv requirements.new requirements.txt
	$(COMPILE) --extra test -c requirements.txt --output-file resolved.txt
	{ grep '^#' requirements-test.txt; $(SUPPORTED) resolved.txt; } > requirements.new && mv requirements.new requirements-test.txt
	rm resolved.txt

clean:
	rm -rf .venv demo
