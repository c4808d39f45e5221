# Everything needs only python3 (with venv), make and git; the rest is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test lint format bench lock clean

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
