"""What annotators say of objects: which values are allowed, and which hold until said otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from evreel.annotations.compact import CompactShapes, LooseTracks
from evreel.annotations.shapes import Annotations, Attribute, Shape, Track

Values = Mapping[str, str]

_MOST_NAMED = 3


def carried_on(annotations: Annotations) -> Annotations:
    """Return annotations in which each shape of a track says all that is known of the object.

    By CVAT's rules: what a shape does not say is as it was in the shape before it, and what cannot
    change within a track is as it was first said. If a later shape says otherwise, that is in
    doubt.
    """
    if isinstance(annotations.tracks, LooseTracks):
        return annotations
    doubts: dict[str, None] = {}
    tracks: list[Track] = []
    is_changed = False
    for track in annotations.tracks:
        specs = {spec.name: spec for spec in annotations.attributes.get(track.label, ())}
        carried = _Carried(track.label, specs, doubts)
        shapes = track.shapes
        if isinstance(shapes, CompactShapes):
            found = shapes.attributes
            made = carried.on(found)
            if made != found:
                shapes = shapes.with_attributes(made)
        else:
            found = [shape.attributes for shape in shapes]
            made = carried.on(found)
            if made != found:
                shapes = _with_attributes(shapes, made)
        is_changed = is_changed or shapes is not track.shapes
        tracks.append(track if shapes is track.shapes else replace(track, shapes=shapes))
    if doubts:
        text = summary(annotations.source, doubts)
        annotations = replace(annotations, doubts=(*annotations.doubts, text))
    return replace(annotations, tracks=tuple(tracks)) if is_changed else annotations


class _Carried:
    """The values that hold in one track."""

    def __init__(self, label: str, specs: Mapping[str, Attribute], doubts: dict[str, None]) -> None:
        self._label = label
        self._specs = specs
        self._doubts = doubts

    def on(self, listed: Iterable[Values]) -> list[Values]:
        """Return the values that hold at each of some shapes in a row."""
        before: Values = {}
        made = []
        for now in listed:
            before = self._after(before, now)
            made.append(before)
        return made

    def _after(self, before: Values, now: Values) -> Values:
        fixed = {
            name: value
            for name, value in before.items()
            if now.get(name, value) != value
            and name in self._specs
            and not self._specs[name].mutable
        }
        for name, value in fixed.items():
            self._doubts[
                f"{name!r} of {self._label!r} changes from {value!r} to {now[name]!r} within a "
                "track, though it is immutable, so the first value counts"
            ] = None
        if not fixed and all(name in now for name in before):
            return now
        merged = {**before, **now, **fixed}
        return before if merged == before else merged


def _with_attributes(shapes: Iterable[Shape], attributes: Iterable[Values]) -> tuple[Shape, ...]:
    return tuple(
        replace(shape, attributes=values) for shape, values in zip(shapes, attributes, strict=True)
    )


def summary(source: str, doubts: Iterable[str]) -> str:
    """Return a sentence that names some of the doubts about attributes, and counts the others."""
    listed = list(doubts)
    more = len(listed) - _MOST_NAMED
    return f"{source}: attributes are not as their labels say: " + (
        "; ".join(listed[:_MOST_NAMED]) + (f"; {more} more" if more > 0 else "")
    )


def problem_of(spec: Attribute, value: str) -> str | None:
    """Return why a value is not one that an attribute may have; None if it is.

    Examples
    --------
    >>> problem_of(Attribute("hue", "select", ("red", "blue")), "green")
    'which is not one of red, blue'
    >>> problem_of(Attribute("age", "number", ("0", "99", "1")), "9") is None
    True
    """
    if spec.kind == "checkbox":
        is_known = value.lower() in ("true", "false")
        return None if is_known else "which is neither true nor false"
    if spec.kind in ("select", "radio"):
        is_known = not spec.values or value in spec.values
        return None if is_known else f"which is not one of {', '.join(spec.values)}"
    if spec.kind == "number":
        number = _number(value)
        if number is None:
            return "which is not a number"
        if len(spec.values) == 3:  # smallest, largest, step
            least, most = (_number(text) for text in spec.values[:2])
            if least is not None and most is not None and not least <= number <= most:
                return f"which is not within {spec.values[0]} and {spec.values[1]}"
    return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
