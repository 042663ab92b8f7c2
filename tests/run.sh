#!/usr/bin/env bash
# The stages of `make test`, `make demo` and so on, each with the time it took.
#
#   tests/run.sh STAGE... | --clean
#
# Stops at the first stage that fails, with its exit code. pytest finding no tests (5) is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
cache=${VBOXKIT_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/vboxkit}
scratch=
trap '[ -z "$scratch" ] || rm -rf "$scratch"' EXIT

digest() {
    cksum | cut -d' ' -f1
}

# The Python environment: one per checkout and Python, made anew when pyproject.toml changes.
mine=$cache/venv-$({ "$python" --version && pwd; } | digest)

# Installs a Debian package, or says how.
package() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "$1 is missing: sudo apt-get install $1" >&2
        exit 1
    fi
    apt-get install -y --no-install-recommends "$1" || {
        apt-get update
        apt-get install -y --no-install-recommends "$1"
    }
}

environment() {
    local venv
    venv=$mine-$(digest <pyproject.toml)
    bin=$venv/bin
    if [ -e "$venv/ready" ]; then
        return
    fi
    # A Debian with python3 alone has no ensurepip.
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        package python3-venv
    fi
    echo "making the Python environment $venv"
    rm -rf "$mine"-*
    mkdir -p "$cache"
    "$python" -m venv "$venv"
    # An old pip knows no dependency groups.
    "$bin/python" -m pip install --quiet --upgrade pip
    "$bin/python" -m pip install --quiet --editable . --group lint --group test
    touch "$venv/ready"
}

clean() {
    rm -rf "$mine"-* "$cache"/wheel-venv-* "$cache"/vbox-sdk build dist site .mypy_cache .ruff_cache .pytest_cache
    find . -name __pycache__ -type d -prune -exec rm -rf {} +
}

# Whether this machine's VirtualBox works: found is not enough, its server has to answer. It does
# so in a home of its own, which is removed with its server.
usable_virtualbox() {
    "$bin/python" - <<'END'
import shutil, subprocess, sys, tempfile
from pathlib import Path

from vboxkit.com import installation
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes
from vboxkit.errors import VirtualBoxNotFoundError

try:
    installation.find()
except VirtualBoxNotFoundError:
    sys.exit(1)
folder = Path(tempfile.mkdtemp(prefix="vboxkit-probe-")).resolve()
home = folder / "home"
code = "import sys, vboxkit; vboxkit.connect(sys.argv[1]).machines.names()"
command = [sys.executable, "-c", code, str(home)]
try:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
except subprocess.TimeoutExpired:
    sys.exit("this machine's VirtualBox is not used: it does not answer")
except subprocess.CalledProcessError as error:
    said = error.stderr.strip() or f"exit code {error.returncode}"
    sys.exit(f"this machine's VirtualBox is not used:\n{said}")
finally:
    for server, _ in processes.find(argument="--auto-shutdown", environment=isolation(home)):
        processes.kill(server)
    shutil.rmtree(folder, ignore_errors=True)
    # XPCOM's socket is in /tmp whatever TMPDIR says.
    socket = f"/tmp/.vbox-{isolation(home)['VBOX_IPC_SOCKETID']}-ipc"
    shutil.rmtree(socket, ignore_errors=True)
END
}

# Runs a command where there is a VirtualBox: here if this machine has one, else in the sandbox.
with_virtualbox() {
    if [ -z "${here:-}" ]; then
        here=no
        usable_virtualbox && here=yes
    fi
    if [ "$here" = yes ]; then
        PATH=$bin:$PATH "$@"
    else
        "$bin/vboxkit" sandbox create && "$bin/vboxkit" sandbox run -- "$@"
    fi
}

lint() {
    "$bin/ruff" check . && "$bin/ruff" format --check . && "$bin/mypy" &&
        "$bin/pyright" --pythonpath "$bin/python" --warnings
}

# The newest release of each series of vbox-sdk: tests compare the names that we use with theirs.
releases() {
    local version
    for version in 7.0.26 7.1.18 7.2.22; do
        if [ ! -e "$cache/vbox-sdk/vbox_sdk-$version-py3-none-any.whl" ]; then
            "$bin/python" -m pip download --quiet --no-deps --only-binary :all: \
                --dest "$cache/vbox-sdk" "vbox-sdk==$version" || return
        fi
    done
}

host() {
    releases || return
    # Its client is one of those that are led to guests.
    command -v ssh >/dev/null || package openssh-client || return
    # The sandbox's own tests run once there is one.
    "$bin/python" -m pytest tests/unit tests/guest tests/net tests/ovf tests/meta --ignore=tests/meta/test_sandbox_run.py
}

# The site. A link, a name or an anchor that leads nowhere is an error.
docs() {
    # Only this stage needs mkdocs: `make demo` of a fresh clone does not wait for it.
    if [ ! -e "$bin/../ready-docs" ]; then
        "$bin/python" -m pip install --quiet --group docs && touch "$bin/../ready-docs" || return
    fi
    NO_MKDOCS_2_WARNING=1 "$bin/python" -m mkdocs build --strict --quiet &&
        echo "open site/index.html, or: python3 -m http.server --bind 127.0.0.1 --directory site"
}

sandbox() {
    with_virtualbox true && "$bin/python" -m pytest tests/meta/test_sandbox_run.py
}

inside() {
    # Tests that find no VirtualBox fail: a run that skips them all would be green. As many at once
    # as there are CPUs, up to four: each guest takes one.
    local cpus
    cpus=$("$bin/python" -c 'import os; print(min(4, os.cpu_count() or 1))') || return
    with_virtualbox python -m pytest -n "$cpus" --dist loadfile --vm-required tests/vbox tests/vm tests/plugin tests/site -m "not debian" --durations=25 --durations-min=20
}

# The Debian guest boots for minutes where it is emulated.
debian() {
    with_virtualbox python -m pytest --vm-required tests/vm/test_debian.py
}

# The reader of appliances against bytes that nobody has thought of. Where atheris installs.
fuzz() {
    scratch=$(mktemp -d) || return
    "$bin/python" -m pip install --quiet "atheris>=3" &&
        PYTHONPATH=. "$bin/python" tests/ovf/fuzz.py "$scratch"
}

# What users install: the wheel, in an environment that cannot see this checkout. Its
# dependencies, and what tests need, are kept from run to run.
wheel() {
    local key venv tools=fixtures/sandbox/requirements.txt
    scratch=$(mktemp -d) || return
    "$bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$scratch" . || return
    key=$({ wheel_metadata "$scratch"/vboxkit-*.whl && cat "$tools"; } | digest) || return
    venv=$cache/wheel-venv-$key
    if [ ! -e "$venv/ready" ]; then
        rm -rf "$cache"/wheel-venv-*
        "$bin/python" -m venv "$venv" &&
            "$venv/bin/python" -m pip install --quiet "$scratch"/vboxkit-*.whl -r "$tools" &&
            touch "$venv/ready" || return
    fi
    "$venv/bin/python" -m pip install --quiet --no-deps --force-reinstall \
        "$scratch"/vboxkit-*.whl || return
    mkdir "$scratch/smoke"
    cp -r tests pyproject.toml "$scratch/smoke" || return
    (
        # shellcheck disable=SC2030  # for what runs in these brackets
        bin=$venv/bin here=
        cd "$scratch/smoke" &&
            with_virtualbox python -c '
from vboxkit.core.resources import resource
assert resource("tiny/tiny.ova").parts[-4:-1] == ("vboxkit", "data", "tiny"), "not the wheel"' &&
            with_virtualbox python -m pytest --vm-required tests/vm -m smoke
    )
}

# What decides the dependencies: Python's version and the wheel's requirements.
# shellcheck disable=SC2031  # not called in those brackets
wheel_metadata() {
    "$bin/python" - "$1" <<'END'
import sys, zipfile

with zipfile.ZipFile(sys.argv[1]) as wheel:
    name = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    lines = wheel.read(name).decode().splitlines()
print(sys.version, *(line for line in lines if line.startswith("Requires-Dist")), sep="\n")
END
}

demo() {
    with_virtualbox vboxkit demo
}

bench() {
    with_virtualbox python benchmarks/run.py
}

if [ "${1:-}" = --clean ]; then
    clean
    exit
fi
environment
total=$SECONDS
for stage; do
    echo "== $stage"
    begin=$SECONDS
    # In a condition errexit is off: the stages chain with && and return.
    if "$stage"; then
        echo "== $stage: ok, $((SECONDS - begin)) s"
    else
        code=$?
        echo "== $stage: FAILED (exit code $code), $((SECONDS - begin)) s" >&2
        exit "$code"
    fi
done
if [ $# -gt 1 ]; then
    echo "== all ok, $((SECONDS - total)) s"
fi
