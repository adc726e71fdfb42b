#!/usr/bin/env bash
# Runs all tests: of the functions, the notebooks (nbval) and the pages; makes the environment the first time.
#   ./run_tests.sh [pytest's options]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/scripts/environment.sh"
cd "$study"
exec "$python" -m pytest "$@"
