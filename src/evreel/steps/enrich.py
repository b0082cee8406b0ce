"""More values per window in a features file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evreel.errors import ParameterError, UsageError, foreign
from evreel.layout import FEATURES
from evreel.outputs import atomic
from evreel.steps.common import LOG, Steady

if TYPE_CHECKING:
    import numpy.typing as npt

NAME = "[A-Za-z0-9_][A-Za-z0-9_-]{0,99}"
"""Form of the name of added values."""

_MOST_DIMS = 32
_TAKEN = {array.name.partition("/")[0] for array in FEATURES.arrays}


def enrich(
    features: str | Path, arrays: Mapping[str, str | Path], *, replace: bool = False
) -> dict[str, tuple[int, ...]]:
    """Add a data set per name to a features file: a value, or an array, for each window.

    The file is replaced as a whole, once all is in it. Its frames stay as they are, byte by byte.

    Parameters
    ----------
    features
        The feature file.
    arrays
        Name → npy file with (N, …) numbers, row k for window k. Truth values become 0 and 1.
    replace
        Whether what has one of the names already is replaced; else it is an error.

    Returns
    -------
    Name → shape of what was added.

    Raises
    ------
    ParameterError
        If a name is not of the form `NAME`, or is taken.
    UsageError
        If an array does not have a number, or an array of numbers, for each window.
    LayoutError
        If the feature file cannot be read.
    """
    from evreel.files.extra import Added, copy_with
    from evreel.files.features import FeaturesFile

    features = Path(features)
    spelled: dict[str, str] = {}
    for name in arrays:
        if not re.fullmatch(NAME, name):
            raise ParameterError(
                f"{name!r} is not a valid name: letters, digits, _ and -, not beginning with -"
            )
        if name.casefold() in _TAKEN:
            raise ParameterError(
                f"{name!r} is what a features file calls something else", hint="Choose another."
            )
        first = spelled.setdefault(name.casefold(), name)
        if first != name:
            raise ParameterError(
                f"{first!r} and {name!r} differ only in their case", hint="Choose other names."
            )
    steady = Steady({"features": features, **{f"={name}": path for name, path in arrays.items()}})
    with FeaturesFile(features) as file:
        n = len(file)
        there = {name.casefold(): name for name in file.extra}
    for name in arrays:
        other = there.get(name.casefold())
        if other is not None and (other != name or not replace):
            raise ParameterError(
                f"it has {other!r} already",
                path=features,
                hint=f"Choose another name than {name!r}."
                if other != name
                else "Choose another name, or replace it: --replace.",
            )
    added = {
        name: Added(_numbers(Path(path), name, n), steady.digests[f"={name}"])
        for name, path in arrays.items()
    }
    with atomic(features) as (scratch,):
        copy_with(features, scratch, added)
        steady.check()
    shapes = {name: one.values.shape for name, one in added.items()}
    said = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    LOG.info("%s: added %s", features.name, said)
    return shapes


def _numbers(path: Path, name: str, n: int) -> npt.NDArray[Any]:
    """Return the array of an npy file, which is read when it is used."""
    from numpy.lib import format as npy_format

    with foreign(lambda why: UsageError(f"cannot be read as an npy file: {why}", path=path)):
        values = npy_format.open_memmap(path, mode="r")
    if values.dtype.kind not in "biuf" or values.dtype.itemsize > 8:
        raise UsageError(f"holds {values.dtype}; numbers are expected", path=path, place=name)
    if values.ndim > _MOST_DIMS:
        raise UsageError(
            f"has {values.ndim} dimensions; HDF5 has up to {_MOST_DIMS}", path=path, place=name
        )
    if values.ndim == 0 or len(values) != n:
        raise UsageError(
            f"has shape {values.shape}; the first dimension must be {n}, one row per window",
            path=path,
            place=name,
        )
    return values
