# make run: set up a virtual environment, run the demo suite, print its verdict, draw it.  make test: the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

.PHONY: install run test lint bench bench-quick lowest docs linkcheck
install: $(VENV)/.installed

run: $(VENV)/.installed
	$(BIN)/vitmem run configs/suites/demo.yaml --results store/demo-results --workers 2
	$(BIN)/vitmem tables --results store/demo-results --print verdict
	$(BIN)/vitmem figures --results store/demo-results

test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

bench: $(VENV)/.installed
	for script in benchmarks/speed/bench_*.py; do $(BIN)/python $$script || exit 1; done

bench-quick: $(VENV)/.installed
	for script in benchmarks/speed/bench_*.py; do OMP_NUM_THREADS=1 $(BIN)/python $$script --quick || exit 1; done

lowest:
	.ci/lowest

docs: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -q -W --keep-going docs docs/_build/html

linkcheck: $(VENV)/.installed
	GALLERY=0 $(BIN)/sphinx-build -q -b linkcheck docs docs/_build/linkcheck

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy -p benchmarks.studies
	$(BIN)/lint-imports
