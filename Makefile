# What a person types. Everything lands in .run/, .venv/ and node_modules/; `make clean` removes it.

python := $(or $(PYTHON),$(shell for p in python3 python3.12 python3.11 python3.13; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done))
sandbox = PYTHONPATH=include $(or $(python),$(error Python 3.11, 3.12 or 3.13 is needed: install one of them)) -m sandbox
venv := .venv/bin

.PHONY: demo stop status clean install test test-unit lint docs

demo:  ## ERP, shop and Airflow, in step, from nothing
	@$(sandbox) demo

stop:  ## stop all of it; the data stay
	@$(sandbox) stop

status:  ## what runs
	@$(sandbox) status

clean:  ## remove all that was made here
	@$(sandbox) clean

install:
	@$(sandbox) install

test: install lint  ## everything, on the real systems
	@$(venv)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

test-unit:  ## seconds: no Airflow, no HTTP, no database
	@$(venv)/python -m pytest -q tests/unit

lint:
	@$(venv)/ruff check
	@$(venv)/ruff format --check
	@$(venv)/mypy
	@$(venv)/lint-imports

docs:  ## docs/DAGs.md, from the DAGs themselves
	@$(venv)/python -m crossdock.airflow.docs docs/DAGs.md

bench-%:
	@$(venv)/python -m tests.bench.$*
