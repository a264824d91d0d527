# install makes .venv with all that the tests and the demo need; every other target calls it when that is out of date.
PYTHON ?= python3
PYTEST_ARGS ?= -q

BIN := .venv/bin
STAMP := .venv/.installed
# Some model families need torchvision for their processors. One that doesn't fit the torch of .venv lies apart, and only
# the tests of those families put it on their path, in a process of their own.
TORCHVISION := .venv/torchvision-apart
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt

# What lmms-eval imports for the suites used here; its full list would bring a torchvision that does not import beside
# a CPU build of torch, and takes transformers and evaluate down with it.
LMMS_EVAL_NEEDS := loguru sacrebleu pytz tenacity pytablewriter openpyxl Levenshtein filelock

.PHONY: install demo test lint bench study study-small

install: $(STAMP)

$(STAMP): Makefile setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("hf_select needs Python 3.11 or newer: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(PIP) torch setuptools
	$(PIP) --no-build-isolation -e '.[models,report,dev]' evaluate $(LMMS_EVAL_NEEDS)
	$(PIP) --no-deps lmms-eval
	$(PIP) --no-deps --upgrade --target $(TORCHVISION) torchvision==0.28.0 num2words docopt
	@$(BIN)/python -c 'import importlib.util as u; u.find_spec("torchvision") and __import__("torchvision")' \
		|| { echo 'the torchvision in .venv does not fit its torch: $(BIN)/pip uninstall torchvision'; exit 1; }
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/hf-select demo

test: $(STAMP)
	HF_SELECT_TORCHVISION_DIR=$(CURDIR)/$(TORCHVISION) $(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(STAMP)
	@for script in $(wildcard benchmarks/bench_*.py); do echo "$$script"; $(BIN)/python "$$script" || exit 1; done

# POOL is a folder with pool.jsonl and eval.jsonl; study takes about two hours on two cores, study-small is a part of it.
POOL ?= ../shared/pool
STUDY := $(BIN)/python benchmarks/study/run.py --pool $(POOL) --work build/study

study: $(STAMP)
	$(STUDY) --config benchmarks/study/study.yaml --results benchmarks/study/results
	$(BIN)/python benchmarks/study/publish.py

study-small: $(STAMP)
	$(STUDY) --config benchmarks/study/study-small.yaml --results build/study/small-results
