"""Text of people and for them: text files, names compared and listed, counts, sizes in bytes."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from evreel.errors import AnnotationError

_DEVICE = re.compile("con|prn|aux|nul|(com|lpt)[0-9¹²³]", re.IGNORECASE)


def nfc(name: str) -> str:
    r"""Return a name as it is compared and written: é is one character, not e and an accent.

    Names that look the same may be spelled in two ways, of which some systems and programs prefer
    one: labels, classes, groups, samples, members of archives, and files.

    Examples
    --------
    >>> nfc("cafe\u0301") == "café"
    True
    """
    return unicodedata.normalize("NFC", name)


def is_reserved(name: str) -> bool:
    """Tell whether Windows can have no file or folder of this name.

    Examples
    --------
    >>> [name for name in ("aux", "Con.h5", "com1", "console", "a.", "a") if is_reserved(name)]
    ['aux', 'Con.h5', 'com1', 'a.']
    """
    return name.endswith((".", " ")) or bool(_DEVICE.fullmatch(name.partition(".")[0].rstrip(" ")))


def on_disk(path: str | Path) -> Path:
    """Return a path as the disk spells it, if the same name is there in the other spelling.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "cafe\u0301.npz").touch()
    >>> on_disk(folder / "café.npz").exists()
    True
    """
    path = Path(path)
    found = Path(path.anchor)
    for part in path.relative_to(path.anchor).parts:
        try:
            there = (found / part).exists()
            names = {} if there else _spelled(found, found.stat().st_mtime_ns)
            same = names.get(nfc(part), [])
        except (OSError, ValueError):
            return path
        if not there and len(same) != 1:
            return path
        found /= part if there else same[0]
    return found


@functools.cache
def _spelled(folder: Path, changed_ns: int) -> dict[str, list[str]]:
    """Return names in a folder as they are compared → as they are spelled.

    It is read again only when it has changed, which `changed_ns` tells.
    """
    names: dict[str, list[str]] = {}
    for entry in folder.iterdir():
        names.setdefault(nfc(entry.name), []).append(entry.name)
    return names


def read_text(path: str | Path) -> str:
    """Return the text of a file in UTF-8, without a byte order mark.

    Raises
    ------
    AnnotationError
        If it cannot be read, or is not UTF-8.
    """
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise AnnotationError(f"cannot be read: {error.strerror}", path=path) from error
    except UnicodeDecodeError as error:
        raise AnnotationError("is not UTF-8", path=path, hint="Save it as UTF-8.") from error


def read_list(path: str | Path) -> list[tuple[int, str]]:
    """Return line and name of each row of a data set's list, one name per line.

    Empty lines and lines that begin with ``#`` are left out.

    Raises
    ------
    AnnotationError
        If it cannot be read, or is not UTF-8.
    """
    rows = [(line, row.strip()) for line, row in enumerate(read_text(path).splitlines(), start=1)]
    return [(line, row) for line, row in rows if row and not row.startswith("#")]


def listed(names: Iterable[str], most: int) -> str:
    """Return names as a text: the first `most` of them, and how many others there are.

    Examples
    --------
    >>> listed(["a", "b"], 3), listed("abcde", 3)
    ('a, b', 'a, b, c and 2 more')
    """
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def counted(n: int, what: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "event"), counted(1200, "box"), counted(2, "entry")
    ('1 event', '1,200 boxes', '2 entries')
    """
    if n == 1:
        return f"1 {what}"
    if what.endswith("ry"):
        return f"{n:,} {what[:-1]}ies"
    return f"{n:,} {what}{'es' if what.endswith(('x', 's')) else 's'}"


def size_text(n_bytes: float) -> str:
    """Return a number of bytes as people read it, in powers of 1000: three figures at most.

    Examples
    --------
    >>> size_text(0), size_text(999), size_text(812_000), size_text(3_412_000), size_text(12.3e6)
    ('0 B', '999 B', '812 kB', '3.4 MB', '12.3 MB')
    """
    if n_bytes < 999.5:
        return f"{n_bytes:.0f} B"
    value, unit = n_bytes / 1e3, "kB"
    for larger in ("MB", "GB", "TB", "PB"):
        if value < 999.5:  # else it would be rounded to 1000
            break
        value, unit = value / 1e3, larger
    return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"
