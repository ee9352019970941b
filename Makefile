# Every target makes .venv when it is missing. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help demo demo-create test check format evals docs clean

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Querist needs Python 3.11 or newer; name one with: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

demo: $(READY) ## the whole loop on the bundled example: embedded models, no key, no network
	$(BIN)/querist demo

demo-create: $(READY) ## a job that writes rows for thin classes, with gates; offline as well
	$(BIN)/querist demo create

test: $(READY) ## every check and every test
	$(BIN)/python -m pytest -n 3 --dist loadfile -rs

check: $(READY) ## formatting, lint, types, layers (a part of `make test`)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

evals: $(READY) ## the experiments and benchmarks whose tables are in the docs (an hour)
	$(BIN)/python -m querist.evals.bench.llm_throughput
	$(BIN)/python -m querist.evals.bench.scale
	$(BIN)/python -m querist.evals.experiments.accuracy_per_dollar

docs: $(READY) ## the docs as a site in build/docs: pages and reference, warnings are errors
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs build/docs
	@echo 'build/docs/index.html'

clean: ## throw away what was built
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .querist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
