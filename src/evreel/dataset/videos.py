"""What is known of a recording's video before a run makes it: its pictures' size, its clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evreel import __version__
from evreel.acquire import read_source
from evreel.dataset.dataset import DataSet
from evreel.dataset.settings import ClockSettings
from evreel.errors import EvreelError
from evreel.events import Sensor
from evreel.files.clock import CLOCK_SUFFIX, read_clock
from evreel.filters import Crop, Orientation
from evreel.provenance import STEP_REVISIONS, state
from evreel.settings import settings_of
from evreel.timebase import FrameClock
from evreel.video.picture import Picture

Known = Callable[..., Any]
"""Takes what finds a fact, and the parts that it follows from; the fact is found once."""


def picture_of(dataset: DataSet, id_: str, known: Known) -> Picture | None:
    """Return the pictures that a recording's video will have, None if their size is not certain.

    The size follows from the crop, from the size that the table states, or from the header of a
    local recording; what is downloaded, or in an archive, is not there yet.
    """
    config, row = dataset.settings(id_), dataset.recordings[id_]
    turn = config.events.part(Orientation)
    try:
        stated = Sensor.parse(row["sensor"]) if "sensor" in row else None
        found = _of_header(dataset, id_, known)
        if None not in (stated, found) and stated != found:
            return None  # its job says which is wrong
        whole = stated or found
        sensor = None if whole is None else turn.sensor(whole)
        if config.events.crop is not None:
            crop = Crop(*config.events.crop)
            if sensor is not None:
                crop.check(sensor)
            sensor = crop.sensor
        return None if sensor is None else Picture.for_video(sensor, config.video.scale)
    except EvreelError:  # which its job says
        return None


def _of_header(dataset: DataSet, id_: str, known: Known) -> Sensor | None:
    source = read_source(dataset.recordings[id_]["source"])
    if source.path is None or source.members:
        return None
    path, events = source.path, dataset.settings(id_).events
    stream, columns = events.stream, events.columns
    form = dataset.recordings[id_].get("format")

    def found() -> list[int]:
        from evreel.recordings.open import Reading, open_recording

        reading = Reading(columns=columns)
        try:
            with open_recording(path, stream=stream, format=form, reading=reading) as recording:
                return list(recording.sensor)
        except (EvreelError, OSError):
            return []

    try:
        size = known(found, "sensor", str(path), state(path), stream, form, columns)
    except OSError:
        return None
    return Sensor(*size) if size else None


def made_clock(dataset: DataSet, id_: str) -> Path:
    """Return where a run puts the clock of a recording's video."""
    return Path(dataset.results, "video", f"{id_}{CLOCK_SUFFIX}")


def is_made_so(
    clock: FrameClock, picture: Picture | None, said: dict[str, str], settings: ClockSettings
) -> bool:
    """Tell whether a clock is as these settings make it, as far as it says how it was made."""
    asked, source = settings.plain(), settings.clock or "events"
    defaults = {name: str(known.default) for name, known in settings_of(ClockSettings).items()}
    del defaults["window_us"], asked["clock"]
    if source != "events":
        del asked["window_us"]
    stated = {**defaults, **said, "scale": str(picture.scale if picture else 1)}
    return (
        "table" not in said
        and clock.source in (source, "external")  # which is what a clock is that says nothing
        and all(value is None or stated.get(name) == str(value) for name, value in asked.items())
    )


_EXTENT = ("crop", "start_us", "stop_us", *settings_of(Orientation))


def is_of_other_extent(dataset: DataSet, id_: str) -> bool:
    """Tell whether the store of an earlier run has other pixels, or another time, than a run now.

    Then its clock is made again, and says nothing of the video that there will be.
    """
    asked = dataset.settings(id_).events.plain()
    try:
        made, _ = _decoded(dataset, id_)
    except (OSError, EvreelError, KeyError, ValueError):
        return False
    return any(name in made and made[name] != asked[name] for name in _EXTENT)


def _store(dataset: DataSet, id_: str) -> Path:
    return Path(dataset.results, "events", f"{id_}.h5")


def _decoded(dataset: DataSet, id_: str) -> tuple[dict[str, Any], int]:
    """Return the settings, and the revision of the step, that the store of an earlier run has."""
    from evreel.files import hdf5

    with hdf5.open_hdf5(_store(dataset, id_)) as file:
        return json.loads(file.attrs["parameters"]), int(file.attrs["step_revision"])


def is_settled(dataset: DataSet, id_: str) -> bool:
    """Tell whether a clock of an earlier run is what a run would make now, if nothing was edited.

    Its recording is the local file that the table names; the store was decoded from it as the
    config says, and is older than the clock.
    """
    row, events = dataset.recordings[id_], dataset.settings(id_).events
    source = read_source(row["source"])
    if source.path is None or source.members:
        return False
    acquired = Path(dataset.recording_file(id_))
    asked = {**events.plain(), "sensor": row.get("sensor")}
    asked |= {"format": row["format"]} if "format" in row else {}
    try:
        said = read_clock(made_clock(dataset, id_))[2]
        ages = acquired.lstat(), _store(dataset, id_).stat(), made_clock(dataset, id_).stat()
        times = [age.st_mtime_ns for age in ages]
        if not acquired.is_symlink() or not acquired.samefile(source.path):
            return False
        made, revision = _decoded(dataset, id_)
    except (OSError, EvreelError, KeyError, ValueError):
        return False
    is_as_asked = all(made.get(name) == value for name, value in asked.items())
    is_now = revision == STEP_REVISIONS["events"] and said.get("evreel_version") == __version__
    is_now &= times == sorted(times)
    return is_now and is_as_asked
