#!/usr/bin/env bash
# Runs all tests: of the functions, the notebooks (nbval) and the pages; makes the environment the first time.
#   ./run_tests.sh [pytest's options, which run what they name in one go]
set -euo pipefail
here=$(readlink -f "${BASH_SOURCE[0]}" 2>/dev/null || echo "${BASH_SOURCE[0]}")
source "$(dirname "$here")/scripts/environment.sh"
cd "$study"
if [ $# -gt 0 ]; then exec "$python" -m pytest "$@"; fi

# Two processes share the tests (see conftest.py), so that both cores are busy to the end.
shared=$(mktemp -d)
export SER_TESTS_SHARED="$shared"
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$shared"' EXIT
"$python" -m pytest >"$shared/log" 2>&1 &
status=0
"$python" -m pytest || status=$?
echo "The other process:"
wait $! || status=$?
cat "$shared/log"
cat "$shared/failed" 2>/dev/null || true
exit "$status"
