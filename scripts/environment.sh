# Sourced by run_all.sh and run_tests.sh: sets `python` to one that has the study installed, making .venv where none
# has. No root needed; bash 3.2 (macOS) is enough. A failure is one sentence on standard error and status 1.

study=$(CDPATH='' cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$study/.venv"
lock="$study/requirements.lock"
log="$study/.cache/install.log"
no_room="The disk is full: .venv takes 3 GB, and the temporary folder 1 GB while installing; make room and run the same \
command again."

fail() { printf '%s\n' "$*" >&2; exit 1; }

# Whether a command is a Python of a version that pyproject.toml allows, and a statement runs in it.
in_range() {
  "$1" -c "import sys; ${2:-pass}; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" >/dev/null 2>&1
}

# Whether a Python has this very checkout and all that pyproject.toml asks for, found without importing it.
has_study() {
  in_range "$1" && (cd / && "$1" - "$study" >/dev/null 2>&1) <<'PYTHON'
import sys, tomllib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from packaging.requirements import Requirement
study = Path(sys.argv[1]).resolve()
needs = map(Requirement, tomllib.loads((study / "pyproject.toml").read_text())["project"]["dependencies"])
sys.exit(Path(find_spec("ser_utils").origin).resolve().parent.parent != study
         or not all(need.specifier.contains(version(need.name), prereleases=True) for need in needs))
PYTHON
}

# What .venv/study holds when .venv is complete: where the checkout was, as a .venv does not survive a move, and of what.
fingerprint() { { echo "$study"; cat "$lock" "$study/pyproject.toml"; } | cksum; }

ready() { [ "$(cat "$venv/study" 2>/dev/null)" = "$(fingerprint)" ] && in_range "$venv/bin/python"; }

# The first Python in range, one that can make an environment before one that cannot.
find_python() {
  local name needs
  for needs in 'import ensurepip, venv' ''; do
    for name in python3 python3.13 python3.12 python3.11 python; do
      if command -v "$name" >/dev/null && in_range "$name" "$needs"; then command -v "$name"; return; fi
    done
  done
  command -v uv >/dev/null && uv run --quiet --no-project --python '>=3.11,<3.14' \
    python -c 'import sys; print(sys._base_executable)' 2>/dev/null
}

# The second of two starts waits here for the first. The lock is on file descriptor 9, which pip inherits: a crash
# leaves nothing locked, and nothing is unlocked while an orphaned pip still writes.
take_turns() {
  { mkdir -p "$study/.cache" && : >>"$study/.cache/environment.lock"; } 2>/dev/null ||
    fail "No environment here has the study, and none can be made, as $study cannot be written to: copy it to \
a folder of yours."
  exec 9>>"$study/.cache/environment.lock"
  "$1" - 2>/dev/null <<'PYTHON' || true  # a file system without locks
import fcntl
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("Another start is making .venv; waiting for it ...", flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)
PYTHON
}

make_venv() {
  local said package
  echo "Making .venv with $("$1" --version) ..."
  if said=$("$1" -m venv --clear "$venv" 2>&1); then return; fi
  if command -v uv >/dev/null && uv venv --quiet --clear --seed --python "$1" "$venv" >/dev/null 2>&1; then return; fi
  rm -rf "$venv" 2>/dev/null || true
  case "$said" in
    *"No space left"*) fail "$no_room" ;;
    *"ensurepip is not"* | *"No module named"*)
      package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
      fail "$("$1" --version) has no venv module: install it (Debian, Ubuntu: apt install $package) and run the same \
command again." ;;
    *) fail "$("$1" --version) could not make .venv: $(tail -n 1 <<<"$said")" ;;
  esac
}

install() {
  echo "Installing the packages of requirements.lock (1 to 3 minutes with a good connection; 3 GB of disk) ..."
  : >"$log"
  if command -v uv >/dev/null; then
    if with_uv; then return; fi
    echo "uv could not install them; trying pip ..."
  fi
  if with_pip --no-compile --require-hashes -r "$lock" && compile_modules &&
     with_pip --no-deps --no-build-isolation -e "$study"; then
    echo "status 0"
  else
    echo "status 1"
  fi 2>&1 | watch_pip
}

with_pip() {
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off --retries 2 --timeout 15 "$@"
}

# What pip does on one core, done on all; packages' own tests are never imported.
compile_modules() { "$venv/bin/python" -m compileall -q -j 0 -x '/tests?/' "$venv/lib" >/dev/null 2>&1 || true; }

# uv draws its own progress bars on a terminal; elsewhere its words go to the log.
with_uv() (
  quiet=--quiet
  if [ -t 2 ]; then quiet=""; else exec 2>>"$log"; fi
  uv pip install --python "$venv/bin/python" $quiet --compile-bytecode --require-hashes -r "$lock" &&
    uv pip install --python "$venv/bin/python" --quiet --no-deps --no-build-isolation -e "$study"
)

# Keeps what pip says in the log, shows how far it is, and where it failed says why.
watch_pip() {
  local line n=0 total status=1 offline="" errors=""
  total=$(grep -c '^[a-z0-9].*==' "$lock")
  while IFS= read -r line; do
    printf '%s\n' "$line" 2>/dev/null >>"$log" || true
    case "$line" in
      "status "*) status=${line#status } ;;
      Ignoring*) total=$((total - 1)) ;;
      Collecting* | Processing*)
        n=$((n + 1)) line=${line#* } line=${line%% (from*}
        show_count "$n of $total packages: ${line##*/}" "$n" ;;
      "Installing collected packages: ser"*) ;;
      "Installing collected packages"*) show_count "unpacking and compiling $n packages (about a minute) ..." ;;
      *"Retrying ("* | *"timed out"* | *"onnection"*) offline=yes ;;
      ERROR:* | *Error:*) errors="$errors$line " ;;
    esac
  done
  if [ "$status" != 0 ]; then say_why "$errors" "$offline"; fi
}

# On a terminal one line that changes, elsewhere every fiftieth package; what has no number always gets a line of its own.
show_count() {
  if [ -t 1 ]; then
    printf '\r\033[K  %.76s' "$1"
    if [ -z "${2:-}" ]; then echo; fi
  elif [ $((${2:-0} % 50)) = 0 ]; then
    echo "  $1"
  fi
}

say_why() {
  case "$1" in
    *"No space left"*) fail "$no_room" ;;
    *"No matching distribution"*)
      [ -n "$2" ] || fail "The study needs Linux or macOS on Apple silicon, 64 bit: ${1#*ERROR: }" ;;
  esac
  [ -z "$2" ] || fail "The packages could not be downloaded: is this machine online? The same command goes on once it is."
  fail "Installing the packages failed: ${1:-pip stopped without a word. }(All that pip said: .cache/install.log.)"
}

warm_up() {
  local said
  echo "Compiling librosa's kernels, once (about 20 s) ..."
  said=$("$venv/bin/python" -c 'from ser_utils.features.extraction import warm_up; warm_up()' 2>&1) ||
    fail "The packages are installed but do not run: $(tail -n 1 <<<"$said")"
}

# What is not finished has no .venv/study: it is made anew, unless all is there and only has to be brought up to date.
make_environment() {
  local base
  base=$(find_python) ||
    fail "No Python 3.11, 3.12 or 3.13 found on the PATH ($(python3 --version 2>/dev/null || echo no python3) there): install one and \
run the same command again."
  take_turns "$base"
  if ! ready; then
    trap 'echo "Stopped; the same command starts again." >&2; exit 130' INT
    rm -f "$venv/study"
    if ! has_study "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then make_venv "$base"; fi
    install
    warm_up
    fingerprint >"$venv/study"
    trap - INT
  fi
  exec 9>&-
}

choose_environment() {
  local active
  for active in "${VIRTUAL_ENV:-}" "${CONDA_PREFIX:-}"; do
    if [ -n "$active" ] && [ ! "$active" -ef "$venv" ] && has_study "$active/bin/python"; then
      python="$active/bin/python"
      return
    fi
  done
  python="$venv/bin/python"
  if ! ready; then make_environment; fi
}

choose_environment
