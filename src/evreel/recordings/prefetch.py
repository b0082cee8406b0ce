"""Threads that work ahead of whoever takes the results; results come in the order of the items.

`Prefetch` does work on each of many items; `prefetched` runs one iterator in a thread of its own.
Only work that releases Python's lock gains from it: reading, unpacking, digests.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Self, TypeVar

from evreel.closing import Closing
from evreel.threads import cores

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 4
"""Default threads of one pass, if the process may use as many cores."""


def default_threads() -> int:
    """Return the default number of threads of a pass: one per core, at most `THREADS`."""
    return min(THREADS, cores())


class Prefetch(Closing, Generic[Item, Result]):
    """Results of `work` on each item, in the order of the items; close it when done.

    The caller's thread works too: while its result is not ready, it takes items that no thread has
    begun. With one thread, or a single item, no other thread runs.

    Parameters
    ----------
    work
        Called once per item, by any thread. An error is raised in place of its result.
    items
        Taken by the caller's thread, up to two per thread ahead of the results. An error in taking
        them is raised after the results of the items before.
    threads
        How many threads work, the caller's included.

    Examples
    --------
    >>> with Prefetch(len, ["a", "bb", ""], threads=2) as lengths:
    ...     list(lengths)
    [1, 2, 0]
    """

    def __init__(self, work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> None:
        self._work = work
        self._items = iter(items)
        self._threads = threads
        self._depth = 1 if threads == 1 else 2 * threads
        self._slots: deque[_Slot[Item, Result]] = deque()
        self._pool: ThreadPoolExecutor | None = None
        self._error: Exception | None = None
        self._exhausted = False
        self._closed = False

    def close(self) -> None:
        """Begin nothing more, wait for work in progress, and end the threads."""
        self._closed = True
        self._slots.clear()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Result:
        if self._closed:
            raise ValueError("closed: its results are no longer available")
        self._ask()
        if not self._slots:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            raise StopIteration
        first = self._slots.popleft()
        while not first.done():
            if not any(slot.run() for slot in (first, *self._slots)):
                first.wait()
        return first.result()

    def _ask(self) -> None:
        """Take items until enough are ahead, and hand them to the threads."""
        new: list[_Slot[Item, Result]] = []
        while not self._exhausted and len(self._slots) < self._depth:
            try:
                new.append(_Slot(self._work, next(self._items)))
                self._slots.append(new[-1])
            except StopIteration:
                self._exhausted = True
            except Exception as error:
                self._exhausted, self._error = True, error
        if self._threads == 1 or (len(self._slots) < 2 and self._pool is None):
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads - 1, "evreel-prefetch")
        for slot in new:
            self._pool.submit(slot.run)


class _Slot(Generic[Item, Result]):
    """An item whose work is done once, by the first thread that takes it."""

    def __init__(self, work: Callable[[Item], Result], item: Item) -> None:
        self._work = work
        self._item = item
        self._free = threading.Lock()
        self._done = threading.Event()
        self._results: list[Result] = []
        self._error: Exception | None = None

    def run(self) -> bool:
        """Do the work unless it has been begun; return whether this call did it."""
        if not self._free.acquire(blocking=False):
            return False
        try:
            self._results.append(self._work(self._item))
        except Exception as error:
            self._error = error
        finally:
            self._done.set()
        return True

    def done(self) -> bool:
        return self._done.is_set()

    def wait(self) -> None:
        self._done.wait()

    def result(self) -> Result:
        """Return what the work returned, once, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._results.pop()


def prefetched(items: Iterator[Item], depth: int = 3) -> Generator[Item, None, None]:
    """Yield items that a thread takes from their iterator, up to `depth` ahead; close it when done.

    An error of the iterator is raised in place of its item.

    Examples
    --------
    >>> list(prefetched(iter("abc")))
    ['a', 'b', 'c']
    """
    ready: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(depth)
    closed = threading.Event()

    def take() -> None:
        last: BaseException | None = None
        try:
            for item in items:
                ready.put((item,))
                if closed.is_set():
                    return
        except BaseException as error:  # all kinds: the consumer would wait for ever
            last = error
        ready.put(last)

    # A thread that is left waiting must not keep Python from exiting.
    thread = threading.Thread(target=take, name="evreel-prefetch", daemon=True)
    thread.start()
    try:
        while (got := ready.get()) is not None:
            if isinstance(got, BaseException):
                raise got
            yield got[0]
    finally:
        closed.set()
        while thread.is_alive():  # it may wait for room
            with contextlib.suppress(queue.Empty):
                ready.get(timeout=0.01)
        thread.join()
