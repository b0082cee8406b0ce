#!/usr/bin/env bash
# What Dockerfile and apptainer.def share, in the folder that evreel is copied to.
#   container.sh install            install the locked environment into .venv, and leave nothing else
#   container.sh run [PROGRAM …]    run a program of it; Snakemake takes the workflow that is here
set -euo pipefail
home=$(cd "$(dirname "$0")/.." && pwd)

case ${1:-} in
install)
    export UV_LINK_MODE=copy UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
    "$home/tools/setup.sh" --no-default-groups --group workflow
    rm -rf "$home/.tools"
    # Who runs it may not write here; Python would compile the package anew at each start.
    "$home/.venv/bin/python" -m compileall -q -f --invalidation-mode unchecked-hash "$home/src"
    chmod -R a+rX "$home" # also what was checked out for its owner alone
    ;;
run)
    shift
    export PATH=$home/.venv/bin:$PATH
    # With `docker run --user`, there is no home. Snakemake and the compiled kernels need one.
    [ -w "${HOME:-/}" ] || HOME=$(mktemp -d)
    export HOME
    [ $# != 0 ] || set -- evreel --help
    if [ "$1" = snakemake ]; then
        shift
        exec snakemake --snakefile "$home/Snakefile" "$@"
    fi
    exec "$@"
    ;;
*)
    echo "usage: $0 install, or $0 run [PROGRAM …]" >&2
    exit 2
    ;;
esac
