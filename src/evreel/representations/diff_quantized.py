"""Metavision's ``diff_quantized``: ON events less OFF events of each pixel, in a few bits."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, Frame, Representation
from evreel.representations.channels import Legend, singles
from evreel.settings import setting


@dataclass(frozen=True)
class DiffQuantized(Representation):
    """Metavision's ``diff_quantized``: ON events add 1, OFF events subtract 1, within n bits.

    A value stays within −2^(n − 1) and 2^(n − 1) − 1, event by event, where n is
    `negative_bit_length`. Values are int8. With `normalization` they are divided by 2^(n − 1), and
    are float32.

    Where 2^d × 2^d pixels are brought together, an event adds 1 / 4^d with `normalization`, and a
    whole count without.

    Parameters
    ----------
    negative_bit_length
        Bits of a value with its sign.
    normalization
        Whether to divide by the larger limit.

    References
    ----------
    Metavision SDK ML, ``metavision_ml.preprocessing``,
    https://docs.prophesee.ai/stable/api/python/ml/preprocessing.html.

    Examples
    --------
    Four ON events, of which two bits count one, and then two OFF events.

    >>> from evreel.representations import tensor
    >>> from evreel.windows import Count
    >>> events = Events(range(6), [0] * 6, [0] * 6, [1, 1, 1, 1, 0, 0], Sensor(1, 1))
    >>> windows = Count(6).plan(6, lambda rows: events.t[rows])
    >>> tensor(DiffQuantized(negative_bit_length=2), events, windows).ravel().tolist()
    [-1]
    """

    name: ClassVar[str] = "diff_quantized"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Metavision SDK ML, preprocessing: diff_quantized"
    unit: ClassVar[str] = "events"

    negative_bit_length: int = setting(8, "Bits of a value with its sign.", minimum=1, maximum=8)
    normalization: bool = setting(False, "Whether to divide by the larger limit.")

    @property
    def channels(self) -> int:
        """One."""
        return 1

    @property
    def legend(self) -> Legend:
        """Polarities, added up."""
        return singles(signed=True)

    @property
    def dtype(self) -> str:
        """int8; float32 with `normalization`."""
        return "float32" if self.normalization else "int8"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what adds up polarities, with its own frame."""
        return _Differences(self, sensor, repairs)


class _Differences(Accumulator):
    def __init__(
        self, diff: DiffQuantized, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> None:
        from evreel.kernels.metavision import add_signed_up_to

        super().__init__(diff, sensor, repairs)
        limit = 2 ** (diff.negative_bit_length - 1)
        number = self.frame.dtype.type
        self._least, self._most = number(-limit), number(limit - 1)
        self._normalized = diff.normalization
        self._add = add_signed_up_to

    def accumulate(self, events: Events) -> None:
        step = self.frame.dtype.type(self.weight if self._normalized else 1)
        columns = (events.x, events.y, events.p)
        self._add(*columns, step, self._least, self._most, self.frame)

    def finish(self) -> Frame:
        if self._normalized:
            self.frame /= -self._least
        return super().finish()
