"""The one driver that runs representations over windows.

Files, loaders and `evreel.features` all run it, so what is computed on the fly equals what a file
holds, bit for bit. Several runs go through the same events together: each piece of a recording is
read once for all of them.
"""

from __future__ import annotations

import bisect
import contextlib
import heapq
from collections.abc import Callable, Generator, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.errors import EventsError, EvreelError, ParameterError, RepresentationError
from evreel.events import Events, Sensor
from evreel.geometry import EventMap, Regions
from evreel.representations.base import Frame, Representation, Window
from evreel.representations.feature import Feature
from evreel.representations.makers import HELD, Maker, Then, Threads, makers_of
from evreel.threads import Crew, Task
from evreel.timebase import FARTHEST, Int64Array
from evreel.windows import IndexOf, Windows

Read = Callable[[int, int], Events]
"""Function of (start, stop) rows → the events of rows ``[start, stop)``."""

READ_ROWS = 1 << 20
"""Most rows of a piece: 13 MB of events."""


@dataclass(frozen=True, eq=False)
class Run:
    """A feature, the windows of its frames, and what is changed on the way.

    Parameters
    ----------
    feature
        What to compute.
    windows
        Which rows make which frame.
    oldest_us
        (n,) µs, or one for all: where the recording, part or sample of each window begins. A frame
        does not depend on earlier events, however far back its representation looks.
    repairs
        Counts of what was changed, by name; increased as frames are made. A zero says that
        there was nothing to change.
    name
        What errors call it, where several run together.
    regions
        Which rows are in a region with one of the labels of the feature's geometry; needed where
        it has any.
    then
        Where several threads make frames, what each of them does with its own, such as to compress
        it: what this returns comes in place of the frame. None: nothing.
    """

    feature: Feature
    windows: Windows
    oldest_us: npt.ArrayLike = -FARTHEST
    repairs: MutableMapping[str, int] = field(default_factory=dict)
    name: str = ""
    regions: Regions | None = None
    then: Then | None = None


def frames(
    made_of: Representation | Feature,
    read: Read,
    windows: Windows,
    sensor: Sensor,
    *,
    index_of: IndexOf | None = None,
    oldest_us: npt.ArrayLike = -FARTHEST,
    rows: int = READ_ROWS,
    repairs: MutableMapping[str, int] | None = None,
    regions: Regions | None = None,
    threads: int = 1,
) -> Iterator[Frame]:
    """Yield the frame of each window: one array, which is filled again for the next.

    Copy a frame (``frame.copy()``) to keep it beyond the next step of the loop.

    Parameters
    ----------
    made_of
        What to compute.
    windows, oldest_us, repairs, regions
        As in `Run`.
    read
        Function of (start, stop) rows → their events, such as `EventsStore.read`. Neighbouring
        and overlapping windows are read together, `rows` at a time.
    sensor
        (height, width) of the events.
    index_of
        Function of (n,) timestamps → (n,) rows of the first event at or after each. Only needed by
        a representation that looks further back than its window.
    rows
        Most rows read at a time; the frames do not depend on it.
    threads
        Windows made at a time, of a representation that looks at nothing but its window; the
        calling thread makes one of them. Frames are the same, and in the same order.

    Yields
    ------
    (C, H, W), read-only, valid until the next one.

    Raises
    ------
    EventsError
        If `read` returns other rows than asked for.
    ParameterError
        If `index_of` is needed and not given, or `threads` is less than 1.

    Examples
    --------
    >>> from evreel.representations import Histogram
    >>> from evreel.windows import Count
    >>> events = Events([0, 1, 2], [0, 1, 0], [0, 0, 0], [1, 1, 0], Sensor(1, 2))
    >>> windows = Count(2).plan(3, lambda rows: events.t[rows])
    >>> made = frames(Histogram(), lambda a, b: events[a:b], windows, events.sensor)
    >>> [frame.tolist() for frame in made]
    [[[[0, 0]], [[1, 1]]], [[[1, 0]], [[0, 0]]]]
    """
    counts: MutableMapping[str, int] = {} if repairs is None else repairs
    run = Run(Feature.of(made_of), windows, oldest_us, counts, regions=regions)
    together = frames_together([run], read, sensor, index_of=index_of, rows=rows, threads=threads)
    for _, frame in together:
        yield frame


def frames_together(
    runs: Sequence[Run],
    read: Read,
    sensor: Sensor,
    *,
    index_of: IndexOf | None = None,
    rows: int = READ_ROWS,
    ahead: bool = False,
    crew: Crew | None = None,
    threads: int = 1,
    failed: Callable[[int, EvreelError], None] | None = None,
) -> Generator[tuple[int, Any], None, None]:
    """Yield (run, frame) for every window of every run; the frames of one run are in order.

    The run that needs the earliest rows goes on first, so that each piece of the events is read
    once for all.

    Parameters
    ----------
    runs
        What to compute.
    read, sensor, index_of, rows
        As in `frames`.
    threads
        As in `frames`, for each run.
    ahead
        Whether threads read the next pieces meanwhile, one and one more for every four of them;
        `read` must allow that.
    crew
        Whose threads all these are; None: of its own.
    failed
        Called with a run and its error, which ends this run alone; None: the error is raised.

    Yields
    ------
    Position in `runs`, and the frame of its next window, valid until its next one; or what
    `Run.then` returned for it.
    """
    if threads < 1:
        raise ParameterError(f"threads={threads} is not at least 1")
    if not runs:
        return
    plans = [_Plan(run, index_of) for run in runs]
    needed = [(plan.low, run.windows.stop) for plan, run in zip(plans, runs, strict=True)]
    with contextlib.ExitStack() as closing:
        if crew is None:
            crew = closing.enter_context(Crew(max(threads, 2 if ahead else 1)))
        pieces = _Pieces(read, needed, rows, crew if ahead else None)
        going = [(0, k, plan.go(pieces, sensor, threads, crew)) for k, plan in enumerate(plans)]
        heapq.heapify(going)
        for _, _, steps in going:
            closing.callback(steps.close)
        while going:
            _, k, steps = going[0]
            try:
                step = next(steps, None)
            except (EventsError, ParameterError, RepresentationError) as error:
                place = ": ".join(filter(None, (runs[k].name, error.place)))
                told = type(error)(error.problem, path=error.path, place=place, hint=error.hint)
                if failed is None:
                    raise told from error
                failed(k, told)
                step = None
            if step is None:
                heapq.heappop(going)
                continue
            position, frame = step
            heapq.heapreplace(going, (position, k, steps))
            if frame is not None:
                yield k, frame


def tensor(
    made_of: Representation | Feature,
    events: Events,
    windows: Windows,
    repairs: MutableMapping[str, int] | None = None,
) -> Frame:
    """Return the frames of all windows of events in memory, (N, C, H, W).

    Parameters
    ----------
    made_of
        What to compute.
    events
        The windows' rows count from its first event.
    windows
        Which rows make which frame.
    repairs
        As in `Run`.
    """
    made_of = Feature.of(made_of)
    made = np.empty((len(windows), *made_of.shape(events.sensor)), dtype=made_of.dtype)
    source = frames(
        made_of,
        lambda start, stop: events[start:stop],
        windows,
        events.sensor,
        index_of=lambda t: np.searchsorted(events.t, t),
        repairs=repairs,
    )
    for k, frame in enumerate(source):
        made[k] = frame
    return made


class Continued:
    """A run whose windows become known a few at a time, as those of a recording that is decoded.

    Its frames are those of one `Run` of all windows, which must be in the order of their starts and
    of their stops.

    Parameters
    ----------
    feature
        What to compute.
    sensor
        (height, width) of the events.
    regions
        As in `Run`.
    """

    def __init__(self, feature: Feature, sensor: Sensor, regions: Regions | None = None) -> None:
        self._feature = feature
        self._changed = feature.of_events(sensor, regions)
        self._maker = Maker(feature, self._changed, sensor, {})
        self._carried = _Carried()
        self._n = 0

    @property
    def looks_back(self) -> bool:
        """Whether a frame depends on what came before its window, so that none can be left out."""
        return self._feature.representation.history != 0

    @property
    def needs_all(self) -> bool:
        """Whether all events are needed to the end: it looks at all, and carries nothing over."""
        return self._feature.representation.history is None and not self._maker.carries

    def frames(
        self, windows: Windows, read: Read, index_of: IndexOf, oldest_us: npt.ArrayLike
    ) -> Iterator[Frame]:
        """Yield the frames of the next windows; take all of them.

        Parameters
        ----------
        windows, oldest_us
            As in `Run`.
        read, index_of
            As `frames` takes them; only rows from `first_needed` on are asked for.
        """
        plan = _Plan(Run(self._feature, windows, oldest_us, self._maker.repairs), index_of)
        if self._maker.carries:
            plan.low = np.minimum(np.maximum(plan.low, self._carried.done), windows.start)
        pieces = _Pieces(read, [(plan.low, windows.stop)], READ_ROWS)
        view = _View(pieces, self._changed)
        for _, frame in plan.steps(pieces, view, self._maker, self._carried, self._n):
            if frame is not None:
                yield frame
        self._n += len(windows)

    def first_needed(self, start: int, start_us: int, oldest_us: int, index_of: IndexOf) -> int:
        """Return the first row that a window from row `start` and time `start_us` on can need."""
        history = self._feature.representation.history
        if history == 0:
            return start
        since_us = oldest_us if history is None else max(oldest_us, start_us - history)
        low = int(index_of(np.array([since_us]))[0])
        if self._maker.carries:
            low = max(low, self._carried.done)
        return min(low, start)


@dataclass
class _Carried:
    """Which rows are in what is carried over from window to window: ``[begun, done)``."""

    begun: int = 0
    done: int = 0


class _Plan:
    """A run, and the first row that each of its windows needs."""

    def __init__(self, run: Run, index_of: IndexOf | None) -> None:
        self._run = run
        windows = run.windows
        history = run.feature.representation.history
        if history == 0:
            self.since_us, self.low = windows.start_us, windows.start
            return
        if index_of is None:
            raise ParameterError(
                "looks further back than its windows: index_of is needed to find the rows",
                place=run.feature.representation.name,
                hint="Give EventsStore.index_of, or a function like it.",
            )
        oldest = np.broadcast_to(np.asarray(run.oldest_us, dtype=np.int64), windows.start_us.shape)
        since_us = oldest if history is None else np.maximum(oldest, windows.start_us - history)
        # Also of a window that begins before its sample does: those events are of another one.
        self.since_us = np.ascontiguousarray(since_us)
        self.low = np.minimum(index_of(self.since_us), windows.start)

    def go(
        self, pieces: _Pieces, sensor: Sensor, threads: int, crew: Crew
    ) -> Generator[tuple[int, Any], None, None]:
        """Yield (first row of the piece to go on with, finished frame or None)."""
        run = self._run
        changed = run.feature.of_events(sensor, run.regions)
        view = _View(pieces, changed)
        if view.left_out is not None:
            run.repairs.setdefault(view.left_out, 0)
        making = makers_of(run.feature, changed, sensor, run.repairs, threads, crew, run.then)
        with contextlib.closing(making) as makers:
            at = 0
            try:
                for at, frame in self.steps(pieces, view, makers, _Carried()):
                    yield at, frame
            except Exception:
                # Windows before this one come first, and so do their errors.
                for frame in makers.rest():
                    yield at, frame
                raise
            for frame in makers.rest():
                yield at, frame

    def steps(
        self,
        pieces: _Pieces,
        view: _View,
        makers: Maker | Threads,
        carried: _Carried,
        number: int = 0,
    ) -> Iterator[tuple[int, Any]]:
        """Yield as `go` does; windows are counted from `number` on."""
        windows = self._run.windows
        # Views whose items are Python's whole numbers: lists of them take 80 bytes per window.
        columns = (windows.start_us, windows.stop_us, windows.start, windows.stop)
        starts_us, stops_us, starts, stops = (column.data for column in columns)
        since_us, lows = self.since_us.data, self.low.data
        at = 0
        for k in range(len(windows)):
            start, stop, low = starts[k], stops[k], lows[k]
            if isinstance(makers, Maker) and makers.carries:
                if stop < carried.done or low < carried.begun:
                    makers.reset()
                    carried.begun = carried.done = low
                elif low > carried.done:
                    carried.begun = carried.done = low
                low, carried.done = carried.done, stop
            if low < stop and at != (at := pieces.number(low)):
                yield pieces.start[at], None
            first_us, last_us, n = view.extent(k, start, stop)
            left_out = stop - start - n
            if not n:
                first_us = last_us = starts_us[k]
            edges = starts_us[k], stops_us[k], first_us, last_us
            makers.begin(Window(number + k, *edges, n, since_us[k]))
            if view.left_out is not None:
                makers.count(view.left_out, left_out)
            while low < stop:
                if at != (at := pieces.number(low)):
                    yield pieces.start[at], None
                end = min(stop, pieces.stop[at])
                makers.add(view.rows(k, low, end))
                low = end
            frame = makers.finish()
            if frame is not None:
                yield pieces.start[at] if pieces.start else 0, frame


class _View:
    """The events of pieces as one feature sees them: with what its geometry does to them."""

    def __init__(self, pieces: _Pieces, changed: EventMap | None) -> None:
        self._pieces = pieces
        self._changed = changed
        self._held: dict[int, tuple[Events, Int64Array | None]] = {}
        self._taken: tuple[int, int, Events] | None = None  # rows of one piece, asked for next
        self.left_out = None if changed is None else changed.left_out

    def rows(self, k: int, start: int, stop: int) -> Events:
        """Return what is left of rows ``[start, stop)`` of one piece, for window k."""
        taken, self._taken = self._taken, None
        if taken is not None and taken[:2] == (start, stop):
            return taken[2]
        piece = self._pieces.number(start)
        first = self._pieces.start[piece]
        events, kept = self._of(k, piece)
        low, high = start - first, stop - first
        if kept is not None:
            low, high = np.searchsorted(kept, (low, high)).tolist()
        return events[low:high]

    def extent(self, k: int, start: int, stop: int) -> tuple[int, int, int]:
        """Return first and last timestamp and number of the events left of window k's rows."""
        if start == stop:
            return 0, 0, 0
        first, last = self._pieces.number(start), self._pieces.number(stop - 1)
        if self.left_out is None and last - first >= HELD:
            return self._pieces.stamp(k, start), self._pieces.stamp(k, stop - 1), stop - start
        first_us = last_us = n = 0
        for piece in range(first, last + 1):
            low, high = max(start, self._pieces.start[piece]), min(stop, self._pieces.stop[piece])
            part = self.rows(k, low, high)
            if len(part):
                first_us = first_us if n else int(part.t[0])
                last_us = int(part.t[-1])
                n += len(part)
        if first == last:
            self._taken = start, stop, part
        return first_us, last_us, n

    def _of(self, k: int, piece: int) -> tuple[Events, Int64Array | None]:
        if self._changed is None:
            return self._pieces.events(k, piece), None
        if piece not in self._held:
            while len(self._held) >= HELD:
                del self._held[next(iter(self._held))]
            events = self._pieces.events(k, piece)
            self._held[piece] = self._changed.apply(events, self._pieces.start[piece])
        return self._held[piece]


class _Pieces:
    """The rows that some runs need, in pieces, each read once while the runs go on together."""

    def __init__(
        self,
        read: Read,
        needed: Sequence[tuple[Int64Array, Int64Array]],
        rows: int,
        crew: Crew | None = None,
    ) -> None:
        if rows < 1:
            raise ParameterError(f"rows={rows} is not at least 1")
        self._read = read
        self._held: dict[int, Events] = {}
        self._crew = crew
        self._next: dict[int, Task[Events]] = {}  # pieces that are read ahead
        self._n_ahead = 0 if crew is None or crew.threads == 1 else 1 + -(-crew.threads // 4)
        # A gap between windows is read too if that costs less than another read: a sixteenth of
        # what is read at a time is one chunk of an events store.
        start, stop = _joined(needed, gap=rows // 16)
        n = -(-(stop - start) // rows)
        before = np.concatenate([[0], np.cumsum(n)[:-1]]) if len(n) else n
        low = np.repeat(start, n) + (np.arange(n.sum()) - np.repeat(before, n)) * rows
        self.start: list[int] = low.tolist()
        self.stop: list[int] = np.minimum(low + rows, np.repeat(stop, n)).tolist()

    def number(self, row: int) -> int:
        """Return the piece that has a row."""
        return bisect.bisect_right(self.start, row) - 1

    def events(self, k: int, piece: int) -> Events:
        """Return the events of a piece, for window k."""
        if piece not in self._held:
            while len(self._held) >= HELD:  # freed before the next one is read
                del self._held[next(iter(self._held))]
            self._held[piece] = self._checked(k, piece)
            for passed in [n for n in self._next if n < piece]:  # what no run needs any more
                del self._next[passed]
            for n in range(piece + 1, min(piece + 1 + self._n_ahead, len(self.start))):
                if self._crew is not None and n not in self._next and n not in self._held:
                    task = self._crew.begin(self._read, self.start[n], self.stop[n])
                    self._next[n] = task
        return self._held[piece]

    def stamp(self, k: int, row: int) -> int:
        """Return the timestamp of a row, for window k."""
        piece = self.number(row)
        if piece in self._held:
            return int(self._held[piece].t[row - self.start[piece]])
        return int(_whole(self._read(row, row + 1), k, row, row + 1).t[0])

    def _checked(self, k: int, piece: int) -> Events:
        start, stop = self.start[piece], self.stop[piece]
        task = self._next.pop(piece, None)
        events = self._read(start, stop) if task is None else task.result()
        return _whole(events, k, start, stop)


def _joined(
    needed: Sequence[tuple[Int64Array, Int64Array]], gap: int
) -> tuple[Int64Array, Int64Array]:
    """Return ranges of rows in order, joined where they overlap or are at most `gap` apart."""
    start, stop = (np.concatenate([ends[side] for ends in needed]) for side in (0, 1))
    start, stop = start[start < stop], stop[start < stop]
    order = np.argsort(start, kind="stable")
    start, stop = start[order], np.maximum.accumulate(stop[order]) if len(stop) else stop
    apart = np.flatnonzero(start[1:] > stop[:-1] + gap) + 1
    begins = np.concatenate([[0], apart])[: len(start)].astype(np.int64)
    return start[begins], stop[np.append(begins[1:], len(stop))[: len(begins)] - 1]


def _whole(events: Events, k: int, start: int, stop: int) -> Events:
    """Return events that must be as many as were asked for."""
    if len(events) != stop - start:
        raise EventsError(
            f"of rows [{start}, {stop}), the recording returned {len(events)}",
            place=f"window {k}",
            hint="Windows and events must be of the same recording.",
        )
    return events
