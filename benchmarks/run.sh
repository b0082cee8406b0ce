#!/usr/bin/env bash
# Run every benchmark, one after the other; each prints its own table of ratios. Those of memory,
# of releases and of threads take minutes and have commands of their own: make bench-memory,
# make bench-release, make bench-threads.
set -euo pipefail
cd "$(dirname "$0")"
for script in *.py; do
    [[ $script == memory.py || $script == release.py || $script == threads.py ]] && continue
    echo "== $script"
    python "$script"
done
