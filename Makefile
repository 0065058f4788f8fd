# Two commands on a fresh machine: `make run` and `make test`; each does all the set-up itself.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
ifneq ($(strip $(CYCLES)),)
override ARGS += --cycles $(CYCLES)
endif
ifneq ($(strip $(LIVE)),)
MARKET := --live
else
MARKET := --sim
endif

# The other client that the stream benchmark measures; it gets an environment of its own.
PEER   := $(VENV)-peer
SCHEDULES  ?= 5000
FIRST_SEED ?= 1001
ifneq ($(origin MINUTES),undefined)
MINUTES_GIVEN := $(MINUTES)
endif
MINUTES    ?= 20
# Recorded market data; nothing of it is in the repository.
RECORDINGS ?= ../shared/data

.PHONY: run test test-engine test-system test-scale check bench soak soak-minutes audit-lookahead agreement report clean lock help

help:
	@echo 'make run [LIVE=1] [CYCLES=n]   the whole system (simulated exchange unless LIVE=1)'
	@echo 'make test                      lint, types, import contracts, every test'
	@echo 'make test-scale                two Prefect servers on PostgreSQL and Redis, and the files of deployments/, for real'
	@echo 'make check                     lint, types, import contracts'
	@echo 'make bench                     benchmarks'
	@echo 'make audit-lookahead           3 recorded days: nothing may depend on what came later'
	@echo 'make agreement, make report    write docs/agreement.md and docs/report-2025-05 anew, from recordings'
	@echo 'make soak [SCHEDULES=n] [FIRST_SEED=n] [MINUTES=n]   the nightly long form: drawn schedules of faults, then'
	@echo '                               the stream worker under 5,000 messages a second'
	@echo 'make soak-minutes [MINUTES=n] [ARGS=--kill]   scheduled minutes in real time (60): published, late, cost'
	@echo 'make clean                     remove what the other commands made here'
	@echo 'make lock                      resolve the lock files anew (needs uv)'

run: $(VENV)/run.stamp
	$(BIN)/python -m aione up $(MARKET) $(ARGS)

# Two halves side by side: the engine's tests keep one CPU busy, those with Prefect and the whole system mostly wait.
test: check
	$(MAKE) --no-print-directory --jobs=2 test-engine test-system

test-engine: $(VENV)/test.stamp
	$(BIN)/python -m pytest --ignore=tests/flows --ignore=tests/system --ignore=tests/scale/test_cluster.py --ignore=tests/scale/test_tools.py $(ARGS)

# Prefect's own clients leave sockets to the garbage collector, so these tests run without that warning.
test-system: $(VENV)/test.stamp
	$(BIN)/python -m pytest tests/flows tests/system -W ignore::ResourceWarning -W ignore::pytest.PytestUnraisableExceptionWarning

# What one machine cannot show: two Prefect servers on PostgreSQL and Redis, and deployments/ read by its own tools.
test-scale: $(VENV)/test.stamp
	sh scripts/setup-scale.sh
	$(BIN)/python -m pytest tests/scale -W ignore::ResourceWarning -W ignore::pytest.PytestUnraisableExceptionWarning $(ARGS)

check: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/test.stamp $(PEER)/stamp
	$(BIN)/python benchmarks/bench_scan.py
	$(BIN)/python benchmarks/bench_growth.py
	$(BIN)/python benchmarks/bench_stream.py --cryptofeed $(PEER)/bin/python
	$(BIN)/python benchmarks/bench_store.py
	$(BIN)/python benchmarks/bench_audit.py

audit-lookahead: $(VENV)/test.stamp
	$(BIN)/python -m aione.run.audits lookahead $(RECORDINGS)/usdm-2025-05 --days 3 --jobs 2

agreement: $(VENV)/test.stamp
	$(BIN)/python -m aione.run.audits agreement $(RECORDINGS)/usdm-2025-05 --spot $(RECORDINGS)/btc-spot-1m --jobs 2

report: $(VENV)/test.stamp
	$(BIN)/python -m aione report $(RECORDINGS)/usdm-2025-05 --out docs/report-2025-05

soak: $(VENV)/test.stamp
	SCHEDULES=$(SCHEDULES) FIRST_SEED=$(FIRST_SEED) $(BIN)/python -m pytest tests/plane --timeout 0
	$(BIN)/python benchmarks/soak_worker.py --minutes $(MINUTES)

soak-minutes: $(VENV)/test.stamp
	$(BIN)/python benchmarks/soak_minutes.py --minutes $(or $(MINUTES_GIVEN),60) $(ARGS)

$(PEER)/stamp: benchmarks/requirements.lock
	$(PYTHON) -m venv $(PEER)
	$(PEER)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r benchmarks/requirements.lock
	touch $@

$(VENV)/run.stamp: requirements.lock pyproject.toml scripts/setup.sh
	PYTHON=$(PYTHON) sh scripts/setup.sh $(VENV) requirements.lock

$(VENV)/test.stamp: requirements-dev.lock pyproject.toml scripts/setup.sh
	PYTHON=$(PYTHON) sh scripts/setup.sh $(VENV) requirements-dev.lock

lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements.lock
	uv pip compile benchmarks/requirements.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o benchmarks/requirements.lock
	uv pip compile pyproject.toml --extra dev -c requirements.lock --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements-dev.lock

clean:
	rm -rf $(VENV) $(PEER) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
