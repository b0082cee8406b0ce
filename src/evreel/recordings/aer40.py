"""Read the 40-bit events of the ATIS data sets N-MNIST and N-Caltech101, ``.bin``.

A file consists of big-endian words of 5 bytes and nothing else.

=========  ========================================================================================
bits       of a word, 39 being the highest of its first byte
39 to 32   x
31 to 24   y; 240, which is below the sensor's last row, marks an overflow word
23         polarity (1 ON)
22 to 0    time, µs; after each overflow word, words are 2¹³ µs later than they say
=========  ========================================================================================

The format has no first bytes of its own. It is recognized by the suffix ``.bin``, or where it is
stated, unless the file begins like another format. Prophesee's header, ``% ``, may also be an event
at x = 37, y = 32: it is taken for a header if text follows, which in an event would mean a time
after 2 s. A file with this suffix but other contents shows events outside the sensor, or out of
order. A size that is not a multiple of 5 is damage: the last word is cut.

The sensor's size is not stated: 34x34 for N-MNIST; N-Caltech101's recordings have at most 240x180.

Sources: https://www.garrickorchard.com/datasets/n-mnist for the bits; its author's Python code,
https://github.com/gorchard/event-Python, for overflow words.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evreel.events import Sensor
from evreel.recordings.decoded import PIECE_ROWS, SIZE_SAID, DecodedRecording
from evreel.recordings.pieces import Piece, Side

_WORD_BYTES = 5
_OVERFLOW_ROW = 240
_OVERFLOW_BITS = 13


class Aer40Recording(DecodedRecording):
    """A recording of 40-bit events; `repairs` counts ``skipped_overflow_words``.

    Parameters
    ----------
    path, stream, reading
        As in `DecodedRecording`.
    sensor
        The sensor's size, which these files never state.

    Raises
    ------
    UnknownFormatError
        If no size is given: only the suffix, or a statement, says that this is such a file.
    """

    format = "aer40"

    def _open(self) -> Sensor | None:
        if self._given is None:
            by = "its name, .bin," if self.path.suffix.lower() == ".bin" else "the stated format,"
            self._refuse(
                f"is, by {by} a recording of 40-bit events, as in N-MNIST; these do not state the "
                "sensor's size",
                0,
                hint=f"If it is one, give the size ({SIZE_SAID}): 34x34 for N-MNIST, 240x180 for "
                "N-Caltech101.",
            )
        return None

    def _pieces(self) -> Iterator[Piece | Side]:
        at, later = 0, 0
        # These files are small and come by the ten thousand: take no more room than one needs.
        buffer = np.empty((min(PIECE_ROWS, self._size // _WORD_BYTES + 1), _WORD_BYTES), np.uint8)
        while at < self._size:
            size = self._fill(buffer.data, at)
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
                self._count("skipped_overflow_words", number)
            yield Piece(t, x, y, p, at + _WORD_BYTES * first)
            at += _WORD_BYTES * n
