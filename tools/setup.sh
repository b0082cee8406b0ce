#!/usr/bin/env bash
# Bring uv if there is none, then install the locked environment into .venv.
# Arguments go to `uv sync`. What other groups installed before stays.
# With TORCH=yes, install it into .venv-torch, and PyTorch for the CPU beside it.
# With VENUES=yes, install it into .venv-venues, compiled as it is imported: few of its files are.
# With SLURM=yes, install it into .venv-slurm.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

fail() {
    echo "evreel set-up: $1" >&2
    exit 1
}

command -v "$python" >/dev/null ||
    fail "no $python. Install Python 3.11 or newer, on Debian: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old; 3.11 is needed. Name another: make PYTHON=python3.12 …"

# Both ways of bringing uv keep it inside this folder; a half-made one is removed.
uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    uv=.tools/bin/uv
    if ! [ -x "$uv" ] || ! "$uv" --version >/dev/null 2>&1; then
        rm -rf .tools
        log=$(mktemp)
        trap 'rm -f "$log"' EXIT
        # A pip that is there takes half as long as making an environment for one; Debian's Python has none.
        if "$python" -m pip install -q --target .tools uv >"$log" 2>&1; then
            :
        elif rm -rf .tools && "$python" -m venv .tools >"$log" 2>&1 && .tools/bin/python -m pip install -q uv >>"$log" 2>&1; then
            :
        else
            rm -rf .tools
            tail -n 3 "$log" >&2
            fail "can't install uv. On Debian: apt-get install python3-venv"
        fi
    fi
fi

if [ "${TORCH:-}" = yes ]; then
    export UV_PROJECT_ENVIRONMENT=.venv-torch
    [ -x .venv-torch/bin/pip ] || "$uv" venv --quiet --clear --seed --no-python-downloads --python "$python" .venv-torch
fi

compile=--compile-bytecode
if [ "${VENUES:-}" = yes ]; then
    export UV_PROJECT_ENVIRONMENT=.venv-venues
    compile=--no-compile-bytecode
fi
if [ "${SLURM:-}" = yes ]; then
    export UV_PROJECT_ENVIRONMENT=.venv-slurm
fi

"$uv" sync --quiet --frozen --inexact $compile --no-python-downloads --python "$python" "$@"

# `pip install` in the activated environment has to install there, not with the pip of another Python.
# Without a network, it is the pip that comes with Python. It stays when setup runs again.
environment=${UV_PROJECT_ENVIRONMENT:-.venv}
own=$environment/bin/python
[ -x "$environment/bin/pip" ] || "$uv" pip install --quiet --python "$own" pip 2>/dev/null ||
    "$own" -m ensurepip --default-pip >/dev/null 2>&1 ||
    echo "evreel set-up: there is no pip to be had; in this environment use: uv pip install" >&2

if [ "${TORCH:-}" = yes ]; then
    .venv-torch/bin/python -m pip install --quiet --no-deps --requirement tools/torch.txt
fi
