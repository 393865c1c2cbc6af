# Everything that a new machine with Python and make needs: `make demo`, `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
APP ?= fastapi
# What CI adds to the tests' packages, such as uwsgi, which needs a C compiler.
EXTRAS ?=
comma := ,
EXTRA_LIST := demo,test,quart,check$(if $(EXTRAS),$(comma)$(EXTRAS))

.PHONY: demo test check lint bench test-matrix clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[demo]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[$(EXTRA_LIST)]'
	@touch $@

$(VENV)/.bench: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[demo,bench]'
	@touch $@

# A leaking example under real traffic, and what leakguard says of it.
# APP=flask takes the Flask example under gunicorn; SERVE=1 leaves it up.
demo: $(VENV)/.demo
	$(BIN)/python -m examples.demo $(APP) $(if $(SERVE),--serve)

test: $(VENV)/.test
	$(BIN)/coverage run -m pytest

# Style, types, imports, the tests, and the share of the code that they reach.
check: lint test
	$(BIN)/coverage report

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

# Each Python that is installed, with the oldest and the newest frameworks that are supported.
test-matrix:
	bash .ci/matrix

clean:
	rm -rf $(VENV) .venv-* build dist .mypy_cache .pytest_cache .ruff_cache .coverage
