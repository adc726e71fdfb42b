#!/usr/bin/env bash
# Runs the whole study and renders its reports; makes the environment the first time.
#   ./run_all.sh [CORPUS] [--set NAME=VALUE ...] [--from 03] [--fresh]        ./run_all.sh --help tells more
set -euo pipefail
here=$(readlink -f "${BASH_SOURCE[0]}" 2>/dev/null || echo "${BASH_SOURCE[0]}")
source "$(dirname "$here")/scripts/environment.sh"
exec "$python" -m ser_utils run "$@"
