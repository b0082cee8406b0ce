"""Compiled kernels on the disk, compiled once where many processes start together.

numba keeps them beside their source file, or in ``NUMBA_CACHE_DIR``; it lets every process that
finds nothing there compile, and saves an index before the code that it lists. Here, the first
process leaves a mark beside the cache until it has saved; the others wait for that.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache

LONGEST_S = 60.0
"""How long a process waits for another: the mark of one that has ended elsewhere is removed."""

_FIRST_S, _LAST_S = 0.02, 1.0  # between looks: each takes 1.5 times as long as the one before


class SharedCache:
    """numba's cache of a function, which one process fills at a time.

    It takes the place of numba's own (`numba.core.caching.FunctionCache`) in a dispatcher.

    Parameters
    ----------
    function
        The function as it is in its source file.

    Raises
    ------
    RuntimeError
        If no folder is writable: neither ``NUMBA_CACHE_DIR``, nor that of the source file, nor the
        user's cache folder.
    """

    def __init__(self, function: Any) -> None:
        made: Any = FunctionCache
        self._cache = made(function)
        self.cache_path: str = self._cache.cache_path
        self.flush: Callable[[], None] = self._cache.flush
        code = function.__code__
        name = f"{Path(code.co_filename).stem}.{function.__name__}-{code.co_firstlineno}.compiling"
        self._mark = Path(self.cache_path, name)
        self._is_marked = False

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return what is compiled for types of arguments, or None: the caller compiles it then.

        If it is not there and another process is compiling, wait for that.
        """
        found = self._cache.load_overload(signature, context)
        while found is None and not self._is_marked and self._wait():
            begun = self._begin()
            # Another may have ended since we looked.
            found = self._cache.load_overload(signature, context)
            if begun:
                if found is not None:
                    self._end()
                break
        return found

    def save_overload(self, signature: Any, made: Any) -> None:
        """Keep what was compiled, and let others have it."""
        try:
            self._cache.save_overload(signature, made)
        finally:
            self._end()

    def _begin(self) -> bool:
        """Leave our mark; return whether there was no other. Without a place for it, go on."""
        try:
            with self._mark.open("x", encoding="ascii", errors="replace", newline="\n") as file:
                file.write(_me())
        except FileExistsError:
            return False
        except OSError:
            return True
        self._is_marked = True
        atexit.register(self._end)  # if it cannot be compiled
        return True

    def _end(self) -> None:
        if self._is_marked:
            self._is_marked = False
            self._mark.unlink(missing_ok=True)
            atexit.unregister(self._end)

    def _wait(self) -> bool:
        """Wait while another process compiles; return whether its mark is gone."""
        whose, since, pause = "", time.monotonic(), _FIRST_S
        while True:
            try:
                now = self._mark.read_text(encoding="ascii", errors="replace")
            except FileNotFoundError:
                return True
            except OSError:
                now = "not readable"
            if now != whose:
                whose, since = now, time.monotonic()
            if _has_ended(whose) or time.monotonic() - since > LONGEST_S:
                with contextlib.suppress(OSError):
                    self._mark.unlink(missing_ok=True)
                    return True
                return False
            time.sleep(pause)
            pause = min(1.5 * pause, _LAST_S)


def _me() -> str:
    return f"{platform.node()} {os.getpid()}"


def _has_ended(mark: str) -> bool:
    """Tell whether a mark is of a process of this machine that is no longer there."""
    node, _, number = mark.rpartition(" ")
    if node != platform.node() or not number.isdigit():
        return False
    if os.name == "nt":  # where `os.kill` ends a process, whatever the signal
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
