# Set-up and everyday jobs. `make help` lists them.
# Every job makes the environment first, from requirements.lock, where it is missing or out of date.

VENV := .venv
BIN := $(VENV)/bin
# More arguments for the job's tool: make check ARGS="-k lifting"
ARGS :=

SHELL := /bin/sh
.DEFAULT_GOAL := help
# What the caller's shell has set must not change what is imported.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: prove
prove: environment ## the main job: each property in each era against what is recorded, then the claims of the mail
	$(BIN)/oomspec matrix $(ARGS)
	$(BIN)/oomspec claims

# Python's own allocator maps and unmaps an arena per call where a busy loop happens to stand at the edge of the last one: tests that
# take a quarter of an hour then take hours. The C library's allocator, told to keep what it has, does not.
PYTEST := PYTHONMALLOC=malloc MALLOC_TRIM_THRESHOLD_=1073741824 MALLOC_TOP_PAD_=16777216 $(BIN)/python -m pytest

# A worker per core, whole files each: what a file's tests share is made once. `make check ARGS="-n0 --pdb"` stays in one process.
SPREAD := -n auto --maxprocesses 4 --dist loadfile

.PHONY: check
check: environment ## run the tests; ARGS go to pytest
	$(PYTEST) $(SPREAD) $(ARGS)

.PHONY: check-slow
check-slow: environment ## run the slow tests: every graph compared, every exchange of steps
	$(PYTEST) $(SPREAD) -m slow $(ARGS)

.PHONY: mutants
mutants: environment ## mutate every step of every era, and every function of the reference implementation: who notices, why the rest survive
	$(BIN)/oomspec mutate all $(ARGS)
	$(BIN)/oomspec slips --jobs 2 $(ARGS)

.PHONY: campaign
campaign: environment ## every era against the reference implementation, then every race put back into it: some 5 minutes on 2 cores
	$(BIN)/oomspec campaign --time 150s --jobs 2 --scenario single --scenario voluntary-memory-kinds --scenario mrelease-watched \
		--scenario failed-fork --pair-floor 100 $(ARGS)
	$(BIN)/oomspec planted --jobs 2

.PHONY: violations
violations: environment ## write spec/oom_spec/violated_by.toml again: a slip that violates each property that holds
	@# 1: some property is vacuous, which is told; the file is written all the same
	$(BIN)/oomspec vacuity all all --no-guards --timeout 60 --record spec/oom_spec/violated_by.toml $(ARGS) || [ $$? -eq 1 ]

.PHONY: lemmas
lemmas: environment ## search for lemmas for what is not proved in worlds of any size; goes on where it was broken off
	@# 3: some property is still unknown, which is told; the file is written all the same
	$(BIN)/oomspec lemmas all all --record spec/oom_spec/unbounded/recorded.toml $(ARGS) || [ $$? -eq 3 ]

.PHONY: lint
lint: environment ## style, format and spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell

.PHONY: types
types: environment ## mypy, strict
	$(BIN)/mypy $(ARGS)

.PHONY: layers
layers: environment ## who may import whom: cli above conformance and smt, above spec
	$(BIN)/lint-imports $(ARGS)

.PHONY: coverage
coverage: environment ## run the tests with branch coverage of spec and smt
	$(PYTEST) $(SPREAD) --cov --cov-report=term --cov-report=html $(ARGS)

.PHONY: bench
bench: environment ## measure speed against its targets; ARGS="--json FILE" also writes the figures
	$(BIN)/python -m bench.run $(ARGS)

.PHONY: format
format: environment ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: lock
lock: environment ## bring requirements.lock in line with pyproject.toml; ARGS=--upgrade takes newer releases
	UV=$(BIN)/uv .ci/lock write requirements.lock $(ARGS)

.PHONY: lock-check
lock-check: environment ## fail where requirements.lock and pyproject.toml disagree
	@UV=$(BIN)/uv .ci/lock check

.PHONY: wheel-check
wheel-check: environment ## build the wheel, install it into an empty environment, run it
	@.ci/wheel-check $(VENV)

.PHONY: environment
environment: ## make the environment in .venv, from requirements.lock
	@.ci/environment $(VENV)

.PHONY: clean
clean: ## remove what the jobs made, but not the environment
	rm -rf build dist htmlcov .coverage .make .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find spec smt conformance cli tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## remove the environment and Hypothesis's examples too
	rm -rf $(VENV) .hypothesis
