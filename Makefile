# Every target makes what it needs: `make demo` and `make test` work on a fresh machine with Python 3.11+ and make.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
TORCH := $(shell grep '^torch==' constraints.txt)

# One process per core with one thread each: more threads than cores make PyTorch many times slower.
WORKERS ?= auto
# The real data of `make bench` and `make evidence`, where they are at hand.
DATA ?= ../shared/data
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: help
help:  ## say what there is
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 14

.PHONY: env
env: $(VENV)/.core  ## make the environment in .venv and install Lamina

.PHONY: demo
demo: env  ## compare eight networks on breast-cancer: verdict, leaderboard, report
	@rm -rf lamina-demo
	$(BIN)/lamina compare breast-cancer --splits 3 --seeds 2 --settings 4 --out lamina-demo

.PHONY: test
test: $(VENV)/.test  ## run all tests
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal $(ARGS)

.PHONY: lint
lint: $(VENV)/.test $(VENV)/.lint  ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

.PHONY: docs
docs: $(VENV)/.docs  ## build the documentation into site/
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: bench
bench: $(VENV)/.core  ## run the benchmarks, results in benchmarks/results/
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/demo.py
	$(BIN)/python benchmarks/layers.py
	$(BIN)/python benchmarks/hopfield.py
	$(BIN)/python benchmarks/fused_mlp.py
	$(BIN)/python benchmarks/compiling.py
	$(BIN)/python benchmarks/fleets.py
	if [ -f $(DATA)/tables.json ]; then for b in racing adult limits tables; do $(BIN)/python benchmarks/$$b.py $(DATA); done; fi
	if [ -d $(DATA)/feynman ]; then LAMINA_DATA=$${LAMINA_DATA:-$(DATA)} $(BIN)/python benchmarks/feynman.py; fi
	$(BIN)/python benchmarks/readme.py

.PHONY: evidence
evidence: $(VENV)/.docs  ## measure all claims at full scale, results in evidence/ and docs/claims.md
	LAMINA_DATA=$${LAMINA_DATA:-$(DATA)} $(BIN)/lamina reproduce all --scale full --resume
	$(BIN)/lamina evidence --html
	$(BIN)/python docs/generate.py

.PHONY: clean
clean:  ## remove the environment and everything that was built
	rm -rf $(VENV) build dist site docs/reference lamina-demo

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Lamina needs Python 3.11 or newer, $(PYTHON) is {sys.version.split()[0]}; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.core: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) $(TORCH)
	$(PIP) --editable .
	@touch $@

$(VENV)/.%: $(VENV)/.core
	$(PIP) --editable '.[$*]'
	@touch $@
