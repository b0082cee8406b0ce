#!/usr/bin/env bash
# Find Slurm's daemons, or have Debian's installed, and run tests on a cluster of them on this machine. It
# needs root, as a node's daemon does. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=(slurmctld slurmd slurm-client munge)

fail() {
    echo "evreel Slurm tests: $1" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "the daemons of a cluster need root. Try: sudo make test-slurm"
export PATH=$PATH:/usr/sbin:/sbin
for program in slurmctld slurmd sbatch srun munged; do
    command -v "$program" >/dev/null && continue
    by_hand="apt-get install --no-install-recommends ${packages[*]}"
    command -v apt-get >/dev/null || fail "no $program. On Debian: $by_hand"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    export DEBIAN_FRONTEND=noninteractive
    if ! { apt-get update && apt-get install -y --no-install-recommends "${packages[@]}"; } >"$log" 2>&1; then
        tail -n 3 "$log" >&2
        fail "Slurm could not be installed. Try: $by_hand"
    fi
    break
done
SLURM=yes tools/setup.sh --no-default-groups --group workflow --group test --extra slurm
# What Python makes of each file is kept: each job starts it several times.
PATH="$PWD/.venv-slurm/bin:$PATH" PYTHONDONTWRITEBYTECODE= python -m pytest "${@:-tests/with_slurm}"
