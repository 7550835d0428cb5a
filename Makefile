# Two commands: `make demo` does the main job on a fresh machine, `make test` passes the tests there.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready-$(shell cat requirements.lock pyproject.toml Makefile | cksum | cut -d' ' -f1)

.PHONY: help setup demo test docs test-zoo test-apps test-apps-quick lint types imports unit format benchmark clean

help:
	@echo "make demo       set up, export emov2-5m to five targets, classify a photograph with each"
	@echo "make test       set up, lint, check types and imports, run the tests"
	@echo "make test-apps  compile and test what runs on phones, as far as this machine can; skips what it has no tools for"
	@echo "make test-zoo   export 75 small modules and 25 public networks to five targets, and print what is refused, by whom and why"
	@echo "make docs       build the documentation into build/site, without network"
	@echo "make setup      a virtual environment in .venv with everything pinned"
	@echo "make benchmark  time edgekit's artifacts against the vendors' plain exports (one core, minutes)"

setup: $(READY)

$(READY):
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "edgekit needs Python 3.11 or newer: make PYTHON=python3.11")'
	@echo "setting up .venv (about two minutes, once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --quiet --disable-pip-version-check torch==2.13.0
	@$(BIN)/pip install --quiet --quiet --disable-pip-version-check --no-deps -r requirements.lock
	@$(BIN)/pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f .venv/.ready-*
	@touch $@

demo: setup
	@$(BIN)/python examples/demo.py

test: lint types imports unit

# Compilers for phones are large and lie outside the repository: tools/toolchains.py fetch kotlin swift
test-apps: setup
	@$(BIN)/python tools/test_apps.py

# What is small enough for every change, in eight minutes at most: no Swift (3.2 GB). What cannot be fetched or done in time is skipped, and said so.
test-apps-quick: setup
	@$(BIN)/python tools/test_apps.py --fetch kotlin,names,ktlint --minutes 8

# Every module of the zoo, then public networks, every target: an hour of processor time. What is refused is printed with the reason.
test-zoo: setup
	OMP_NUM_THREADS=1 $(BIN)/python tests/zoo/zoo_table.py --output build/zoo_modules.json
	OMP_NUM_THREADS=1 $(BIN)/python tests/zoo/zoo_public.py --output build/zoo.json

# Pages of rewrites, targets and error texts are made from the code and the stored results (tools/docs_pages.py); nothing is fetched.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

lint: setup
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

# Tests that measure time or kill processes run alone, after the others. Each of two workers gets one thread: with two each, they wait for
# each other spinning, and an export of imcnet-nano takes ten times as much processor time.
unit: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile -m "not alone"
	$(BIN)/pytest -m alone

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: setup
	taskset -c 0 $(BIN)/python benchmarks/against_naive.py emov2-5m --output benchmarks/results/against_naive_emov2-5m_224.json

clean:
	rm -rf .venv out build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
