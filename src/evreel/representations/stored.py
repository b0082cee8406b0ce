"""The type in which a frame's values are stored, and what is lost by it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError

Store = Literal["float32", "float16", "uint8"]
"""Types of stored values that a feature may be asked for."""

SATURATED = "stored_saturated"
"""In `repairs`: how many values were beyond the range of the stored type, and became its end."""

_STEPS = 255


@dataclass(frozen=True)
class Stored:
    """A type of stored values.

    float32 and float16 hold the nearest such number, of two equally near ones the even one. uint8
    holds a number of steps: round(value / scale), half to even. A value beyond the type's range
    becomes the end of the range (of float16, ±65,504), and is counted.

    Parameters
    ----------
    dtype
        ``float32``, ``float16`` or ``uint8``.
    scale
        Of uint8: the value of one step. None: 1 for representations of whole numbers; for others
        1/255, which spreads [0, 1] over all steps: round(255 · value), as Metavision's
        ``store_as_uint8``, with the product in the type of the value.

    Raises
    ------
    ParameterError
        If the type is none of these, or the scale is not a positive number, or not one of uint8.

    Examples
    --------
    >>> frame, out = np.array([0, 0.5, 1.5], dtype=np.float32), np.empty(3, dtype=np.uint8)
    >>> Stored("uint8").apply(frame, out), out.tolist()
    (1, [0, 128, 255])
    >>> Stored("uint8", 0.25).apply(frame, out), out.tolist()
    (0, [0, 2, 6])
    """

    dtype: Store
    scale: float | None = None

    def __post_init__(self) -> None:
        if self.dtype not in get_args(Store):
            raise ParameterError(f"store={self.dtype!r} is not one of {', '.join(get_args(Store))}")
        if self.scale is None:
            return
        if self.dtype != "uint8":
            raise ParameterError(
                f"scale={self.scale} does not go with store: {self.dtype}; it belongs to uint8"
            )
        if not 0 < self.scale < float("inf"):
            raise ParameterError(f"scale={self.scale} is not a positive number")

    def scale_of(self, computed: npt.DTypeLike) -> float | None:
        """Return the value of one step, None where numbers are stored as they are.

        Parameters
        ----------
        computed
            Type in which the representation computes.
        """
        if self.dtype != "uint8":
            return None
        if self.scale is not None:
            return float(self.scale)
        return 1.0 if np.dtype(computed).kind in "iub" else 1 / _STEPS

    def attributes(self, computed: npt.DTypeLike) -> Mapping[str, Any]:
        """Return what a features file says of its stored values, as attributes of ``data``."""
        scale = self.scale_of(computed)
        said: dict[str, Any] = {"computed_dtype": np.dtype(computed).name}
        if scale is None:
            return said
        as_metavision = self.scale is None and scale != 1
        return said | {"store_scale": scale} | ({"store_as_uint8": True} if as_metavision else {})

    def each(
        self, shape: tuple[int, int, int], repairs: MutableMapping[str, int]
    ) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
        """Return a function that stores frame after frame in one array, and counts in `repairs`."""
        out = np.empty(shape, dtype=self.dtype)
        finished = out.view()
        finished.flags.writeable = False
        repairs[SATURATED] = repairs.get(SATURATED, 0)

        window = itertools.count()

        def stored(frame: npt.NDArray[Any]) -> npt.NDArray[Any]:
            place = f"window {next(window)}"
            try:
                repairs[SATURATED] += self.apply(frame, out)
            except ParameterError as error:
                raise ParameterError(error.problem, place=place, hint=error.hint) from error
            return finished

        return stored

    def apply(self, frame: npt.NDArray[Any], out: npt.NDArray[Any]) -> int:
        """Store a frame's values in `out`; return how many were beyond the range.

        Parameters
        ----------
        frame
            (C, H, W), numbers; it is left as it is.
        out
            Of the same shape and of this type.

        Raises
        ------
        ParameterError
            If a value is NaN, which uint8 cannot hold.
        """
        if self.dtype != "uint8":
            with np.errstate(over="ignore"):
                np.copyto(out, frame, casting="unsafe")
            beyond = np.isinf(out)
            n = int(np.count_nonzero(beyond))
            if n:
                out[beyond] = np.copysign(np.finfo(out.dtype).max, out[beyond])
            return n
        from evreel.kernels.stored import divided, multiplied

        values = np.ascontiguousarray(frame).reshape(-1)
        if values.dtype == np.float16:  # which no kernel takes
            values = values.astype(np.float32)
        stored = out.reshape(-1)
        if self.scale is None and values.dtype.kind == "f":
            saturated, no_number = multiplied(values, values.dtype.type(_STEPS), stored)
        else:
            saturated, no_number = divided(values, float(self.scale or 1), stored)
        if no_number:
            raise ParameterError(
                f"{no_number} values are NaN, which uint8 cannot hold",
                hint="Let the representation give numbers, or store float16 or float32.",
            )
        return int(saturated)
