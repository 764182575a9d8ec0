# Everything a contributor or an operator starts; `make` lists it. Needs Python >= 3.11 and make, nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON := .venv/bin/python
export PYTHONUNBUFFERED := 1
# Hundreds of processes start in a test run: where the environment forbids it, each would compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: setup setup-run
setup: ## install everything into .venv, once per lock
	@sh scripts/setup.sh dev

setup-run:
	@sh scripts/setup.sh run

.PHONY: demo
demo: setup-run ## a hub, a CPO with charge points and an eMSP, live; ARGS="--seconds 60 --json" stops by itself
	@$(PYTHON) manage.py demo $(ARGS)

.PHONY: run
run: setup-run ## one durable instance of what OCPI_SIDES says
	@$(PYTHON) manage.py run $(ARGS)

.PHONY: worker
worker: setup-run ## one more worker for an instance whose web runs elsewhere
	@$(PYTHON) manage.py run --only worker --no-migrate $(ARGS)

.PHONY: test scenarios
test: setup ## unit, conformance and scenario tests; ARGS="tests/unit -k tariff" narrows
	@$(PYTHON) -m pytest -n auto --dist worksteal -q $(if $(CI),--reruns 1 -rfER) $(ARGS)

scenarios: setup ## only the scenarios: several platforms, real HTTP
	@$(PYTHON) -m pytest tests/scenarios $(ARGS)

.PHONY: bench
bench: setup ## the benchmarks, one JSON line each, beside their baselines
	@$(PYTHON) -m tests.load $(ARGS)

.PHONY: fuzz
fuzz: setup ## 100,000 malformed requests and schemathesis at real instances; ARGS="--requests 5000" shortens
	@sh scripts/setup.sh fuzz
	@$(PYTHON) -m tests.fuzz $(ARGS)

.PHONY: lint lint-style lint-types lint-django format
lint: lint-style lint-types lint-django ## style, types, import contracts, Django checks, missing migrations

lint-style: setup
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

lint-types: setup
	$(PYTHON) -m mypy

lint-django: setup
	.venv/bin/lint-imports --no-cache
	for sides in hub cpo emsp cpo,emsp; do OCPI_SIDES=$$sides $(PYTHON) manage.py check --fail-level WARNING || exit 1; done
	$(PYTHON) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

format: setup ## let ruff repair what it can
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

.PHONY: chaos chaos-slow outage hostile forwards tenants ssrf secrets twice together gateway-chaos hijack tamper restore
chaos: setup ## 30,000 messages while processes, PostgreSQL and Redis fall: nothing lost, nothing out of order
chaos-slow: setup ## 6 of 20 receivers never answer: the others notice nothing
outage: setup ## a day away, then back: both kinds of receiver end equal to the source
hostile: setup ## fourteen kinds of evil answers to every call of ours
forwards: setup ## hanging targets of Direct requests beside healthy ones
tenants: setup ## 5,000 attempts to touch what is another's
ssrf: setup ## every URL we take in, in every spelling of an address we must not call
secrets: setup ## every secret of five running instances searched for in logs, pages, metrics, Redis and rows: 0 hits
twice: setup ## the same CDRs and commands from 16 clients at once, web processes killed
together: setup ## five instances for ten minutes with random stops: all stores agree
gateway-chaos: setup ## 200 charge points charge while gateway, worker, PostgreSQL and Redis are killed: books exact
hijack: setup ## 200 stations work while 10,000 hostile handshakes come: no takeover, nothing lost
restore: setup ## the database is lost, a base backup of ten minutes ago comes back: equal again, no id given twice
tamper: setup ## 1,000 edits and deletions in audit trail and CDRs by the tables' owner: verify_audit finds each
chaos chaos-slow outage hostile forwards tenants ssrf secrets twice together gateway-chaos hijack tamper restore:
	@$(PYTHON) -m tests.figures $@ $(ARGS)

.PHONY: docs
docs: setup-run ## write openapi.json and the state diagrams again
	@$(PYTHON) manage.py write_docs $(ARGS)

.PHONY: lock
lock: setup ## resolve requirements/*.in into the hash-pinned locks; UPGRADE=1 takes newer versions
	@sh scripts/lock.sh

.PHONY: clean
clean: ## remove caches and .venv; the data of `make run` in .data stays
	rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
