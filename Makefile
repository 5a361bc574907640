# Slipway: everything that is done to this repository, by name. The box (box/) brings what is missing on the machine.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

DEV := build/venvs/dev
FEAST := build/venvs/feast
ORACLES := build/venvs/oracles
LEDGER := build/venvs/ledger-tests
PYTHON := $(DEV)/bin/python
PYTEST := COVERAGE_FILE=build/coverage $(PYTHON) -m pytest
# How many processes share the unit tests, whole files at a time.
PROCESSES := 2
SOURCES := operator box/slipway_box inference components tests examples

##@ Use

.PHONY: demo
demo: ## Bring up the box, install Slipway, serve models, roll out others, fetch features (CLUSTER=kind or CLUSTER=existing for another cluster)
	@/usr/bin/env python3 examples/digits/demo.py

.PHONY: up
up: ## Bring up the box
	@box/box up

.PHONY: install
install: up ## Install Slipway on the box, or on $CLUSTER
	@box/box install

.PHONY: clean
clean: ## Take the box down and leave nothing of it on the machine
	@box/box down

.PHONY: distclean
distclean: ## clean, and drop everything that was downloaded or built
	@box/box down --caches
	@rm -rf build .mypy_cache .ruff_cache .pytest_cache

##@ Test

.PHONY: test
test: test-unit test-router test-inference test-features test-ledger test-cluster test-faults test-e2e ## Every test: unit, router, inference, features, ledger, cluster, faults, e2e

.PHONY: test-unit
test-unit: $(DEV) ## Values in, values out: three minutes on two cores (PROCESSES=4: on four)
	@$(PYTEST) tests/unit --numprocesses=$(PROCESSES) --dist=loadfile --cov --cov-report=
	@COVERAGE_FILE=build/coverage $(PYTHON) -m coverage report --fail-under=95 \
	  --include='operator/slipway_operator/api/*,operator/slipway_operator/state/*,operator/slipway_operator/render/*,operator/slipway_operator/reconcile/*'

.PHONY: test-cluster
test-cluster: $(DEV) ## A real API server and KServe, no nodes: minutes
	@$(PYTEST) tests/cluster --cov --cov-append --cov-report=
	@COVERAGE_FILE=build/coverage $(PYTHON) -m coverage report --fail-under=90

.PHONY: test-router
test-router: $(DEV) $(LEDGER) ## A real nginx on loopback, and pods that do what a test says: two minutes
	@$(PYTEST) tests/router

.PHONY: test-inference
test-inference: $(DEV) ## The transformer as a process, a model that does what a test says, a real Redis on loopback: a minute
	@$(PYTEST) tests/inference

.PHONY: test-features
test-features: $(FEAST) ## Feast with Slipway's online store, and a real Redis on loopback: two minutes
	@$(FEAST)/bin/python -m pytest tests/features

.PHONY: test-ledger
test-ledger: $(LEDGER) $(DEV) ## The ledger as a process, on SQLite and on a real PostgreSQL on loopback, killed and started again: minutes (LEDGER_KILLS=50: more)
	@$(LEDGER)/bin/python -m pytest tests/ledger

.PHONY: test-faults
test-faults: $(DEV) ## Everything goes wrong once: a sample in minutes, all of it with SLIPWAY_FAULTS=all
	@$(PYTEST) tests/faults -rP --show-capture=stdout

.PHONY: test-e2e
test-e2e: $(DEV) install ## The box: real pods, real Triton
	@$(PYTEST) tests/e2e

.PHONY: bench-operator
bench-operator: $(DEV) ## The operator's speed against its goals, into build/bench/operator.json: half an hour (BENCH=short: two minutes)
	@PYTHONPATH=operator:box:tests $(PYTHON) -m bench.operator

.PHONY: bench-guardrails
bench-guardrails: $(DEV) ## What the guardrails of a rollout claim, in simulated rollouts, into build/bench/guardrails.json: ten minutes (BENCH=short: one)
	@PYTHONPATH=operator:tests $(PYTHON) -m bench.guardrails

.PHONY: bench-experiments
bench-experiments: $(DEV) $(ORACLES) ## What experiments claim, in simulated experiments, into build/bench/experiments.json: twenty minutes (BENCH=short: four)
	@PYTHONPATH=operator:tests $(PYTHON) -m bench.experiments

.PHONY: bench-router
bench-router: $(DEV) ## The router against nginx and Envoy on one core, into build/bench/router.json: ten minutes (BENCH=short: two)
	@PYTHONPATH=inference:operator:box:tests $(PYTHON) -m bench.router

.PHONY: bench-features
bench-features: $(FEAST) ## Reading features against Feast's own client, into build/bench/features.json: a minute
	@PYTHONPATH=components:inference:box:tests $(FEAST)/bin/python -m bench.features

.PHONY: bench-path
bench-path: $(DEV) install ## What router, transformer, features and Triton carry together on the box, into build/bench/path.json: three minutes
	@PYTHONPATH=operator:inference:components:box:tests $(PYTHON) -m bench.path

.PHONY: bench-inference
bench-inference: $(DEV) ## The transformer against kserve, FastAPI and others, into build/bench/inference.json: a quarter of an hour (BENCH=short: three minutes)
	@PYTHONPATH=inference:operator:components:box:tests $(PYTHON) -m bench.inference

.PHONY: bench-ledger
bench-ledger: $(LEDGER) ## The ledger's speed and memory on SQLite and PostgreSQL, into build/bench/ledger.json: five minutes (BENCH=short: one)
	@PYTHONPATH=inference:operator:box:tests $(LEDGER)/bin/python -m bench.ledger

.PHONY: bench-look
bench-look: $(DEV) $(LEDGER) ## One look of the operator at a large experiment, with a real ledger, into build/bench/look.json: a minute (BENCH=short: seconds)
	@PYTHONPATH=inference:operator:box:tests $(PYTHON) -m bench.experiment_look

##@ Work on it

.PHONY: verify
verify: generate lint types ## What must hold before a commit: generated files current, lint and types clean
	@git diff --exit-code --stat -- kustomize manifests || { echo "verify: generated files were not current; they are now, commit them" >&2; exit 1; }

.PHONY: generate
generate: $(DEV) ## CRDs, runtimes and manifests from their sources
	@PYTHONPATH=operator $(PYTHON) -m slipway_operator.manifests --kubectl "$$(box/box build)/kubectl"

.PHONY: lint
lint: $(DEV) ## ruff and the import contracts
	@$(PYTHON) -m ruff format --check $(SOURCES)
	@$(PYTHON) -m ruff check $(SOURCES)
	@PYTHONPATH=operator:inference:components $(DEV)/bin/lint-imports

.PHONY: format
format: $(DEV) ## Format the sources
	@$(PYTHON) -m ruff format $(SOURCES)
	@$(PYTHON) -m ruff check --fix $(SOURCES)

.PHONY: types
types: $(DEV) ## mypy, strict
	@$(PYTHON) -m mypy

.PHONY: images
images: ## Build the images into archives
	@PYTHONPATH=box python3 -c 'from slipway_box import images; [print(images.archive(name)) for name in images.IMAGES]'

.PHONY: requirements
requirements: $(DEV) ## Pin requirements/*.in anew, with hashes and without addresses
	@cd requirements && for name in *.in; do \
	  env -u PIP_FIND_LINKS -u UV_FIND_LINKS ../$(DEV)/bin/uv pip compile --quiet --generate-hashes --no-strip-extras --python-version 3.11 --no-header \
	    $$(sed -n 's/^# compiled with //p' "$$name") "$$name" -o "$${name%.in}.txt"; \
	done

$(DEV): requirements/dev.txt
	@box/box environment dev >/dev/null && touch $(DEV)

$(FEAST): requirements/feast.txt
	@box/box environment feast >/dev/null && touch $(FEAST)

# confseq has no wheel for this Python: built here from its sources with the tools of requirements/oracles.in, by name of the folder of Boost's headers.
$(ORACLES): requirements/oracles.txt requirements/confseq.txt
	@box/box environment oracles >/dev/null
	@PATH="$(CURDIR)/$(ORACLES)/bin:$$PATH" \
	  CMAKE_ARGS="-DBoost_INCLUDE_DIR=$$($(ORACLES)/bin/python -c 'import boost_headers; print(boost_headers.get_include())')" \
	  $(ORACLES)/bin/python -m pip install --quiet --no-deps --no-build-isolation --require-hashes --requirement requirements/confseq.txt \
	  || echo "confseq could not be built; bench-experiments compares with the others and says so" >&2
	@touch $(ORACLES)
$(LEDGER): requirements/ledger-tests.txt
	@box/box environment ledger-tests >/dev/null && touch $(LEDGER)

.PHONY: help
help: ## Show this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' Makefile
