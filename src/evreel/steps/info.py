"""Contents and problems of a file: of a recording, after reading all of it, and of any other."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evreel.errors import CodingError, EvreelError, RecordingError, UnknownFormatError
from evreel.folders import bag_of
from evreel.outputs import Progress, silent


def info(
    path: str | Path,
    *,
    stream: int | str | None = None,
    sensor: str | None = None,
    format: str | None = None,  # noqa: A002
    columns: str | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Return contents and problems of a file, or of a folder that evreel makes.

    Recordings and events stores are read to their ends; of others (`evreel.contents.KINDS`), only
    what says what they hold. `evreel check` reads those as a whole.

    Parameters
    ----------
    path
        The file or folder.
    stream
        Event stream, if the recording has several, as `evreel.recordings.open_recording` takes it.
    sensor
        Its size as ``WIDTHxHEIGHT`` px, if the recording does not state it.
    format
        Its format, if the recording's content does not show it.
    columns
        Where its columns are, as `Reading.columns` says it.

    Returns
    -------
    Of a recording or an events store: ``format``; ``sensor`` (``height``, ``width``, px);
    ``events``; ``t_offset`` (first timestamp of the recording on the camera's clock, µs);
    ``t_start_us`` and ``t_stop_us`` (first timestamp and last timestamp + 1 on the camera's clock;
    None without events); ``on`` and ``off`` (events of each polarity); ``triggers``, ``imu`` and
    ``frames`` (rows of the side streams; for frames, the exposure times); ``problems`` (one line
    each; everything before the damage is counted); and of a store that has any, ``parts``
    (recordings of an archive, or parts between resets of the clock, each with ``name``,
    ``start_us``, ``stop_us``, and ``t_offset`` on its own clock). Of anything else: ``kind``, what
    such a file says, and ``problems``.

    Raises
    ------
    EvreelError
        If even the header of the file cannot be read, or it is of no kind that is known here.
    """
    from evreel.contents import described, known_kinds

    is_stated = any(said is not None for said in (stream, sensor, format, columns))
    if not is_stated and os.path.lexists(path) and bag_of(path) is None:
        found = described(path)
        if found is not None and (found["kind"] != "text" or not _is_of_events(path)):
            return dict(found)
    try:
        return _recording(path, stream, sensor, format, columns, progress)
    except UnknownFormatError as error:
        if isinstance(error, CodingError) or not error.problem.startswith("starts with"):
            raise  # its hint says what to do
        hint = f"{error.hint or ''} Of other files, {known_kinds()} are known.".lstrip()
        raise UnknownFormatError(
            error.problem, path=error.path, place=error.place, hint=hint
        ) from error


def _is_of_events(path: str | Path) -> bool:
    """Return whether a text is a recording, as far as its first lines tell."""
    from evreel.recordings.open import TEXT_SUFFIXES, open_recording

    if Path(path).suffix.lower() not in TEXT_SUFFIXES or not Path(path).stat().st_size:
        return False
    try:
        open_recording(path).close()
    except UnknownFormatError:
        return False
    except EvreelError:
        return True  # of which the size is missing, or a line is wrong
    return True


def _recording(
    path: str | Path,
    stream: int | str | None,
    sensor: str | None,
    format: str | None,  # noqa: A002
    columns: str | None,
    progress: Progress,
) -> dict[str, Any]:
    """Return contents and problems of a recording, after reading all of it."""
    import numpy as np

    from evreel.events import Events, FrameTimes, Imu, Sensor, Triggers
    from evreel.recordings.open import Reading, open_recording

    size = None if sensor is None else Sensor.parse(sensor)
    problems: list[str] = []
    opened = functools.partial(open_recording, path, stream=stream, sensor=size, format=format)
    n = n_on = 0
    first = last = None
    side = {Triggers: 0, Imu: 0, FrameTimes: 0}
    reading = Reading(columns=columns)
    try:
        whole = opened(reading=reading)
    except RecordingError as error:
        try:
            whole = opened(reading=replace(reading, on_damage="salvage"))
        except RecordingError:
            raise error from None
        problems.append(str(error))
    with whole as recording:
        try:
            for chunk in recording.batches():
                if not isinstance(chunk, Events):
                    side[type(chunk)] += len(chunk)
                elif len(chunk):
                    first = int(chunk.t[0]) if first is None else first
                    last = chunk.t_stop_us
                    n += len(chunk)
                    n_on += int(np.count_nonzero(chunk.p))
                    progress(n, None)
        except EvreelError as error:
            problems.append(str(error))
        if not n and not problems:
            problems.append(f"{Path(path).name}: has no events")
        parts = [part._asdict() for part in getattr(recording, "members", ())]
        return {
            "format": recording.format,
            "sensor": recording.sensor._asdict(),
            "events": n,
            "t_offset": recording.t_offset,
            "t_start_us": None if first is None else recording.t_offset + first,
            "t_stop_us": None if last is None else recording.t_offset + last,
            "on": n_on,
            "off": n - n_on,
            "triggers": side[Triggers],
            "imu": side[Imu],
            "frames": side[FrameTimes],
            "problems": problems,
            **({"parts": parts} if parts else {}),
        }


PARTS_SHOWN = 10
"""Parts of a store that are shown to a person."""


def describe(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that show `info`'s result to a person."""
    if "kind" in found:
        from evreel.contents import lines

        yield from lines(found)
        return
    sensor, n = found["sensor"], found["events"]
    yield f"format    {found['format']}"
    yield f"sensor    {sensor['width']} × {sensor['height']} px (width × height)"
    only = " before the first problem" if found["problems"] else ""
    yield f"events    {n:,}{only} ({found['on']:,} ON, {found['off']:,} OFF)"
    if n:
        duration_us = found["t_stop_us"] - found["t_start_us"]
        if "parts" not in found:
            start_us, stop_us = found["t_start_us"], found["t_stop_us"]
            last_us = stop_us - 1
            yield f"time      {start_us} to {last_us} µs, first and last, on the camera's clock"
        yield f"duration  {duration_us / 1e6:.6f} s, {n / duration_us:.3f} M events/s on average"
    for what, of_what in (("triggers", ""), ("imu", " samples"), ("frames", " exposure times")):
        if found[what]:
            yield f"{what:<9} {found[what]:,}{of_what}"
    parts = found.get("parts", ())
    if parts:
        yield f"parts     {len(parts):,} end to end, each with a clock of its own"
    for part in parts[:PARTS_SHOWN]:
        yield (
            f"          {part['start_us']} to {part['stop_us'] - 1} µs: {part['name']}, from "
            f"t={part['t_offset']} µs"
        )
    for problem in found["problems"]:
        yield f"problem   {problem}"
