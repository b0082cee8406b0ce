"""From an events store to the clock of its video's frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evreel import __version__
from evreel.dataset.settings import ClockSettings
from evreel.errors import ClockError, UsageError
from evreel.outputs import atomic
from evreel.provenance import sha256
from evreel.settings import guess
from evreel.steps.common import LOG, Steady
from evreel.steps.events import Source, as_store

if TYPE_CHECKING:
    from evreel.files.events_store import EventsStore
    from evreel.files.slices import SlicesFile
    from evreel.timebase import ClockSource, FrameClock, Int64Array
    from evreel.video.picture import Picture


def clock(
    store: Source,
    output: str | Path,
    settings: ClockSettings = ClockSettings(),
    *,
    table: str | Path | None = None,
    table_md5: str | None = None,
    table_sha256: str | None = None,
) -> tuple[FrameClock, Picture]:
    """Write the time that each frame of a recording's video stands for, and its picture's layout.

    Parameters
    ----------
    store
        Events store (or a recording, decoded temporarily).
    output
        The clock, TSV.
    settings
        Where times come from. By default, frame k stands for
        ``[k·window_us, (k+1)·window_us)``; frames of a part after a reset of the clock begin where
        it begins.
    table
        Times of frames that another camera or program made, as `evreel.files.clock.read_clock`
        reads them; None if there is none.
    table_md5
        32 hexadecimal digits that its bytes must have; None checks nothing.
    table_sha256
        64 hexadecimal digits of the table that the workflow saw: another one is not read.

    Raises
    ------
    ClockError
        If the recording has no such times, or no frame is within the recording.
    """
    from evreel.acquire import check_md5
    from evreel.files.clock import write_clock
    from evreel.video.picture import Picture

    if table is not None and table_md5 is not None:
        check_md5(table, table_md5)
    steady = Steady({"table": table}, {"table": table_sha256})
    source = settings.clock or ("events" if table is None else "external")
    if (table is not None) != (source == "external"):
        raise UsageError(
            f"clock: {source} {'needs' if table is None else 'does not go with'} a table of times"
        )
    for name, of in settings.unused_by(source):
        raise UsageError(f"{name} is for clock: {of}; leave it out, or leave out the table")
    with (
        as_store(store, beside=output) as opened,
        atomic(output, inputs=[opened.path, table]) as (scratch,),
    ):
        picture, said = None, dict[str, str]()
        if table is None:
            frames, used = _TIMES[source](opened, settings)
        else:
            frames, picture, said = _from_table(table, opened)
            used = {"table": steady.digests["table"]}
        check_frames(frames, opened, table or opened.path)
        picture = picture or Picture.for_video(opened.sensor, settings.scale)
        origin_y, origin_x = opened.origin
        extra = {
            **said,
            **{name: str(value) for name, value in used.items() if value is not None},
            "t_offset": str(opened.t_offset),
            "origin_x_px": str(origin_x),
            "origin_y_px": str(origin_y),
            "evreel_version": __version__,
            "store": sha256(opened.path),
        }
        write_clock(scratch, frames, picture, extra)
        steady.check()
    window = f" of {settings.window_us} µs" if source == "events" else f", from {source}"
    LOG.info("%s: %d frames%s", Path(output).name, len(frames), window)
    return frames, picture


Times = tuple["FrameClock", dict[str, Any]]
"""A clock, and the parameters that made it."""


def _from_events(store: EventsStore, settings: ClockSettings) -> Times:
    from evreel.timebase import FrameClock
    from evreel.windows import Duration

    window_us, start_us, n = settings.window_us, settings.start_us, settings.n_frames
    used: dict[str, Any] = {"window_us": window_us}
    if (start_us, settings.rate_hz, n) != (0, None, None):
        used |= {"start_us": start_us, "rate_hz": settings.rate_hz, "n_frames": n}
        frames = FrameClock.paced(store.t_stop_us, window_us, settings.rate_hz, start_us, n)
    elif store.clocks:
        windows = store.windows(Duration(window_us))
        frames = FrameClock(windows.start_us, windows.stop_us)
    else:
        frames = FrameClock.regular(store.t_stop_us, window_us)
    return frames, used


def _from_frames(store: EventsStore, settings: ClockSettings) -> Times:
    times, exposure_us = store.frame_times, settings.exposure_us
    if not len(times):
        raise ClockError(
            "has no frames, whose exposures would be the clock",
            path=store.path,
            hint="Does the recording have frames (evreel info)? Otherwise choose another clock.",
        )
    start, stop = times.exposure_start_us, times.exposure_stop_us
    empty = stop <= start
    if exposure_us is None and empty.any():
        k = int(empty.argmax())
        raise ClockError(
            f"its exposure stops at {stop[k]} µs, where it starts ({start[k]} µs)",
            path=store.path,
            place=f"frame {k}",
            hint="Set exposure_us: the time that a frame stands for.",
        )
    frames = _in_order(store, start, stop, exposure_us, "frames")
    return frames, {"exposure_us": exposure_us}


def _from_triggers(store: EventsStore, settings: ClockSettings) -> Times:
    import numpy as np

    marks = store.triggers
    rising, exposure_us = settings.trigger_edge == "rising", settings.exposure_us
    is_edge = marks.edge >= 0
    known = np.unique(marks.id[is_edge]).tolist()
    channel = settings.trigger_id
    if channel is None and len(known) == 1:
        [channel] = known
    if not known:
        raise ClockError(
            "has no edges of triggers, which would be the clock",
            path=store.path,
            hint="Does the recording have triggers (evreel info)? Otherwise choose another clock.",
        )
    if channel not in known:
        asked = "which one is meant is not said" if channel is None else f"{channel} is not one"
        raise ClockError(
            f"has edges of trigger channels {', '.join(map(str, known))}; {asked}",
            path=store.path,
            hint="Set trigger_id to the channel that the camera of the frames is connected to.",
        )
    mine = is_edge & (marks.id == channel)
    t, edge = marks.t[mine], marks.edge[mine]
    begins = edge == int(rising)
    start, stop = t[begins], None
    if exposure_us is None:
        # What ends before the first frame begins, or begins when the recording ends, is left out.
        first = int(np.argmax(begins)) if begins.any() else len(t)
        t, begins = t[first:], begins[first:]
        n = len(t) // 2 * 2
        wrong = np.flatnonzero(begins[:n] != (np.arange(n) % 2 == 0))
        if wrong.size:
            k = int(wrong[0])
            raise ClockError(
                f"two {'rising' if (begins[k] == rising) else 'falling'} edges follow each other, "
                f"at {t[k - 1]} and {t[k]} µs",
                path=store.path,
                place=f"trigger channel {channel}",
                hint="Set exposure_us: the time that a frame stands for from its edge.",
            )
        start, stop = t[:n:2], t[1:n:2]
    if not len(start):
        raise ClockError(
            f"has no {settings.trigger_edge} edge of a whole frame",
            path=store.path,
            place=f"trigger channel {channel}",
            hint="Set trigger_edge to the other edge, or exposure_us.",
        )
    frames = _in_order(store, start, stop, exposure_us, "triggers")
    used = {"trigger_id": channel, "trigger_edge": settings.trigger_edge}
    return frames, {**used, "exposure_us": exposure_us}


def _in_order(
    store: EventsStore,
    start: Int64Array,
    stop: Int64Array | None,
    exposure_us: int | None,
    source: ClockSource,
) -> FrameClock:
    from evreel.timebase import FrameClock

    try:
        return FrameClock.of_exposures(start, stop, exposure_us, source)
    except ClockError as error:
        raise ClockError(error.problem, path=store.path, place=error.place) from error


_TIMES: dict[ClockSource, Callable[[EventsStore, ClockSettings], Times]] = {
    "events": _from_events,
    "frames": _from_frames,
    "triggers": _from_triggers,
}


def _from_table(
    table: str | Path, store: EventsStore
) -> tuple[FrameClock, Picture | None, dict[str, str]]:
    from evreel.files.clock import read_clock

    frames, picture, said = read_clock(table)
    check_clock(table, said, store)
    if picture is not None and tuple(picture.sensor) != tuple(store.sensor):
        height, width = picture.sensor
        raise ClockError(
            f"is of a {width}x{height} sensor; {store.path.name} has "
            f"{store.sensor.width}x{store.sensor.height}",
            path=table,
            hint="The clock is for another recording, or for another crop of it.",
        )
    return frames, picture, said


def check_frames(frames: FrameClock, store: EventsStore | SlicesFile, path: str | Path) -> None:
    """Raise if no frame is within the recording: times may count from another instant."""
    within = (frames.start_us < store.t_stop_us) & (frames.stop_us > 0)
    if within.any():
        return
    what = f"from {frames.start_us[0]} to {frames.stop_us[-1]} µs" if len(frames) else "none"
    raise ClockError(
        f"no frame is within the recording, from 0 to {store.t_stop_us} µs; its frames are {what}",
        path=path,
        hint="Times count from the first event. Subtract t_offset, "
        f"{store.t_offset} µs, from those of the camera's own clock.",
    )


_WORDS: Mapping[str, str] = {
    "window-us": "window_us",
    "start-us": "start_us",
    "frames": "n_frames",
    "id": "trigger_id",
    "edge": "trigger_edge",
    "exposure-us": "exposure_us",
}
"""What one text says of a clock, beside ``fps`` and ``speed`` → the setting."""

_OF_WINDOWS = ("window-us", "start-us", "frames", "fps", "speed")
"""Which of these say what regular windows are."""


def clock_by_hand(text: str) -> dict[str, Any] | None:
    """Return the settings of a clock that a text such as ``fps=30,window-us=10000`` gives.

    A word comes first, unless the frames are regular windows: ``frames``, or
    ``triggers,id=1,exposure-us=5000``. ``fps`` says how fast the video plays, and `speed` how fast
    that is against what it shows: pictures are 1 / (fps · speed⁻¹) s of the recording apart. Where
    `window-us` is given without `speed`, each picture shows the window after that of the one
    before, and ``fps`` changes nothing.

    Parameters
    ----------
    text
        What an option ``--clock`` gives.

    Returns
    -------
    Settings by name; None if the text is the path of a table.

    Raises
    ------
    UsageError
        If it is neither.

    Examples
    --------
    >>> clock_by_hand("fps=30,window-us=10000,start-us=500")
    {'clock': 'events', 'window_us': 10000, 'start_us': 500}
    >>> clock_by_hand("fps=30,window-us=10000,speed=0.5")
    {'clock': 'events', 'window_us': 10000, 'rate_hz': 60.0}
    >>> clock_by_hand("fps=25")
    {'clock': 'events', 'window_us': 40000, 'rate_hz': 25.0}
    """
    from fractions import Fraction

    first, *others = text.split(",")
    is_word = first in ("events", "frames", "triggers")
    if Path(text).exists() or not (is_word or "=" in first):
        return None
    found: dict[str, Any] = {"clock": first if is_word else "events"}
    pace: dict[str, Fraction] = {}
    said = set[str]()
    for item in others if is_word else [first, *others]:
        name, equals, value = item.partition("=")
        known = (*_WORDS, "fps", "speed")
        if name not in known or not equals or name in said:
            problem = "is duplicated" if name in said else "is not known"
            raise UsageError(
                f"--clock: {item!r} {problem}{guess(name, known) if name not in known else ''}",
                hint="Name a table, or give frames, triggers or fps=30,window-us=10000 with any of "
                f"{', '.join(known)}.",
            )
        said.add(name)
        if name in _OF_WINDOWS and found["clock"] != "events":
            raise UsageError(
                f"--clock: {name} is for regular windows, and does not go with {first}"
            )
        try:
            if name == "edge":
                found[_WORDS[name]] = value
            elif name in _WORDS:
                found[_WORDS[name]] = int(value)
            elif (number := Fraction(value)) > 0:
                pace[name] = number
            else:
                raise ValueError
        except (ValueError, ZeroDivisionError):
            kind = "a whole number" if name in _WORDS else "a number above 0"
            raise UsageError(f"--clock: {name}: {value!r} is not {kind}") from None
    if "speed" in pace and "fps" not in pace:
        raise UsageError("--clock: speed is given without fps")
    if "fps" in pace and ("speed" in pace or "window_us" not in found):
        rate = pace["fps"] / pace.get("speed", Fraction(1))
        if "window_us" not in found:
            found["window_us"] = max(-(-1_000_000 // rate), 1)
        found["rate_hz"] = float(rate)
    return found


def check_clock(path: str | Path, extra: Mapping[str, str], store: EventsStore) -> None:
    """Raise if a clock states another recording or crop; one made by hand may state none."""
    origin_y, origin_x = store.origin
    for name, own in (
        ("t_offset", store.t_offset),
        ("origin_x_px", origin_x),
        ("origin_y_px", origin_y),
    ):
        if extra.get(name, str(own)) != str(own):
            raise ClockError(
                f"{name} is {extra[name]}, but in {store.path.name} it is {own}",
                path=path,
                hint="The clock is for another recording, or for another crop of it.",
            )
