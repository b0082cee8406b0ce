"""The 40-bit events of the ATIS data sets N-MNIST and N-Caltech101, ``.bin``: read.

A file is words of 5 bytes from its first byte on, big-endian, and nothing else.

=========  ========================================================================================
bits       of a word, 39 being the highest of its first byte
39 to 32   x
31 to 24   y; 240, which is below the sensor's last row, makes the word one of overflow
23         polarity (1 ON)
22 to 0    time, µs; the words after each one of overflow are 2¹³ µs later than they say
=========  ========================================================================================

No first bytes tell this format, so it is told by the suffix ``.bin`` where no other format's first
bytes are there. Those of other formats go before the suffix, but for the two of Prophesee's header,
``% ``, which are those of an event at x = 37, y = 32 too: they are taken for a header where text
goes on after them, which is an event only after 2 s. Whether a file is what its suffix says, shows
in its words: one that is another has events outside the sensor, or out of order. A size that is no
multiple of 5 is damage: the last word is cut.

The sensor's size is not stated: 34x34 for N-MNIST; N-Caltech101's recordings have at most 240x180.

Sources: https://www.garrickorchard.com/datasets/n-mnist for the bits; its author's Python code,
https://github.com/gorchard/event-Python, for words of overflow.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from evreel.errors import UnknownFormatError
from evreel.events import Sensor
from evreel.recordings.decoded import PIECE_ROWS, DecodedRecording, Piece, Side

_WORD_BYTES = 5
_OVERFLOW_ROW = 240
_OVERFLOW_BITS = 13


class Aer40Recording(DecodedRecording):
    """A recording of 40-bit events; `repairs` counts ``skipped_overflow_words``.

    Parameters
    ----------
    path, stream, reading
        As of `DecodedRecording`.
    sensor
        Its size, which these files never state.

    Raises
    ------
    UnknownFormatError
        Where no size is given: then no more than its suffix says that this is such a file.
    """

    format = "aer40"

    def _open(self) -> Sensor | None:
        if self._given is None:
            raise UnknownFormatError(
                "is by its name, .bin, a recording of 40-bit events, as of N-MNIST, which do not "
                "state the sensor's size",
                path=self.path,
                offset=0,
                hint="If it is one, give the size (column sensor of the table, --sensor by hand): "
                "34x34 for N-MNIST, 240x180 for N-Caltech101.",
            )
        return None

    def _pieces(self) -> Iterator[Piece | Side]:
        at, later = 0, 0
        # These files are small and come by the ten thousand: no more room than one needs.
        buffer = np.empty((min(PIECE_ROWS, self._size // _WORD_BYTES + 1), _WORD_BYTES), np.uint8)
        while at < self._size:
            try:
                size = os.preadv(self._file.fileno(), [buffer.data], at)
            except OSError as error:
                self._fail(f"can't be read: {error.strerror}", at)
            n = size // _WORD_BYTES
            if n == 0:
                self._fail(f"the file ends after {size} of a word's {_WORD_BYTES} bytes", at)
            # Times stay below the 2⁵³ µs of `FARTHEST` up to files of 5 TB.
            words = buffer[:n]
            t = words[:, 2].astype(np.int64) & 0x7F
            t = t << 16 | words[:, 3].astype(np.int64) << 8 | words[:, 4]
            x, y, p = words[:, 0].copy(), words[:, 1].copy(), (words[:, 2] > 0x7F).view(np.uint8)
            t += later << _OVERFLOW_BITS
            overflow = y == _OVERFLOW_ROW
            number = int(np.count_nonzero(overflow))
            first = 0
            if number:
                t += np.cumsum(overflow, dtype=np.int64) << _OVERFLOW_BITS
                t, x, y, p = (column[~overflow] for column in (t, x, y, p))
                first = int(np.argmin(overflow))
                later += number
                self.repairs["skipped_overflow_words"] = later
            yield Piece(t, x, y, p, at + _WORD_BYTES * first)
            at += _WORD_BYTES * n
