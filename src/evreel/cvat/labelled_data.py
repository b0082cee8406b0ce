"""Annotations → the form in which a CVAT server takes them: labels, tags, shapes, tracks.

Of a track, key frames and closings are sent, and no other shapes: CVAT finds what is between them.
Nothing is rounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from xml.sax.saxutils import quoteattr

from evreel.annotations.cvat.write import label_color, of_joint, said_of_labels
from evreel.annotations.shapes import (
    Annotations,
    Attribute,
    Box,
    Cuboid,
    Ellipse,
    Mask,
    Points,
    Polygon,
    Polyline,
    Shape,
    Skeleton,
    Track,
)
from evreel.errors import AnnotationError
from evreel.exports.cvat import none_alone

_SOURCE = "file"
"""Whence a shape is, in CVAT's words."""

Json = dict[str, Any]
T = TypeVar("T")


class KnownLabel(NamedTuple):
    """A label that a server has.

    Parameters
    ----------
    id : its number.
    attributes : name → number, and whether the value may change within a track.
    points : of a skeleton, the labels of its points by name.
    """

    id: int
    attributes: Mapping[str, tuple[int, bool]]
    points: Mapping[str, KnownLabel]


def label_specs(annotations: Annotations) -> list[Json]:
    """Return the labels of a task to make, with attributes and the points of skeletons.

    Raises
    ------
    AnnotationError
        If a label is of skeletons and of other shapes too, which CVAT does not allow.
    """
    kinds: dict[str, set[bool]] = {}
    for track in annotations.tracks:
        found = {type(shape) is Skeleton for shape in track.shapes}
        kinds.setdefault(track.label, set()).update(found)
    made = []
    for name, (attributes, joints) in said_of_labels(annotations).items():
        spec = _label(name, attributes, "skeleton" if joints else "any")
        if joints:
            if len(kinds[name]) > 1:
                raise AnnotationError(
                    f"label {name!r} is of skeletons and of other shapes, which a CVAT task does "
                    "not allow",
                    path=annotations.source or None,
                    hint="Give one of them another label.",
                )
            spec["sublabels"] = [_label(joint, own, "points") for joint, own in joints.items()]
            spec["svg"] = _drawing(list(joints))
        made.append(spec)
    return made


def _label(name: str, attributes: Iterable[Attribute], kind: str) -> Json:
    return {
        "name": name,
        "color": label_color(name),
        "type": kind,
        "attributes": [
            {
                "name": each.name,
                "mutable": each.mutable,
                "input_type": each.kind,
                "values": list(each.values),
                "default_value": each.default,
            }
            for each in attributes
        ],
    }


def _drawing(joints: Sequence[str]) -> str:
    """Return the drawing that CVAT needs of a skeleton: its points, one below the other."""
    return "".join(
        f'<circle r="0.75" cx="50" cy="{100 * (k + 1) / (len(joints) + 1):.2f}" '
        f'data-type="element node" data-element-id="{k + 1}" data-node-id="{k + 1}" '
        f"data-label-name={quoteattr(joint)}></circle>"
        for k, joint in enumerate(joints)
    )


def labelled_data(
    annotations: Annotations, labels: Mapping[str, KnownLabel], n_frames: int
) -> Json:
    """Return annotations as ``/api/tasks/<id>/annotations`` takes them.

    Parameters
    ----------
    annotations
        With rows of the clock as frame numbers. A loose shape (track id −1) stays one; so do masks,
        of which CVAT has no tracks: several of one track get a group of their own.
    labels
        Those of the task, by name.
    n_frames
        Frames of the task; what closes a track after the last one is left out.

    Raises
    ------
    AnnotationError
        If the task lacks a label, an attribute or a point of a skeleton.
    """
    known = _Known(labels, annotations.source)
    tags = [
        {
            "label_id": known.label(tag.label).id,
            "frame": tag.frame,
            "group": 0,
            "source": _SOURCE,
            "attributes": known.values(tag.label, tag.attributes),
        }
        for tag in annotations.tags
    ]
    groups = [shape.group for track in annotations.tracks for shape in track.shapes]
    free = max(groups, default=0) + 1
    shapes: list[Json] = []
    tracks: list[Json] = []
    for track in annotations.tracks:
        if track.id >= 0 and not any(type(shape) is Mask for shape in track.shapes):
            tracks += _track(track, known, n_frames)
            continue
        seen = [shape for shape in track.shapes if not shape.outside]
        needs_group = track.id >= 0 and len(seen) > 1 and not seen[0].group
        shapes += (_loose(shape, track.label, known, free if needs_group else 0) for shape in seen)
        free += needs_group
    return {"version": 0, "tags": tags, "shapes": shapes, "tracks": tracks}


class _Known:
    """The labels of a task, and errors that say what it lacks."""

    def __init__(self, labels: Mapping[str, KnownLabel], source: str) -> None:
        self._labels = labels
        self._source = source or None

    def label(self, name: str) -> KnownLabel:
        return self._found(self._labels, name, f"label {name!r}")

    def point(self, label: str, joint: str) -> KnownLabel:
        what = f"point {joint!r} of skeleton {label!r}"
        return self._found(self.label(label).points, joint, what)

    def values(
        self,
        label: str,
        values: Mapping[str, str],
        *,
        joint: str = "",
        mutable: bool | None = None,
    ) -> list[Json]:
        """Return attributes; all of them, or those that may change, or those that may not."""
        of = self.point(label, joint) if joint else self.label(label)
        made = []
        for name, value in values.items():
            what = f"attribute {name!r} of label {label!r}"
            number, changes = self._found(of.attributes, name, what)
            if mutable in (None, changes):
                made.append({"spec_id": number, "value": value})
        return made

    def _found(self, where: Mapping[str, T], name: str, what: str) -> T:
        if name not in where:
            raise AnnotationError(
                f"has {what}, which the task does not have",
                path=self._source,
                hint="Add it to the CVAT project, or push without --project.",
            )
        return where[name]


def _split(shape: Shape) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return the attributes of a shape itself, and those of the points of a skeleton."""
    own: dict[str, str] = {}
    joints: dict[str, dict[str, str]] = {
        joint: {} for joint in (shape.joints if isinstance(shape, Skeleton) else ())
    }
    for name, value in shape.attributes.items():
        joint, rest = of_joint(name, joints)
        (joints[joint] if joint else own)[rest] = value
    return own, joints


def _drawn(shape: Shape) -> Json:
    """Return what is said of a shape itself, whether it is of a track or not."""
    kind, points = _POINTS[type(shape)]
    return {
        "type": kind,
        "frame": shape.frame,
        "occluded": shape.occluded,
        "outside": shape.outside,
        "z_order": shape.z_order,
        "rotation": float(getattr(shape, "rotation", 0.0)),
        "points": points(shape),
    }


def _loose(shape: Shape, label: str, known: _Known, group: int) -> Json:
    own, of_joints = _split(shape)
    made = _drawn(shape) | {
        "label_id": known.label(label).id,
        "group": shape.group or group,
        "source": _SOURCE,
        "attributes": known.values(label, own),
        "elements": [],
    }
    if isinstance(shape, Skeleton):
        made["elements"] = [
            _joint(shape, k)
            | {
                "label_id": known.point(label, joint).id,
                "group": 0,
                "source": _SOURCE,
                "attributes": known.values(label, of_joints[joint], joint=joint),
            }
            for k, joint in enumerate(shape.joints)
        ]
    return made


def _joint(skeleton: Skeleton, k: int) -> Json:
    """Return one point of a skeleton in a frame."""
    return {
        "type": "points",
        "frame": skeleton.frame,
        "occluded": skeleton.hidden[k],
        "outside": skeleton.outside or not skeleton.visible[k],
        "z_order": skeleton.z_order,
        "rotation": 0.0,
        "points": skeleton.points[k].tolist(),
    }


def _track(track: Track, known: _Known, n_frames: int) -> list[Json]:
    """Return a track, or nothing where the task has none of its frames."""
    keys = [
        shape
        for k, shape in enumerate(none_alone(track.shapes, Counter()))
        if (k == 0 or shape.keyframe or shape.outside) and shape.frame < n_frames
    ]
    if not keys:
        return []
    label = track.label
    said = [_split(shape) for shape in keys]
    own = {name: value for values, _ in reversed(said) for name, value in values.items()}
    made: Json = {
        "label_id": known.label(label).id,
        "frame": keys[0].frame,
        "group": keys[0].group,
        "source": _SOURCE,
        "attributes": known.values(label, own, mutable=False),
        "shapes": [
            _drawn(shape) | {"attributes": known.values(label, values, mutable=True)}
            for shape, (values, _) in zip(keys, said, strict=True)
        ],
        "elements": [],
    }
    joints = dict.fromkeys(
        joint for shape in keys if isinstance(shape, Skeleton) for joint in shape.joints
    )
    made["elements"] = [_track_of_joint(joint, label, keys, known) for joint in joints]
    return [made]


def _track_of_joint(joint: str, label: str, keys: Sequence[Shape], known: _Known) -> Json:
    """Return the track of one point of a skeleton."""
    shapes: list[Json] = []
    first_said: dict[str, str] = {}
    for shape in keys:
        if isinstance(shape, Skeleton) and joint in shape.joints:
            values = _split(shape)[1][joint]
            first_said = {**values, **first_said}
            shapes.append(
                _joint(shape, shape.joints.index(joint))
                | {"attributes": known.values(label, values, joint=joint, mutable=True)}
            )
    return {
        "label_id": known.point(label, joint).id,
        "frame": shapes[0]["frame"],
        "group": 0,
        "source": _SOURCE,
        "attributes": known.values(label, first_said, joint=joint, mutable=False),
        "shapes": shapes,
    }


def _listed(shape: Shape) -> list[float]:
    listed: list[float] = shape.points.ravel().tolist()
    return listed


def _ellipse(shape: Shape) -> list[float]:
    """Return centre, right end and upper end."""
    (x, y), (rx, ry) = shape.points.tolist()
    return [x, y, x + rx, y - ry]


def _mask(shape: Any) -> list[float]:
    """Return runs, and the first and last column and row."""
    (left, top), (right, bottom) = shape.points.tolist()
    return [*map(float, shape.runs), left, top, right - 1, bottom - 1]


_POINTS: dict[type[Shape], tuple[str, Callable[[Any], list[float]]]] = {
    Box: ("rectangle", _listed),
    Ellipse: ("ellipse", _ellipse),
    Polygon: ("polygon", _listed),
    Polyline: ("polyline", _listed),
    Points: ("points", _listed),
    Cuboid: ("cuboid", _listed),
    Mask: ("mask", _mask),
    Skeleton: ("skeleton", lambda _: []),
}
"""What the server calls each shape, and the numbers that say where it is."""
