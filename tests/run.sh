#!/usr/bin/env bash
# The stages of `make test`, `make demo` and so on, each with the time it took.
#
#   VENV=... tests/run.sh STAGE...
#
# Stops at the first stage that fails, with its exit code. pytest finding no tests (5) is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${VENV:?the Python environment; use make}"
bin=$VENV/bin

# Runs a command where there is a VirtualBox: here if this machine has one, else in the sandbox.
with_virtualbox() {
    if [ -z "${here:-}" ]; then
        here=no
        "$bin/python" -c 'from vboxkit.com import installation; installation.import_vboxapi()' \
            2>/dev/null && here=yes
    fi
    if [ "$here" = yes ]; then
        PATH=$bin:$PATH "$@"
    else
        "$bin/vboxkit" sandbox create && "$bin/vboxkit" sandbox run -- "$@"
    fi
}

lint() {
    "$bin/ruff" check . && "$bin/ruff" format --check . && "$bin/mypy"
}

host() {
    # The sandbox's own tests run once there is one.
    "$bin/python" -m pytest tests/unit tests/guest tests/meta --ignore=tests/meta/test_sandbox_run.py
}

sandbox() {
    with_virtualbox true && "$bin/python" -m pytest tests/meta/test_sandbox_run.py
}

inside() {
    with_virtualbox python -m pytest tests/vbox tests/vm tests/plugin
}

# What users install: the wheel, in an environment that cannot see this checkout. Its
# dependencies are kept from run to run.
wheel() {
    local work key venv
    work=$(mktemp -d)
    # shellcheck disable=SC2064  # the folder of now
    trap "rm -rf '$work'" EXIT
    "$bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$work" . || return
    key=$(unzip_metadata "$work"/vboxkit-*.whl | cksum | cut -d' ' -f1) || return
    venv=${VENV%/*}/wheel-venv-$key
    if [ ! -e "$venv/ready" ]; then
        rm -rf "${VENV%/*}"/wheel-venv-*
        "$bin/python" -m venv "$venv" &&
            "$venv/bin/python" -m pip install --quiet "$work"/vboxkit-*.whl &&
            touch "$venv/ready" || return
    fi
    "$venv/bin/python" -m pip install --quiet --no-deps --force-reinstall \
        "$work"/vboxkit-*.whl || return
    mkdir "$work/smoke"
    cp -r tests pyproject.toml "$work/smoke" || return
    (
        # shellcheck disable=SC2030  # for what runs in these brackets
        bin=$venv/bin here=
        cd "$work/smoke" &&
            with_virtualbox python -c '
from vboxkit.core.resources import resource
assert resource("tiny/tiny.ova").parts[-4:-1] == ("vboxkit", "data", "tiny"), "not the wheel"' &&
            with_virtualbox python -m pytest tests/vm -m smoke
    )
}

# What decides the dependencies: Python's version and the wheel's requirements.
# shellcheck disable=SC2031  # not called in those brackets
unzip_metadata() {
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
