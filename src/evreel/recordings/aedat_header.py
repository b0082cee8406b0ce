"""What AEDAT 2.0 and 3.1 share: a header of text lines, and the cameras that it may name.

A header line begins with ``#``, holds no control characters but tabs, and ends with CRLF; some
writers end it with LF alone. The binary data after the header may also begin with the byte of
``#`` (0x23): bytes that do not continue as such a line are not a header line.

Names and sizes of cameras: https://docs.inivation.com, AEDAT file formats, supported devices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from evreel.events import Sensor
from evreel.system import read_at

HEADER_LIMIT = 1 << 22
"""Size limit of a header, bytes; jAER's, with every preference in it, have 0.2 million."""

_READ_BYTES = 1 << 16
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f]")
_CAMERAS = (
    # name as documented or of jAER's class, then (height, width)
    (r"dvs128|tmpdiff128", Sensor(128, 128)),
    (r"davis240[abc]?|sbret[12][01]", Sensor(180, 240)),
    (r"davis346\w*|davi346", Sensor(260, 346)),
    (r"davis640(mono|rgb)?", Sensor(480, 640)),
)


def header_lines(file: int) -> Iterator[tuple[bytes, int]]:
    """Yield the header lines at the beginning of a file.

    Parameters
    ----------
    file
        A file descriptor.

    Yields
    ------
    The line without its ending, and the byte of the file where it stops.

    Raises
    ------
    EOFError
        If the file ends, or `HEADER_LIMIT` is reached, in the middle of a line. Its argument
        is the byte where that line begins.
    """
    text, start = b"", 0
    while True:
        found = _CONTROL.search(text, start)
        undecided = found is None or (found[0] == b"\r" and found.end() == len(text))
        if undecided and text[start : start + 1] in (b"", b"#") and len(text) < HEADER_LIMIT:
            more = read_at(file, _READ_BYTES, len(text))
            text += more
            if more:
                continue
        if text[start : start + 1] != b"#":
            return
        if found is None or undecided:
            raise EOFError(start)
        stop, end = found.span()
        if text[stop : stop + 2] == b"\r\n":
            end += 1
        elif found[0] != b"\n":
            return
        yield text[start:stop], end
        start = end


def header_text(header: bytes) -> str:
    """Return a header as text: UTF-8, or else Latin-1, which Windows wrote."""
    try:
        return header.decode()
    except UnicodeDecodeError:
        return header.decode("latin-1")


def camera_size(name: str) -> Sensor | None:
    """Return the size of a camera's sensor; None if the camera is unknown.

    Examples
    --------
    >>> camera_size("DAVIS240C"), camera_size("File")
    (Sensor(height=180, width=240), None)
    """
    for pattern, size in _CAMERAS:
        if re.fullmatch(pattern, name.strip(), re.IGNORECASE):
            return size
    return None
