"""Checking what was made, auditing what others made, verifying a release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evreel.outputs import Progress, silent

if TYPE_CHECKING:
    from evreel.checks import Report
    from evreel.release.verify import Difference


def verify(folder: str | Path, *, progress: Progress = silent) -> list[Difference]:
    """Return all differences of a release from its manifest; none if it is complete."""
    from evreel.release.verify import verify as verified

    return verified(Path(folder), progress=progress)


def check(path: str | Path, *, progress: Progress = silent) -> Report:
    """Check the content of what evreel made.

    Parameters
    ----------
    path
        An events store, slices, samples, a features file, boxes, a release, or a folder with any
        of them.

    Returns
    -------
    The findings, errors first; the caller decides whether errors are a failure.

    Raises
    ------
    UsageError
        If evreel did not make the file or folder.
    """
    from evreel.checks.run import check as checked

    return checked(path, progress=progress)


def audit(path: str | Path, *, sensor: str | None = None, progress: Progress = silent) -> Report:
    """Check a recording or a data set that evreel did not make, with the checks that apply.

    Parameters
    ----------
    path
        A recording, boxes, a list of a split, or a folder with any of them.
    sensor
        Size of all recordings as ``WIDTHxHEIGHT`` px, if they do not state it; a recording that
        states another size is a finding.

    Returns
    -------
    The findings, errors first.

    Raises
    ------
    UsageError
        If the path is a file that is not recognized.
    """
    from evreel.checks.run import audit as audited
    from evreel.events import Sensor

    size = None if sensor is None else Sensor.parse(sensor)
    return audited(path, sensor=size, progress=progress)
