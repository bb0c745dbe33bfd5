# What a newcomer needs: `make rehearsal` and `make test`. Everything else serves these two.
PYTHON ?= /usr/bin/python3
VENV := .venv
FDR := $(VENV)/bin/fdr

.PHONY: help install rehearsal test crash-test cluster-test bench lint lock clean

help:  ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install:  ## install what a rehearsal needs: system packages, fdr, the lake's services
	@tools/install-system
	@PYTHON="$(PYTHON)" tools/install-fdr $(VENV) requirements.txt
	@$(FDR) lake install

rehearsal: install  ## bring up a real lake on this machine, run scenarios/smoke.yaml, take the lake down
	@tools/rehearsal $(FDR) scenarios/smoke.yaml

install-dev:
	@tools/install-system tests
	@PYTHON="$(PYTHON)" tools/install-fdr $(VENV) requirements-dev.txt
	@$(FDR) lake install

lint: install-dev  ## check style and types
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

test: lint  ## run all tests, those on a real lake too
	$(VENV)/bin/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

crash-test: install-dev  ## kill rehearsals at random moments, resume them, and count what became of every file
	$(VENV)/bin/python -m tests.lake.crash --kills $(or $(KILLS),20) --seed $(or $(SEED),1)

cluster-test: install-dev  ## do on a Kubernetes of one node what the documents say; it is built first, in five minutes
	$(VENV)/bin/python -m tests.cluster

bench: install-dev  ## measure what docs/performance.md tells, in its short form: 8 minutes of an idle machine
	$(VENV)/bin/python -m benchmarks.plan 1000000
	$(VENV)/bin/python -m benchmarks.journal 200000
	$(VENV)/bin/python -m benchmarks.injection
	$(VENV)/bin/python -m benchmarks.large_files 100 3
	$(VENV)/bin/python -m benchmarks.pace 12 1
	$(VENV)/bin/python -m benchmarks.pace 400 0.5
	$(VENV)/bin/python -m benchmarks.watch 500 50000

lock:  ## choose versions anew and lock them with their hashes
	tools/lock $(VENV)

clean:  ## remove what make made in this directory
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
