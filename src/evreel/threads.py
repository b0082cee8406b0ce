"""The threads of one step: tasks that they share, whose results come in a fixed order.

Only tasks that release Python's lock gain from it: compressing, digests, kernels.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Generic, Self, TypeVar

from evreel.closing import Closing
from evreel.errors import UsageError
from evreel.system import keep_memory

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_THREADS = 16
"""Default limit of the threads of a step."""

_MORE_AHEAD = 4
"""Results that are made ahead of whoever takes them, beside one per thread: threads then have work
while the others read or write something else."""
_MORE_BYTES = 1 << 24
"""Most bytes of such results."""
_HASHED_BYTES = 1 << 22
"""Bytes of a file that a task hashes."""


def cores() -> int:
    """Return the number of cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # Linux has it
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def checked_threads(threads: int | None) -> int:
    """Return how many threads a step uses: those given; None: one per core, up to `MOST_THREADS`.

    Raises
    ------
    UsageError
        If fewer than 1 are given.
    """
    if threads is None:
        return min(MOST_THREADS, cores())
    if threads < 1:
        raise UsageError(f"threads={threads} is not 1 or more")
    return threads


def results_held(threads: int, size: int) -> int:
    """Return how many results of so many bytes are held at a time, so that threads have work.

    That is one per thread; and up to four more, as long as these are small, because threads that
    have nothing to do until one is taken are late for the next.

    Examples
    --------
    >>> results_held(2, size=1 << 20), results_held(2, size=1 << 23), results_held(2, size=1 << 25)
    (6, 4, 2)
    """
    return threads + min(_MORE_AHEAD, _MORE_BYTES // max(1, size))


class Task(Generic[Result]):
    """Work that one thread does, the first that takes it."""

    def __init__(self, crew: Crew, work: Callable[[], Result]) -> None:
        self._crew = crew
        self._work: Callable[[], Result] | None = work
        self._free = threading.Lock()
        self._done = threading.Event()
        self._results: list[Result] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Do the work unless a thread has begun."""
        if not self._free.acquire(blocking=False):
            return
        work, self._work = self._work, None  # what it holds may be large
        assert work is not None
        try:
            self._results.append(work())
        except BaseException as error:
            self._error = error  # raised when the result is wanted; an interruption also at once
            if not isinstance(error, Exception):
                raise
        finally:
            self._done.set()

    @property
    def is_done(self) -> bool:
        """Whether its result or its error is there."""
        return self._done.is_set()

    def drop(self) -> None:
        """Let no thread begin, and wait for the one that has."""
        if not self._free.acquire(blocking=False):
            self._done.wait()

    def result(self) -> Result:
        """Return what the work returned, once, or raise what it raised.

        Until it is there, the calling thread does what no other has begun.
        """
        self.run()
        self._crew.help_until(self._done)
        if self._error is not None:
            raise self._error
        return self._results.pop()


class Crew(Closing):
    """Threads that share tasks, the calling one included; close it when done.

    With one thread, no other runs, and each task is done when it is given. Memory is what tasks
    hold that are not done: whoever gives them waits for the oldest result before there are many.
    With several, the process keeps freed memory, as `evreel.system.keep_memory` says.

    Parameters
    ----------
    threads
        How many work, the caller's included.

    Examples
    --------
    >>> with Crew(2) as crew:
    ...     tasks = [crew.begin(len, text) for text in ("a", "bb", "")]
    ...     [task.result() for task in tasks]
    [1, 2, 0]
    """

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._queue: SimpleQueue[Task[Any] | None] = SimpleQueue()
        self._closed = False
        if threads > 1:
            keep_memory()
        # Daemons: an interpreter that ends must not wait for a task of hours.
        self._others = [
            threading.Thread(target=_work, args=(self._queue,), name="evreel-crew", daemon=True)
            for _ in range(threads - 1)
        ]
        for thread in self._others:
            thread.start()
        self._ends = weakref.finalize(self, _end, self._queue, threads - 1)

    @property
    def is_open(self) -> bool:
        """Whether tasks are still done."""
        return not self._closed

    def begin(self, work: Callable[..., Result], *arguments: Any) -> Task[Result]:
        """Give a task to whoever is free."""
        task = Task(self, lambda: work(*arguments))
        if self._others:
            self._queue.put(task)
        else:
            task.run()
        return task

    def ahead(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Ahead[Item, Result]:
        """Return the results of work on items, in order; some more than threads are made ahead."""
        return Ahead(self, work, items)

    def one_ahead(self, items: Iterator[Item]) -> Generator[Item, None, None]:
        """Yield items of an iterator, of which the next is taken meanwhile; close it when done."""
        if not self._others:
            yield from items
            return
        task = self.begin(_first, items)
        try:
            while taken := task.result():
                task = self.begin(_first, items)
                yield taken[0]
        finally:
            task.drop()

    def sha256(self, path: Path) -> Hashing:
        """Begin to hash a file, beside other tasks; closing the crew breaks it off."""
        return Hashing(self, path)

    def help_until(self, done: threading.Event) -> None:
        """Do tasks that no thread has begun, until an event is set."""
        while not done.is_set():
            try:
                task = self._queue.get_nowait()
            except Empty:
                done.wait()
                continue
            if task is None:  # which is to end a thread
                self._queue.put(None)
                done.wait()
            else:
                task.run()

    def close(self) -> None:
        """Begin nothing more, wait for what is being done, and end the threads."""
        self._closed = True
        self._ends()
        for thread in self._others:
            thread.join()


def _first(items: Iterator[Item]) -> tuple[Item] | None:
    """Return the next item; None if there is none."""
    for item in items:
        return (item,)
    return None


def _work(queue: SimpleQueue[Task[Any] | None]) -> None:
    """Do tasks until there is None."""
    while (task := queue.get()) is not None:
        task.run()
        del task  # its result is another's


def _end(queue: SimpleQueue[Task[Any] | None], threads: int) -> None:
    """Drop what no thread has begun, and end the threads."""
    with contextlib.suppress(Empty):
        while True:
            queue.get_nowait()
    for _ in range(threads):
        queue.put(None)


class Ahead(Generic[Item, Result]):
    """Results of work on each of many items, in the order of these.

    Parameters
    ----------
    crew
        Who works. With one thread, nothing is done before it is asked for; else the first ones are
        begun at once, and items are taken as results are.
    work, items
        What is done, with what. An error in taking items comes at once.
    """

    def __init__(self, crew: Crew, work: Callable[[Item], Result], items: Iterable[Item]) -> None:
        self._crew, self._work, self._items = crew, work, iter(items)
        self._tasks: deque[Task[Result]] = deque()
        self._most = 0 if crew.threads == 1 else crew.threads + _MORE_AHEAD
        self._fill(self._most)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Result:
        self._fill(max(1, self._most))
        if not self._tasks:
            raise StopIteration
        return self._tasks.popleft().result()

    def _fill(self, most: int) -> None:
        while len(self._tasks) < most:
            try:
                item = next(self._items)
            except StopIteration:
                return
            self._tasks.append(self._crew.begin(self._work, item))


class Hashing:
    """The hash of a file, found a piece at a time: so it keeps no thread from other tasks for long.

    Parameters
    ----------
    crew
        Who does it; with one thread, that is whoever wants the digest, and not before.
    path
        The file.
    """

    def __init__(self, crew: Crew, path: Path) -> None:
        self._crew = crew
        self._path = path
        self._digest = hashlib.sha256()
        self._piece = memoryview(bytearray(_HASHED_BYTES))
        self._at = 0
        self._done = threading.Event()
        self._error: Exception | None = None
        if crew.threads > 1:
            crew.begin(self._go_on)

    def result(self) -> str:
        """Return ``sha256:<hex>``, or raise the error that reading it raised."""
        while self._crew.threads == 1 and not self._done.is_set():
            self._add()
        self._crew.help_until(self._done)
        if self._error is not None:
            raise self._error
        return f"sha256:{self._digest.hexdigest()}"

    def _add(self) -> None:
        try:
            with self._path.open("rb", buffering=0) as file:
                file.seek(self._at)
                size = file.readinto(self._piece) or 0
        except Exception as error:
            self._error = error
            size = 0
        self._digest.update(self._piece[:size])
        self._at += size
        if not size:
            self._done.set()

    def _go_on(self) -> None:
        self._add()
        if self._crew.is_open and not self._done.is_set():
            self._crew.begin(self._go_on)
