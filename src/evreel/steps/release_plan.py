"""What goes where in a release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from evreel.outputs import atomic


def release_plan(rows: Iterable[Mapping[str, str]], output: str | Path) -> None:
    """Write the table of what goes where in a release.

    Parameters
    ----------
    rows
        One per file: ``path`` in the release, ``source``, and, if known, ``kind``, ``id`` and
        ``split``. Sources are relative to the working directory.
    output
        The table, TSV.
    """
    from evreel.release.manifest import PlanEntry, write_plan

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
