"""Metavision's ``histo_quantized``: saturating event counts that share the bits of a byte."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, Frame, OfPolarities
from evreel.settings import Place, setting


@dataclass(frozen=True)
class HistoQuantized(OfPolarities):
    """Metavision's ``histo_quantized``: counts by polarity that stay at their largest value.

    OFF events, in channel 0, count to 2^n − 1, and ON events, in channel 1, to 2^(m − n) − 1, where
    n is `negative_bit_length` and m is `total_bit_length`. Counts are uint8. With `normalization`
    they are divided by the larger of the two limits, and are float32.

    Where 2^d × 2^d pixels are brought together, an event adds 1 / 4^d with `normalization`, and a
    whole count without.

    Parameters
    ----------
    negative_bit_length
        Bits for the count of OFF events.
    total_bit_length
        Bits for both counts.
    normalization
        Whether to divide by the larger limit.

    References
    ----------
    Metavision SDK ML, ``metavision_ml.preprocessing``,
    https://docs.prophesee.ai/stable/api/python/ml/preprocessing.html.

    Examples
    --------
    Four OFF events, of which two bits count three, and two ON events.

    >>> from evreel.representations import tensor
    >>> from evreel.windows import Count
    >>> events = Events(range(6), [0] * 6, [0] * 6, [0, 0, 0, 0, 1, 1], Sensor(1, 1))
    >>> windows = Count(6).plan(6, lambda rows: events.t[rows])
    >>> tensor(HistoQuantized(negative_bit_length=2), events, windows).ravel().tolist()
    [3, 2]
    """

    name: ClassVar[str] = "histo_quantized"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Metavision SDK ML, preprocessing: histo_quantized"
    unit: ClassVar[str] = "events"

    negative_bit_length: int = setting(4, "Bits for the count of OFF events.", minimum=1, maximum=8)
    total_bit_length: int = setting(8, "Bits for both counts.", minimum=2, maximum=16)
    normalization: bool = setting(False, "Whether to divide by the larger limit.")

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) if the bits left for ON events are none, or more than 8."""
        left = self.total_bit_length - self.negative_bit_length
        if not 1 <= left <= 8:
            yield (
                ("negative_bit_length",),
                f"total_bit_length={self.total_bit_length} and "
                f"negative_bit_length={self.negative_bit_length} leave {left} bits for the count "
                "of ON events; 1 to 8 are expected",
            )

    @property
    def dtype(self) -> str:
        """uint8; float32 with `normalization`."""
        return "float32" if self.normalization else "uint8"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what counts, with its own frame."""
        return _Counts(self, sensor, repairs)


class _Counts(Accumulator):
    def __init__(
        self, histo: HistoQuantized, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> None:
        from evreel.kernels.metavision import add_up_to

        super().__init__(histo, sensor, repairs)
        bits = (histo.negative_bit_length, histo.total_bit_length - histo.negative_bit_length)
        self._most = np.array([2**n - 1 for n in bits], dtype=self.frame.dtype)
        self._normalized = histo.normalization
        self._add = add_up_to

    def accumulate(self, events: Events) -> None:
        step = self.frame.dtype.type(self.weight if self._normalized else 1)
        self._add(events.x, events.y, events.p, step, self._most, self.frame)

    def finish(self) -> Frame:
        if self._normalized:
            self.frame /= self._most.max()
        return super().finish()
