# `make` lists what there is; each line is one command that can be typed as well.

python := bash -c 'set -euo pipefail; source scripts/environment.sh; exec "$$python" "$$@"' make

.PHONY: help run emovo tests notebooks lock lint clean
.DEFAULT_GOAL := help

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

run:  ## the whole study, on EMOVO where data/EMOVO is there, else on the demo corpus; reports/ has the pages
	./run_all.sh

emovo:  ## the whole study on EMOVO, downloaded first where it is not there
	./run_all.sh emovo

tests:  ## all tests: functions, notebooks, pages
	./run_tests.sh

notebooks:  ## execute the notebooks on the demo corpus and save them as executed, to be committed
	$(python) -m ser_utils notebooks

lock:  ## pin what pyproject.toml asks for, for all platforms, in requirements.lock (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links pyproject.toml \
	  -o requirements.lock --custom-compile-command "make lock"

lint:  ## check style, changing nothing
	$(python) -m ruff check .

clean:  ## remove the environment, caches and the demo's results; corpora and results on them stay
	rm -rf .venv .cache .pytest_cache .ruff_cache *.egg-info out/demo reports/demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
