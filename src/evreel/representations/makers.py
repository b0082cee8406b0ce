"""What makes the frames of a run: one after the other, or several at a time in threads."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from evreel.events import Events, Sensor
from evreel.geometry import EventMap
from evreel.representations.base import Frame, Window
from evreel.representations.feature import Feature
from evreel.threads import Crew, Task, results_held

Then = Callable[[Frame], Any]
"""Function of a frame that another thread may call; the frame changes later."""

HELD = 2
"""Pieces of events held at a time: windows that overlap go back from one to the one before."""


def makers_of(
    feature: Feature,
    changed: EventMap | None,
    sensor: Sensor,
    repairs: MutableMapping[str, int],
    threads: int,
    crew: Crew,
    then: Then | None = None,
) -> Maker | Threads:
    """Return what makes frames: one after the other, or several at a time.

    Parameters
    ----------
    feature
        What to compute.
    changed
        What its geometry does to events of the sensor.
    sensor, repairs, threads
        As `evreel.representations.frames` takes them.
    crew
        Whose threads these are.
    then
        As in `Run`.
    """
    one = Maker(feature, changed, sensor, repairs)
    if threads == 1 or one.carries or one.alone:
        return one
    size = math.prod(feature.shape(sensor)) * np.dtype(feature.dtype).itemsize
    # One more than are being made: the one that was handed on.
    n = results_held(threads, size) + 1
    makers = [Maker(feature, changed, sensor, {}) for _ in range(n)]
    return Threads(makers, repairs, crew, then)


class Maker:
    """Makes frames one after the other: `begin`, `add` and `finish` for each window."""

    def __init__(
        self,
        feature: Feature,
        changed: EventMap | None,
        sensor: Sensor,
        repairs: MutableMapping[str, int],
    ) -> None:
        seen = sensor if changed is None else changed.sensor
        accumulator = feature.representation.accumulator(seen, repairs)
        accumulator.weight = 1.0 if changed is None else changed.weight
        self.repairs = repairs
        self.carries, self.alone = accumulator.carries, accumulator.alone
        self.begin, self.add, self.reset = accumulator.begin, accumulator.add, accumulator.reset
        self._accumulator = accumulator
        self._changed = feature.of_frames(sensor, repairs)

    def count(self, name: str, n: int) -> None:
        """Count what was changed in the window's events."""
        self.repairs[name] = self.repairs.get(name, 0) + n

    def finish(self, todo: Iterable[Callable[[], None]] = ()) -> Frame:
        """Return the frame, after what is still to be done for it."""
        for do in todo:
            do()
        return self._changed(self._accumulator.finish())

    def rest(self) -> Iterator[Frame]:
        """Yield the frames that are not returned yet."""
        return iter(())

    def close(self) -> None:
        """Leave nothing running."""


class Threads:
    """Makes several frames at a time, each with a maker of its own; they are returned in order.

    The calling thread makes frames too, while the next one is not ready: waiting for another
    thread often takes longer than making one.
    """

    def __init__(
        self,
        makers: Sequence[Maker],
        repairs: MutableMapping[str, int],
        crew: Crew,
        then: Then | None,
    ) -> None:
        self._makers, self._repairs, self._crew, self._then = makers, repairs, crew, then
        self._pending: deque[tuple[Maker, Task[Any]]] = deque()
        self._todo: list[Callable[[], None]] = []

    def begin(self, window: Window) -> None:
        """Start a window, for the maker whose frame was returned first."""
        self._maker = self._makers[window.number % len(self._makers)]
        self._todo = [partial(self._maker.begin, window)]

    def add(self, events: Events) -> None:
        """Add a piece of the window's events, kept until there are enough of them."""
        if len(self._todo) > HELD:
            for do in self._todo:
                do()
            self._todo = []
        self._todo.append(partial(self._maker.add, events))

    def count(self, name: str, n: int) -> None:
        """Count what was changed in the window's events."""
        self._maker.count(name, n)

    def finish(self) -> Any:
        """Return the next frame, None if there are makers to start more with."""
        todo, self._todo = self._todo, []
        task = self._crew.begin(_made, self._maker, todo, self._then)
        self._pending.append((self._maker, task))
        return self._next() if len(self._pending) == len(self._makers) else None

    def rest(self) -> Iterator[Any]:
        """Yield the frames that are not returned yet."""
        while self._pending:
            yield self._next()

    def close(self) -> None:
        """Leave nothing running."""
        while self._pending:
            self._pending.popleft()[1].drop()

    def _next(self) -> Any:
        maker, task = self._pending.popleft()
        try:
            frame = task.result()
        except BaseException:
            self.close()  # what comes after an error is not returned
            raise
        for name, count in maker.repairs.items():
            self._repairs[name] = self._repairs.get(name, 0) + count
            maker.repairs[name] = 0
        return frame


def _made(maker: Maker, todo: Sequence[Callable[[], None]], then: Then | None) -> Any:
    """Return a frame, or what is then made of it, after what is still to be done for it."""
    frame = maker.finish(todo)
    return frame if then is None else then(frame)
