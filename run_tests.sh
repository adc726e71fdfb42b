#!/usr/bin/env bash
# Runs all tests: of the functions, the notebooks (nbval) and the pages; makes the environment the first time.
#   ./run_tests.sh [pytest's options, which run what they name in one go]
set -euo pipefail
here=$(readlink -f "${BASH_SOURCE[0]}" 2>/dev/null || echo "${BASH_SOURCE[0]}")
source "$(dirname "$here")/scripts/environment.sh"
cd "$study"
if [ $# -gt 0 ]; then exec "$python" -m pytest "$@"; fi

# Two halves side by side, as either waits much of its time: for kernels, browsers and servers.
kernels=(notebooks tests/test_jupyterlab.py tests/test_resume.py tests/test_any_corpus.py)
log=$(mktemp)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -f "$log"' EXIT
"$python" -m pytest "${kernels[@]}" >"$log" 2>&1 &
status=0
"$python" -m pytest tests "${kernels[@]/#/--ignore=}" || status=$?
echo "The other half, of what runs whole notebooks:"
wait $! || status=$?
cat "$log"
exit "$status"
