# perturbarena: two commands on a fresh machine are `make demo` and `make test`.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# Each test process keeps to one thread of linear algebra: as many processes run as there are cores, and threads that
# wait for each other on busy cores take many times as long.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: help demo test test-all lint bench clean clean-cache constraints

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $@

demo: $(READY)  ## set up, then run the main job on a simulated screen
	$(BIN)/perturbarena demo -o demo-out

test: $(READY)  ## set up, then run the tests
	$(ONE_THREAD) $(BIN)/python -m pytest -n auto -q

test-all: $(READY)  ## the slow tests too
	$(ONE_THREAD) $(BIN)/python -m pytest -n auto -q -m 'slow or not slow'

lint: $(READY)  ## style, types, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/pyright

bench: $(READY)  ## print the benchmark tables of docs/benchmarks.md
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

constraints: $(READY)  ## write down the versions now installed
	$(BIN)/python -m pip freeze --exclude-editable --disable-pip-version-check | grep -v ' @ ' | sed 's/+cpu$$//' | sort -f > constraints.txt

clean-cache:  ## forget compiled kernels (needed after changing one that other kernels call)
	find src -name "*.nb[ic]" -delete

clean:  ## remove what was made
	rm -rf .venv demo-out .pytest_cache .ruff_cache .hypothesis .import_linter_cache
