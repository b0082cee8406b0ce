#!/usr/bin/env bash
# Run every benchmark, one after the other; each prints its own table of ratios. That of memory
# takes minutes and has a command of its own: make bench-memory.
set -euo pipefail
cd "$(dirname "$0")"
for script in *.py; do
    [[ $script == memory.py ]] && continue
    echo "== $script"
    python "$script"
done
