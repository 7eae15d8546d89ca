# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help run demo test check format bench faults load soak lock clean

help: ## Show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 12

# `venv --without-pip` and `pip --python` also work where Debian's ensurepip is not installed.
$(READY): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

run: $(READY) ## Start the server, show the sample live in the terminal, go on serving the page
	$(BIN)/twopass serve --sample

demo: $(READY) ## The same, but end after the sample's last final
	$(BIN)/twopass demo

test: $(READY) ## Run the tests
	$(BIN)/pytest

# The browser's tests are in `make test`: what they cover is not Python. So are the faults, the vendors' too: other tests
# cover the same code.
check: $(READY) ## Format, lint, strict types, and the tests with coverage
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q --ignore tests/gateway/test_page.py --ignore tests/faults \
	    --ignore-glob 'tests/providers/*/test_*_faults.py' --ignore-glob 'tests/providers/*/test_*_sessions.py'
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

format: $(READY) ## Format the code and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(READY) ## Measure latency, accuracy, stability and load: one table, one JSON in bench/
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.vendors

faults: $(READY) ## Break everything that can break, 400 times, and compare every word (FAULTS=short: two minutes)
	$(BIN)/python -m tests.faults $(if $(filter short,$(FAULTS)),--short)
	$(BIN)/python -m tests.faults.vendors $(if $(filter short,$(FAULTS)),--short)

load: $(READY) ## Two hundred sessions at once for three minutes (LOAD=short: 40 for 20 seconds)
	$(BIN)/python -m tests.faults.load $(if $(filter short,$(LOAD)),--short)

soak: $(READY) ## One session of three hours, time-compressed: memory must not grow (SOAK=short: 25 minutes)
	$(BIN)/python -m tests.faults.soak $(if $(filter short,$(SOAK)),--short)

lock: ## Write requirements.lock anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --group dev pyproject.toml \
	    --custom-compile-command "make lock" -o requirements.lock

clean: ## Remove what was installed and generated
	rm -rf $(VENV) bench .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
