# make run            the cockpit on the offline demo market (sets itself up the first time)
# make test           every test of the suite, from a clean clone to the last line
# make check          the suite plus lint, types and import contracts
# make trader         a scripted person at the keys, on every size and in tmux
# make dst            SEEDS=10000 simulated worlds (net, clock, disk, market, kills) from FIRST, one from each seed
# make stateful       hypothesis against the whole engine and its parts, TIMES=20 as many examples as in the suite
# make mutants        slips planted by hand, one or more for each invariant, and which test notices each; GENERATED=80 by tool
# make faults         every fault of the venue against the running engine, and the long outages
# make swan           1,000 hours without a fall, planted falls, and every crash on record: what the black swan does
# make conformance    independent clients against the practice venue; each is installed on the first run
# make peers          500,000 bars through our backtest and through five others'; each is installed on the first run
# make fuzz           COUNT=10000000 spoiled messages through the uplink's decoders, from SEED if given
# make crash          KILLS=1000 times kill -9 of an engine that trades against a separate venue, from SEED if given
# make picture        the README's picture, drawn by the demo
# make monkey         random keys on the demo for MINUTES=60, from SEED if given
VENV ?= .venv
PY := $(VENV)/bin/python
ARGS ?=
MINUTES ?= 60
COUNT ?= 10000000
KILLS ?= 1000
SEED ?=
SEEDS ?= 10000
FIRST ?= 0
TIMES ?= 20
SHAPES ?= ../shared/data/messages/binance_futures_message_shapes.jsonl

.PHONY: run setup test check lint lock bench peers dst stateful mutants faults monkey picture trader conformance fuzz crash \
	swan clean

run:
	@./nexus $(or $(ARGS),--demo)

setup:
	@./nexus --setup dev

test: setup
	$(PY) -m pytest -n 3 --dist loadgroup $(ARGS)

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

check: lint test

# The locks name no host, so they install from whichever index a machine is set up for.
lock: setup
	$(PY) -m pip install --quiet uv
	$(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--python-version 3.11 pyproject.toml -o requirements.lock
	$(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--python-version 3.11 -c requirements.lock --group dev -o requirements-dev.lock

bench: setup
	@for script in $(filter-out benchmarks/backtest.py,$(wildcard benchmarks/[a-z]*.py)); do echo "== $$script"; PYTHONPATH=. $(PY) $$script || exit 1; done

peers: setup
	PYTHONPATH=. $(PY) benchmarks/backtest.py $(ARGS)

dst: setup
	$(PY) tests/dst/dst.py --seeds $(SEEDS) --first $(FIRST) $(if $(SEED),--seed $(SEED))

stateful: setup
	NEXUS_STATEFUL=$(TIMES) $(PY) -m pytest --timeout 0 tests/servos/test_stateful.py tests/dst/test_engine_stateful.py $(ARGS)

mutants: setup
	$(if $(GENERATED),$(PY) tests/mutants/generate.py $(GENERATED) --seed $(or $(SEED),1),$(PY) tests/mutants/plant.py --sound $(ARGS))

faults: setup
	PYTHONPATH=.:tests $(PY) tests/drills.py $(ARGS)
	$(PY) -m pytest -m long tests/uplink

crash: setup
	PYTHONPATH=.:tests $(PY) tests/crash/crash_run.py --kills $(KILLS) $(if $(SEED),--seed $(SEED))
	$(PY) -m pytest -m long tests/crash

monkey: setup
	PYTHONPATH=. $(PY) tests/terminal/monkey.py --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

picture: setup
	PYTHONPATH=. $(PY) tests/terminal/picture.py docs/cockpit.svg

trader: setup
	$(PY) -m pytest tests/terminal/test_trader.py

conformance: setup
	PYTHONPATH=. $(PY) -W ignore tests/conformance/run.py $(ARGS)

fuzz: setup
	PYTHONPATH=. $(PY) -W ignore tests/uplink/fuzz.py --count $(COUNT) --shapes $(SHAPES) $(if $(SEED),--seed $(SEED))

swan: setup
	PYTHONPATH=.:tests/shield $(PY) tests/shield/swan_run.py $(ARGS)

clean:
	rm -rf $(VENV) .conformance build dist *.egg-info
