"""Files that stay open for reading: each is opened once per process, however often it is asked for.

The most recently used ones stay open; any other closes when it is no longer in use.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from evreel.files.hdf5 import Opened

_File = TypeVar("_File", bound="Opened")


class OpenFiles:
    """Open files by key. It may be shared by threads; a copy in another process opens its own.

    Parameters
    ----------
    kept
        How many stay open when not in use.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._recent: OrderedDict[Hashable, Opened] = OrderedDict()
        self._open: weakref.WeakValueDictionary[Hashable, Opened] = weakref.WeakValueDictionary()

    def __reduce__(self) -> tuple[Any, ...]:
        return OpenFiles, (self._kept,)

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
            if len(self._recent) > self._kept:
                self._recent.popitem(last=False)
        made: _File = found
        return made

    def close(self) -> None:
        """Close what is open."""
        for file in list(self._open.values()):
            file.close()
        self._start()
