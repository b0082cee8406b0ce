"""Checks of recordings, labels and data sets: located findings with a severity.

Each check is a small function or accumulator of plain arrays, registered with what it finds and
its thresholds. `evreel.checks.run` applies them to files, folders and releases.
"""

from evreel.checks import (
    boxes,
    dataset,
    events,
    features,
    labels,
    release,
    samples,
    slices,
    stores,
    tracks,
)
from evreel.checks.finding import Finding, Report, Severity
from evreel.checks.registry import Check, Threshold, registered

CHECKS = registered()
"""Every check by its name: by what it looks at, then in the order of definition."""

__all__ = [
    "CHECKS",
    "Check",
    "Finding",
    "Report",
    "Severity",
    "Threshold",
    "boxes",
    "dataset",
    "events",
    "features",
    "labels",
    "release",
    "samples",
    "slices",
    "stores",
    "tracks",
]
