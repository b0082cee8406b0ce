#!/usr/bin/env bash
# Damage recordings of every format and read them: at least so many files in all.
set -euo pipefail
cd "$(dirname "$0")/../tests"
files=${1:-200000}
seed=${2:-$RANDOM}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
share=$(((files + 4) / 5))
echo "seed $seed"
echo "AEDAT 4:           $(timeout 3600 python -m support.fuzz.aedat4 "$folder" "$seed" $(((share + 2) / 3)))"
echo "AEDAT 2.0 and 3.1: $(timeout 3600 python -m support.fuzz.aedat "$share" "$seed")"
echo "EVT and DAT:       $(timeout 3600 python -m support.fuzz.prophesee "$share" "$seed")"
echo "Event Stream, bin: $(timeout 3600 python -m support.fuzz.event_stream "$share" "$seed")"
echo "HDF5, npz, mat:    $(timeout 3600 python -m support.fuzz.columns "$share" "$seed")"
