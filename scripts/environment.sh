# Sourced by run_all.sh and run_tests.sh: sets `python` to one that has the study installed, and makes .venv where none
# has. Needs no root and no more than bash 3.2 (macOS). A failure is one sentence on standard error and status 1.

study=$(CDPATH='' cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$study/.venv"

fail() { printf '%s\n' "$*" >&2; exit 1; }

# Whether a command is a Python of a version that pyproject.toml allows, with the given modules.
is_python() { "$1" -c "import $2; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" >/dev/null 2>&1; }

# Whether a Python has this very checkout and the packages that pyproject.toml asks for.
has_study() {
  (cd / && "$1" - "$study" >/dev/null 2>&1) <<'PYTHON'
import importlib.metadata, importlib.util, pathlib, sys, tomllib
from packaging.requirements import Requirement
study = pathlib.Path(sys.argv[1]).resolve()
needs = map(Requirement, tomllib.loads((study / "pyproject.toml").read_text())["project"]["dependencies"])
sys.exit(pathlib.Path(importlib.util.find_spec("ser_utils").origin).resolve().parent.parent != study
         or not all(need.specifier.contains(importlib.metadata.version(need.name)) for need in needs))
PYTHON
}

# What .venv/study contains when .venv is complete: the checksum of its pins and of its folder, as a .venv cannot be moved.
fingerprint() { { echo "$study"; cat "$study/requirements.lock"; } | cksum; }

is_ready() { [ "$(cat "$venv/study" 2>/dev/null)" = "$(fingerprint)" ] && is_python "$venv/bin/python" sys; }

# Runs a command and shows its output. If it fails, its standard error gives the reason.
attempt() {
  local errors
  if errors=$("$@" 2>&1 >&3); then return; fi
  case "$errors" in
    *"No space left"*) fail "The disk is full: .venv takes 3 GB, and the temporary folder 1 GB during installation; make" \
      "room and run the same command again." ;;
    *"Retrying ("* | *"timed out"* | *"onnection"*) fail "The packages could not be downloaded: is this machine online?" \
      "Run the same command again once it is. (${errors##*$'\n'})" ;;
    *) fail "$errors"$'\n'"Making .venv failed, for the reason above; the study needs 64-bit Linux or macOS on Apple silicon." ;;
  esac
}

# The lock is on file descriptor 9, which pip inherits: it is free when the last process of a start has ended, however it ends.
lock() { "$1" -c "import fcntl; fcntl.flock(9, fcntl.LOCK_EX | $2)" 2>/dev/null; }

make_environment() {
  local base install=("$venv/bin/python" -m pip install --disable-pip-version-check --no-input)
  for base in python3 python3.13 python3.12 python3.11 python ""; do
    if is_python "$base" "sys, ensurepip, venv"; then break; fi
  done
  [ -n "$base" ] || fail "No Python 3.11, 3.12 or 3.13 with its venv module is on the PATH" \
    "($(python3 --version 2>/dev/null || echo no python3)): install one (Debian, Ubuntu: apt install python3-venv)" \
    "and run the same command again."
  { mkdir -p "$study/.cache" && : >>"$study/.cache/environment.lock"; } 2>/dev/null ||
    fail "$study cannot be written to, so .venv cannot be made: copy the study to a folder of yours."
  exec 9>>"$study/.cache/environment.lock"
  lock "$base" fcntl.LOCK_NB || { echo "Another start is making .venv; waiting for it ..."; lock "$base" 0 || true; }
  if ! is_ready; then
    trap 'fail "Stopped; the same command starts again."' INT
    exec 3> >(grep --line-buffered -Ev "^(Ignoring|Looking|Installing collected|Successfully|  )")  # pip's details
    echo "Making .venv with $("$base" --version): 3 GB, 1 to 3 minutes with a good connection ..."
    attempt "$base" -m venv --clear "$venv"
    attempt "${install[@]}" --require-hashes -r "$study/requirements.lock"
    attempt "${install[@]}" --no-deps --no-build-isolation -e "$study"
    echo "Compiling librosa's kernels, once (about 20 s) ..."
    attempt "$venv/bin/python" -c 'from ser_utils.features.extraction import warm_up; warm_up()'
    fingerprint >"$venv/study"
    exec 3>&-
    trap - INT
  fi
  exec 9>&-
}

python=""
for active in "${VIRTUAL_ENV:-}" "${CONDA_PREFIX:-}"; do
  if [ -z "$python" ] && [ -n "$active" ] && [ ! "$active" -ef "$venv" ] && has_study "$active/bin/python"; then
    python="$active/bin/python"
  fi
done
if [ -z "$python" ]; then
  python="$venv/bin/python"
  if ! is_ready; then make_environment; fi
fi
