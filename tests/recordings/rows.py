"""Recordings as rows (t, x, y, p) on the file's own clock: for tests of readers to compare."""

from __future__ import annotations

from pathlib import Path

import pytest

from evreel.errors import RecordingError
from evreel.events import Triggers
from evreel.recordings import Recording, open_recording


def rows(recording: Recording) -> list[tuple[int, int, int, int]]:
    """Return the events of an open recording."""
    return [
        (t + recording.t_offset, *row)
        for c in recording
        for t, *row in zip(c.t.tolist(), c.x.tolist(), c.y.tolist(), c.p.tolist(), strict=True)
    ]


def marks(recording: Recording) -> list[tuple[int, int, int]]:
    """Return the triggers of an open recording: (t, edge, id)."""
    return [
        (t + recording.t_offset, *row)
        for m in recording.batches()
        if isinstance(m, Triggers)
        for t, *row in zip(m.t.tolist(), m.edge.tolist(), m.id.tolist(), strict=True)
    ]


def written(folder: Path, name: str, content: bytes) -> Path:
    """Return a file that has been written."""
    path = folder / name
    path.write_bytes(content)
    return path


def read(path: Path, **options) -> tuple[list[tuple[int, int, int, int]], dict[str, int]]:
    """Return the events of a file, and the repairs of that pass."""
    with open_recording(path, **options) as recording:
        return rows(recording), dict(recording.repairs)


def refused(path: Path, kind: type[RecordingError] = RecordingError, **options) -> str:
    """Return the message of the error that ends reading a file."""
    with pytest.raises(kind) as caught:
        read(path, **options)
    return str(caught.value)
