"""What makes the frames of a run: one after the other, or several at a time in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread, current_thread

from evreel.events import Events, Sensor
from evreel.geometry import EventMap
from evreel.representations.base import Frame, Window
from evreel.representations.feature import Feature

HELD = 2
"""Pieces of events held at a time: windows that overlap go back from one to the one before."""


def makers_of(
    feature: Feature,
    changed: EventMap | None,
    sensor: Sensor,
    repairs: MutableMapping[str, int],
    threads: int,
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
    """
    one = Maker(feature, changed, sensor, repairs)
    if threads == 1 or one.carries or one.alone:
        return one
    # One frame more than threads: the one that was handed on.
    makers = [Maker(feature, changed, sensor, {}) for _ in range(threads + 1)]
    return Threads(makers, repairs, threads)


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


class _Making:
    """A frame that is being made, by the thread that first asks to.

    Two locks take a tenth of the time of a `Future`, which would take as long as 10,000 events.
    """

    def __init__(self, maker: Maker, todo: Sequence[Callable[[], None]]) -> None:
        self._maker, self._todo = maker, todo
        self._is_begun, self._is_running = Lock(), Lock()
        self._is_running.acquire()
        self._frame: Frame | None = None
        self._error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        """Whether the frame or its error is there."""
        return not self._is_running.locked()

    def make(self) -> None:
        """Make it, unless a thread has begun."""
        if not self._is_begun.acquire(blocking=False):
            return
        try:
            self._frame = self._maker.finish(self._todo)
        except BaseException as error:
            self._error = error  # raised when its turn comes; an interruption also at once
            if not isinstance(error, Exception):
                raise
        finally:
            self._is_running.release()

    def drop(self) -> None:
        """Let no thread begin."""
        self._is_begun.acquire(blocking=False)

    def result(self, repairs: MutableMapping[str, int]) -> Frame:
        """Wait for the frame, and add what was counted."""
        self._is_running.acquire()
        if self._error is not None:
            raise self._error
        assert self._frame is not None
        for name, count in self._maker.repairs.items():
            repairs[name] = repairs.get(name, 0) + count
            self._maker.repairs[name] = 0
        return self._frame


class Threads:
    """Makes several frames at a time, each with a maker of its own; they are returned in order.

    The calling thread makes frames too, while the next one is not ready: waiting for another
    thread often takes longer than making one.
    """

    def __init__(
        self, makers: Sequence[Maker], repairs: MutableMapping[str, int], threads: int
    ) -> None:
        self._makers, self._repairs = makers, repairs
        self._pending: deque[_Making] = deque()
        self._todo: list[Callable[[], None]] = []
        self._queue: SimpleQueue[_Making | None] = SimpleQueue()
        # Daemons, because a loop over frames need not come to its end before the process does.
        self._threads = [
            Thread(target=_make_all, args=(self._queue,), name="evreel-frames", daemon=True)
            for _ in range(threads - 1)
        ]
        for thread in self._threads:
            thread.start()

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

    def finish(self) -> Frame | None:
        """Return the next frame, None if there are makers to start more with."""
        making = _Making(self._maker, self._todo)
        self._pending.append(making)
        self._queue.put(making)
        return self._next() if len(self._pending) == len(self._makers) else None

    def rest(self) -> Iterator[Frame]:
        """Yield the frames that are not returned yet."""
        while self._pending:
            yield self._next()

    def close(self) -> None:
        """Leave nothing running."""
        self._drop()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            if thread is not current_thread():  # in which garbage may be collected
                thread.join()

    def _next(self) -> Frame:
        for making in self._pending:
            if self._pending[0].is_done:
                break
            making.make()
        try:
            return self._pending.popleft().result(self._repairs)
        except BaseException:
            self._drop()  # what comes after an error is not returned
            raise

    def _drop(self) -> None:
        for making in self._pending:
            making.drop()
        self._pending.clear()


def _make_all(queue: SimpleQueue[_Making | None]) -> None:
    """Make what comes, until None does."""
    while (making := queue.get()) is not None:
        making.make()
