"""What some systems have and others have not: locks, bytes at a place of a file, kept memory."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import threading
from collections.abc import Iterator
from typing import IO, Any

CLOSED_IN_OTHERS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""For `os.open`: bytes as they are, and no program that is started inherits the file."""
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
"""For `os.open`: fail if the path is a link."""

HAS_PLACES = hasattr(os, "preadv")
"""Whether threads can read one file at different bytes at a time."""
_ONE_AT_A_TIME = threading.Lock()
_TRIM_BYTES, _ASK_BYTES = (-1, 1 << 27), (-3, 1 << 25)
"""Numbers of glibc's settings, and what they become: the free bytes at the end of a heap that it
keeps, and the least bytes of an array that it asks of the system, the most that it takes."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def lock(file: IO[Any], *, wait: bool = False) -> bool:
    """Lock an open file against all that lock it too; at the latest, it ends with the process.

    Parameters
    ----------
    wait
        Whether to wait until nobody else holds it.

    Returns
    -------
    Whether it is locked: false where there are no locks, as on some network disks and on Windows.

    Raises
    ------
    BlockingIOError
        If another holds it, and we do not wait.
    OSError
        If the system refuses for another reason.
    """
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def read_at(file: int, size: int, at: int) -> bytes:
    """Return up to `size` bytes of a file that begin at one, whichever byte others are at."""
    if HAS_PLACES:
        return os.pread(file, size, at)
    with _moved(file, at):
        return os.read(file, size)


def fill_at(file: int, buffer: memoryview, at: int) -> int:
    """Fill a buffer with bytes of a file that begin at one; return how many there were."""
    if HAS_PLACES:
        return os.preadv(file, [buffer], at)
    data = read_at(file, len(buffer), at)
    buffer[: len(data)] = data
    return len(data)


def write_at(file: int, data: memoryview, at: int) -> int:
    """Write bytes of a file that begin at one; return how many were written."""
    if HAS_PLACES:
        return os.pwrite(file, data, at)
    with _moved(file, at):
        return os.write(file, data)


def begin_storing(file: int, start: int, stop: int) -> None:
    """Let the system begin to bring bytes of a file that were written to the disk; do not wait.

    What is left for ``fsync`` is then little. It is advice: a system may not follow it.
    """
    if hasattr(os, "posix_fadvise"):
        # Linux begins to write what is dirty there. It forgets what the disk has, which is nothing
        # yet of what was just written.
        with contextlib.suppress(OSError):
            os.posix_fadvise(file, start, stop - start, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def _moved(file: int, at: int) -> Iterator[None]:
    """Be at a byte of a file, alone among threads, and go back to where it was."""
    with _ONE_AT_A_TIME:
        before = os.lseek(file, 0, os.SEEK_CUR)
        os.lseek(file, at, os.SEEK_SET)
        try:
            yield
        finally:
            os.lseek(file, before, os.SEEK_SET)


@functools.cache
def keep_memory() -> None:
    """Let the process keep memory that is freed, up to 128 MB for each thread; only on Linux.

    Else threads that work on arrays of some megabytes give each one back to the system, which fills
    its memory with zeros when the next one asks: up to a fifth of the time of two threads, and
    40,000 page faults for 10 M events of AEDAT 4.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for setting in (_TRIM_BYTES, _ASK_BYTES):
            mallopt(*setting)
