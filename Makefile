# Everything needs only python3 (with venv), make and git; the rest is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test lint format bench fuzz soak lock audit wheel image clean

run: $(READY)  ## set up and start the gateway with the sandbox inside
	@$(BIN)/smpp-gateway serve -c config/demo.toml

test: $(READY)  ## set up and run every test
	$(BIN)/pytest

lint: $(READY)  ## style, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## measure; prints a table of ratios
	$(BIN)/python -m bench

MINUTES ?= 30
soak: $(READY)  ## mixed load for MINUTES; prints what grows
	$(BIN)/python -m bench.soak --minutes $(MINUTES)

# What is found to be new goes into tests/fuzz/corpus, unless FUZZ_OPTIONS is empty.
FUZZ_SECONDS ?= 3600
FUZZ_OPTIONS ?= --keep
fuzz: $(READY)  ## feed the parsers what strangers might write, for an hour
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(FUZZ_OPTIONS)

# requirements.lock is what the gateway runs with, and all that the container image gets.
# requirements-dev.lock adds the tools, requirements-build.lock what builds the package (and
# editables, which hatchling asks for when it installs the work tree itself).
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-header
BUILD_REQUIRES := import tomllib; \
  print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], \
  "editables>=0.5", sep="\n")

lock: $(READY)  ## pin the newest versions within pyproject.toml's bounds
	$(COMPILE) --upgrade -o requirements.lock pyproject.toml
	$(COMPILE) --upgrade --no-annotate --extra dev -c requirements.lock \
	  -o requirements-dev.lock pyproject.toml
	$(BIN)/python -c '$(BUILD_REQUIRES)' | \
	  $(COMPILE) --upgrade --no-annotate -c requirements-dev.lock -o requirements-build.lock -
	echo 'pip-audit>=2.9,<3' | \
	  $(COMPILE) --upgrade --no-annotate -o requirements-audit.lock -

# Against the advisories that the package index publishes, so it needs the network: neither
# "make test" nor CI calls it. --strict: what the index does not know counts as a failure, for
# a mirror that has no advisories would let everything pass.
AUDIT := build/audit
audit: $(AUDIT)/.ready  ## look for known vulnerabilities in what is locked; needs the network
	@$(AUDIT)/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes \
	  -r requirements.lock -r requirements-build.lock || \
	  { echo "Not clean: a vulnerability, or advisories that could not be had; see above" >&2; exit 1; }

$(AUDIT)/.ready: requirements-audit.lock
	@test -x $(AUDIT)/bin/python || $(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements-audit.lock
	@touch $@

# The same commit gives the same octets: files are dated by it.
SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),1580601600)
wheel: $(READY)  ## build dist/*.whl, the same octets from the same commit
	@rm -f dist/*.whl
	@SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(BIN)/hatchling build -t wheel -d dist
	@cd dist && sha256sum *.whl

# Two images of the same commit on the same base have the same digest. The base's default is a
# tag, which moves: to repeat a build, name it by its digest. Provenance holds the time.
BASE ?= python:3.11-slim
image:  ## build dist/image.tar (OCI) and print its digest; BASE=python:3.11-slim@sha256:... makes it repeatable
	@mkdir -p dist
	docker buildx build --provenance=false --build-arg BASE=$(BASE) \
	  --build-arg SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) \
	  --output type=oci,dest=dist/image.tar,rewrite-timestamp=true .
	@tar -xOf dist/image.tar index.json | grep -o 'sha256:[0-9a-f]*'

$(READY): pyproject.toml requirements-dev.lock requirements-build.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) (once; takes about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements-dev.lock -r requirements-build.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
