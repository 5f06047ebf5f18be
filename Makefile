# What a newcomer needs: `make run` and `make test`. Everything is installed into .venv when it is missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
KERNEL := $(wildcard src/hpts/_*.pyx) $(wildcard src/hpts/_*.pxd)
WORKERS ?= 2
BASE ?= HEAD~1
TOOLS := build/tools/.installed
ROUNDS ?= 4
ONLY ?=
SCENARIO ?= mixed

.PHONY: install run test soak faults fuzz check bench perf-report bench-compare loadtest lock lock-check audit clean help

help: ## Show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(STAMP) ## Make .venv, build the kernel, install the package and its development tools

$(STAMP): pyproject.toml setup.py constraints.txt $(KERNEL)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "HPTS needs Python 3.11 or later; set PYTHON=/path/to/python3" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "setuptools>=77" Cython
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		--no-build-isolation --editable ".[dev]"
	touch $@

run: install ## Run everything on this machine: PostgreSQL, issuer, demo tenant, server
	$(BIN)/hpts dev

# Where the environment forbids Python to keep what it compiled, hundreds of processes would each compile
# the whole package again.
test: export PYTHONDONTWRITEBYTECODE :=
test: install ## Run the whole test suite on a PostgreSQL that it starts itself
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

soak: install ## Both of these for SECONDS in all (two hours): at most half of it the fuzz INPUTS, then faults
	$(BIN)/python -m tests.soak $(or $(SECONDS),7200) $(or $(INPUTS),1000000)

faults: install ## Only faults, for SECONDS (an hour), and a quarter more those of a standby
	SOAK_SECONDS=$(or $(SECONDS),3600) $(BIN)/python -m pytest tests/faults/test_faults.py

fuzz: install ## Only fuzzing: INPUTS (a million) that nobody would send
	FUZZ_INPUTS=$(or $(INPUTS),1000000) $(BIN)/python -m pytest tests/fuzz

check: install ## Lint, types, the kernel's stub and the SQL files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest hpts._posting hpts._identifiers hpts._hashing hpts._vouching
	$(BIN)/python -m pytest -q tests/store/test_sql_files.py

bench: install ## Measure kernel, requests, batches and queries
	$(BIN)/python -m pytest bench --benchmark-enable --benchmark-only

bench-compare: install ## Compare BASE (a revision) with this tree, benchmark by benchmark; ROUNDS, ONLY
	$(BIN)/python -m bench.compare $(BASE) --rounds $(ROUNDS) $(if $(ONLY),--only "$(ONLY)")

perf-report: install ## Measure everything, about 45 minutes; ONLY=name,name, QUICK=1, OUT=folder
	$(BIN)/python -m bench.report $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick) $(if $(OUT),--out $(OUT))

loadtest: install ## Hold a scenario against the objectives; SCENARIO, USERS, SECONDS, OUT, HPTS_URL and TOKEN
	$(BIN)/python -m loadtest $(SCENARIO) $(if $(USERS),--users $(USERS)) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(OUT),--out $(OUT))

$(TOOLS): constraints.txt
	$(PYTHON) -m venv build/tools
	build/tools/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		pip-audit pip-licenses pip-tools
	touch $@

lock: $(TOOLS) ## Write the image's locks anew, of pyproject.toml and constraints.txt, with every hash
	build/tools/bin/python deploy/write_lock.py

lock-check: ## Install from the locks as the Dockerfile does; HPTS_DATABASE_URL: migrate that database too
	$(PYTHON) deploy/check_lock.py build/locked

build/locked/bin/hpts: deploy/build.lock deploy/requirements.lock
	$(MAKE) lock-check

audit: install $(TOOLS) build/locked/bin/hpts ## List the licences of what the image holds; look up vulnerabilities
	build/tools/bin/python deploy/audit.py build/locked/bin/python $(BIN)/python

clean: ## Remove what was built or installed here (not .hpts, which holds your books)
	rm -rf $(VENV) build dist src/*.egg-info src/hpts/*.so .pytest_cache .mypy_cache .ruff_cache
