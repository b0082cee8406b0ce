"""The frame clock's table: the time that each frame of a video stands for.

Tab-separated text that people can read, and write for any other camera::

    # source	events
    # sensor_height_px	260
    # sensor_width_px	346
    # scale	1
    # pad_bottom_px	0
    # pad_right_px	0
    # frames	2
    frame	start_us	stop_us
    0	0	10000
    1	10000	20000

Comments, ``# name<TAB>value``, come before the header row and are optional.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np

from evreel.errors import ClockError, ParameterError
from evreel.timebase import CLOCK_SOURCES, ClockSource, FrameClock
from evreel.video.picture import Picture

CLOCK_SUFFIX = ".clock.tsv"
HEADER = "frame\tstart_us\tstop_us"
_PICTURE = {
    "scale": "scale",
    "pad_bottom_px": "pad_bottom",
    "pad_right_px": "pad_right",
}
_RESERVED = ("source", "sensor_height_px", "sensor_width_px", *_PICTURE, "frames")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")  # 18 digits always fit an int64


def write_clock(
    path: str | Path,
    clock: FrameClock,
    picture: Picture,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write a clock and the layout of its pictures; equal content gives equal bytes.

    Parameters
    ----------
    path
        File to write.
    clock
        One row per frame.
    picture
        Sensor size, magnification and padding of the frames.
    extra
        Further comments, written in the order of their names: ``origin_x_px``, ``window_us``, …

    Raises
    ------
    ClockError
        If a name or value of `extra` has a tab or a line feed or is empty, or a name is one of
        this table's own.
    """
    height, width = picture.sensor
    own = (clock.source, height, width, picture.scale, picture.pad_bottom, picture.pad_right)
    comments = list(zip(_RESERVED, map(str, (*own, len(clock))), strict=True))
    for name, value in sorted((extra or {}).items()):
        if name in _RESERVED:
            raise ClockError(f"comment {name!r} is written from the clock and the picture")
        if not all(text and text == text.strip() and text.isprintable() for text in (name, value)):
            raise ClockError(
                f"comment {name!r} with value {value!r} does not fit in one line of a table",
                hint="Remove tabs, line feeds and outer blanks, and give every name a value.",
            )
        comments.append((name, value))
    rows = enumerate(zip(clock.start_us.tolist(), clock.stop_us.tolist(), strict=True))
    with Path(path).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"# {name}\t{value}\n" for name, value in comments)
        file.write(HEADER + "\n")
        file.writelines(f"{frame}\t{start}\t{stop}\n" for frame, (start, stop) in rows)


def read_clock(path: str | Path) -> tuple[FrameClock, Picture | None, dict[str, str]]:
    """Read a clock that `write_clock` or a person wrote.

    Parameters
    ----------
    path
        The table.

    Returns
    -------
    clock
        Its source is ``external`` unless a comment says otherwise.
    picture
        None if the table does not state the sensor's size; magnification 1 and no padding
        unless it states others.
    extra
        All other comments.

    Raises
    ------
    ClockError
        If the file is not such a table; the message names the line.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ClockError(f"cannot be read: {error.strerror}", path=path) from error
    except UnicodeDecodeError as error:
        raise ClockError(
            "is not UTF-8 text", path=path, place=f"byte {error.start}", hint="Save it as UTF-8."
        ) from error
    # A truncated number is a number too, so the last line must visibly end.
    *lines, rest = text.replace("\r\n", "\n").split("\n")
    if rest:
        raise ClockError(
            "the last line does not end with a line feed",
            path=path,
            place=f"line {len(lines) + 1}",
            hint="If the file was cut short, make it again; else add a line feed.",
        )
    comments: dict[str, tuple[int, str]] = {}  # name → its line and value
    for number, line in enumerate(lines, start=1):
        if not line.startswith("#"):
            break
        name, tab, value = line[1:].partition("\t")
        name, value = name.strip(), value.strip()
        if not (name and tab and value):
            raise _bad(path, number, f"{line!r} is not a comment of this table", "# name<TAB>value")
        if name in comments:
            raise _bad(path, number, f"comment {name!r} is duplicated", "one value")
        comments[name] = number, value
    else:
        raise _bad(path, len(lines) + 1, "the file ends before its header row", repr(HEADER))
    head = len(comments) + 1
    if lines[head - 1] != HEADER:
        raise _bad(path, head, f"header row is {lines[head - 1]!r}", repr(HEADER))

    start_us: list[int] = []
    stop_us: list[int] = []
    for number, line in enumerate(lines[head:], start=head + 1):
        cells = line.split("\t")
        if len(cells) != 3:
            raise _bad(path, number, f"{line!r} has {len(cells)} column(s)", "3, separated by tabs")
        frame, start, stop = (
            _whole_number(path, number, name, cell)
            for name, cell in zip(HEADER.split("\t"), cells, strict=True)
        )
        if frame != len(start_us):
            raise _bad(path, number, f"frame is {frame}", f"{len(start_us)}, one more per row")
        if stop <= start:
            raise _bad(path, number, f"stop_us={stop}", f"a stop after start_us={start}")
        if stop_us and start < stop_us[-1]:
            above = f"{stop_us[-1]} or more, where the row above stops"
            raise _bad(path, number, f"start_us={start}", above)
        start_us.append(start)
        stop_us.append(stop)
    if "frames" in comments:
        number, value = comments.pop("frames")
        if _whole_number(path, number, "frames", value) != len(start_us):
            raise _bad(path, len(lines), f"ends after {len(start_us)} rows", f"{value} frames")
    clock = FrameClock(
        np.array(start_us, dtype=np.int64),
        np.array(stop_us, dtype=np.int64),
        _source(path, *comments.pop("source", (0, "external"))),
    )
    picture = _picture(path, comments)
    return clock, picture, {name: value for name, (_, value) in comments.items()}


def clocks_beside(path: str | Path) -> dict[str, Path]:
    """Return the clocks in the folder of one: what they are called without suffix → path.

    At most a thousand, in the order of their names; none if the one is not called so.
    """
    path = Path(path)
    if not path.name.endswith(CLOCK_SUFFIX):
        return {}
    found = islice(sorted(path.parent.glob(f"*{CLOCK_SUFFIX}")), 1_000)
    return {other.name.removesuffix(CLOCK_SUFFIX): other for other in found if other != path}


def _picture(path: Path, comments: dict[str, tuple[int, str]]) -> Picture | None:
    """Take the picture's own comments out of `comments`; None if no sensor is named."""
    found = {}
    first = 0
    for name in _RESERVED:
        if name in comments:
            number, value = comments.pop(name)
            found[name] = _whole_number(path, number, name, value)
            first = first or number
    if not found:
        return None
    missing = [name for name in ("sensor_height_px", "sensor_width_px") if name not in found]
    if missing:
        raise _bad(
            path, first, f"comment {missing[0]!r} is missing", "the sensor's height and width"
        )
    sensor = found.pop("sensor_height_px"), found.pop("sensor_width_px")
    try:
        return Picture(sensor, **{_PICTURE[name]: value for name, value in found.items()})
    except ParameterError as error:
        raise ClockError(error.problem, path=path, place=f"line {first} and below") from error


def _source(path: Path, number: int, text: str) -> ClockSource:
    for source in CLOCK_SOURCES:
        if source == text:
            return source
    raise _bad(path, number, f"source is {text!r}", f"one of {', '.join(CLOCK_SOURCES)}")


def _whole_number(path: Path, number: int, name: str, text: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(text):
        raise _bad(path, number, f"{name} is {text!r}", "a whole number of at most 18 digits")
    return int(text)


def _bad(path: Path, number: int, got: str, expected: str) -> ClockError:
    return ClockError(f"{got}; expected {expected}", path=path, place=f"line {number}")
