"""Scenes → events and exact ground truth.

A scene (`evreel.simulate.scene`) is painted every `step_us` with anti-aliased outlines, and each
pixel of an event camera follows its own log intensity L = ln(intensity) (Lichtsteiner, Posch and
Delbruck, "A 128×128 120 dB 15 µs latency asynchronous temporal contrast vision sensor", IEEE JSSC
43(2), 2008). The pixel holds a reference level. When L has risen by its threshold_on above the
reference, or fallen by its threshold_off below it, the pixel makes an ON or OFF event and moves
the reference by that threshold. Between two paintings L is a straight line in time, so that an
event's timestamp is inside the step and a large change makes several events (Rebecq, Gehrig and
Scaramuzza, "ESIM: an Open Event Camera Simulator", CoRL 2018). Thresholds differ from pixel to
pixel. Shot noise is a Poisson process of either polarity (Hu, Liu and Delbruck, "v2e: From Video
Frames to Realistic DVS Events", CVPR Workshops 2021); hot pixels are a Poisson process of ON
events. Any event less than `refractory_us` after its pixel's last one is lost, but still moves the
reference. At the start, every pixel's reference is the level that it sees.

The same scene gives the same bytes on every x86-64 machine, because all arithmetic is on whole
numbers: lengths are in 1/1024 px, intensities from 1 to 65535, log intensities and thresholds in
1/65536. Sums, products, shifts and floor divisions of int64 have one result. The only
transcendental function, ln of 65535 whole numbers, is rounded to 1/65536: every exact value is at
least 10⁻⁶ of that unit away from where the rounding changes (the tests check this), while any
libm's error is below 10⁻⁹ of it. Random numbers are whole draws of PCG64. Gaussian thresholds are
sums of twelve of them. Poisson counts are searched in a table of whole numbers that comes from
decimal arithmetic, whose exp is correctly rounded by definition.

Time 0 of events and truth is the first event, as everywhere in evreel. A scene's own times are
shifted to it.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.annotations.shapes import Annotations, FloatArray, FrameTag, Track, convex_hull
from evreel.errors import EvreelError
from evreel.events import Events, Sensor
from evreel.simulate.scene import (
    FULL_SCALE,
    LOG_UNIT,
    SUBPIXEL,
    Drawn,
    Scene,
    SceneObject,
    SceneTag,
    Surface,
)
from evreel.timebase import FrameClock, Instant, Int64Array
from evreel.video.picture import Picture

Int32Array = npt.NDArray[np.int32]

T_OFFSET_US = 1_700_000_000_000_000
"""A scene's start on the clock of the recording: µs since 1970, in November 2023."""

SMALLEST_PX = 1.0
"""Objects that are narrower or shorter than this in the picture are not annotated."""

CHUNK_US = 10_000
"""Longest chunk of events."""


@dataclass(frozen=True)
class Truth:
    """What is where in a simulated recording, exact at every microsecond.

    Parameters
    ----------
    name : of the recording.
    sensor : (height, width) in pixels.
    frame_us : duration of a frame of the video that `annotations` are for.
    step_us : time from one painting of the scene to the next.
    objects : as in the scene, with times since the first event; they may be negative.
    tags : likewise.
    t_offset : timestamp of the first event on the recording's clock, µs.
    t_stop_us : last event's timestamp + 1, µs since the first event.
    n_events : how many events the recording has.
    """

    name: str
    sensor: Sensor
    frame_us: int
    step_us: int
    objects: tuple[SceneObject, ...]
    tags: tuple[SceneTag, ...]
    t_offset: int
    t_stop_us: int
    n_events: int

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of objects, then of tags, in order of first appearance."""
        things = [thing.label for thing in self.objects]
        return tuple(dict.fromkeys([*things, *(tag.label for tag in self.tags)]))

    @property
    def clock(self) -> FrameClock:
        """The frames of the video."""
        return FrameClock.regular(self.t_stop_us, self.frame_us)

    def outline(self, index: int, t_us: int) -> FloatArray:
        """Return an object's outline, even if it is not in the picture.

        Parameters
        ----------
        index
            Which of `objects`.
        t_us
            µs since the first event.

        Returns
        -------
        (n, 2) float64, x and y of the vertices in px, exact; four for a box.
        """
        return np.array(self.objects[index].vertices(t_us), dtype=np.float64) / SUBPIXEL

    def annotated(self, index: int, t_us: int) -> FloatArray | None:
        """Return what an annotator draws around an object at an instant; None if it is away.

        That is its outline cut at the picture's edges, as the points of the shape that annotates
        it. An object is away outside its visible intervals, and if less than `SMALLEST_PX` of its
        width or height is inside.
        """
        if not self.objects[index].shown(t_us):
            return None
        outline = self.outline(index, t_us)
        return self._drawn(index, outline, outline)

    def accumulated(self, index: int, frame: int) -> FloatArray | None:
        """Return what an annotator draws around what a frame's picture shows of an object.

        A picture shows all events of its frame, so that an object that moves looks as long as its
        way, and every pixel that an edge touches may have events. What is drawn is the convex hull
        of where the object was painted, from the last painting before the frame to the first one
        that ends it, grown by half a pixel to each side: it holds the centre of each pixel that
        the object touched. The hull leaves out dents. An object is away as of `annotated`.
        """
        thing = self.objects[index]
        swept = [
            self.outline(index, t_us) for t_us in self._paintings(thing, frame) if thing.shown(t_us)
        ]
        if not swept:
            return None
        outline = convex_hull(np.concatenate(swept))
        halves = [(dx, dy) for dx in (-0.5, 0.5) for dy in (-0.5, 0.5)]
        grown = np.concatenate([outline + np.array(half) for half in halves])
        return self._drawn(index, outline, convex_hull(grown))

    def _paintings(self, thing: SceneObject, frame: int) -> list[int]:
        """Return when an object was painted in a frame: at its ends, turns, comings and goings."""
        first = T_OFFSET_US - self.t_offset  # a painting; events follow it until the next
        start_us = frame * self.frame_us
        stop_us = min(start_us + self.frame_us, self.t_stop_us)

        def around(t_us: int) -> tuple[int, int]:
            before = first + (t_us - first) // self.step_us * self.step_us
            return before, before + self.step_us

        low, high = around(start_us - 1)[0], around(stop_us - 2)[1]
        turns = [row.t_us for row in thing.motion]
        turns += [t_us for span in thing.visible_us for t_us in span]
        painted = {low, high}
        for t_us in turns:
            painted |= {at for at in (*around(t_us - 1), *around(t_us)) if low <= at <= high}
        return sorted(painted)

    def _drawn(self, index: int, outline: FloatArray, around: FloatArray) -> FloatArray | None:
        """Return points around an object, cut at the picture's edges; None if too little is in."""
        inside = _cut(outline, self.sensor)
        if not len(inside) or (np.ptp(inside, axis=0) < SMALLEST_PX).any():
            return None
        return self.objects[index].annotate.around(_cut(around, self.sensor))

    def visible(self, index: int, t_us: int) -> bool:
        """Return whether an object is in the picture at an instant, according to `annotated`."""
        return self.annotated(index, t_us) is not None

    def occluded(self, index: int, t_us: int) -> bool:
        """Return whether a higher object in the picture covers a part of this one."""
        from evreel.kernels import simulate as kernels

        order = _painting_order(self.objects)
        corners = self.outline(index, t_us)
        own = cover = None
        for other in order[order.index(index) + 1 :]:
            others = self.outline(other, t_us)
            apart = (corners.max(axis=0) <= others.min(axis=0)) | (
                others.max(axis=0) <= corners.min(axis=0)
            )
            if apart.any() or not self.visible(other, t_us):
                continue
            if own is None or cover is None:
                own, cover = _cover(self.sensor), _cover(self.sensor)
                kernels.cover_polygon(_vertices(self.objects[index], t_us), own)
            kernels.cover_polygon(_vertices(self.objects[other], t_us), cover)
            # Together they cover more than a whole pixel, by more than sides rounded to 1/1024 px
            # can account for: there they certainly overlap.
            if (own[:, :-1] + cover[:, :-1] > kernels.FULL + kernels.FULL // 64).any():
                return True
        return False

    def annotations(self, moment: Instant | None = None) -> Annotations:
        """Return what an ideal annotator draws in the video, frame by frame.

        A frame has the shapes of `accumulated`, to 0.01 px, and the tags at the middle of its
        interval. When an object goes away, one shape marked `outside` closes its track; when it
        comes back, the track continues. Keyframes are where an object comes, goes, is hidden or
        shown again at the middle of a frame, and where its outline stops moving in a straight line.

        Parameters
        ----------
        moment
            Draw the object itself, `annotated`, at this instant of each frame instead.
        """
        n_frames = len(self.clock)
        middles = [frame * self.frame_us + self.frame_us // 2 for frame in range(n_frames)]
        drawn = [
            [self._drawn_in(index, frame, moment) for frame in range(n_frames)]
            for index in range(len(self.objects))
        ]
        return Annotations(
            labels=self.labels,
            tracks=tuple(
                Track(index, thing.label, self._shapes(index, drawn[index], middles))
                for index, thing in enumerate(self.objects)
                if any(points is not None for points in drawn[index])
            ),
            tags=tuple(
                FrameTag(frame, tag.label)
                for frame, t_us in enumerate(middles)
                for tag in self.tags
                if tag.start_us <= t_us < tag.stop_us
            ),
            frames=range(n_frames),
            picture_shape=Picture.for_video(self.sensor).shape,
        )

    def _drawn_in(self, index: int, frame: int, moment: Instant | None) -> FloatArray | None:
        if moment is None:
            return self.accumulated(index, frame)
        shift = {"start": 0, "middle": self.frame_us // 2, "stop": self.frame_us}[moment]
        return self.annotated(index, frame * self.frame_us + shift)

    def _shapes(
        self, index: int, drawn: list[FloatArray | None], middles: list[int]
    ) -> tuple[Drawn, ...]:
        thing = self.objects[index]
        hidden = [
            points is not None and self.occluded(index, t_us)
            for points, t_us in zip(drawn, middles, strict=True)
        ]
        shapes: list[Drawn] = []
        for frame, points in enumerate(drawn):
            if points is not None:
                shape = thing.annotate(
                    frame,
                    np.round(points, 2),
                    occluded=hidden[frame],
                    keyframe=_turns(drawn, frame) or hidden[frame] != hidden[frame - 1],
                    z_order=thing.z_order,
                )
                shapes.append(shape)
            elif shapes and not shapes[-1].outside:
                shapes.append(replace(shapes[-1], frame=frame, outside=True, keyframe=True))
        return tuple(shapes)

    def document(self) -> dict[str, Any]:
        """Return the truth as plain JSON values; numbers of px are exact.

        Between two rows ``[t0, x0, y0]`` and ``[t1, x1, y1]`` of its motion, an object's origin at
        t is ``x0 + floor(1024·(x1 − x0)·(t − t0) / (t1 − t0)) / 1024``, and y likewise. It rests
        before the first row and after the last. Its outline is `outline_px` from there.
        """
        return {
            "format": "evreel-truth",
            "version": 1,
            "name": self.name,
            "sensor": self.sensor._asdict(),
            "t_offset": self.t_offset,
            "t_stop_us": self.t_stop_us,
            "n_events": self.n_events,
            "frame_us": self.frame_us,
            "n_frames": len(self.clock),
            "objects": [
                {
                    "label": thing.label,
                    "annotate": thing.annotate.name,
                    "z_order": thing.z_order,
                    "outline_px": [[x / SUBPIXEL, y / SUBPIXEL] for x, y in thing.outline],
                    "motion": [
                        [row.t_us, row.x / SUBPIXEL, row.y / SUBPIXEL] for row in thing.motion
                    ],
                    "visible_us": [list(span) for span in thing.visible_us],
                }
                for thing in self.objects
            ],
            "tags": [
                {"label": tag.label, "start_us": tag.start_us, "stop_us": tag.stop_us}
                for tag in self.tags
            ],
        }


def simulate_events(scene: Scene) -> Iterator[Events]:
    """Yield a scene's events in chunks of at most `CHUNK_US`, µs since the first event.

    Memory holds a few pictures and one chunk, whatever the scene's duration.

    Raises
    ------
    EvreelError
        If the scene makes no events.
    """
    for chunk, _ in _scene_chunks(scene):
        yield chunk


def simulate_objects(scene: Scene) -> Iterator[tuple[Events, Int32Array]]:
    """Yield a scene's events as `simulate_events` does, each chunk with the object of each event.

    Returns
    -------
    The events, and (n,) int32: which of the scene's objects made each, −1 none. A pixel sees
    objects on top of each other and the background. Its event is of the highest object that it
    saw, before or after, of which it sees another share or another brightness than at the painting
    before. It is of none if only the background moved, or for noise. An object below one that
    covers the whole pixel, and does not change, is not seen.

    Raises
    ------
    EvreelError
        If the scene makes no events.
    """
    yield from _scene_chunks(scene, objects=True)


def _scene_chunks(scene: Scene, objects: bool = False) -> Iterator[tuple[Events, Int32Array]]:
    start_us = None
    for chunk, owners in _scene_events(scene, objects):
        if start_us is None:
            start_us = int(chunk.t[0])
        yield _shifted(chunk, start_us), owners
    if start_us is None:
        raise _no_events(scene)


def truth(scene: Scene) -> Truth:
    """Return a scene's ground truth; simulates it to find its first and last event."""
    first = last = n_events = 0
    for chunk, _ in _scene_events(scene):
        first = first if n_events else int(chunk.t[0])
        last = int(chunk.t[-1])
        n_events += len(chunk)
    if not n_events:
        raise _no_events(scene)
    return _truth(scene, first, last, n_events)


def write_recording(scene: Scene, folder: str | Path, *, objects: bool = False) -> list[Path]:
    """Simulate a scene into files, and return them.

    Parameters
    ----------
    scene
        What to film.
    folder
        An existing folder to write into: ``<name>.aedat4`` (LZ4), ``<name>.rois.xml`` (CVAT
        for video 1.1), ``<name>.truth.json`` (`Truth.document`), and, if the scene has tags,
        ``<name>.tags.xml`` (CVAT for images 1.1, because an export for video has no tags; it
        has the shapes too, as CVAT's does).
    objects
        Also write ``<name>.objects.npy``: the object of each event, (n,) int32, as
        `simulate_objects` gives it.

    Raises
    ------
    EvreelError
        If the scene makes no events.
    """
    from evreel.annotations.cvat import write_images_xml, write_video_xml
    from evreel.recordings.aedat4 import Aedat4Writer

    stem = Path(folder) / scene.name
    recording, rois, tags, document = (
        stem.with_name(scene.name + suffix)
        for suffix in (".aedat4", ".rois.xml", ".tags.xml", ".truth.json")
    )
    chunks = _scene_events(scene, objects)
    head = next(chunks, None)
    if head is None:
        raise _no_events(scene)
    first = int(head[0].t[0])
    owners: list[Int32Array] = []
    last = n_events = 0
    with Aedat4Writer(
        recording,
        scene.sensor,
        compression="lz4",
        t_offset=T_OFFSET_US + first,
        source="evreel-simulator",
    ) as writer:
        for chunk, owner in itertools.chain([head], chunks):
            writer.write(_shifted(chunk, first))
            owners.append(owner)
            last = int(chunk.t[-1])
            n_events += len(chunk)
    exact = _truth(scene, first, last, n_events)
    annotations = exact.annotations()
    about: dict[str, Any] = {
        "name": scene.name,
        "n_frames": len(exact.clock),
        "picture_shape": annotations.picture_shape,
    }
    write_video_xml(rois, annotations, **about)
    written = [recording, rois]
    if scene.tags:
        write_images_xml(tags, annotations, **about)
        written.append(tags)
    if objects:
        written.append(stem.with_name(scene.name + ".objects.npy"))
        np.save(written[-1], np.concatenate(owners))
    document.write_text(
        json.dumps(exact.document(), indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8",
        newline="\n",
    )
    return [*written, document]


def _no_events(scene: Scene) -> EvreelError:
    return EvreelError(
        f"scene {scene.name!r} makes no events",
        hint="Let something move, or set noise_hz above 0.",
    )


def _shifted(events: Events, start_us: int) -> Events:
    return Events.trusted(events.t - start_us, events.x, events.y, events.p, events.sensor)


def _truth(scene: Scene, first_us: int, last_us: int, n_events: int) -> Truth:
    """Return the truth of a scene, given its first and last event's times on its own clock."""
    return Truth(
        name=scene.name,
        sensor=scene.sensor,
        frame_us=scene.frame_us,
        step_us=scene.step_us,
        objects=tuple(
            replace(
                thing,
                motion=tuple(replace(row, t_us=row.t_us - first_us) for row in thing.motion),
                visible_us=tuple((a - first_us, b - first_us) for a, b in thing.visible_us),
            )
            for thing in scene.objects
        ),
        tags=tuple(
            replace(tag, start_us=tag.start_us - first_us, stop_us=tag.stop_us - first_us)
            for tag in scene.tags
        ),
        t_offset=T_OFFSET_US + first_us,
        t_stop_us=last_us + 1 - first_us,
        n_events=n_events,
    )


def _turns(drawn: list[FloatArray | None], frame: int) -> bool:
    """Return whether a frame's outline is not midway between those before and after it.

    An outline on a straight path is, up to rounding three positions down to 1/1024 px. An object
    that comes or goes counts as turning.
    """
    points = drawn[frame]
    before = drawn[frame - 1] if frame else None
    after = drawn[frame + 1] if frame + 1 < len(drawn) else None
    if points is None or before is None or after is None:
        return True
    if not before.shape == points.shape == after.shape:
        return True
    return bool(np.abs(before - 2 * points + after).max() > 4 / SUBPIXEL)


def _cut(points: FloatArray, sensor: Sensor) -> FloatArray:
    """Return a polygon cut at the picture's four edges, one after the other.

    I. E. Sutherland and G. W. Hodgman, "Reentrant polygon clipping", Comm. ACM 17(1), 1974: a
    part that is cut in two stays joined along the edge.

    Examples
    --------
    >>> _cut(np.array([[-1.0, 1.0], [3.0, 1.0], [3.0, 5.0]]), Sensor(4, 8)).tolist()
    [[2.0, 4.0], [0.0, 2.0], [0.0, 1.0], [3.0, 1.0], [3.0, 4.0]]
    """
    rows = [(float(x), float(y)) for x, y in points]
    for axis, edge, side in ((0, 0, 1), (0, sensor.width, -1), (1, 0, 1), (1, sensor.height, -1)):
        kept: list[tuple[float, float]] = []
        for k, row in enumerate(rows):
            before = rows[k - 1]
            if (side * (row[axis] - edge) < 0) != (side * (before[axis] - edge) < 0):
                share = (edge - before[axis]) / (row[axis] - before[axis])
                across = before[1 - axis] + share * (row[1 - axis] - before[1 - axis])
                kept.append((float(edge), across) if axis == 0 else (across, float(edge)))
            if side * (row[axis] - edge) >= 0:
                kept.append(row)
        rows = kept
    distinct = [row for k, row in enumerate(rows) if row != rows[k - 1]]
    return np.array(distinct, dtype=np.float64).reshape(-1, 2)


def _painting_order(objects: tuple[SceneObject, ...]) -> list[int]:
    """Return the order in which objects are painted: by z_order, equals as in the file."""
    return sorted(range(len(objects)), key=lambda index: objects[index].z_order)


def _vertices(thing: SceneObject, t_us: int) -> Int64Array:
    return np.array(thing.vertices(t_us), dtype=np.int64)


def _cover(sensor: Sensor) -> Int64Array:
    return np.zeros((sensor.height, sensor.width + 1), dtype=np.int64)


def _scene_events(scene: Scene, objects: bool = False) -> Iterator[tuple[Events, Int32Array]]:
    """Yield chunks of events, none empty, with timestamps from the scene's own start.

    Beside each, the objects of its events, if they are asked for; else nothing.
    """
    from evreel.kernels import simulate as kernels

    n_pixels = scene.sensor.height * scene.sensor.width
    painter = _Painter(scene, objects)
    table = log_table()
    on, off = _thresholds(scene)
    noise = _noise(scene)
    before = table[painter.picture(0)]
    level, reference = np.empty_like(before), before.copy()
    last = np.full(n_pixels, -(2**62), dtype=np.int64)
    steps_a_chunk = max(1, CHUNK_US // scene.step_us)
    held: list[tuple[npt.NDArray[Any], ...]] = []
    for step in range(scene.duration_us // scene.step_us):
        start_us = step * scene.step_us
        picture = painter.picture(start_us + scene.step_us)
        n = kernels.count_crossings(picture, table, level, reference, on, off)
        t, pixel = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
        p = np.empty(n, dtype=np.uint8)
        kernels.find_crossings(
            before, level, reference, on, off, start_us, scene.step_us, t, pixel, p
        )
        before, level = level, before
        columns = [(t, pixel, p), *(source.draw(start_us) for source in noise)]
        t, pixel, p = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        owner = np.full(len(t) if objects else 0, -1, dtype=np.int32)
        if objects:
            owner[:n] = painter.owner[pixel[:n]]
        order = np.argsort(t, kind="stable")
        t, pixel, p = t[order], pixel[order], p[order]
        keep = np.empty(len(t), dtype=np.bool_)
        kernels.drop_refractory(t, pixel, last, scene.camera.refractory_us, keep)
        held.append((t[keep], pixel[keep], p[keep], owner[order][keep] if objects else owner))
        if (step + 1) % steps_a_chunk == 0 or start_us + scene.step_us == scene.duration_us:
            t, pixel, p, owner = (np.concatenate(parts) for parts in zip(*held, strict=True))
            held = []
            if len(t):
                y, x = np.divmod(pixel, scene.sensor.width)
                yield Events(t, x, y, p, scene.sensor), owner


@functools.cache
def log_table() -> Int64Array:
    """Return ln(i / `FULL_SCALE`) of each intensity i above 0, rounded to 1/`LOG_UNIT`.

    Returns
    -------
    (FULL_SCALE + 1,) int64, read-only; entry 0, which no picture has, equals entry 1.
    """
    whole = math.log(FULL_SCALE)
    levels = [round((math.log(i) - whole) * LOG_UNIT) for i in range(1, FULL_SCALE + 1)]
    table = np.array([levels[0], *levels], dtype=np.int64)
    table.flags.writeable = False
    return table


def _random(scene: Scene, *purpose: int) -> np.random.Generator:
    """Return a separate generator for each purpose, so that their draws are independent."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((scene.seed, *purpose))))


_FOR_THRESHOLDS, _FOR_SHOT_NOISE, _FOR_HOT_PIXELS, _FOR_BACKGROUND, _FOR_OBJECT = range(5)


def _thresholds(scene: Scene) -> tuple[Int64Array, Int64Array]:
    """Return each pixel's ON and OFF threshold, (h·w,) each.

    The sum of twelve uniform draws has a standard deviation of one and is close to Gaussian
    within the 6 standard deviations that it can reach.
    """
    camera = scene.camera
    n_pixels = scene.sensor.height * scene.sensor.width
    on, off = (np.zeros(n_pixels, dtype=np.int64) for _ in range(2))
    for purpose, (threshold, pixels) in enumerate(
        ((camera.threshold_on, on), (camera.threshold_off, off))
    ):
        random = _random(scene, _FOR_THRESHOLDS, purpose)
        for _ in range(12):
            pixels += random.integers(0, 65_536, n_pixels)
        pixels[:] = threshold + camera.threshold_spread * (pixels - 6 * 65_535) // 65_536
    return on, off


def _lattice(surface: Surface, random: np.random.Generator) -> Int64Array:
    """Return a texture's values, (128, 128) from intensity − amplitude to intensity + amplitude."""
    from evreel.kernels.simulate import LATTICE

    shape = (LATTICE, LATTICE)
    if surface.texture == "plain":
        return np.full(shape, surface.intensity, dtype=np.int64)
    if surface.texture == "noise":
        return surface.intensity + random.integers(
            -surface.amplitude, surface.amplitude, shape, endpoint=True
        )
    row, column = np.indices(shape)
    odd = column % 2 if surface.texture == "stripes" else (row + column) % 2
    return (surface.intensity + surface.amplitude * (2 * odd - 1)).astype(np.int64)


class _Painter:
    """Paints a scene at an instant: the background, then objects from lowest to highest.

    `owner`, (h·w,), is which object each pixel's change since the last picture is of, −1 none; it
    is kept only if `objects`.
    """

    def __init__(self, scene: Scene, objects: bool = False) -> None:
        from evreel.kernels import simulate as kernels

        self._scene = scene
        self._owner = np.full(scene.sensor if objects else (0, 0), -1, dtype=np.int32)
        self.owner = self._owner.reshape(-1)
        # What the last picture has of each object: where (0 of no pixel), and how bright.
        self._layers = np.zeros(
            (len(scene.objects) if objects else 0, *scene.sensor), dtype=np.int64
        )
        self._cover = _cover(scene.sensor)
        self._everywhere = np.full_like(self._cover, kernels.FULL)
        self._ground = _lattice(scene.background, _random(scene, _FOR_BACKGROUND))
        self._lattices = [
            _lattice(thing.surface, _random(scene, _FOR_OBJECT, index))
            for index, thing in enumerate(scene.objects)
        ]
        self._order = _painting_order(scene.objects)
        self._background = np.zeros(scene.sensor, dtype=np.int64)
        self._picture = np.zeros(scene.sensor, dtype=np.int64)
        self._drift: tuple[int, int] | None = None

    def picture(self, t_us: int) -> Int64Array:
        """Return the (h·w,) intensities at an instant; the next call reuses the array."""
        from evreel.kernels import simulate as kernels

        scene = self._scene
        drift = (scene.drift[0] * t_us // 1_000_000, scene.drift[1] * t_us // 1_000_000)
        if drift != self._drift:
            self._drift = drift
            shift = scene.background.cell_shift
            kernels.paint(self._background, self._everywhere, self._ground, shift, *drift)
        self._picture[:] = self._background
        self._owner[:] = -1
        for index in self._order:
            thing = scene.objects[index]
            if thing.shown(t_us):
                self._lay(thing, self._lattices[index], t_us)
            if len(self._layers):
                self._own(index, t_us)
        return self._picture.reshape(-1)

    def _own(self, index: int, t_us: int) -> None:
        """Note which pixels an object changes; it is higher than those before it."""
        from evreel.kernels import simulate as kernels

        thing = self._scene.objects[index]
        self._cover[:] = 0
        if thing.shown(t_us):
            kernels.cover_polygon(_vertices(thing, t_us), self._cover)
        x, y = thing.origin(t_us)
        layer, lattice = self._layers[index], self._lattices[index]
        shift = thing.surface.cell_shift
        kernels.own(layer, self._cover, lattice, shift, x, y, index, self._owner)

    def _lay(self, thing: SceneObject, lattice: Int64Array, t_us: int) -> None:
        """Paint one object into the rows that it reaches."""
        from evreel.kernels import simulate as kernels

        vertices = _vertices(thing, t_us)
        top = max(0, int(vertices[:, 1].min()) // SUBPIXEL)
        bottom = min(self._scene.sensor.height, int(vertices[:, 1].max()) // SUBPIXEL + 1)
        if top >= bottom:
            return
        x, y = thing.origin(t_us)
        vertices[:, 1] -= top * SUBPIXEL
        cover = self._cover[top:bottom]
        kernels.cover_polygon(vertices, cover)
        kernels.paint(
            self._picture[top:bottom],
            cover,
            lattice,
            thing.surface.cell_shift,
            x,
            y - top * SUBPIXEL,
        )


class _Poisson:
    """Events at a constant rate: per step, a Poisson count at uniform pixels and instants.

    Parameters
    ----------
    random : source of draws.
    pixels : (n,) the pixels that fire.
    hz : events per second of each pixel.
    step_us : duration of a step.
    polarities : 2 for both OFF and ON, 1 for only ON.
    """

    def __init__(
        self,
        random: np.random.Generator,
        pixels: Int64Array,
        hz: float,
        step_us: int,
        polarities: int,
    ) -> None:
        self._random = random
        self._pixels = pixels
        self._step_us = step_us
        self._polarities = polarities
        self._table = _poisson_table(Decimal(hz) * len(pixels) * step_us / 1_000_000)

    def draw(self, start_us: int) -> tuple[Int64Array, Int64Array, npt.NDArray[np.uint8]]:
        """Return t, pixel and p of a step's events, with ``start_us < t <= start_us + step_us``."""
        random = self._random
        n = int(np.searchsorted(self._table, random.integers(0, 2**62), side="right"))
        t = start_us + 1 + random.integers(0, self._step_us, n)
        pixel = self._pixels[random.integers(0, max(1, len(self._pixels)), n)]
        p = 1 - random.integers(0, self._polarities, n)
        return t, pixel, p.astype(np.uint8)


def _noise(scene: Scene) -> list[_Poisson]:
    """Return the sources of shot noise and hot pixels, if the camera has them."""
    camera, n_pixels = scene.camera, scene.sensor.height * scene.sensor.width
    sources = []
    if camera.noise_hz:
        everywhere = np.arange(n_pixels)
        random = _random(scene, _FOR_SHOT_NOISE)
        sources.append(_Poisson(random, everywhere, camera.noise_hz, scene.step_us, 2))
    if camera.hot_pixels and camera.hot_pixel_hz:
        random = _random(scene, _FOR_HOT_PIXELS)
        pixels: dict[int, None] = {}
        while len(pixels) < camera.hot_pixels:
            pixels[int(random.integers(0, n_pixels))] = None
        sources.append(_Poisson(random, np.array([*pixels]), camera.hot_pixel_hz, scene.step_us, 1))
    return sources


def _poisson_table(mean: Decimal) -> Int64Array:
    """Return entry k = P(at most k) · 2⁶² of a Poisson count, rounded down, until nothing is left.

    For a uniform draw from ``[0, 2**62)``, the number of entries at or below it is such a count.

    Examples
    --------
    >>> table = _poisson_table(Decimal("0.5"))
    >>> float(table[0] / 2**62), float(table[1] / 2**62)  # e^-0.5 and 1.5 e^-0.5
    (0.6065306597126334, 0.9097959895689501)
    """
    table = []
    with localcontext(prec=40):
        share = total = (-mean).exp()
        count = 0
        while count < mean or share * 2**62 >= 1:
            table.append(int(total * 2**62))
            count += 1
            share = share * mean / count
            total += share
    return np.array(table, dtype=np.int64)
