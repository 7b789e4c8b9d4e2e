# make demo and make test need nothing but Python 3.11 or newer: whatever is missing is installed into .venv first.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
export HF_HUB_OFFLINE ?= 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install demo test test-fast lint reference docs examples bench check clean

help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv and install triune with everything that its tests need

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "triune needs Python 3.11 or newer, and $(PYTHON) is older: say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "installing into .venv (some hundred MB, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all]" --group dev --group docs
	@touch $@

demo: install ## from rules, from labels, from both: five ways of learning on the example messages, in one table
	$(BIN)/triune compare examples/customer_service/compare.yaml --output runs/demo-compare --overwrite
	@echo "(triune is in .venv/bin; . .venv/bin/activate puts it on the path)"

test: install ## run all tests
	$(BIN)/python -m pytest

test-fast: install ## run the tests that take less than a few seconds
	$(BIN)/python -m pytest -m "not slow"

lint: install ## check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

reference: install ## write the reference pages of the documentation out of the code
	$(BIN)/python docs/generate.py

docs: install ## build the documentation, warnings as errors; pages that are out of date fail
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

examples: install ## run the examples
	$(BIN)/python examples/from_python.py
	$(BIN)/python examples/optuna_search.py
	$(BIN)/python -m pytest examples/third_party

bench: install ## measure everything: light commands, speed, quality, methods, the rule engine, what rules are worth (hours)
	$(BIN)/python tests/benchmarks/light.py
	$(BIN)/python tests/benchmarks/speed.py
	$(BIN)/python tests/benchmarks/quality.py
	$(BIN)/python tests/benchmarks/methods.py
	$(BIN)/python tests/benchmarks/cache.py
	$(BIN)/python tests/benchmarks/learning_quality.py
	$(BIN)/python tests/benchmarks/learning_quality.py --strengths
	$(BIN)/python tests/benchmarks/learning_quality.py --forgetting
	$(BIN)/python tests/benchmarks/peer_schedules.py
	$(BIN)/python tests/benchmarks/grounding.py
	$(BIN)/python tests/benchmarks/rules_engine.py
	$(BIN)/python tests/benchmarks/rules_scale.py
	$(BIN)/python tests/benchmarks/rules_step.py
	$(BIN)/python tests/benchmarks/hard_rules.py
	$(BIN)/python tests/benchmarks/rules_pay.py
	$(BIN)/python tests/benchmarks/advise_right.py
	$(BIN)/python tests/benchmarks/labels_saved.py
	$(BIN)/python tests/benchmarks/balance.py
	$(BIN)/python tests/benchmarks/hu.py
	$(BIN)/python tests/benchmarks/compare_trec.py
	$(BIN)/python tests/benchmarks/imbalance.py

check: lint docs examples test ## what CI runs

clean: ## remove what the targets above made, .venv excepted
	rm -rf runs dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
