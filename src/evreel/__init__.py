"""evreel: event-camera data set releases.

A reel of events, cut into slices. This front door imports nothing before it is used:

- `open` a recording and read it in chunks, or `read` all of it, or a time range, at once;
- `features` and `iter_features`: a representation of a recording, one frame per window;
- `open_release`: recordings, splits, features, boxes and samples of a data set, by name;
- `open_slices`: events with their labels, and a table of what was drawn;
- `show`: step through annotated slices with a slider;
- `boxes`: their files, loading them by time, clipping, scaling, suppressing;
- `viz`: frames of features in colours, by `evreel.viz.to_rgb`, and boxes drawn on them.

Behind it: `evreel.steps`, one function per step of the pipeline, and `evreel.representations`, the
kinds of features.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evreel import boxes, viz
    from evreel.errors import EvreelError
    from evreel.events import Events, Sensor
    from evreel.files.slices import SlicesFile
    from evreel.loaders.live import features, iter_features
    from evreel.recordings.open import Reading, Recording
    from evreel.release.open import Release, open_release
    from evreel.viz.show import show

__version__ = "0.1.0"

__all__ = [
    "Events",
    "EvreelError",
    "Reading",
    "Release",
    "Sensor",
    "__version__",
    "boxes",
    "features",
    "iter_features",
    "open",
    "open_release",
    "open_slices",
    "read",
    "show",
    "viz",
]

_LAZY = {
    "Events": "evreel.events",
    "EvreelError": "evreel.errors",
    "Reading": "evreel.recordings.open",
    "Release": "evreel.release.open",
    "Sensor": "evreel.events",
    "boxes": "evreel.boxes",
    "features": "evreel.loaders.live",
    "iter_features": "evreel.loaders.live",
    "open_release": "evreel.release.open",
    "show": "evreel.viz.show",
    "viz": "evreel.viz",
}
"""Name → the module that it is imported from when it is first used, or that it is."""


def open(  # noqa: A001
    path: str | os.PathLike[str],
    *,
    stream: int | str | None = None,
    sensor: Sensor | tuple[int, int] | str | None = None,
    format: str | None = None,  # noqa: A002
    columns: str | None = None,
    reading: Reading | None = None,
) -> Recording:
    """Open a recording, or an events store, to read it in bounded memory.

    Parameters
    ----------
    path
        The file, as str or Path. The format is recognized by content, not by name.
    stream
        Which event stream, if the file has several: its number, or the name of its topic.
    sensor
        Sensor size, if the file does not state it: ``(height, width)``, a `Sensor`, or text such as
        ``"346x260"``, width x height.
    format
        Format, such as ``"aer40"``, if neither the content nor the name shows it. If the content
        shows another, that is an error.
    columns
        Where t, x, y and p are, and the unit of t, in a text, npz, npy or HDF5 that does not say
        so: ``"m3ed"``, ``"t[s], x, y, p"``, ``"t[ns] = a/t, x = a/x, y = a/y, p = a/on"``.
    reading
        How events and files that break a rule are handled; by default, each is an error.

    Returns
    -------
    An open recording: a context manager that yields chunks of `Events`, and knows its `sensor`,
    `format` and `t_offset`.

    Raises
    ------
    UsageError
        If `path` is not a path, `sensor` not a size, or `format` not the name of one.
    RecordingError
        If the file is empty, has no known format, or is damaged at its start; reading further
        raises it if the damage is later.

    Examples
    --------
    ::

        with evreel.open("park.aedat4") as recording:
            for events in recording:
                print(events.t[0], len(events))
    """
    from dataclasses import replace

    from evreel.events import Sensor
    from evreel.recordings.open import STRICT, open_recording

    reading = STRICT if reading is None else reading
    if columns is not None:
        reading = replace(reading, columns=columns)
    return open_recording(
        path,
        stream=stream,
        sensor=None if sensor is None else Sensor.given(sensor),
        format=format,
        reading=reading,
    )


def read(
    path: str | os.PathLike[str],
    start_us: int | None = None,
    stop_us: int | None = None,
    *,
    stream: int | str | None = None,
    sensor: Sensor | tuple[int, int] | str | None = None,
    format: str | None = None,  # noqa: A002
    columns: str | None = None,
    reading: Reading | None = None,
) -> Events:
    """Read a recording, or a time range of it, into memory: 13 bytes per event.

    In an events store, a range is found by the index; other files are read from their start.

    Parameters
    ----------
    path, stream, sensor, format, columns, reading
        As `open` takes them.
    start_us, stop_us
        Only events with a timestamp in ``[start_us, stop_us)``, whole µs since the first event.

    Raises
    ------
    UsageError
        As `open` does, and if a time is not a whole number.
    RecordingError
        If the file is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from evreel.recordings.aedat4 import Aedat4Writer
    >>> events = Events([0, 5, 9], [1, 2, 0], [0, 0, 0], [1, 0, 1], Sensor(1, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "three.aedat4"
    ...     with Aedat4Writer(path, events.sensor) as writer:
    ...         writer.write(events)
    ...     read(path, start_us=5).x.tolist()
    [2, 0]
    """
    from evreel.recordings.open import read_events

    times = (_time("start_us", start_us), _time("stop_us", stop_us))
    with open(
        path, stream=stream, sensor=sensor, format=format, columns=columns, reading=reading
    ) as recording:
        return read_events(recording, *times)


def open_slices(path: str | os.PathLike[str]) -> SlicesFile:
    """Open annotated slices: events with the region of each, and what annotators drew.

    Parameters
    ----------
    path
        A slices file, as step `annotate` makes it.

    Returns
    -------
    A context manager: ``slice(k)`` gives events and the region of each, ``labels_of`` the labels of
    regions, ``table()`` all shapes with their attributes, ``windows`` the times of slices.

    Raises
    ------
    LayoutError
        If the file is not a slices file, or is damaged.

    Examples
    --------
    ::

        with evreel.open_slices("results/slices/street.h5") as slices:
            events, roi = slices.slice(3)
            label = slices.labels_of(roi)  # −1 where there is none
    """
    from evreel.files.slices import SlicesFile

    return SlicesFile(os.fspath(path))


def _time(name: str, value: object) -> int | None:
    """Return a time as a whole number of µs; a fraction would be cut off silently."""
    import operator

    from evreel.errors import UsageError

    if value is None:
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(
            f"{name}={value!r} is not a whole number of µs", hint="Write it as int, such as 10_000."
        ) from None


if not TYPE_CHECKING:  # a type checker would take any name for one that exists

    def __getattr__(name: str) -> object:
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(_LAZY[name])
        whole = _LAZY[name] == f"{__name__}.{name}"
        value = globals()[name] = module if whole else getattr(module, name)
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
