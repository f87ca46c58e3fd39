# Firedamp: `make demo` shows a mine being monitored, `make test` proves it.
# Needs Debian 12 (or alike) with python3 >= 3.11 and make; every step may be repeated.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-system demo test lint bench lock clean

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check --no-input
export DEBIAN_FRONTEND := noninteractive
export PATH := $(PATH):/usr/sbin:/sbin

# Real servers, clients, a browser and disks that the tests run against; `command:package` pairs.
TOOLS := mosquitto:mosquitto mosquitto_pub:mosquitto-clients victoria-metrics:victoria-metrics \
         influxd:influxdb mbpoll:mbpoll chromium:chromium mount:mount mkfs.ext4:e2fsprogs \
         fsfreeze:util-linux wrk:wrk

help:
	@echo "make setup   .venv with everything that 'firedamp run' needs"
	@echo "make demo    set up and run a pretend mine, the gateway and its live page [SCENARIO=name]"
	@echo "make test    set up and run every check and every test"
	@echo "make lint    ruff, mypy, import contracts"
	@echo "make bench   measure the hot path and the way from wire to siren"
	@echo "make lock    write requirements*.txt anew (needs uv)"

# --- set-up -------------------------------------------------------------------------------------
# A stamp named after the locks (and the place: a virtual environment cannot be moved) makes the
# second call quick. Versions and hashes come from the locks alone.

setup:
	@stamp="$(VENV)/.setup-$$( (pwd; cat requirements.txt pyproject.toml) | sha256sum | cut -c1-16)"
	if [ -e "$$stamp" ] && [ -x $(VENV)/bin/firedamp ] && $(PY) -c '' 2>/dev/null; then exit 0; fi
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Try: make setup PYTHON=python3.11" >&2; exit 1; }
	if [ "$$(id -u)" = 0 ]; then
	  apt-get -qq update
	  apt-get -qq install -y --no-install-recommends python3-venv >/dev/null
	fi
	if ! $(PIP) --version >/dev/null 2>&1; then
	  echo "Making $(VENV) ..."
	  $(PYTHON) -m venv --clear $(VENV) \
	    || { echo "$(PYTHON) -m venv fails. As root: apt-get install python3-venv" >&2; exit 1; }
	fi
	echo "Installing the locked packages ..."
	$(PIP) install --quiet --require-hashes --no-deps -r requirements.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --no-index --editable .
	rm -f $(VENV)/.setup-*
	touch "$$stamp"
	echo "Ready: $(VENV)/bin/firedamp"

setup-dev: setup
	@stamp="$(VENV)/.dev-$$( (pwd; cat requirements-dev.txt) | sha256sum | cut -c1-16)"
	if [ -e "$$stamp" ]; then exit 0; fi
	echo "Installing the locked development packages ..."
	$(PIP) install --quiet --require-hashes --no-deps -r requirements-dev.txt
	rm -f $(VENV)/.dev-*
	touch "$$stamp"

# Packages of Debian. Some start a service when installed; a policy that says "no" (101) prevents
# it for as long as the installation runs, since the tests start their own servers on free ports.
setup-system:
	@packages=(); missing=()
	for pair in $(TOOLS); do
	  packages+=("$${pair##*:}")
	  command -v "$${pair%%:*}" >/dev/null || missing+=("$${pair##*:}")
	done
	if [ "$$(id -u)" != 0 ]; then
	  [ "$${#missing[@]}" = 0 ] && exit 0
	  echo "The tests need: apt-get install $${missing[*]} (as root)" >&2; exit 1
	fi
	echo "Debian packages of the tests: $${packages[*]}"
	if [ ! -e /usr/sbin/policy-rc.d ]; then
	  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
	  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
	  chmod 755 /usr/sbin/policy-rc.d
	fi
	log=$$(mktemp)
	if ! { apt-get -qq update && apt-get -qq install -y --no-install-recommends "$${packages[@]}"; } >"$$log" 2>&1; then
	  cat "$$log" >&2
	  exit 1
	fi
	rm -f "$$log"
	for pair in $(TOOLS); do
	  command -v "$${pair%%:*}" >/dev/null || { echo "$${pair%%:*} is still missing after installing $${pair##*:}" >&2; exit 1; }
	done

# --- run ----------------------------------------------------------------------------------------

demo: setup
	@exec $(VENV)/bin/firedamp demo $(if $(SCENARIO),--scenario $(SCENARIO))

lint: setup-dev
	@$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

# Fast to slow, so that a small mistake is told early.
test: lint setup-system
	@$(VENV)/bin/pytest -q --ignore=tests/system
	$(VENV)/bin/pytest -q tests/system

bench: setup-dev setup-system
	@for script in hot_path journal historian alarm_latency; do echo "== $$script"; $(PY) bench/$$script.py; done

# --- upkeep -------------------------------------------------------------------------------------

LOCK := uv pip compile pyproject.toml --extra demo --group build --generate-hashes --no-emit-index-url \
        --no-header --no-annotate --python-version 3.11 --python-platform x86_64-unknown-linux-gnu --quiet
lock:
	@$(LOCK) -o requirements.txt
	$(LOCK) --group dev -o requirements-dev.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build dist
