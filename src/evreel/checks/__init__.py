"""Checks of recordings, labels and data sets: located findings with a severity.

Each check is a small function or accumulator of plain arrays, entered in `CHECKS` with what it
finds and its thresholds. `evreel.checks.run` applies them to files, folders and releases.
"""

from evreel.checks import (
    boxes,
    dataset,
    features,
    samples,
    slices,
)
from evreel.checks import (
    events as event,
)
from evreel.checks import (
    labels as label,
)
from evreel.checks.finding import CHECKS, Check, Finding, Report, Severity

__all__ = [
    "CHECKS",
    "Check",
    "Finding",
    "Report",
    "Severity",
    "boxes",
    "dataset",
    "event",
    "features",
    "label",
    "samples",
    "slices",
]
