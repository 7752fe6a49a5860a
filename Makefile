# Two commands on a fresh machine: `make demo` and `make test`. Everything installed lives in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: install demo figures test attack lint clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --progress-bar on --editable '.[dev]'
	touch $@

demo: $(INSTALLED) ## measure the weights that ship on scikit-image's photographs, train a small network, measure that
	$(BIN)/python scripts/demo.py

figures: $(INSTALLED) results/demo_pretrained_x4/Demo.csv ## make assets/ of the demo's results, after the demo where there are none
	$(BIN)/python scripts/make_figures.py

results/demo_pretrained_x4/Demo.csv: | $(INSTALLED)
	$(BIN)/python scripts/demo.py

test: lint ## lint, types and tests
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

attack: $(INSTALLED) ## the tests that `make test` leaves out: some 20,000 damaged files, a hundred kills
	$(BIN)/python -m pytest -m exhaustive -s --timeout 0

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean: ## remove what the demo wrote, and the environment
	rm -rf $(VENV) datasets/demo experiments/demo_x4 experiments/demo_x4_archived_* results/demo \
		results/demo_x4 results/demo_bicubic_x4 results/demo_pretrained_x4
