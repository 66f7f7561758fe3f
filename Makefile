# Two commands matter: `make demo` and `make test`. Everything is installed under .venv/, pinned by locks/.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .venv/uv/bin/uv
SITE := .venv/site
FEDERATION := .venv/federation
export PYTHONDONTWRITEBYTECODE :=
export UV_CACHE_DIR := $(CURDIR)/.venv/cache

.PHONY: demo test check install lock format docs audit bench clean help

help:  ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s $$'\t'

install: $(SITE)/.installed $(FEDERATION)/.installed  ## the two locked environments

$(UV):
	$(PYTHON) -m venv .venv/uv
	.venv/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(SITE)/.installed $(FEDERATION)/.installed: .venv/%/.installed: locks/%.txt pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv/$*
	$(UV) pip sync --quiet --require-hashes --compile-bytecode --python .venv/$*/bin/python locks/$*.txt
	$(UV) pip install --quiet --no-deps --no-build-isolation --python .venv/$*/bin/python --editable .
	touch $@

lock: | $(UV)  ## resolve both environments again, in one resolution
	$(UV) lock --python $(PYTHON)
	mkdir -p locks
	$(UV) export --frozen --quiet --no-header --no-emit-project --extra site --output-file locks/site.txt
	$(UV) export --frozen --quiet --no-header --no-emit-project --extra federation --extra analyst --output-file locks/federation.txt
	rm uv.lock

demo: install  ## the main job on five synthetic centres; KEEP=1 leaves it running
	$(SITE)/bin/marmor demo run $(if $(KEEP),--keep)

test: install  ## the whole test suite, in both environments
	$(SITE)/bin/python -m pytest -m "not audit"
	$(FEDERATION)/bin/python -m pytest -m "not audit"

check: install  ## format, lint, types, import contracts
	$(SITE)/bin/ruff format --check .
	$(SITE)/bin/ruff check .
	$(SITE)/bin/mypy transforms expectations infra dags
	$(FEDERATION)/bin/mypy federated
	$(SITE)/bin/lint-imports

format: install  ## format and mend what can be mended
	$(SITE)/bin/ruff check --fix .
	$(SITE)/bin/ruff format .

docs: install  ## write docs/reference/ again
	$(FEDERATION)/bin/python -m infra.reference docs/reference

audit: install  ## long suites: many kills, many examples; writes the attack report
	$(SITE)/bin/python -m pytest -rP -m audit
	$(FEDERATION)/bin/python -m pytest -rP -m audit
	$(FEDERATION)/bin/python -m infra.attacks docs/reference/attack-report.md

bench: install  ## speed and memory, as ratios measured side by side; GIGABYTES=5 adds a large file
	$(SITE)/bin/python -m infra.bench
	$(SITE)/bin/python -m infra.bench_federated
	$(SITE)/bin/python -m infra.bench_scale $(if $(GIGABYTES),--gigabytes $(GIGABYTES))

clean:  ## remove what make created, environments included
	rm -rf .venv build
