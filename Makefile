PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help install sweep answers docs lint format test test-long test-slow soak-short soak \
	test-cluster soak-cluster bench bench-growth bench-accuracy

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed  ## the environment, in .venv; all others do so first

sweep: $(VENV)/installed  ## the paper's experiment
	$(BIN)/python -m fae.train -m hidden=64,128,256,512

answers: $(VENV)/installed  ## the paper's open questions, in up to two hours; writes docs/answers.md
	$(BIN)/python -m fae.train hidden=64,128,256,512 repeats=5
	$(BIN)/python -m fae.search -m hidden=64,128,256,512
	$(BIN)/python -m fae.search -m hidden=64,128,256,512 optimizer=adam
	$(BIN)/python -m fae.train -m experiment=adam
	$(BIN)/python -m fae.train -m experiment=lr
	$(BIN)/python -m fae.train -m experiment=dropout
	$(BIN)/python -m fae.train -m experiment=best/64,best/128,best/256,best/512
	$(BIN)/python -m fae.train -m experiment=depth
	$(BIN)/python -m fae.answers docs

# A notice on the successor of the site's theme.
docs: export NO_MKDOCS_2_WARNING = 1

docs: $(VENV)/documentation  ## the documentation, in site/, with its links checked
	$(BIN)/python -m mkdocs build --strict

lint: $(VENV)/installed  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy fae hydra_plugins tests benchmarks

format: $(VENV)/installed  ## the code, formatted
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Threads that wait leave the cores to the tests beside them.
test test-long soak-short: export OMP_WAIT_POLICY = PASSIVE

test: $(VENV)/installed  ## the tests that take less than two seconds each, in a few minutes
	$(BIN)/python -m pytest $(PARALLEL)

test-long: $(VENV)/installed  ## those that take more, as of two processes, or of a kill
	$(BIN)/python -m pytest -m long $(PARALLEL)

test-slow: $(VENV)/installed  ## the paper's numbers, on the real data
	$(BIN)/python -m pytest -m slow

soak-short: $(VENV)/installed  ## kills, crashes, outages, hostile files: each in its shortest version
	$(BIN)/python -m pytest tests/soak $(PARALLEL)

soak: $(VENV)/installed  ## the same for half an hour; writes docs/reliability.md
	$(BIN)/python -m pytest tests/soak --soak

test-cluster: $(VENV)/cluster  ## servers and several hosts, on this machine; skips what it cannot have
	$(BIN)/python -m pytest tests/cluster

soak-cluster: $(VENV)/cluster  ## the same, with many hosts, kills and rounds; writes docs/reliability/cluster.md
	$(BIN)/python -m pytest tests/cluster --soak

bench: $(VENV)/benchmarks  ## fae beside its peers; writes this machine's docs/speed/*.json, and table.md
	$(BIN)/python -m benchmarks.bench

bench-growth: $(VENV)/benchmarks  ## how cost grows; writes docs/growth.md
	$(BIN)/python -m benchmarks.growth

bench-accuracy: $(VENV)/benchmarks  ## fae's errors beside a plain loop's; writes docs/accuracy.md
	$(BIN)/python -m benchmarks.accuracy

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(VENV)/documentation: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

$(VENV)/cluster: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[cluster]'
	touch $@

$(VENV)/benchmarks: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@
