#!/usr/bin/env bash
# Runs all tests: of the functions, the notebooks (nbval) and the pages; makes the environment the first time.
#   ./run_tests.sh [pytest's options]
set -euo pipefail
here=$(readlink -f "${BASH_SOURCE[0]}" 2>/dev/null || echo "${BASH_SOURCE[0]}")
source "$(dirname "$here")/scripts/environment.sh"
cd "$study"
exec "$python" -m pytest "$@"
