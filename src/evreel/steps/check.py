"""Checking what was made, auditing what others made, verifying a release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evreel.outputs import Progress, silent

if TYPE_CHECKING:
    from evreel.checks import Report
    from evreel.release.verify import Difference


def verify(folder: str | Path, *, progress: Progress = silent) -> list[Difference]:
    """Return all in which a release differs from its manifest; nothing where it is whole."""
    from evreel.release.verify import verify as verified

    return verified(Path(folder), progress=progress)


def check(path: str | Path, *, progress: Progress = silent) -> Report:
    """Check what evreel made, for what is wrong with its content.

    Parameters
    ----------
    path
        An events store, slices, samples, a features file, boxes, a release, or a folder with any
        of them.

    Returns
    -------
    The findings, errors first; it is for the caller to take errors for a failure.

    Raises
    ------
    UsageError
        Where the path is nothing that evreel made.
    """
    from evreel.checks.run import check as checked

    return checked(path, progress=progress)


def audit(path: str | Path, *, sensor: str | None = None, progress: Progress = silent) -> Report:
    """Check a recording or a data set that evreel did not make, as far as checks apply.

    Parameters
    ----------
    path
        A recording, boxes, a list of a split, or a folder with any of them.
    sensor
        Size of all recordings as ``WIDTHxHEIGHT`` px, where they can't say; one that states
        another is a finding.

    Returns
    -------
    The findings, errors first.

    Raises
    ------
    UsageError
        Where the path is a file that can't be told.
    """
    from evreel.checks.run import audit as audited
    from evreel.events import Sensor

    size = None if sensor is None else Sensor.parse(sensor)
    return audited(path, sensor=size, progress=progress)
