"""How far annotations are from their events, in time and in space.

Moving edges make events, so an outline that is drawn at the right time and place has most of them
on it. For each shift in time and space, events that lie on the shifted outline count for it, those
just beside it against it: noise, which is everywhere, counts nothing. The best shift is found on a
grid, then on a finer one, and by a parabola through its surroundings. How much the best shifts of
parts of the track differ gives its uncertainty.

A track that stands still has no time offset that could be told. One that moves evenly has the same
outline a little later as a little farther along its path: the two cannot be told apart, and the
uncertainty of both is large. All tracks together, which move differently, tell more than each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evreel.annotations.shapes import (
    Annotations,
    FloatArray,
    Mask,
    Points,
    Polyline,
    Shape,
    Skeleton,
    Track,
    interpolate,
)
from evreel.events import Events, Sensor
from evreel.settings import Settings, setting
from evreel.timebase import FrameClock, Int64Array

WIDTH_PX = 1.5
"""Distance from an outline at which an event counts nothing, if nothing moves: an edge passes a
pixel meanwhile. People draw around what the picture of a frame shows, which is farther out in front
and behind by half the way that the object goes in it: twice that is added, so that both edges
together decide, and not one of them."""
FINE = 4
"""Cells of a map of weights to a pixel, if there is memory for enough frames of them."""
_MOST_CELLS, _ENOUGH_FRAMES = 60_000_000, 64
"""240 MB of a track's maps at most."""
EDGE_PX = 0.25
"""How exactly the edge in a picture is where events are; part of each uncertainty."""
_WIDEST_PX = 6.0
_MOST_STEPS = 100
"""From no offset in time to the largest."""
_FINE_STEPS = 6
"""Of a quarter px, on each side of the best shift of the coarse search."""
_NEAR_PX = 0.8
"""So far around the best shift, scores are taken as a parabola."""
_CLEARLY = 2.4
"""Standard errors of a sum of 8 parts for 95 %: quantile of Student's t."""
_FLAT = 0.02
"""Share of the largest curvature that each direction has at least."""
_LEAST_VARIED, _ALONG = 0.25, 0.2
"""Part of its speed by which a track's velocity varies at least, or it moves evenly; and part of it
along an axis of the picture from which on it moves along that axis, too."""
_MOST_EVENTS = 30_000
"""Of a track with more events near it every third is taken, or every ninth, …, so that so many are
left at most: 390 kB. A power of three, because sensors have sides of powers of two."""
_BLOCKS = 8
_LEAST_FRAMES = 4
_SIGNIFICANT = 6.0
"""Standard deviations above chance: the best of 20,000 shifts has 4 by chance."""
_LEAST_MOVED_PX = 2.0
_LEAST_SHARE = 0.1
"""Of the events near an outline that are on it at least; else other edges decide where it fits."""


@dataclass(frozen=True)
class Estimate:
    """How far a track is from its events.

    Parameters
    ----------
    track : number of the track in the annotation; None for all tracks together.
    label : what it is of.
    n_events : events near its outline.
    share, share_moved : part of these on the outline, as it is and as moved.
    offset_us : what to add to the annotation's times; NaN where it cannot be told.
    shift_px : (x, y), what to add to its coordinates on the sensor; NaN where it cannot be told.
    offset_pm_us, shift_pm_px : the true value is at most this far away in 95 of 100 cases.
    note : why something cannot be told, or is doubtful; empty if nothing is.
    every : of so many events near it, one was taken; of all tracks together, at most.
    """

    track: int | None
    label: str
    n_events: int
    share: float = 0.0
    share_moved: float = 0.0
    offset_us: float = math.nan
    offset_pm_us: float = math.nan
    shift_px: tuple[float, float] = (math.nan, math.nan)
    shift_pm_px: tuple[float, float] = (math.nan, math.nan)
    note: str = ""
    every: int = 1


@dataclass(frozen=True)
class AlignSettings(Settings):
    """How far to search for the place of annotations in time and space."""

    max_offset_us: int = setting(
        100_000,
        "Largest offset in time, before and after.",
        unit="µs",
        minimum=1_000,
        maximum=10_000_000,
    )
    max_shift_px: int = setting(
        8, "Largest shift on the sensor, in each direction.", unit="px", minimum=1, maximum=64
    )


@dataclass(frozen=True, eq=False)
class _Path:
    """What a track shows: f instants, with a map of weights each, `width` px to each side.

    `parts` is how it moves on the whole: (k, 3) velocities in px/µs, and for how long in µs. People
    who draw are a pixel off here and there, which makes neighbouring frames differ.
    """

    track: int
    label: str
    fine: int
    instant: Int64Array
    half: Int64Array
    speed: FloatArray
    corner: FloatArray
    block: Int64Array
    first: Int64Array
    shape: Int64Array
    weights: npt.NDArray[np.float32]
    bounds: FloatArray
    parts: FloatArray
    width: float
    duration_us: float


def estimate(
    annotations: Annotations,
    clock: FrameClock,
    instant_us: Int64Array,
    scale: int,
    chunks: Iterable[Events],
    search: AlignSettings = AlignSettings(),
) -> list[Estimate]:
    """Estimate the offset of each track in time and space, and that of all together.

    Parameters
    ----------
    annotations
        With rows of the clock as frame numbers. Loose shapes have no path and are left out.
    clock
        Times of the frames.
    instant_us
        (n,) the moment of each frame that its shapes describe.
    scale
        Picture pixels to a sensor pixel.
    chunks
        The recording's events in time order.
    search
        How far to search.

    Returns
    -------
    One for each track, in their order; then that of all, unless there is only one.
    """
    tracks = [track for track in annotations.tracks if track.id >= 0]
    shown = [_shown(track, len(instant_us)) for track in tracks]
    paths = [
        _path(track, shapes, clock, instant_us, scale, search)
        for track, shapes in zip(tracks, shown, strict=True)
        if shapes
    ]
    near = [_Near(path, search) for path in paths]
    for chunk in chunks:
        for each in near:
            each.add(chunk)
    measured = [_Measured(path, of_path) for path, of_path in zip(paths, near, strict=True)]
    told = {id(m.path): _estimated([m], search, m.path.track, m.path.label) for m in measured}
    of_path = iter(told.values())
    found = [
        next(of_path) if shapes else _untold(track.id, track.label, 0, "it is never shown")
        for track, shapes in zip(tracks, shown, strict=True)
    ]
    if len(found) > 1:
        found.append(_estimated(measured, search, None, "all tracks"))
    return found


def _shown(track: Track, n_frames: int) -> list[Shape]:
    shapes = interpolate(track).shapes
    return [shape for shape in shapes if not shape.outside and shape.frame < n_frames]


def _path(
    track: Track,
    shown: list[Shape],
    clock: FrameClock,
    instant_us: Int64Array,
    scale: int,
    search: AlignSettings,
) -> _Path:
    frame = np.array([shape.frame for shape in shown], dtype=np.int64)
    instant = instant_us[frame]
    bounds = np.array([shape.bounds for shape in shown]) / scale
    centre = (bounds[:, :2] + bounds[:, 2:]) / 2
    before = np.arange(len(shown)) - 1
    after = before + 2
    # Neighbours only if the track is there in the frame before, or after.
    before = np.where((before >= 0) & (np.diff(frame, prepend=-9) == 1), before, before + 1)
    after = np.where(np.diff(frame, append=frame[-1:] + 9) == 1, after, after - 1)
    passed = np.maximum(instant[after] - instant[before], 1)
    speed = (centre[after] - centre[before]) / passed[:, None]
    apart = np.diff(instant)
    longest = int(apart.min()) if len(apart) else 2 * search.max_offset_us
    half = np.full(len(shown), max(min(longest, 2 * search.max_offset_us) // 2, 1), dtype=np.int64)
    cuts = np.unique(np.linspace(0, len(shown) - 1, _BLOCKS + 1).astype(int))
    lasted = np.maximum(np.diff(instant[cuts]), 1)[:, None]
    parts = np.concatenate([np.diff(centre[cuts], axis=0) / lasted, lasted], axis=1)
    duration_us = float(np.median(clock.stop_us[frame] - clock.start_us[frame]))
    width = min(WIDTH_PX + _pace(parts) * duration_us, _WIDEST_PX)
    fine, every = _resolution(bounds, width)
    maps = _Maps(fine, width)
    rows = [
        maps.row(_lines(shape, scale), at)
        for shape, at in zip(shown[::every], centre[::every], strict=True)
    ]
    table = np.array(rows).reshape(-1, 5)
    block = np.arange(len(shown)) * _BLOCKS // len(shown)
    return _Path(
        track=track.id,
        label=track.label,
        fine=fine,
        instant=instant[::every],
        half=half[::every],
        speed=speed[::every],
        corner=centre[::every] + table[:, 3:],
        block=block[::every],
        first=table[:, 0].astype(np.int64),
        shape=table[:, 1:3].astype(np.int64),
        weights=np.concatenate(maps.weights),
        bounds=bounds[::every],
        parts=parts,
        width=width,
        duration_us=duration_us,
    )


def _pace(parts: FloatArray) -> float:
    """Return the root mean square of the speed of parts of a path, px/µs."""
    if not len(parts):
        return 0.0
    return float(np.sqrt(np.average((parts[:, :2] ** 2).sum(axis=1), weights=parts[:, 2])))


def _resolution(bounds: FloatArray, width: float) -> tuple[int, int]:
    """Return cells to a px, and of how many frames one is taken, so that maps fit into memory."""
    areas = (bounds[:, 2:] - bounds[:, :2] + 6 * width + 2).prod(axis=1)
    total = float(areas.sum())
    enough = total * min(1.0, _ENOUGH_FRAMES / len(bounds))
    fine = next((f for f in (FINE, FINE // 2) if enough * f * f <= _MOST_CELLS), 1)
    return fine, max(math.ceil(total * fine * fine / _MOST_CELLS), 1)


Line = tuple[FloatArray, bool]
"""Points in px, and whether the last is joined to the first."""


def _lines(shape: Shape, scale: int) -> list[Line]:
    """Return the lines along which a shape has its edge."""
    outline = shape.outline / scale
    if isinstance(shape, Points | Skeleton):
        return [(point, True) for point in outline[:, None]]
    if isinstance(shape, Mask):
        return [(side, False) for side in _sides(shape) / scale]
    return [(outline, not isinstance(shape, Polyline))]


def _sides(mask: Mask) -> FloatArray:
    """Return (n, 2, 2) the sides of pixels between the mask and what is around it."""
    padded = np.pad(mask.bitmap, 1).astype(np.int8)
    sides = []
    for axis, along in ((0, [1.0, 0.0]), (1, [0.0, 1.0])):
        row, column = np.nonzero(np.diff(padded, axis=axis))
        # Row k of the difference along axis 0 is above row k of the mask; columns are padded.
        start = np.stack([column, row], axis=1) - ([1.0, 0.0] if axis == 0 else [0.0, 1.0])
        sides.append(np.stack([start, start + along], axis=1))
    found: FloatArray = np.concatenate(sides) + mask.points[0]
    return found


class _Maps:
    """Maps of what an event counts around lines; those of one form share one."""

    def __init__(self, fine: int, width: float) -> None:
        self._width = width
        self.weights: list[npt.NDArray[np.float32]] = [np.empty(0, np.float32)]
        self._fine = fine
        self._size = 0
        self._known: dict[bytes, tuple[int, int, int, float, float]] = {}

    def row(self, lines: list[Line], centre: FloatArray) -> tuple[int, int, int, float, float]:
        """Return first cell, rows, columns, and the corner from the centre in px."""
        around = [(np.round(points - centre, 2), closed) for points, closed in lines]
        key = b"".join(points.tobytes() + bytes([closed]) for points, closed in around)
        if key not in self._known:
            drawn, corner = self._drawn(around)
            x, y = corner.tolist()
            self._known[key] = (self._size, *drawn.shape, x, y)
            self.weights.append(drawn.ravel())
            self._size += drawn.size
        return self._known[key]

    def _drawn(self, lines: list[Line]) -> tuple[npt.NDArray[np.float32], FloatArray]:
        from evreel.kernels.aligning import draw_distances

        width = self._width
        reach = 3 * width
        every = np.concatenate([points for points, _ in lines])
        corner = np.floor(every.min(axis=0)) - reach - 1
        columns, rows = np.ceil((every.max(axis=0) - corner + reach + 1) * self._fine).astype(int)
        distance = np.full((rows, columns), 9 * width, dtype=np.float32)
        for points, closed in lines:
            draw_distances((points - corner) * self._fine, closed, reach, self._fine, distance)
        on = np.maximum(1 - (distance / width) ** 2, 0)
        beside = np.maximum(1 - np.abs(distance / width - 2), 0)
        total = float(beside.sum())
        balance = float(on.sum()) / total if total else 0.0
        return (on - beside * balance).astype(np.float32), corner


class _Near:
    """The events that may lie on a path, wherever it is shifted to: every n-th of them."""

    def __init__(self, path: _Path, search: AlignSettings) -> None:
        self._instant = path.instant
        self._reach = search.max_offset_us + int(path.half[0])
        self._around = _bounds_around(path, search)
        self._taken: list[Events] = []
        self.n, self.every = 0, 1

    def add(self, chunk: Events) -> None:
        """Take what is near of a chunk; if that is too much, one in three of all that was taken."""
        ends = [int(self._instant[0]) - self._reach, int(self._instant[-1]) + self._reach]
        part = chunk[slice(*np.searchsorted(chunk.t, ends).tolist())]
        frame = np.searchsorted(self._instant, part.t)
        left, top, right, bottom = self._around[np.minimum(frame, len(self._around) - 1)].T
        inside = (part.x >= left) & (part.x < right) & (part.y >= top) & (part.y < bottom)
        near = np.flatnonzero(inside)
        taken = np.zeros(len(part), dtype=bool)
        taken[near[-self.n % self.every :: self.every]] = True
        self._taken.append(part[taken])  # of a mask: a view would keep the chunk
        self.n += len(near)
        while sum(map(len, self._taken)) > _MOST_EVENTS:
            events = self.events()
            self._taken = [events[np.arange(len(events)) % 3 == 0]]
            self.every *= 3

    def events(self) -> Events:
        """Return what was taken."""
        sensor = self._taken[0].sensor if self._taken else Sensor(1, 1)
        return Events.concatenate(self._taken, sensor)


def _bounds_around(path: _Path, search: AlignSettings) -> FloatArray:
    """Return (f, 4) how far a path reaches about each instant: left, top, right, bottom."""
    if not len(path.instant):
        return path.bounds
    reach = search.max_offset_us + 2 * int(path.half[0])
    low = np.searchsorted(path.instant, np.append(-reach, path.instant[:-1]) - reach)
    high = np.searchsorted(path.instant, path.instant + reach, side="right")
    low[0] = 0
    ends = np.stack([low, high], axis=1).ravel()
    away = search.max_shift_px + 3 * path.width + 1
    last = path.bounds[-1:]
    columns = [
        of.reduceat(np.concatenate([path.bounds, last])[:, side], ends)[::2] + out
        for side, (of, out) in enumerate([(np.minimum, -away)] * 2 + [(np.maximum, away)] * 2)
    ]
    around: FloatArray = np.stack(columns, axis=1)
    return around


class _Measured:
    """A path and its events."""

    def __init__(self, path: _Path, near: _Near) -> None:
        self.path, self.events = path, near.events()
        self.n_events, self.every = near.n, near.every

    def scores(
        self,
        offsets: Int64Array,
        shifts_x: FloatArray,
        shifts_y: FloatArray,
        weights: npt.NDArray[np.float32] | None = None,
    ) -> FloatArray:
        """Return (blocks, offsets, shifts y, shifts x) what events count."""
        from evreel.kernels.aligning import add_scores

        path, events = self.path, self.events
        score = np.zeros((_BLOCKS, len(offsets), len(shifts_y), len(shifts_x)))
        add_scores(
            events.t,
            events.x,
            events.y,
            path.instant,
            path.half,
            path.speed,
            path.corner,
            path.block,
            path.first,
            path.shape,
            path.weights if weights is None else weights,
            path.fine,
            offsets,
            shifts_x,
            shifts_y,
            score,
        )
        return score

    def total(self, offset_us: int, x: float, y: float, weights: npt.NDArray[np.float32]) -> float:
        """Return the sum of other weights at one shift."""
        at = np.array([offset_us]), np.array([x]), np.array([y])
        return float(self.scores(*at, weights).sum())


def _estimated(
    measured: Sequence[_Measured], search: AlignSettings, track: int | None, label: str
) -> Estimate:
    usable = [m for m in measured if len(m.path.instant) >= _LEAST_FRAMES and m.n_events]
    n_events = sum(each.n_events for each in measured)
    if not n_events:
        return _untold(track, label, n_events, "no events near it")
    if not usable:
        return _untold(track, label, n_events, f"shown in fewer than {_LEAST_FRAMES} frames")
    way = np.concatenate([each.path.parts for each in usable])
    moves = bool((np.abs(way[:, :2]) * way[:, 2:]).sum(axis=0).max() >= _LEAST_MOVED_PX)
    pace = _pace(way)
    usual = np.average(way[:, :2], axis=0, weights=way[:, 2])
    varied = float(np.sqrt(max(1 - (usual**2).sum() / pace**2, 0))) if moves else 1.0
    pace = pace if moves else 0.0
    # Half a px apart, if that is not too many.
    steps = int(np.clip(np.ceil(2 * search.max_offset_us * pace), 4, _MOST_STEPS)) if moves else 0
    step_us = max(search.max_offset_us // max(steps, 1), 1)
    offsets = np.arange(-steps, steps + 1, dtype=np.int64) * step_us
    shifts = np.arange(-search.max_shift_px, search.max_shift_px + 1, dtype=np.float64)
    scores = np.concatenate([each.scores(offsets, shifts, shifts) for each in usable])
    coarse = scores.sum(axis=0)
    a, j, i = (int(k) for k in np.unravel_index(int(np.argmax(coarse)), coarse.shape))
    at_us, at_x, at_y = int(offsets[a]), float(shifts[i]), float(shifts[j])
    squares = sum(each.total(at_us, at_x, at_y, each.path.weights**2) for each in usable)
    if coarse[a, j, i] <= _SIGNIFICANT * np.sqrt(squares):
        why = "no shift puts clearly more events on the outline" if moves else "it stands still"
        return _untold(track, label, n_events, why)

    fine_us = max(round(0.25 / pace), 1) if moves else 1
    sides = min(max(_FINE_STEPS, -(-step_us // fine_us) + 2), 4 * _FINE_STEPS) if moves else 0
    limits = np.array([search.max_offset_us, search.max_shift_px, search.max_shift_px])
    fine_offsets = at_us + np.arange(-sides, sides + 1, dtype=np.int64) * fine_us
    fine_offsets = fine_offsets[np.abs(fine_offsets) <= limits[0]]
    fine = np.arange(-_FINE_STEPS, _FINE_STEPS + 1, dtype=np.float64) * 0.25
    xs, ys = ((at + fine)[np.abs(at + fine) <= search.max_shift_px] for at in (at_x, at_y))
    blocks = np.concatenate([m.scores(fine_offsets, xs, ys) for m in usable])
    best, pm = _parabola(blocks, fine_offsets, xs, ys, pace)
    pm[0] /= min(max(varied, 1e-3), 1.0)
    # An outline may be that of the beginning of its frame, of its end, or of all of it.
    pm[0] += max(each.path.duration_us for each in usable) / 2
    also = _as_good(scores, (a, j, i))
    axes = ((offsets, also[0], step_us), (shifts, also[2], 1.0), (shifts, also[1], 1.0))
    for k, (values, at, step) in enumerate(axes):
        farthest = float(np.abs(values[at] - best[k]).max())
        pm[k] = max(pm[k], farthest if farthest > 1.5 * step else 0.0)
    notes = []
    along = np.ones(3, dtype=bool)
    if moves and varied < _LEAST_VARIED:
        # What is later is farther along its way, by any of what was searched.
        along = np.array([True, *(np.abs(usual) >= _ALONG * pace)])
        pm[along] = 2 * limits[along]
        k = int(np.argmax(coarse[:, search.max_shift_px, search.max_shift_px]))
        unmoved = f"{offsets[k]} µs" if 0 < k < len(offsets) - 1 else "the limit of the search"
        notes.append(
            "moves evenly: time and place along its way cannot be told apart; without a shift, "
            f"{unmoved} fits best"
        )
    elif (pm > limits / 2).any():
        notes.append("several places fit about as well")
    if not moves:
        notes.append("stands still: no time offset can be told")
        best[0] = pm[0] = np.nan
    on = [(each, (each.path.weights > 0).astype(np.float32)) for each in usable]
    searched = sum(len(each.events) for each in usable)
    share = sum(each.total(0, 0.0, 0.0, mask) for each, mask in on) / searched
    there = round(best[0]) if moves else 0, float(best[1]), float(best[2])
    moved = sum(each.total(*there, mask) for each, mask in on) / searched
    if moved < _LEAST_SHARE:
        return _untold(track, label, n_events, "most events near it are of something else")
    top = np.unravel_index(int(np.argmax(blocks.sum(axis=0))), blocks.shape[1:])
    peak = np.abs([float(fine_offsets[top[0]]), xs[top[2]], ys[top[1]]])
    at_limit = (peak > limits - [fine_us, 0.25, 0.25]) | (np.abs(best) >= limits)
    if at_limit.any():
        # There the search ended, and scores may rise on; so may those of what goes with it.
        best[along | at_limit] = pm[along | at_limit] = np.nan
        where = _listed_limits(at_limit, limits)
        notes.insert(0, f"cannot be told: at the limit of the search, {where}: search farther")
    offset_us, x, y = best.tolist()
    pm_us, pm_x, pm_y = pm.tolist()
    return Estimate(
        track,
        label,
        n_events,
        share,
        moved,
        offset_us=offset_us,
        offset_pm_us=pm_us,
        shift_px=(x, y),
        shift_pm_px=(pm_x, pm_y),
        note="; ".join(notes),
        every=max(each.every for each in usable),
    )


def _as_good(scores: FloatArray, best: tuple[int, int, int]) -> tuple[npt.NDArray[np.intp], ...]:
    """Return the shifts that are not clearly worse than the best, by how the blocks differ."""
    worse = scores[(slice(None), *best)][:, None, None, None] - scores
    total, variance = np.zeros(scores.shape[1:]), np.zeros(scores.shape[1:])
    for first in range(0, len(scores), _BLOCKS):  # tracks differ by more than parts of one do
        of_track = slice(first, first + _BLOCKS)
        live = worse[of_track][np.abs(scores[of_track]).sum(axis=(1, 2, 3)) > 0]
        if not len(live):
            continue
        n = max(len(live), 2)
        total += live.sum(axis=0)
        variance += live.var(axis=0) * n**2 / (n - 1)
    return np.nonzero(total <= _CLEARLY * np.sqrt(variance))


def _listed_limits(at_limit: npt.NDArray[np.bool_], limits: FloatArray) -> str:
    """Return which limits of the search were reached."""
    names = ("{:.0f} µs", "{:.0f} px in x", "{:.0f} px in y")
    pairs = zip(names, limits.tolist(), at_limit, strict=True)
    return " and ".join(name.format(limit) for name, limit, is_at in pairs if is_at)


def _untold(track: int | None, label: str, n_events: int, note: str) -> Estimate:
    return Estimate(track, label, n_events, note=f"cannot be told: {note}")


def _parabola(
    blocks: FloatArray, offsets: Int64Array, xs: FloatArray, ys: FloatArray, pace: float
) -> tuple[FloatArray, FloatArray]:
    """Return the top of the parabola through the scores around the best.

    The uncertainty is that of a maximum of sums: the inverse curvature on both sides of the
    covariance of the blocks' slopes (P. J. Huber, "The behavior of maximum likelihood estimates
    under nonstandard conditions", 5th Berkeley Symposium, 1967).

    Returns
    -------
    Offset, x and y; and their uncertainties.
    """
    total = blocks.sum(axis=0)
    a, j, i = np.unravel_index(int(np.argmax(total)), total.shape)
    axes = [0, 1, 2] if pace > 0 else [1, 2]
    n = len(axes)
    # In px: an offset is as long as the way that is gone in it.
    along = (offsets - offsets[a]) * (pace or 1.0)
    grid = np.stack(np.meshgrid(along, ys - ys[j], xs - xs[i], indexing="ij"), axis=-1)
    grid = grid.reshape(-1, 3)[:, [0, 2, 1]]  # offset, x, y
    near = (np.abs(grid) <= _NEAR_PX).all(axis=1)
    p = grid[near][:, axes]
    upper = np.triu_indices(n)
    design = np.concatenate([np.ones((len(p), 1)), p, p[:, upper[0]] * p[:, upper[1]]], axis=1)
    fits = blocks.reshape(len(blocks), -1)[:, near] @ np.linalg.pinv(design).T
    squares = np.zeros((len(blocks), n, n))
    squares[:, upper[0], upper[1]] = fits[:, n + 1 :]
    squares += squares.transpose(0, 2, 1)
    curvature, directions = np.linalg.eigh(-squares.sum(axis=0))
    least = max(curvature.max() * _FLAT, 1e-9)
    back = directions @ np.diag(1 / np.maximum(curvature, least)) @ directions.T
    step = np.clip(back @ fits[:, 1 : n + 1].sum(axis=0), -_NEAR_PX, _NEAR_PX)
    slopes = fits[:, 1 : n + 1] + squares @ step
    slopes -= slopes.mean(axis=0)
    n_live = max(int((np.abs(fits).sum(axis=1) > 0).sum()), 2)
    covariance = back @ (slopes.T @ slopes) @ back * (n_live / (n_live - 1))
    own = 2 * np.sqrt(np.maximum(np.diag(covariance), 0) + EDGE_PX**2)
    best, pm = np.array([float(offsets[a]), xs[i], ys[j]]), np.zeros(3)
    best[axes] += step / np.array([pace or 1.0, 1.0, 1.0])[axes]
    pm[axes] = own / np.array([pace or 1.0, 1.0, 1.0])[axes]
    return best, pm
