# Every command that a person or CI needs. `make` alone lists them.
# Each does its own set-up, on a machine that has python3 (3.11 or newer, with venv) and make.

.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
CORES ?= $(shell nproc)
BIN := .venv/bin

.PHONY: help setup setup-slurm demo test test-workflow test-slurm test-torch test-browser test-venues test-faults train lint bench bench-memory bench-release bench-scale bench-threads bench-many fuzz clean

help: ## list these commands
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## install what development needs, at the locked versions, into .venv
	@PYTHON="$(PYTHON)" tools/setup.sh

setup-slurm: ## install what runs the workflow on a Slurm cluster into .venv-slurm
	@PYTHON="$(PYTHON)" SLURM=yes tools/setup.sh --no-default-groups --group workflow --extra slurm

# One job more than cores: in a new clone, one waits while another compiles the kernel of both.
demo: ## build the demo release from the recordings under demo/
	@PYTHON="$(PYTHON)" tools/setup.sh --no-default-groups --group workflow
	@PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores $$(($(CORES) + 1))
	@PATH="$(CURDIR)/$(BIN):$$PATH" tools/tour.sh

# One process more than cores: tests wait for the programs that they start. What Python makes of each
# file is kept, also where PYTHONDONTWRITEBYTECODE is set: each of these processes would make it again.
PYTEST = PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONDONTWRITEBYTECODE= pytest -n $$(($(CORES) + 1)) --dist loadscope --no-loadscope-reorder
# The modules that take longest, but for those of decoding and of faults.
LONG = $(addprefix tests/, checks/test_looked.py exports/test_exports.py files/test_slices.py kernels/test_cache.py \
	release/test_open.py release/test_origins.py steps/test_memory.py steps/test_parts.py)

test: setup ## run the tests of the package, and a short form of test-faults
	@$(PYTEST) $(LONG:%=--ignore=%)

test-workflow: setup ## run the workflow in every way, what README, docs and configs/ show, as written, and the longest other tests
	@$(PYTEST) tests/workflow $(LONG)

test-torch: ## run the tests of what needs PyTorch, in an environment of its own
	@PYTHON="$(PYTHON)" TORCH=yes tools/setup.sh
	@PATH="$(CURDIR)/.venv-torch/bin:$$PATH" python -m pytest -n $(CORES) --dist loadscope tests/with_torch

test-browser: ## look at the pages in Chromium, which root installs from Debian if there is none
	@PYTHON="$(PYTHON)" tools/setup.sh --group browser
	@PATH="$(CURDIR)/$(BIN):$$PATH" tools/browser.sh -n $(CORES) --dist loadscope tests/in_browser

test-venues: ## read a release and exported events with the libraries of their hosts and users, and an S3 store, in an environment of its own
	@PYTHON="$(PYTHON)" VENUES=yes tools/setup.sh --no-default-groups --group test --group venues --group workflow --extra s3
	@PATH="$(CURDIR)/.venv-venues/bin:$$PATH" python -m pytest -n $(CORES) --dist loadscope tests/venues

test-slurm: ## run the workflow on a real Slurm, which root installs from Debian if there is none (3 minutes)
	@PYTHON="$(PYTHON)" tools/slurm.sh
SEED ?= $$RANDOM
test-faults: setup ## disturb runs at random in every way (9 minutes; FAULTS=20 of them, KINDS=… only)
	@cd tests && PATH="$(CURDIR)/$(BIN):$$PATH" python -m faults $(FAULTS:%=--turns %) --seed $(SEED) $(KINDS)

train: ## build two releases of simulated recordings, train on them, and compare with trivial baselines
	@PYTHON="$(PYTHON)" TORCH=yes tools/setup.sh
	@PATH="$(CURDIR)/.venv-torch/bin:$$PATH" CORES=$(CORES) tools/train.sh

lint: setup ## check format, style, workflow and types
	@PATH="$(CURDIR)/$(BIN):$$PATH" tools/lint.sh

FILES ?= 200000
fuzz: setup ## read damaged files of every kind and ask hostile servers, FILES=200000 times (10 minutes)
	@cd tests && PATH="$(CURDIR)/$(BIN):$$PATH" python -m support.fuzz --files $(FILES) --seed $(SEED)

bench: setup ## measure speed beside the peers; prints ratios
	@PATH="$(CURDIR)/$(BIN):$$PATH" benchmarks/run.sh

bench-release: setup ## measure a release: after an edit, from nothing, by compression (20 minutes)
	@PATH="$(CURDIR)/$(BIN):$$PATH" python benchmarks/release.py

bench-threads: setup ## measure one recording by one thread and by several
	@PATH="$(CURDIR)/$(BIN):$$PATH" python benchmarks/threads.py

bench-scale: setup ## measure each step at 10 million, 100 million and 1 billion events (25 minutes, 40 GB)
	@PATH="$(CURDIR)/$(BIN):$$PATH" python benchmarks/scale.py --plot docs/benchmarks_scale.png

bench-many: setup ## measure many short recordings beside the same steps in one process (90 minutes)
	@PATH="$(CURDIR)/$(BIN):$$PATH" python benchmarks/many.py --again --plot docs/benchmarks_many.png

bench-memory: setup ## measure each step's peak memory at 10 and 100 million events (5 minutes)
	@PATH="$(CURDIR)/$(BIN):$$PATH" python benchmarks/memory.py

clean: ## remove what was built: results, caches; not the environment
	rm -rf results .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
