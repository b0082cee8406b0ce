"""Events stores written from events at hand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evreel.events import Events, Sensor
from evreel.files import hdf5
from evreel.files.events_store import EventsStoreWriter
from evreel.layout import EVENTS
from evreel.provenance import Provenance


def write_store(
    path: Path,
    batches: Iterable[Events],
    sensor: Sensor,
    t_offset: int = 0,
    source: str = "made up",
) -> Path:
    """Write an events store, batch by batch."""
    with hdf5.create(path, EVENTS, Provenance("events", {})) as file:
        writer = EventsStoreWriter(file, sensor, t_offset, source, "")
        for batch in batches:
            writer.write(batch)
        writer.finish()
    return path


def store_of(path: Path, events: Events, t_offset: int = 0) -> Path:
    """Write an events store of some events."""
    return write_store(path, [events], events.sensor, t_offset)


def pieces(events: Events, rows: int) -> list[Events]:
    """Return events in pieces of `rows`."""
    return [events[k : k + rows] for k in range(0, len(events), rows)]
