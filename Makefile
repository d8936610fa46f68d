# One door for every command: `make help` lists them.
# Everything is installed into .venv inside this checkout; nothing else on the machine is touched.

.DEFAULT_GOAL := help
.PHONY: help run test check bench soak fmt deps clean
.DELETE_ON_ERROR:
unexport PYTHONHOME PYTHONPATH

# The first of these that is 3.11 or later is used: make PYTHON=/path/to/python3 chooses another.
PYTHON ?= python3 python3.13 python3.12 python3.11
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
CHECKS := ruff format types imports tidy spec
BENCHES = $(filter-out bench/_% bench/conftest.py,$(wildcard bench/*.py))

VENV := .venv/.created
RUN := .venv/.installed-run
DEV := .venv/.installed-dev
PROJECTS := server/pyproject.toml sdk/python/pyproject.toml

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' Makefile

run: $(RUN) ## Serve a simulated MT5 account (options: make run ARGS="--port 9000")
	@exec .venv/bin/fxsocket-server demo $(ARGS)

test: $(DEV) ## Pass every test (some of them: make test ARGS="-k orders")
	@$(PY) -m pytest $(ARGS)

check: $(DEV) ## Lint, types, import contracts, house rules, spec against server
	@$(MAKE) --no-print-directory -k -j2 $(CHECKS:%=check-%)

bench: $(DEV) ## Measure; figures go to bench/results/*.json
	@set -e; for bench in $(BENCHES); do echo "== $$bench"; $(PY) "$$bench" $(ARGS); done

soak: $(DEV) ## Run the tests with large counts (hours)
	@FXSOCKET_SOAK=1 $(PY) -m pytest -m soak $(ARGS)

fmt: $(DEV) ## Format the code and fix what the linter can
	@$(PY) -m ruff check --fix --exit-zero --quiet .
	@$(PY) -m ruff format .

deps: $(DEV) ## Resolve requirements/*.in into hashed pins again (needs a network)
	@$(PIP) install 'uv>=0.9'
	@$(call pin,run,)
	@$(call pin,dev,--constraint requirements/run.txt)

clean: ## Remove .venv and caches (never your data folder)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- checks: each prints one line, and its output in one piece when it fails -------------------

check-ruff: ; $(call checked,$(PY) -m ruff check --output-format concise .)
check-format: ; $(call checked,$(PY) -m ruff format --check --output-format concise .)
check-types: ; $(call checked,$(PY) -m mypy)
check-imports: ; $(call checked,.venv/bin/lint-imports --no-logo)
check-tidy: ; $(call checked,$(PY) tools/tidy.py)
check-spec: ; $(call checked,$(PY) tools/spec_diff.py && $(PY) tools/asyncapi.py)

define checked
@out=$$($(1) 2>&1) && echo "ok    $(@:check-%=%)" \
	|| { printf 'FAIL  %s\n%s\n' '$(@:check-%=%)' "$$out"; exit 1; }
endef

# --- install: a stamp is written last, so what was interrupted starts over ---------------------

# A checkout that was moved is installed anew: its old path stands all over .venv.
ifneq ($(shell cat $(VENV) 2>/dev/null),$(CURDIR))
.PHONY: $(VENV)
endif

$(VENV):
	@for python in $(PYTHON); do \
	  "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	    2>/dev/null && break; python=; done; \
	if [ -z "$$python" ]; then \
	  echo "FxSocket needs Python 3.11 or later with its venv module; tried: $(PYTHON)." >&2; \
	  echo "Install one (Debian: apt install python3 python3-venv)," \
	    "or name it: make PYTHON=/path/to/python3" >&2; exit 1; fi; \
	if [ -e $@ ]; then rm -rf .venv; fi; \
	"$$python" -m venv .venv && $(PIP) --version >/dev/null 2>&1 \
	  || "$$python" -m venv --clear .venv
	@printf '%s\n' '$(CURDIR)' > $@

$(RUN): $(VENV) requirements/run.txt $(PROJECTS)
	$(call install,run)

$(DEV): $(VENV) requirements/dev.txt requirements/run.txt $(PROJECTS)
	$(call install,dev)
	@touch $(RUN)

define install
@echo "Installing requirements/$(1).txt into .venv; this happens once." >&2
@$(PIP) install --require-hashes -r requirements/$(1).txt >&2
@$(PIP) install --no-deps --no-build-isolation -e ./server -e ./sdk/python >&2
@touch $@
endef

define pin
{ echo '# Made by `make deps` from $(1).in; do not edit.'; \
  $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate $(2) requirements/$(1).in; } > requirements/$(1).new \
  && mv requirements/$(1).new requirements/$(1).txt
endef
