"""Releasing a data set, and checking what was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evreel.errors import ReleaseError, UsageError, did_you_mean
from evreel.outputs import Progress, atomic, silent
from evreel.steps.common import LOG

if TYPE_CHECKING:
    from evreel.checks import Report
    from evreel.release import Compression, Difference


def release_plan(rows: Iterable[Mapping[str, str]], output: str | Path) -> None:
    """Write the table of what goes where in a release.

    Parameters
    ----------
    rows
        One a file: ``path`` in the release, ``source``, and, where known, ``kind``, ``id`` and
        ``split``. Sources are relative to the working directory.
    output
        The table, TSV.
    """
    from evreel.io.manifest import PlanEntry, write_plan

    with atomic(output) as (scratch,):
        write_plan(
            scratch,
            [
                PlanEntry(
                    row["path"],
                    Path(row["source"]),
                    kind=row.get("kind", ""),
                    id=row.get("id", ""),
                    split=row.get("split", ""),
                )
                for row in rows
            ],
        )


def release(
    plan: str | Path,
    folder: str | Path,
    *,
    name: str,
    version: str,
    licence: str,
    compression: Compression = "portable",
    licence_file: str | Path | None = None,
    labels: Sequence[str] | None = None,
    recordings: Mapping[str, Mapping[str, str]] | None = None,
    dataset: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    tolerate: Sequence[str] = (),
    progress: Progress = silent,
) -> None:
    """Build a release folder from a plan, and check its content as `check` does.

    Parameters
    ----------
    plan
        Table of what goes where, as `release_plan` writes it.
    folder
        The release; one that stands there is replaced as a whole, any other folder is not.
    name, version, licence
        Of the data set; the licence as an SPDX identifier, ``NOASSERTION`` where none is stated.
    licence_file
        The licence's text. Creative Commons and Open Data Commons licences go without.
    compression
        ``portable``: HDF5 files repacked so that no plugin is needed; ``fast``: as they are.
    labels
        Label names in the order of their numbers.
    recordings
        What is known of each recording, id → column → text: group, meta.*, … It stands in the
        manifest.
    dataset
        Its ``title``, ``page`` and ``citation``, as far as known, for the release's README.
    config
        What made it; kept in the release.
    tolerate
        Names of checks (`evreel.checks.CHECKS`) whose errors do not stop the release.

    Raises
    ------
    ReleaseError
        Where the plan is not sound, a file of it is missing, or a check finds an error.
    """
    from evreel.io.manifest import read_plan
    from evreel.release import build, check_replaceable

    text = None if licence_file is None else _licence_text(licence_file)
    entries = read_plan(plan)
    check_replaceable(Path(folder))
    check_tolerated(tolerate)
    with atomic(folder) as (scratch,):
        made = build(
            entries,
            scratch,
            name=name,
            version=version,
            licence=licence,
            licence_text=text,
            compression=compression,
            labels=None if labels is None else dict(enumerate(labels)),
            recordings=recordings,
            dataset=dataset,
            config=config,
            progress=progress,
        )
        report = check(scratch)
        for finding in report.findings:
            LOG.warning("%s", finding)
        refused = [
            finding
            for finding in report.findings
            if finding.severity == "error" and finding.check not in tolerate
        ]
        if refused:
            raise ReleaseError(
                f"checks found {len(refused)} in it, the first: {refused[0]}",
                path=folder,
                hint="All are in the log. Mend the data, or name the check in release.tolerate.",
            )
    size = sum(file.size for file in made.files)
    LOG.info("%s: %d files, %.1f MB", Path(folder).name, len(made.files), size / 1e6)


def check_tolerated(names: Sequence[str]) -> None:
    """Raise `UsageError` where a name is that of no check."""
    from evreel.checks import CHECKS

    for name in names:
        if name not in CHECKS:
            guess = did_you_mean(name, CHECKS) or f"there are {', '.join(CHECKS)}"
            raise UsageError(f"no check is called {name!r}; {guess}")


def verify(folder: str | Path, *, progress: Progress = silent) -> list[Difference]:
    """Return all in which a release differs from its manifest; nothing where it is whole."""
    from evreel.release import verify as verified

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


def _licence_text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the licence's text can't be read: {error}", path=path) from error
