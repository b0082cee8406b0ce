"""Files that stay open between reads, in each process its own."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from evreel.closing import Closing

MOST_OPEN = 64
"""Files that stay open when not in use: a process may have 256 on macOS, 1024 on Linux."""

_File = TypeVar("_File", bound=Closing)


class KeptOpen:
    """What was opened, by name: the most recently used stay open, any other while it is in use.

    It serves several threads. A process that is forked, and whoever unpickles it, opens files of
    its own.
    """

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._recent: OrderedDict[str, Closing] = OrderedDict()
        self._open: weakref.WeakValueDictionary[str, Closing] = weakref.WeakValueDictionary()

    def __reduce__(self) -> tuple[Any, ...]:
        return KeptOpen, ()

    def get(self, name: str, open_: Callable[[], _File]) -> _File:
        """Return what has a name, opened before or now by `open_`."""
        if self._process != os.getpid():  # forked: files must not be shared with the parent
            self._start()
        with self._lock:
            found: Any = self._open.get(name)
            if found is None or not found.is_open:
                found = open_()
                self._open[name] = found
            self._recent[name] = found
            self._recent.move_to_end(name)
            if len(self._recent) > MOST_OPEN:
                self._recent.popitem(last=False)
        made: _File = found
        return made

    def close(self) -> None:
        """Close what is open."""
        for file in list(self._open.values()):
            file.close()
        self._start()
