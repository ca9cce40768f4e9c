# Every target makes the environment .venv when it is missing or older than what it is made from;
# nothing needs to be activated or installed before. Another interpreter: make PYTHON=python3.12 ...

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Tests run in several processes side by side, each with bounded threads (tests/conftest.py). In one: make test WORKERS=0
WORKERS ?= logical
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo chromium test test-all test-slow test-kernels test-quick test-lowest lint kernels bench bench-coding bench-encoders bench-convolutional bench-features bench-retrieval bench-duplicates bench-rbm wheel docs experiments size clean

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: .venv/.core ## Learn digits from few labels, in a minute, and write a report
	@$(BIN)/striate demo

test: .venv/.dev chromium ## Everything that CI checks first: lint, types, tests
	@$(MAKE) --no-print-directory -j2 lint kernels
	$(PYTEST) -m "not slow"

test-all: test test-slow test-kernels wheel ## The slow tests, quick experiments, kernels without compilation and the wheel as well

# The tests of the page of striate live drive the system's Chromium. A fresh Debian machine gets it here.
chromium:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit; done; \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing chromium" && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; } || \
	echo "There is no Chromium, which the tests of the page of striate live need (Debian: apt-get install chromium)."

lint: .venv/.dev ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Beside mypy, which takes as long: otherwise each process of the tests would compile the kernels that it needs.
kernels: .venv/.core ## Compile every kernel that is not in the cache
	@$(BIN)/striate warm-up --quiet

test-slow: .venv/.dev chromium
	$(PYTEST) -m slow --timeout 1800

# The same kernels as plain Python: coverage can see into them, and a bug of the compiler would show.
test-kernels: .venv/.dev
	NUMBA_DISABLE_JIT=1 $(PYTEST) -m "kernels and not slow"

test-quick: .venv/.dev ## Every experiment at its quick scale, as among the slow tests
	$(PYTEST) -m slow tests/experiments/test_quick.py

experiments: .venv/.dev ## Measure every published result again, at full scale (hours; needs STRIATE_DATA)
	@set -e; names=$$($(BIN)/striate experiments --json | $(BIN)/python tools/experiment_names.py); \
	for name in $$names; do echo "full: $$name"; $(BIN)/striate experiment "$$name" --scale full; done

bench: .venv/.bench ## Measure striate beside its peers
	@set -e; for file in benchmarks/[a-z]*.py; do echo "$$file"; $(BIN)/python "$$file"; done

bench-coding: .venv/.bench ## Measure exact codes and dictionaries beside SPAMS, scikit-learn, celer and torch
	STRIATE_DATA=$${STRIATE_DATA:-../shared/data} $(BIN)/python benchmarks/coding.py
	STRIATE_DATA=$${STRIATE_DATA:-../shared/data} $(BIN)/python benchmarks/pursuits.py

bench-encoders: .venv/.bench ## Measure predicted codes beside optimal ones: time, accuracy, kernels
	STRIATE_DATA=$${STRIATE_DATA:-../shared/data} $(BIN)/python benchmarks/encoders.py

bench-convolutional: .venv/.bench ## Measure convolutional codes beside sporco and torch
	STRIATE_DATA=$${STRIATE_DATA:-../shared/data} $(BIN)/python benchmarks/convolutional.py

bench-features: .venv/.bench ## Measure features of images beside torch, kymatio, HOG and SIFT
	STRIATE_DATA=$${STRIATE_DATA:-../shared/data} $(BIN)/python benchmarks/features.py

bench-retrieval: .venv/.bench ## Measure search among a million codes beside NumPy, faiss and usearch
	$(BIN)/python benchmarks/retrieval.py

bench-duplicates: .venv/.core ## Measure which labeled pairs of images are found to be copies
	STRIATE_DATA=$${STRIATE_DATA:-../shared/data} $(BIN)/python benchmarks/duplicates.py

bench-rbm: .venv/.bench ## Measure Boltzmann machines of digits beside scikit-learn's
	STRIATE_DATA=$${STRIATE_DATA:-../shared/data} $(BIN)/python benchmarks/rbm.py

# What pyproject.toml promises to work with, oldest versions first. For releases.
test-lowest: .venv-lowest/.made ## The tests with the lowest supported versions
	.venv-lowest/bin/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal -m "not slow" --ignore tests/test_core_size.py

wheel: .venv/.release ## Build wheel and sdist into dist, and run the demo from the wheel in an empty environment
	@$(BIN)/python tools/check_wheel.py dist

# Without network: nothing but the pages, the docstrings and the figures of this folder is read.
docs: .venv-docs/.made ## Build the book into build/docs; warnings are errors
	@.venv-docs/bin/sphinx-build -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

size: .venv/.core ## How much disk the core install takes
	@$(BIN)/python tools/core_size.py

clean: ## Remove everything that make has made, environments included
	rm -rf .venv .venv-lowest .venv-docs build docs/api docs/talk docs/gallery dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "striate needs Python 3.11 or newer, and $(PYTHON) is not: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.core: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing striate into .venv"
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

.venv/.dev: .venv/.core
	@echo "installing what the tests need into .venv"
	@$(PIP) install --constraint constraints.txt --editable ".[dev]"
	@touch $@

.venv/.bench: .venv/.core
	@echo "installing what the benchmarks compare with into .venv"
	@$(PIP) install --constraint constraints.txt --editable ".[bench]"
	@touch $@

.venv/.release: .venv/.core
	@echo "installing what builds and checks the wheel into .venv"
	@$(PIP) install --constraint constraints.txt --editable ".[release]"
	@touch $@

# An environment of its own, because Sphinx needs docutils below 0.23, and twine's readme_renderer takes the newest.
.venv-docs/.made: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing what builds the book into .venv-docs"
	@$(BIN)/python -m venv .venv-docs
	@sed 's/^docutils==.*/docutils==0.22.4/' constraints.txt > .venv-docs/constraints.txt
	@.venv-docs/bin/python -m pip --disable-pip-version-check --quiet install \
	    --constraint .venv-docs/constraints.txt --editable ".[docs]"
	@touch $@

.venv-lowest/.made: pyproject.toml tools/lowest_versions.py .venv/.core
	rm -rf .venv-lowest
	$(BIN)/python -m venv .venv-lowest
	$(BIN)/python tools/lowest_versions.py baselines live > .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet --editable . -r .venv-lowest/lowest.txt \
	    hypothesis psutil pytest pytest-timeout pytest-xdist
	@touch $@
