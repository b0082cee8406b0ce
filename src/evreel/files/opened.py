"""Files that stay open for reading: each is opened once per process, however often it is asked for.

The most recently used ones stay open; any other closes when it is no longer in use.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from evreel.closing import Closing

MOST_OPEN = 64
"""Files that stay open when not in use: a process may have 256 on macOS, 1024 on Linux."""

_File = TypeVar("_File", bound=Closing)


class OpenFiles:
    """Open files by key. It may be shared by threads; a copy in another process opens its own."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._recent: OrderedDict[Hashable, Closing] = OrderedDict()
        self._open: weakref.WeakValueDictionary[Hashable, Closing] = weakref.WeakValueDictionary()

    def __reduce__(self) -> tuple[Any, ...]:
        return OpenFiles, ()

    def get(self, key: Hashable, opening: Callable[[], _File]) -> _File:
        """Return what is open under a key, or else open it."""
        if self._process != os.getpid():  # forked: files must not be shared with the parent
            self._start()
        with self._lock:
            found: Any = self._open.get(key)
            if found is None or not found.is_open:
                found = opening()
                self._open[key] = found
            self._recent[key] = found
            self._recent.move_to_end(key)
            if len(self._recent) > MOST_OPEN:
                self._recent.popitem(last=False)
        made: _File = found
        return made

    def close(self) -> None:
        """Close what is open."""
        for file in list(self._open.values()):
            file.close()
        self._start()
