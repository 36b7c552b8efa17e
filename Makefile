# Everything here runs in environments of its own under .venv*; the system's Python is never touched. Programs
# that are missing, such as PostgreSQL, are installed by .ci/programs if it may (as root, on Debian), else named.

PYTEST_ARGS ?=
SOAK = tests/laws/test_laws.py tests/laws/test_differential.py tests/tlog/test_merkle.py tests/tlog/test_notes.py tests/tlog/test_export.py tests/faults/test_ledger_faults.py \
	tests/ledger/test_stores.py tests/ledger/test_state_machine.py tests/ledger/test_limits.py tests/ledger/test_revocation.py
EFFICACY_ARGS ?=
LOCK_ARGS ?=
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)

.DEFAULT_GOAL := help
.PHONY: help demo test check soak bench efficacy escalation speed interop real lock clean

help: ## list the targets
	@awk -F ':[^#]*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: .venv/.installed ## a support desk under attack, on a real database, mailbox and file tree
	@.venv/bin/hessra-agents demo

test: .venv/.installed ## the tests and how much of the code they run; PYTEST_ARGS="-k name" for some of them
	@.ci/programs postgresql strace
	@.venv/bin/python -m coverage run -m pytest $(PYTEST_ARGS)
	@.venv/bin/python -m coverage report --fail-under=0
ifeq ($(strip $(PYTEST_ARGS)),)
	@printf 'covered without the command line, in percent, at least 95: '
	@.venv/bin/python -m coverage report --omit='hessra_agents/cli/*' --format=total
endif

check: .venv/.installed ## lint, format and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

soak: .venv/.installed ## the laws and the faults, many more of each; an hour or so
	@.ci/programs postgresql strace
	HESSRA_SOAK=1 .venv/bin/python -m pytest $(SOAK) $(PYTEST_ARGS)

bench: .venv-bench/.installed ## measure, beside peers that are installed for this alone
	@.ci/programs postgresql
	@.venv-bench/bin/python -m benchmarks

speed: .venv-bench/.installed ## a guarded call beside the peer's, in short: fails if ours is dearer
	@.venv-bench/bin/python -m benchmarks.speed --short

escalation: .venv-bench/.installed ## the cases of delegation that a peer publishes, through its guard and ours
	@.venv-bench/bin/python -m benchmarks.escalation

efficacy: .venv-dojo/.installed ## injections that others wrote against every kind of authority; EFFICACY_ARGS=--short
	@.venv-dojo/bin/python -m benchmarks.efficacy $(EFFICACY_ARGS)

interop: .venv/.installed .venv-node/.installed
interop: ## the test vectors, read by the JavaScript implementation of Biscuit; logs and proofs, read by Go's
	@echo "installing tests/interop/package-lock.json"
	@cd tests/interop && PATH="$(CURDIR)/.venv-node/bin:$$PATH" npm ci --ignore-scripts --loglevel=error
	@.venv-node/bin/node tests/interop/verify.mjs tests/vectors/*.json
	@.ci/programs go
	@.venv/bin/python -m tests.interop.tlog

real: .venv/.installed .venv-node/.installed .venv-servers/.installed
real: .venv-legacy/.installed .venv-vulnerable/.installed
real: ## servers and clients that others wrote, and weaknesses published of them
	@echo "installing tests/real/package-lock.json"
	@cd tests/real && PATH="$(CURDIR)/.venv-node/bin:$$PATH" npm ci --ignore-scripts --loglevel=error
	@.venv/bin/python -m pytest tests/real $(PYTEST_ARGS)

lock: ## pin all dependencies again; LOCK_ARGS=--upgrade for newer ones
	@$(call environment,.venv-lock)
	@.venv-lock/bin/python -m pip install -qq uv==0.13.9
	@$(PIN) pyproject.toml --all-extras --group dev -o constraints/dev.txt
	@$(PIN) pyproject.toml --group bench -c constraints/dev.txt -o constraints/bench.txt
	@$(PIN) pyproject.toml --group dojo -c constraints/dev.txt -o constraints/dojo.txt
	@$(PIN) --group node -o constraints/node.txt
	@for group in servers servers-legacy servers-vulnerable; do \
		$(PIN) --group $$group -o constraints/$$group.txt || exit 1; done

clean: ## remove the environments and all that tools leave behind
	rm -rf .venv .venv-bench .venv-dojo .venv-node .venv-lock .venv-servers .venv-legacy .venv-vulnerable
	rm -rf tests/interop/node_modules tests/real/node_modules
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

.venv-servers/.installed: constraints/servers.txt
	$(call install,.venv-servers,constraints/servers.txt)
	@touch $@

.venv-legacy/.installed: constraints/servers-legacy.txt
	$(call install,.venv-legacy,constraints/servers-legacy.txt)
	@touch $@

.venv-vulnerable/.installed: constraints/servers-vulnerable.txt
	$(call install,.venv-vulnerable,constraints/servers-vulnerable.txt)
	@touch $@
