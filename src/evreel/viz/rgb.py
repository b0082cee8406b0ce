"""Frames of any representation as pictures of red, green and blue.

A pixel shows how far its value is from that of a pixel without events, which is zero for most
representations. A picture has one scale for all of its pixels: `limit`, the distance at full
colour. It is the one at rank ⌊0.95 · (n − 1)⌋ of the n distances that are finite and not zero, in
ascending order. So of two or more the largest never sets it, a few hot pixels leave the rest as
visible as before, and nothing depends on anything but the frame. What is beyond the limit has full
colour.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError
from evreel.representations import Feature, Representation, create
from evreel.representations.base import Viz
from evreel.representations.channels import Channel, Legend, guessed
from evreel.settings import Settings, setting
from evreel.video.canvas import Canvas, Colour, Theme
from evreel.video.labelled import LOOKS, colour_of

if TYPE_CHECKING:
    from evreel.files.features import FeaturesFile

Image = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float64]
Arrangement = Literal["sum", "montage"]

Of: TypeAlias = "Representation | Feature | FeaturesFile | Meaning | Legend | str | None"
"""What frames are of: a representation, alone or of a feature; its name, for its default
parameters; a features file; or what its channels hold. None guesses that from their number."""


GAP_PX = 2
"""Between the pictures of a montage."""

_SHARE = (19, 20)  # 0.95, as whole numbers: a rank must not depend on how a product is rounded
_MOST = 255
_SHAPE = 4 / 3


@dataclass(frozen=True, kw_only=True)
class Colouring(Settings):
    """How frames become colours."""

    channels: Arrangement = setting(
        "sum",
        "Frames of several bins, stacks or windows. sum: added up, OFF and ON apart; montage: side "
        "by side.",
    )
    theme: Theme = setting("dark", "Background: dark or light.")
    limit: float | None = setting(
        None,
        "Value at full colour; null takes the one that 95 % of the values are below, pixels "
        "without events left out.",
        above=0,
        help="Value at full colour; default: the one that 95 % of the values are below, pixels "
        "without events left out.",
    )


@dataclass(frozen=True)
class Meaning:
    """What frames hold.

    Parameters
    ----------
    legend : what each channel holds.
    viz : how frames are shown, as `Representation.viz`.
    """

    legend: Legend
    viz: Viz | None = None


class Scale(NamedTuple):
    """What values mean as colours, the same for all frames of a video.

    Parameters
    ----------
    limit : absolute value at full colour, above 0.
    signed : whether negative values have a colour of their own.
    """

    limit: float
    signed: bool


class _Tile(NamedTuple):
    """What one picture of a montage shows: OFF and ON, or one plane that may be signed or not."""

    planes: Sequence[Plane]
    signed: bool | None


def to_rgb(
    frame: npt.ArrayLike,
    of: Of = None,
    *,
    channels: Arrangement = Colouring.channels,
    theme: Theme = Colouring.theme,
    limit: float | None = Colouring.limit,
    scale: Scale | None = None,
) -> Image:
    """Return a frame as a picture.

    A representation that has a `viz` of its own is shown by that. Of others, OFF is blue and ON is
    orange, where both have channels of their own: a pixel with both has the
    sum of the two colours. Signed values are blue below zero and orange above. Others go from the
    background over green to yellow. What a pixel without events has is the background, and so is
    what is not a number.

    Parameters
    ----------
    frame
        (C, H, W), or (H, W) for one channel, of any type of numbers.
    of
        What it is a frame of: a representation, its name (with its default parameters), an open
        features file, or what its channels hold; None guesses that from how many there are.
    channels, theme, limit
        As in `Colouring`.
    scale
        In place of `limit`: that of several frames, as `scale_of` returns it, so that equal values
        have the same colour in all.

    Returns
    -------
    (H, W, 3) uint8, a new array; larger for a montage of several parts, which are `GAP_PX` apart.

    Raises
    ------
    ParameterError
        If the array is not a frame of this representation, or a setting is out of range.

    Examples
    --------
    No event, one OFF and one ON:

    >>> to_rgb(np.array([[[0, 1, 0]], [[0, 0, 1]]]), "histogram").tolist()
    [[[24, 24, 28], [86, 180, 233], [240, 160, 20]]]
    """
    Colouring(channels=channels, theme=theme, limit=limit)  # checks them
    array = _checked(frame)
    meaning = meaning_of(of, len(array), array.dtype.name)
    if meaning.viz is not None:
        return _shown(array, meaning.viz)
    tiles = _tiles(array, meaning, channels)
    if scale is None:
        found = _scale(tiles)
        scale = found or Scale(1.0, False)
        if limit is not None:
            scale = scale._replace(limit=float(limit))
    return arranged([_coloured(tile, scale, theme) for tile in tiles], theme)


def scale_of(
    frames: Iterable[npt.ArrayLike],
    of: Of = None,
    channels: Arrangement = Colouring.channels,
) -> Scale:
    """Return one scale for several frames.

    Parameters
    ----------
    frames
        They are taken one by one.
    of, channels
        As `to_rgb` takes them.

    Returns
    -------
    Its limit is that of the frame at rank ⌊0.95 · (n − 1)⌋ of the n frames that are not empty, by
    their limits in ascending order.

    Examples
    --------
    >>> scale_of([np.zeros((1, 1, 2)), np.ones((1, 1, 2)), np.full((1, 1, 2), -9.0)])
    Scale(limit=1.0, signed=True)
    """
    found = [_scale(_tiles(_checked(frame), of, channels)) for frame in frames]
    scales = [scale for scale in found if scale is not None]
    if not scales:
        return Scale(1.0, False)
    limits = np.array([scale.limit for scale in scales])
    return Scale(_ranked(limits), any(scale.signed for scale in scales))


def arranged(pictures: Sequence[Image], theme: Theme = Colouring.theme) -> Image:
    """Return pictures of one size side by side in rows, about 4 : 3 as a whole."""
    if len(pictures) == 1:
        return pictures[0]
    height, width, _ = pictures[0].shape
    rows, columns = grid(len(pictures), (height, width))
    places = places_of(len(pictures), (height, width))
    whole = (rows * (height + GAP_PX) - GAP_PX, columns * (width + GAP_PX) - GAP_PX)
    canvas = Canvas.filled(whole, LOOKS[theme].footer)
    for picture, (top, left) in zip(pictures, places, strict=True):
        canvas.pixels[top : top + height, left : left + width] = picture
    return canvas.pixels


def grid(n: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Return into how many (rows, columns) n pictures of (height, width) go.

    Examples
    --------
    >>> grid(5, (260, 346)), grid(2, (720, 1280)), grid(12, (10, 10))
    ((2, 3), (2, 1), (3, 4))
    """

    def off(columns: int) -> float:
        rows = -(-n // columns)
        ratio = columns * max(shape[1], 1) / (rows * max(shape[0], 1)) / _SHAPE
        return max(ratio, 1 / ratio)

    columns = min(range(1, n + 1), key=off)
    rows = -(-n // columns)
    return rows, -(-n // rows)


def places_of(n: int, shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the (top, left) of each of n pictures of (height, width) in what `arranged` returns.

    Examples
    --------
    >>> places_of(3, (10, 10))
    [(0, 0), (0, 12), (12, 0)]
    """
    _, columns = grid(n, shape)
    height, width = shape
    return [(k // columns * (height + GAP_PX), k % columns * (width + GAP_PX)) for k in range(n)]


def _shown(frame: npt.NDArray[Any], viz: Viz) -> Image:
    """Return what a representation's own function makes of a frame."""
    picture = np.asarray(viz(frame))
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ParameterError(
            f"its viz returned {picture.dtype} of {picture.shape}; (H, W, 3) uint8 is expected"
        )
    return picture


def _checked(frame: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return a frame as (C, H, W)."""
    array = np.asarray(frame)
    if array.dtype.kind not in "biuf":
        raise ParameterError(f"a frame of {array.dtype} cannot be shown; it must hold numbers")
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or not len(array):
        raise ParameterError(
            f"an array of shape {array.shape} is not a frame, (channels, height, width)",
            hint="Of several frames, give one: frames[k].",
        )
    return array


def meaning_of(of: Of, channels: int, dtype: str) -> Meaning:
    """Return what frames of some channels hold, as `to_rgb` takes it.

    Raises
    ------
    ParameterError
        If they are not as many as these frames have.
    """
    name = ""
    parameters: dict[str, Any] = {}
    step: float | None = None
    if isinstance(of, Meaning):
        return of
    if isinstance(of, str):
        of = create(of)
    elif isinstance(of, Feature):
        of = of.representation
    elif of is not None and not isinstance(of, (Representation, tuple)):
        if not hasattr(of, "representation"):
            raise ParameterError(
                f"of={of!r} is neither a representation nor a features file that evreel opened",
                hint="Give FeaturesFile(path), or the name of a representation.",
            )
        name, parameters, step = of.path.name, of.parameters, of.scale
        try:
            of = create(of.representation, parameters)
        except ParameterError:  # one that is not known here, or whose parameters have changed
            of = None
    if of is None:
        return Meaning(guessed(channels, dtype, parameters))
    if isinstance(of, Representation):
        name, meaning = name or of.name, Meaning(of.legend, type(of).viz)
    else:
        meaning = Meaning(of)
    if len(meaning.legend) != channels:
        raise ParameterError(
            f"a frame of {channels} channels is given; {len(meaning.legend)} are expected",
            place=name,
            hint="Give the representation with the parameters that the frame was made with.",
        )
    if step is None:
        return meaning
    # Values are stored as whole numbers of steps.
    return replace(meaning, legend=tuple(c._replace(empty=c.empty / step) for c in meaning.legend))


def tiles_of(legend: Legend, channels: Arrangement) -> list[list[int]]:
    """Return the channels that each picture of a montage shows; of a sum, there is one picture.

    Examples
    --------
    >>> from evreel.representations.channels import pairs
    >>> tiles_of(pairs(2), "montage"), tiles_of(pairs(2), "sum")
    ([[0, 1], [2, 3]], [[0, 1, 2, 3]])
    """
    if channels == "sum":
        return [list(range(len(legend)))]
    parts = sorted({channel.part for channel in legend})
    return [[k for k, channel in enumerate(legend) if channel.part == part] for part in parts]


def _tiles(
    frame: npt.NDArray[Any],
    of: Of,
    channels: Arrangement,
) -> list[_Tile]:
    legend = meaning_of(of, len(frame), frame.dtype.name).legend
    return [_tile(frame, legend, rows) for rows in tiles_of(legend, channels)]


def _tile(frame: npt.NDArray[Any], legend: Legend, rows: Sequence[int]) -> _Tile:
    """Return what some channels of a frame show together."""
    if any(legend[k].holds == "both" for k in rows):
        known: list[Channel] = [legend[k] for k in rows]
        signed = None if any(channel.signed is None for channel in known) else False
        if any(channel.signed for channel in known):
            signed = True
        return _Tile([_sum(frame, legend, rows, signed=signed)], signed)
    polarities = ([k for k in rows if legend[k].holds == holds] for holds in ("OFF", "ON"))
    return _Tile([_sum(frame, legend, some, signed=False) for some in polarities], False)


def _sum(
    frame: npt.NDArray[Any], legend: Legend, rows: Sequence[int], *, signed: bool | None
) -> Plane:
    """Return the sum of the distances of some channels from what they have without events.

    What is not a number counts as zero; unless they may be signed, distances are above zero.
    """
    total: Plane = np.zeros(frame.shape[1:], dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        for k in rows:
            distance = frame[k].astype(np.float64) - _as_stored(legend[k].empty, frame.dtype)
            distance[np.isnan(distance)] = 0
            total += np.abs(distance) if signed is False else distance
    total[np.isnan(total)] = 0  # ∞ − ∞
    return total


def _as_stored(value: float, dtype: np.dtype[Any]) -> float:
    """Return a value as one of a type has it, which may be narrower than the representation's."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return float(min(max(round(value), limits.min), limits.max))
    return float(np.float64(value).astype(dtype))


def _scale(tiles: Sequence[_Tile]) -> Scale | None:
    """Return the scale of a frame, None where all of it is background."""
    sizes = []
    signed = any(tile.signed for tile in tiles)
    for tile in tiles:
        for plane in tile.planes:
            values = plane[(plane != 0) & np.isfinite(plane)]
            signed |= tile.signed is None and bool((plane < 0).any())
            sizes.append(np.abs(values))
    every = np.concatenate(sizes)
    if not len(every):
        return None if not signed else Scale(1.0, True)
    return Scale(_ranked(every), signed)


def _ranked(values: npt.NDArray[np.float64]) -> float:
    """Return the value that a few outliers are above: at rank ⌊0.95 · (n − 1)⌋."""
    share, whole = _SHARE
    rank = share * (len(values) - 1) // whole
    return float(np.partition(values, rank)[rank])


def _coloured(tile: _Tile, scale: Scale, theme: Theme) -> Image:
    with np.errstate(over="ignore", invalid="ignore"):
        levels = [
            np.floor(np.minimum(np.abs(plane) / scale.limit, 1) * _MOST + 0.5).astype(np.int64)
            for plane in tile.planes
        ]
    picture: Image
    if len(levels) == 2:
        picture = _of_pairs(theme)[levels[0], levels[1]]
        return picture
    [plane], [level] = tile.planes, levels
    if tile.signed or (tile.signed is None and scale.signed):
        picture = _of_signed(theme)[_MOST + np.where(plane < 0, -level, level)]
    else:
        picture = _of_unsigned(theme)[level]
    return picture


@functools.cache
def _of_pairs(theme: Theme) -> Image:
    """Return (256, 256, 3): the colour of each level of OFF and of ON."""
    ground, off, on = _inks(theme)
    level = np.arange(_MOST + 1)[:, None]
    mixed = _MOST * ground + (level * (off - ground))[:, None] + (level * (on - ground))[None]
    colours: Image = np.clip((mixed + _MOST // 2) // _MOST, 0, 255).astype(np.uint8)
    return colours


@functools.cache
def _of_signed(theme: Theme) -> Image:
    """Return (511, 3): the colours of levels −255 to 255."""
    ground, off, on = _inks(theme)
    return np.concatenate([_between(off, ground)[:-1], _between(ground, on)])


@functools.cache
def _of_unsigned(theme: Theme) -> Image:
    """Return (256, 3): the colours of levels 0 to 255, over one in the middle."""
    ground, *_ = _inks(theme)
    middle = np.array(colour_of(2, -1, theme))
    end = np.array(colour_of(5, -1, theme) if theme == "dark" else LOOKS[theme].ink)
    whole = np.concatenate([_between(ground, middle)[:-1], _between(middle, end)])  # 511
    return np.ascontiguousarray(whole[::2])


def _inks(theme: Theme) -> tuple[npt.NDArray[np.int64], ...]:
    """Return the colours of background, OFF and ON."""
    colours: tuple[Colour, ...] = (
        LOOKS[theme].background,
        colour_of(0, -1, theme),
        colour_of(1, -1, theme),
    )
    return tuple(np.array(colour, dtype=np.int64) for colour in colours)


def _between(low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]) -> Image:
    """Return (256, 3): colours from one to another, both included."""
    level = np.arange(_MOST + 1)[:, None]
    return ((_MOST * low + level * (high - low) + _MOST // 2) // _MOST).astype(np.uint8)
