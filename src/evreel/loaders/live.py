"""Features computed on the fly: the same bits as a features file would hold."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.dataset.settings import FeatureSettings
from evreel.errors import MistakesError, UsageError, did_you_mean
from evreel.events import Events, Sensor
from evreel.files.divided import Divided, EventsInMemory
from evreel.files.slices import SlicesFile
from evreel.representations import Frame, Run, frames_together
from evreel.settings import mistakes, read, settings_of
from evreel.steps.events import as_events
from evreel.steps.features import most_in_memory, slices_of
from evreel.text import size_text
from evreel.timebase import Int64Array
from evreel.windows import Chosen, Division, Duration, Ending, Mixed, Windows, cut, ending_at

EventSource = str | Path | Events
"""The path of a recording or an events store, or events in memory."""


class _Planned(NamedTuple):
    """A run that is ready to begin."""

    shape: tuple[int, int, int, int]
    dtype: str
    frames: Iterator[Frame]


def features(
    source: EventSource,
    representation: str,
    *,
    ending: npt.ArrayLike | None = None,
    slices: str | Path | None = None,
    stream: int | str | None = None,
    sensor: Sensor | tuple[int, int] | str | None = None,
    **settings: Any,
) -> Frame:
    """Compute a representation of a recording, one frame per window, as a features file has them.

    Parameters
    ----------
    source
        Path of a recording of any format, or of an events store; or events in memory, whose times
        count as they are, also below 0: windows of a duration start at 0 and those of a number of
        events at the first, unless ``origin_us`` says otherwise.
    representation
        Its name, such as ``"voxel_grid"``, or a function of your own, as ``"file.py:function"``.
    ending
        With ``window_us``: instants at which windows end, whole µs in order. They count from the
        first event of a recording or store, and as times do of events in memory.
    slices
        Annotated slices of the recording; needed for a geometry with labels.
    stream
        Which event stream, if a recording has several.
    sensor
        Size of the sensor, if the recording does not state it: ``(height, width)``, or text such as
        ``"346x260"``, width x height.
    settings
        Windows (``window_us=50_000``), geometry, ``store`` and ``scale``, as those of a feature in
        `config.yaml`; all others are parameters of the representation (``bins=5``). ``compat`` is
        the representation's if it has one, and with `ending` also that of windows if it is ``rvt``.

    Returns
    -------
    (N, C, H, W), in the representation's own type unless ``store`` says otherwise.

    Raises
    ------
    UsageError
        If a setting is not known, out of range or contradicts another; or if the array does not
        fit into memory.
    RecordingError
        If the recording is damaged.

    Examples
    --------
    >>> from evreel.events import Sensor
    >>> events = Events([0, 5, 12], [0, 1, 0], [0, 0, 0], [1, 1, 0], Sensor(1, 2))
    >>> features(events, "histogram", window_us=10, dtype="uint8").tolist()
    [[[[0, 0]], [[1, 1]]], [[[1, 0]], [[0, 0]]]]
    """
    asked = feature_settings(representation, settings, ending)
    with _planned(source, asked, ending, slices, stream, sensor) as run:
        try:
            made = np.empty(run.shape, dtype=run.dtype)
        except MemoryError:
            size = np.prod(run.shape, dtype=float) * np.dtype(run.dtype).itemsize
            raise UsageError(
                f"{run.shape[0]} frames of {run.shape[1:]} take {size_text(size)}",
                hint="Take them one by one from evreel.iter_features.",
            ) from None
        for k, frame in enumerate(run.frames):
            made[k] = frame
    return made


def iter_features(
    source: EventSource,
    representation: str,
    *,
    ending: npt.ArrayLike | None = None,
    slices: str | Path | None = None,
    stream: int | str | None = None,
    sensor: Sensor | tuple[int, int] | str | None = None,
    **settings: Any,
) -> Iterator[Frame]:
    """Yield the frames of `features` one by one, in memory that does not grow with the recording.

    Parameters
    ----------
    source, representation, ending, slices, stream, sensor, settings
        As `features` takes them.

    Yields
    ------
    (C, H, W), one array that is filled again for the next window: copy it to keep it.

    Examples
    --------
    >>> from evreel.events import Sensor
    >>> events = Events([0, 5, 12], [0, 1, 0], [0, 0, 0], [1, 1, 0], Sensor(1, 2))
    >>> [int(frame.sum()) for frame in iter_features(events, "histogram", window_us=10)]
    [2, 1]
    """
    asked = feature_settings(representation, settings, ending)

    def generate() -> Iterator[Frame]:
        with _planned(source, asked, ending, slices, stream, sensor) as run:
            yield from run.frames

    return generate()


def feature_settings(
    representation: str,
    given: Mapping[str, Any],
    ending: npt.ArrayLike | None = None,
    also_known: Iterable[str] = (),
) -> FeatureSettings:
    """Return the settings of a feature from the arguments of a call.

    Parameters
    ----------
    representation
        Its name, or a function of your own.
    given
        Settings of a feature and parameters of the representation, together.
    ending
        Instants at which windows end, if these are given.
    also_known
        Names of other arguments, one of which may have been meant by a name that is not known.

    Raises
    ------
    UsageError
        If one is not known, not valid, or contradicts another.
    """
    from evreel.representations import kind_of

    own = settings_of(kind_of(representation))
    known = settings_of(FeatureSettings).keys() - {"representation", "parameters", "compression"}
    given = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in given.items()
    }
    of_feature = {name: value for name, value in given.items() if name in known - own.keys()}
    parameters = {name: value for name, value in given.items() if name not in of_feature}
    for name in parameters:
        if name not in own:
            near = did_you_mean(name, [*known, *own, *also_known])
            raise UsageError(
                f"{representation} has no parameter {name!r}, nor is it a setting of a feature"
                + (f"; {near}" if near else ""),
                hint=f"Its parameters are: {', '.join(own) or 'none'}.",
            )
    if ending is not None:
        of_feature["ending"] = "times"
        if (
            "compat" in own
            and given.get("compat") in settings_of(FeatureSettings)["compat"].choices
        ):
            of_feature["compat"] = given["compat"]
    value = {"representation": representation, "parameters": parameters, **of_feature}
    found = [": ".join([*place, what]) for place, what in mistakes(FeatureSettings, value)]
    if found:
        raise MistakesError(found)
    asked = read(FeatureSettings, value)
    for _, problem in asked.contradictions():
        raise UsageError(problem)
    return asked


@contextlib.contextmanager
def _planned(
    source: EventSource,
    settings: FeatureSettings,
    ending: npt.ArrayLike | None,
    slices: str | Path | None,
    stream: int | str | None,
    sensor: Sensor | tuple[int, int] | str | None,
) -> Iterator[_Planned]:
    """Open a source and plan its windows."""
    feature, division = settings.feature(), settings.division()
    labels = feature.geometry.labels
    if labels and slices is None:
        raise UsageError(
            "a geometry with labels needs the slices that say where they are",
            hint="Give slices=, the recording's annotated slices.",
        )
    with contextlib.ExitStack() as stack:
        if isinstance(source, Events):
            opened: Divided = _InMemory(source)
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            beside = Path(folder, "features.h5")
            size = None if sensor is None else Sensor.given(sensor).text
            most = most_in_memory(slices if labels else None)
            opened = stack.enter_context(
                as_events(source, beside=beside, stream=stream, sensor=size, most=most)
            ).events
        windows = opened.windows(division, ending)
        regions = None
        if labels and slices is not None:
            file = stack.enter_context(
                SlicesFile(slices) if isinstance(opened, _InMemory) else slices_of(slices, opened)
            )
            regions = file.regions_of(labels)
        run = Run(feature, windows, opened.oldest_us(windows.start_us), {}, "", regions)
        made = frames_together([run], opened.read, opened.sensor, index_of=opened.index_of)
        shape = (len(windows), *feature.shape(opened.sensor))
        yield _Planned(shape, feature.dtype, (frame for _, frame in made))


class _InMemory(EventsInMemory):
    """Events of a caller, whose times may begin before 0."""

    def __init__(self, events: Events) -> None:
        super().__init__(Path("events"), events, t_offset=0, source_format="")
        self._start_us = min(0, int(events.t[0])) if len(events) else 0

    def windows(
        self,
        division: Division,
        instants_us: npt.ArrayLike | None = None,
        chosen: Chosen | None = None,
    ) -> Windows:
        if isinstance(division, Ending) and instants_us is not None:
            instants = np.ravel(instants_us).tolist()
            ends = ending_at(instants, division.window_us, self.index_of, division.compat)
            return ends if chosen is None else ends[chosen(len(ends))]
        origin_us = getattr(division, "origin_us", 0)
        # Windows of a number of events begin at the first, unless a time is given.
        if not isinstance(division, Ending) and (
            origin_us or isinstance(division, (Duration, Mixed))
        ):
            division = replace(division, origin_us=origin_us - self._start_us)
        start, stop = [self._start_us], [self.t_stop_us]
        return cut(division, start, stop, self.index_of, self.stamp_at, None, chosen)[0]

    def oldest_us(self, start_us: Int64Array) -> Int64Array:
        return np.full_like(start_us, self._start_us)
