# Everything that a new machine with Python and make needs: `make demo`, `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
APP ?= fastapi

.PHONY: demo test check bench test-matrix clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo,test,check]'
	@touch $@

$(VENV)/.bench: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo,bench]'
	@touch $@

# A leaking example under real traffic, and what leakguard says of it.
# APP=flask takes the Flask example under gunicorn; SERVE=1 leaves it up.
demo: $(VENV)/.demo
	$(BIN)/python -m examples.demo $(APP) $(if $(SERVE),--serve)

test: $(VENV)/.test
	$(BIN)/python -m pytest

# Style, types, imports, and the share of the code that the tests reach.
check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/coverage run -m pytest -q
	$(BIN)/coverage report

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

# Each Python that is installed, with the oldest and the newest frameworks that are supported.
test-matrix:
	bash .ci/matrix

clean:
	rm -rf $(VENV) .venv-* build dist .mypy_cache .pytest_cache .ruff_cache .coverage
