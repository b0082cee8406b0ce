#!/usr/bin/env bash
# Run every benchmark, one after the other; each prints its own table of ratios.
set -euo pipefail
cd "$(dirname "$0")"
for script in *.py; do
    echo "== $script"
    python "$script"
done
