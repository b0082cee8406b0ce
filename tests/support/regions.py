"""Slow twins of labelling: one event, one shape, one side at a time."""

from __future__ import annotations

import math

import numpy as np

from evreel.annotations.shapes import (
    Box,
    Cuboid,
    Ellipse,
    Mask,
    Points,
    Polygon,
    Polyline,
    Shape,
    Skeleton,
    convex_hull,
    cos_sin,
    interpolate,
)


def sides_of(vertices, closed=True):
    ends = zip(vertices, np.roll(vertices, -1, axis=0), strict=True)
    sides = [(tuple(map(float, a)), tuple(map(float, b))) for a, b in ends]
    return sides if closed else sides[:-1]


def is_odd(vertices, x, y):
    """Even-odd rule, a side at a time: those left of the point, or through it, count."""
    odd = False
    for one, other in sides_of(vertices):
        (x0, y0), (x1, y1) = sorted([one, other], key=lambda point: point[1])
        if y0 <= y < y1 and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
            odd = not odd
    return odd


def near(dx, dy, reach):
    """On the very edge, a point belongs to what is right of it, or below it."""
    square, limit = dx * dx + dy * dy, reach * reach
    return square < limit or (square == limit and (dx < 0 or (dx == 0 and dy < 0)))


def near_side(x, y, side, reach):
    (x0, y0), (x1, y1) = side
    length = (x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0)
    share = 0.0
    if length:
        share = min(max(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length, 0.0), 1.0)
    return near(x - (x0 + share * (x1 - x0)), y - (y0 + share * (y1 - y0)), reach)


def in_ellipse(shape, x, y, margin):
    (cx, cy), (rx, ry) = shape.points.tolist()
    cosine, sine = cos_sin(shape.rotation)
    u = (x - cx) * cosine + (y - cy) * sine
    v = (y - cy) * cosine - (x - cx) * sine
    rx, ry = rx + margin, ry + margin
    value, limit = u * (u * (ry * ry)) + v * (v * (rx * rx)), (rx * rx) * (ry * ry)
    if value != limit:
        return value < limit
    normal_x = u * (ry * ry) * cosine - v * (rx * rx) * sine
    normal_y = u * (ry * ry) * sine + v * (rx * rx) * cosine
    return normal_x < 0 or (normal_x == 0 and normal_y < 0)


def in_mask(shape, x, y, margin):
    left, top = shape.points[0].tolist()
    for row, column in np.argwhere(shape.bitmap).tolist():
        x0, y0 = left + column, top + row
        if x0 <= x < x0 + 1 and y0 <= y < y0 + 1:
            return True
        dx = x - min(max(x, x0), x0 + 1)
        dy = y - min(max(y, y0), y0 + 1)
        if margin and near(dx, dy, margin):
            return True
    return False


def covers(shape: Shape, x: float, y: float, radius: float = 0.0, margin: float = 0.0) -> bool:
    """Return whether a point of the picture is in what a shape covers; all in picture pixels."""
    if isinstance(shape, Box):
        (left, top), (right, bottom) = shape.points.tolist()
        if not shape.rotation % 360:
            return left - margin <= x < right + margin and top - margin <= y < bottom + margin
        grown = Box(
            0, shape.points + np.array([[-margin], [margin]]), rotation=shape.rotation
        ).points
        cosine, sine = cos_sin(shape.rotation)
        cx, cy = (left + right) / 2, (top + bottom) / 2
        (left, top), (right, bottom) = grown.tolist()
        corners = [
            (
                cx + ((px - cx) * cosine - (py - cy) * sine),
                cy + ((px - cx) * sine + (py - cy) * cosine),
            )
            for px, py in ((left, top), (right, top), (right, bottom), (left, bottom))
        ]
        return is_odd(np.array(corners), x, y)
    if isinstance(shape, Ellipse):
        return in_ellipse(shape, x, y, margin)
    if isinstance(shape, Polygon | Cuboid):
        vertices = shape.points if isinstance(shape, Polygon) else convex_hull(shape.points)
        return is_odd(vertices, x, y) or bool(
            margin and any(near_side(x, y, side, margin) for side in sides_of(vertices))
        )
    if isinstance(shape, Polyline):
        sides = sides_of(shape.points, closed=False)
        return any(near_side(x, y, side, radius + margin) for side in sides)
    if isinstance(shape, Mask):
        return in_mask(shape, x, y, margin)
    shown = shape.points[list(shape.visible)] if isinstance(shape, Skeleton) else shape.points
    return any(near(x - px, y - py, radius + margin) for px, py in shown.tolist())


def area_of(shape: Shape, radius: float) -> float:
    """Return how much a shape covers, in picture pixels squared; discs and pieces all count."""
    if isinstance(shape, Box):
        width, height = (shape.points[1] - shape.points[0]).tolist()
        return width * height
    if isinstance(shape, Ellipse):
        return math.pi * shape.points[1, 0] * shape.points[1, 1]
    if isinstance(shape, Mask):
        return float(np.count_nonzero(shape.bitmap))
    if isinstance(shape, Polyline):
        sides = sides_of(shape.points, closed=False)
        length = sum(math.dist(one, other) for one, other in sides)
        return 2 * radius * length + math.pi * radius**2
    if isinstance(shape, Points | Skeleton):
        discs = sum(shape.visible) if isinstance(shape, Skeleton) else len(shape.points)
        return discs * math.pi * radius**2
    doubled = sum(
        x0 * y1 - x1 * y0
        for (x0, y0), (x1, y1) in sides_of(
            shape.points if isinstance(shape, Polygon) else convex_hull(shape.points)
        )
    )
    return abs(doubled) / 2


def ranked(holding, radius, primary=("z_order", "area", "track")):
    """Return the regions of (number, shape) from the top."""

    def key(entry):
        number, shape, *_ = entry
        said = {
            "z_order": -shape.z_order,
            "area": float(np.round(area_of(shape, radius), 5)),
            "track": -number,
        }
        return [*(said[name] for name in primary), -number]

    return [number for number, *_ in sorted(holding, key=key)]


def plain_labels(
    annotations, events, clock, picture, radius_px=2.0, margin_px=0.0, shown_at=None, **rule
):
    """Return each event's regions, one event and one shape at a time.

    `shown_at` gives the shape instead of that of the frame: (track, shape of the frame, frame, t).
    """
    radius, margin = radius_px * picture.scale, margin_px * picture.scale
    listed: dict[int, list] = {}
    for number, track in enumerate(annotations.tracks):
        for shape in interpolate(track).shapes:
            if not shape.outside:
                listed.setdefault(shape.frame, []).append((number, shape))
    roi, overlaps = [-1] * len(events), []
    for frame, shown in listed.items():
        if frame >= len(clock):
            continue
        inside = (clock.start_us[frame] <= events.t) & (events.t < clock.stop_us[frame])
        for row in np.flatnonzero(inside).tolist():
            x, y = (float(c[row] + 0.5) * picture.scale for c in (events.x, events.y))
            holding = []
            for number, shape in shown:
                there = shape
                if shown_at is not None:
                    track = annotations.tracks[number]
                    there = shown_at(track, shape, frame, int(events.t[row]))
                if covers(there, x, y, radius, margin):
                    holding.append((number, shape))
            if holding:
                roi[row], *further = ranked(holding, radius, **rule)
                overlaps += [(row, number) for number in further]
    return roi, sorted(overlaps, key=lambda pair: pair[0])


def assert_labels(got, expected):
    roi, overlaps = expected
    assert got.roi.tolist() == roi
    pairs = zip(got.overlap_event.tolist(), got.overlap_roi.tolist(), strict=True)
    assert list(pairs) == overlaps
