"""Text files that people and data sets write: their text, and lists of names."""

from __future__ import annotations

from pathlib import Path

from evreel.errors import AnnotationError


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
