# Sourced by run_all.sh and run_tests.sh: sets `python` to one that has the study installed, making .venv where none has.
# No root needed. A failure is one sentence on standard error and status 1.

study=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() { printf '%s\n' "$*" >&2; exit 1; }

in_range() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }

# Whether a Python has this study and its main packages, found without importing them.
has_study() {
  in_range "$1" && (cd / && "$1" - "$study" >/dev/null 2>&1) <<'PYTHON'
import sys
from importlib.util import find_spec
from pathlib import Path
packages = ["tensorflow", "librosa", "papermill", "jupyterlab", "nbval", "playwright", "pooch", "sklearn"]
here = find_spec("ser_utils")
sys.exit(here is None or Path(here.origin).parent.parent != Path(sys.argv[1]) or not all(map(find_spec, packages)))
PYTHON
}

find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11 python; do
    if command -v "$name" >/dev/null && in_range "$name"; then command -v "$name"; return; fi
  done
  return 1
}

# pip's own words are kept in a log; what it is doing is shown line by line on a terminal, as a running count elsewhere.
install() {
  local log="$study/.venv/install.log" total
  total=$(grep -c '^[a-z0-9].*==' "$study/requirements.lock")
  echo "Installing up to $total pinned packages into .venv (about 2 minutes; 1.5 GB of disk and more) ..."
  if command -v uv >/dev/null && VIRTUAL_ENV="$study/.venv" uv pip install --require-hashes -r "$study/requirements.lock" &&
     VIRTUAL_ENV="$study/.venv" uv pip install --quiet --no-deps --no-build-isolation -e "$study"; then
    return
  fi
  "$1" -m pip install --disable-pip-version-check --retries 2 --timeout 30 --require-hashes -r "$study/requirements.lock" 2>&1 |
    tee "$log" | show_pip "$total"
  [ "${PIPESTATUS[0]}" = 0 ] && "$1" -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation \
    -e "$study" >>"$log" 2>&1
}

show_pip() {
  local line n=0 last=-1
  while IFS= read -r line; do
    case "$line" in
      Collecting*) n=$((n + 1)); [ -t 1 ] && printf '\r  resolved %d of up to %d packages ' "$n" "$1"
                   if [ ! -t 1 ] && [ $((n / 50)) != "$last" ]; then last=$((n / 50)); echo "  resolved $n of up to $1 packages"; fi ;;
      Installing*) [ -t 1 ] && echo; echo "  unpacking $n packages (the longest step) ..." ;;
    esac
  done
}

why_not() {
  if grep -qiE 'name resolution|network is unreachable|connection (refused|error|broken)|timed out|retries|no matching distribution|could not find a version|proxy' "$1"; then
    echo "The packages could not be downloaded: is this machine online? Then run the same command again; it goes on where it stopped."
  else
    echo "Installing the packages failed: $(grep -m1 -i error "$1" || tail -n 1 "$1") (the whole log: .venv/install.log)."
  fi
}

make_environment() {
  local base
  if ! base=$(find_python); then
    if command -v uv >/dev/null && uv venv --quiet --seed --python '>=3.11,<3.14' --allow-existing "$study/.venv" >/dev/null 2>&1; then
      base="$study/.venv/bin/python"
    else
      fail "No Python 3.11, 3.12 or 3.13 found on the PATH (found: $(python3 --version 2>&1 | head -n 1)): install one and run the same command again."
    fi
  fi
  echo "Making .venv with $("$base" --version) ..."
  if [ ! -x "$study/.venv/bin/python" ] || ! in_range "$study/.venv/bin/python" || ! "$study/.venv/bin/python" -m pip --version >/dev/null 2>&1; then
    "$base" -m venv --clear "$study/.venv" >/dev/null 2>&1 ||
      { rm -rf "$study/.venv"; fail "$("$base" --version) cannot make a virtual environment: install its venv module (on Debian and Ubuntu: apt install python3-venv) and run the same command again."; }
  fi
  install "$study/.venv/bin/python" || fail "$(why_not "$study/.venv/install.log")"
  echo "Compiling librosa's kernels, once (about 20 s) ..."
  "$study/.venv/bin/python" -c 'from ser_utils.audio import warm_up; warm_up()' || fail "The packages are installed but do not run: remove .venv and run the same command again."
  lock_hash > "$study/.venv/study"
}

lock_hash() { cat "$study/requirements.lock" "$study/pyproject.toml" | cksum; }

choose_environment() {
  local active
  for active in "${VIRTUAL_ENV:-}" "${CONDA_PREFIX:-}"; do
    if [ -n "$active" ] && has_study "$active/bin/python"; then python="$active/bin/python"; return; fi
  done
  python="$study/.venv/bin/python"
  if [ "$(cat "$study/.venv/study" 2>/dev/null)" != "$(lock_hash)" ]; then make_environment; fi
}

choose_environment
