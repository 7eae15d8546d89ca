# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Most tests wait most of the time: three at once need two cores. PARALLEL= runs one after the other.
PARALLEL ?= -n 3 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help run demo test check format bench cluster compare faults money load soak lock clean

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
	$(BIN)/pytest $(PARALLEL)

# Measuring coverage doubles a test's time, so what `make test` runs and what covers nothing more stays out: the browser,
# the faults, the vendors' too, fuzzing; and properties are tried on fewer examples.
check: $(READY) ## Format, lint, strict types, and the tests with coverage
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/coverage erase
	TWOPASS_EXAMPLES=20 TWOPASS_CASES=50 $(BIN)/coverage run -m pytest -q $(PARALLEL) --ignore tests/gateway/test_page.py \
	    --ignore tests/faults --ignore tests/gateway/test_fuzz.py --ignore tests/cost/test_report_page.py \
	    --ignore tests/cost/test_reported.py --ignore-glob 'tests/cost/test_*kill.py' \
	    --ignore tests/compare/test_comparison_page.py --ignore tests/compare/test_compare_cli.py \
	    --ignore tests/cluster/test_shared_state.py --ignore tests/cluster/test_bench.py \
	    --ignore tests/deploy --ignore-glob 'tests/providers/*/test_*_faults.py' --ignore-glob 'tests/providers/*/test_*_sessions.py'
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

format: $(READY) ## Format the code and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(READY) ## Measure latency, accuracy, stability and load: one table, one JSON in bench/
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.vendors
	$(BIN)/python -m tests.bench.cluster

faults: $(READY) ## Break everything that can break, 600 times, and compare every word (FAULTS=short: three minutes)
	$(BIN)/python -m tests.faults $(if $(filter short,$(FAULTS)),--short)
	$(BIN)/python -m tests.faults.vendors $(if $(filter short,$(FAULTS)),--short)
	$(BIN)/python -m tests.faults.cluster $(if $(filter short,$(FAULTS)),--short)

money: $(READY) ## A hundred thousand prices against the oracle, 200 kills of the meter, a month of a million entries (an hour)
	TWOPASS_CASES=100000 TWOPASS_KILLS=200 $(BIN)/pytest tests/cost --timeout 0
	rm -f bench/month.sqlite
	mkdir -p bench
	$(BIN)/twopass report simulate --month 2026-10 --entries 1000000 --seed 7 --ledger sqlite:///bench/month.sqlite
	$(BIN)/twopass report all --month 2026-10 --ledger sqlite:///bench/month.sqlite -o bench/month.html

cluster: $(READY) ## Kill workers and brokers, real NATS, Redis, RabbitMQ and Kafka, as far as they are installed (15 minutes)
	TWOPASS_CLUSTER=long $(BIN)/pytest tests/cluster --timeout 0

compare: $(READY) ## Compare local systems and stand-ins on the test speech: bench/compare/index.html (12 minutes)
	$(BIN)/twopass compare tests/speech/manifest.jsonl -o bench/compare \
	    -p pocketsphinx,whisper:model=demo,twopass:configs/local.yaml#demo,standin:google,standin:azure

load: $(READY) ## Two hundred sessions at once for three minutes (LOAD=short: 40 for 20 seconds)
	$(BIN)/python -m tests.faults.load $(if $(filter short,$(LOAD)),--short)

soak: $(READY) ## One session of three hours, time-compressed: memory must not grow (SOAK=short: 25 minutes)
	$(BIN)/python -m tests.faults.soak $(if $(filter short,$(SOAK)),--short)

lock: ## Write requirements.lock anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --group dev pyproject.toml \
	    --custom-compile-command "make lock" -o requirements.lock

clean: ## Remove what was installed and generated
	rm -rf $(VENV) bench .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
