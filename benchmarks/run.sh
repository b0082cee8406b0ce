#!/usr/bin/env bash
# Run every benchmark, one after the other; each prints its own table of ratios. Those of memory,
# of releases, of threads, of long recordings and of many take minutes and have commands of their own:
# make bench-memory, bench-release, bench-threads, bench-scale, bench-many.
set -euo pipefail
cd "$(dirname "$0")"
own=" memory.py release.py threads.py scale.py many.py "
for script in *.py; do
    [[ $own == *" $script "* ]] && continue
    echo "== $script"
    python "$script"
done
