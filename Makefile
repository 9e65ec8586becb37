# make run            the cockpit on the offline demo market (sets itself up the first time)
# make test           every test of the suite, from a clean clone to the last line
# make check          the suite plus lint, types and import contracts
# make trader         a scripted person at the keys, on every size and in tmux
# make picture        the README's picture, drawn by the demo
# make monkey         random keys on the demo for MINUTES=60, from SEED if given
VENV ?= .venv
PY := $(VENV)/bin/python
ARGS ?=
MINUTES ?= 60

.PHONY: run setup test check lint lock bench monkey picture trader clean

run:
	@./nexus $(or $(ARGS),--demo)

setup:
	@./nexus --setup dev

test: setup
	$(PY) -m pytest -n 2 --dist loadgroup $(ARGS)

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
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(PY) $$script || exit 1; done

monkey: setup
	PYTHONPATH=. $(PY) tests/terminal/monkey.py --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

picture: setup
	PYTHONPATH=. $(PY) tests/terminal/picture.py docs/cockpit.svg

trader: setup
	$(PY) -m pytest -m long tests/terminal

clean:
	rm -rf $(VENV) build dist *.egg-info
