#!/usr/bin/env bash
# Run every benchmark, one after the other; each prints its own table of ratios. Those of memory and
# of long recordings and releases take minutes and have commands of their own: make bench-memory, …
set -euo pipefail
cd "$(dirname "$0")"
for script in *.py; do
    [[ $script == memory.py || $script == release.py || $script == scale.py ]] && continue
    echo "== $script"
    python "$script"
done
