#!/usr/bin/env bash
# Make the recordings, build the releases of configs/train*.yaml, and train on them.
# Fails where a network does not beat its baseline by the margin that its script states.
set -euo pipefail
cd "$(dirname "$0")/.."
python examples/simulate_recordings.py data/train
for name in train train_gestures; do
    snakemake --cores "$CORES" release --quiet rules progress --configfile "configs/$name.yaml"
done
python examples/train_detector.py results/train/release/traffic-1.0
python examples/train_classifier.py results/train_gestures/release/gestures-1.0
