#!/usr/bin/env bash
# Runs the whole study and renders its reports; makes the environment the first time.
#   ./run_all.sh [CORPUS] [--set NAME=VALUE ...] [--from 03] [--fresh]        ./run_all.sh --help tells more
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/scripts/environment.sh"
exec "$python" -m ser_utils run "$@"
