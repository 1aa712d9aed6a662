# Local LLM Workbook. Every target makes .venv first if needed, then calls the `workbook` command.
# LIGHT=1           without llama-cpp-python: all runs but the pages that open the model itself
# WORKBOOK_WHEELS=  a folder or an index with a prebuilt llama-cpp-python
# PYTHON=           the Python to use, 3.11 to 3.13

PYTHON ?= python3
LIGHT ?=
export LIGHT  # not PYTHON: what the user sets reaches the script anyway, and `python3` must not look like a wish
unexport PYTHONDONTWRITEBYTECODE  # uv compiles no bytecode: Python does, once a file, unless it is told not to
BIN := .venv/bin
SHELL := /bin/bash
# Two test workers on two cores: one llama.cpp thread each, or both crawl.
TESTING := WORKBOOK_THREADS=1 WORKBOOK_ENGINE=embedded
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout=180 --nbval-sanitize-with tests/nbval_sanitize.cfg

.DEFAULT_GOAL := help
.PHONY: help lab run test bench site doctor perf picture clean lock environment

help: ## this list
	@echo "make lab     set up, open JupyterLab at the first page"
	@echo "make run     set up, execute the whole workbook, record a benchmark, write build/html/index.html"
	@echo "make test    set up, everything that must pass"
	@echo "make bench   set up, record a benchmark of this machine"
	@echo "make site    set up, the site from the stored pages"
	@echo "make doctor  set up, what this machine has and lacks"
	@echo "make perf    figures and ratios, judged by nobody"
	@echo "make picture the picture in the README, taken anew in a browser"
	@echo "make clean   remove what can be made again"
	@echo
	@echo "The first one sets up, in seconds plus the download. Then llama-cpp-python is compiled, about 5 minutes on two"
	@echo "cores: make lab, site and doctor do not wait for it; the others do. LIGHT=1 make ... leaves it out."

environment:
	@command -v $(PYTHON) >/dev/null || { echo "Not set up: there is no $(PYTHON). Install Python 3.11 to 3.13, or name it: PYTHON=/path/to/python make lab" >&2; exit 1; }
	@$(PYTHON) tools/environment.py $(SETUP)

lab: SETUP := --llama background
site doctor: SETUP := --llama later
test perf: SETUP := --test
picture lock: SETUP := --test --llama later

lab run bench site doctor: environment
	@$(BIN)/workbook $@

test: export WORKBOOK_TIMES := $(CURDIR)/build/times.txt
test: environment
	@mkdir -p build && rm -f $(WORKBOOK_TIMES)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check lib tests tools docs
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/workbook refresh --check
	$(TESTING) $(BIN)/pytest -n 2 --dist loadfile tests --ignore tests/performance --ignore tests/contract --ignore tests/browser --ignore tests/sandbox
	rm -rf build/nbval && $(TESTING) WORKBOOK_RESULTS=build/nbval $(BIN)/pytest $(NBVAL) -n 2 --dist loadfile notebooks
	WORKBOOK_THREADS=1 $(BIN)/pytest -rs tests/contract
	$(TESTING) $(BIN)/pytest -rs tests/browser
	$(BIN)/pytest -q -rs tests/sandbox
	@echo "The twenty slowest tests, in seconds:" && sort -rn $(WORKBOOK_TIMES) | head -20

picture: environment ## the picture in the README, taken anew
	$(BIN)/python tools/picture.py

perf: environment
	$(BIN)/pytest -q -s tests/performance

lock: environment ## after a change of the dependencies in pyproject.toml
	$(BIN)/python tools/lock.py

clean: ## says what it removes
	@echo "removing .venv and build/. Your records in data/results/ stay."
	@echo "Kept elsewhere: uv's cache ($$($(BIN)/uv cache dir 2>/dev/null || echo 'uv cache dir')), with all packages and the compiled llama-cpp-python;"
	@echo "the workbook's own (XDG_CACHE_HOME or ~/.cache, ~/Library/Caches, %LOCALAPPDATA%; folder local-llm-workbook)."
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache
