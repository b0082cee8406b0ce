"""COCO's instances as JSON: boxes, polygons, masks and keypoints of objects in pictures.

Beside COCO's own keys, objects have CVAT's ``attributes``: ``track_id``, ``occluded``,
``keyframe``, ``rotation``, and whatever annotators said. What COCO cannot hold goes there too, as
``z_order`` and ``group_id``. A box is an object without a segmentation; one that is turned has its
four corners as segmentation and their bounds as ``bbox``, so that readers which know nothing of
``rotation`` have the place right. CVAT writes the box before it turns, which is read too.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from evreel.annotations.forms.listing import (
    Invalid,
    Listing,
    Shown,
    checked_labels,
    frames_by_name,
    is_writable,
    shown,
    stated,
    task_of,
    with_gaps,
)
from evreel.annotations.forms.packed import Packed
from evreel.annotations.forms.rle import filled, mask_of_runs, picture_runs, runs_of_text
from evreel.annotations.shapes import (
    NO_ATTRIBUTES,
    Annotations,
    Box,
    Cuboid,
    Ellipse,
    FloatArray,
    Mask,
    Polygon,
    Shape,
    Skeleton,
    turned,
)
from evreel.errors import AnnotationError
from evreel.text import read_text
from evreel.video.picture import LARGEST_PICTURE

RASTERISED = "polygons_as_masks"
_OURS = ("track_id", "occluded", "keyframe", "rotation", "z_order", "group_id")
_UNUSED = 10**15
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def read_coco(path: str | Path, *, invalid: Invalid = "error", fill: bool = False) -> Annotations:
    """Read COCO's instances or keypoints.

    Parameters
    ----------
    path
        The JSON; or a zip or folder with one in ``annotations/``.
    invalid, fill
        As `evreel.annotations.read_annotations` takes them.

    Returns
    -------
    Annotations
        Each listed picture was looked at. A picture's frame is the one that its name states, or
        else follows from its id: they count from 0 if there is a picture 0, and from 1 otherwise.
        An object with keypoints is a skeleton; with one polygon, a polygon; with several, a mask of
        the pixels in them, counted in ``repairs``; with runs, a mask; with none of these, a box.
        Objects without a ``track_id`` are loose. ``iscrowd`` becomes the attribute ``is_crowd``.

    Raises
    ------
    AnnotationError
        With the object, if the file is not of this form.
    """
    path = Path(path)
    root = _parsed(path)
    reader = _Reader(path, invalid)
    reader.images(reader.list_of(root, "images"))
    reader.categories(reader.list_of(root, "categories"))
    for place, item in reader.items(reader.list_of(root, "annotations"), "annotation"):
        reader.annotation(item, place)
    frames = sorted(reader.frames.values())
    task = task_of(frames)
    step = 1 if task is None else task.step
    tracks = reader.listing.tracks(frozenset(frames), step=step, fill=fill)
    return Annotations(
        labels=tuple(reader.labels.values()),
        tracks=tracks,
        frames=with_gaps(frames, tracks, path) if fill else tuple(frames),
        picture_shape=reader.picture_shape,
        source=path.name,
        repairs=reader.listing.repairs,
        task=task,
        of_images=True,
        lists_frames=True,
        pictures={reader.frames[id_]: name for id_, name in reader.names.items()},
    )


def _parsed(path: Path) -> dict[str, Any]:
    if path.is_file():
        with path.open("rb") as file:
            packed = file.read(2) == b"PK"
    else:
        packed = True
    place = None
    if packed:
        with Packed(path) as inside:
            found = [name for name in inside.names if name.endswith(".json")]
            found = [name for name in found if "annotations" in name.split("/")[:-1]] or found
            if len(found) != 1:
                what = ", ".join(found) or "no .json"
                raise AnnotationError(
                    f"has {what}; one file of annotations is expected",
                    path=path,
                    hint="Give the one that is wanted.",
                )
            place, text = found[0], inside.text(found[0])
    else:
        text = read_text(path)
    try:
        root = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(
            f"is not whole JSON: {str(error) or 'it is nested too deeply'}",
            path=path,
            place=place,
            hint="Export or download it again.",
        ) from error
    if not isinstance(root, dict) or "images" not in root or "annotations" not in root:
        raise AnnotationError(
            "is JSON, but not COCO's: images, annotations and categories are expected",
            path=path,
            place=place,
        )
    return root


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"it has {text}, which is not a number of JSON")


class _Reader:
    """One pass over a file; fills what it takes."""

    def __init__(self, path: Path, invalid: Invalid) -> None:
        self.listing = Listing(path, invalid)
        self.listing.repairs[RASTERISED] = 0
        self.frames: dict[int, int] = {}
        self.names: dict[int, str] = {}
        self.labels: dict[int, str] = {}
        self.picture_shape: tuple[int, int] | None = None
        self._joints: dict[int, tuple[str, ...]] = {}
        self._seen: set[int] = set()

    def list_of(self, root: Mapping[str, Any], name: str) -> list[Any]:
        found = root.get(name)
        if not isinstance(found, list):
            self.listing.fail(f"{name} is {stated(found)}; a list is expected")
        return found

    def items(self, found: Iterable[Any], what: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield place and content of each item of a list."""
        for k, item in enumerate(found):
            if not isinstance(item, dict):
                self.listing.fail(f"is {stated(item)}; an object is expected", f"{what} {k}")
            id_ = item.get("id")
            yield (f"{what} {k}" if id_ is None else f"{what} {k} (id {id_})"), item

    def whole(
        self, item: Mapping[str, Any], name: str, place: str, least: int = 0, most: int = _UNUSED
    ) -> int:
        value = item.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.listing.fail(
                f"{name} is {stated(value)}; a whole number of {least} to {most} is expected", place
            )
        return value

    def text(self, item: Mapping[str, Any], name: str, place: str) -> str:
        value = item.get(name)
        if not isinstance(value, str) or not value or not is_writable(value):
            self.listing.fail(f"{name} is {stated(value)}; text is expected", place)
        return value

    def numbers(self, value: Any, name: str, place: str) -> list[float]:
        if not isinstance(value, list):
            self.listing.fail(f"{name} is {stated(value)}; a list of numbers is expected", place)
        for number in value:
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                self.listing.fail(f"{name} has {stated(number)} in it; numbers are expected", place)
        try:
            return [float(number) for number in value]
        except OverflowError:
            return [math.inf] * len(value)

    def images(self, found: list[Any]) -> None:
        for place, item in self.items(found, "image"):
            id_ = self.whole(item, "id", place)
            if id_ in self.names:
                self.listing.fail("is listed twice", place)
            self.names[id_] = self.text(item, "file_name", place)
            height, width = (
                self.whole(item, name, place, 1, LARGEST_PICTURE) for name in ("height", "width")
            )
            known = self.picture_shape
            if known is not None and known != (height, width):
                self.listing.fail(
                    f"is {width}x{height}; the pictures before it are {known[1]}x{known[0]}",
                    place,
                    "Give the pictures of one recording.",
                )
            self.picture_shape = (height, width)
        frames = frames_by_name(list(self.names.values()))
        if frames is None:
            first = 0 if 0 in self.names else 1
            frames = [id_ - first for id_ in self.names]
        self.frames = dict(zip(self.names, frames, strict=True))

    def categories(self, found: list[Any]) -> None:
        names = []
        for place, item in self.items(found, "category"):
            id_ = self.whole(item, "id", place)
            if id_ in self.labels:
                self.listing.fail("is listed twice", place)
            self.labels[id_] = self.text(item, "name", place)
            names.append(self.labels[id_])
            joints = item.get("keypoints", [])
            if not isinstance(joints, list) or not all(map(_is_name, joints)):
                self.listing.fail("keypoints is not a list of names", place)
            self._joints[id_] = tuple(joints)
        checked = checked_labels(names, self.listing.path, "categories")
        self.labels = dict(zip(self.labels, checked, strict=True))

    def annotation(self, item: dict[str, Any], place: str) -> None:
        if "id" in item:
            id_ = self.whole(item, "id", place)
            if id_ in self._seen:
                self.listing.fail("is listed twice", place)
            self._seen.add(id_)
        image = self.whole(item, "image_id", place)
        if image not in self.frames:
            self.listing.fail(f"image_id {image} is not one of the images", place)
        category = self.whole(item, "category_id", place)
        if category not in self.labels:
            self.listing.fail(f"category_id {category} is not one of the categories", place)
        said = item.get("attributes", {})
        if not isinstance(said, dict):
            self.listing.fail(f"attributes is {stated(said)}; an object is expected", place)
        if not all(is_writable(name) and is_writable(_text(said[name])) for name in said):
            self.listing.fail("attributes has a character that no text can have", place)
        shape = self._shape(item, said, category, place)
        if shape is None:
            return
        attributes = {name: _text(value) for name, value in said.items() if name not in _OURS}
        if self.whole({"iscrowd": item.get("iscrowd", 0)}, "iscrowd", place, 0, 1):
            attributes["is_crowd"] = "true"
        track = -1
        if said.get("track_id") is not None:
            track = self.whole(said, "track_id", place)
        most = 10**9
        self.listing.add(
            track,
            self.labels[category],
            replace(
                shape,
                frame=self.frames[image],
                occluded=self._mark(said, "occluded", False, place),
                keyframe=self._mark(said, "keyframe", True, place),
                z_order=self.whole(said, "z_order", place, -most, most) if "z_order" in said else 0,
                group=self.whole(said, "group_id", place, 0, most) if "group_id" in said else 0,
                attributes=attributes or NO_ATTRIBUTES,
            ),
            place,
        )

    def _mark(self, said: Mapping[str, Any], name: str, absent: bool, place: str) -> bool:
        value = said.get(name, absent)
        if value not in (True, False):
            self.listing.fail(f"{name} is {stated(value)}; true or false is expected", place)
        return bool(value)

    def _shape(
        self, item: dict[str, Any], said: Mapping[str, Any], category: int, place: str
    ) -> Shape | None:
        """Return the object's shape, in frame 0; None if it is not valid, and dropped."""
        joints, keypoints = self._joints[category], item.get("keypoints")
        if joints and keypoints is not None:
            skeleton = self._skeleton(self.numbers(keypoints, "keypoints", place), joints, place)
            if skeleton is not None:
                return skeleton
        segmentation = item.get("segmentation", [])
        if isinstance(segmentation, dict):
            return self._mask(segmentation, place)
        if not isinstance(segmentation, list):
            self.listing.fail(f"segmentation is {stated(segmentation)}", place)
        if not segmentation:
            return self._box(item, said, place)
        outlines = [self._outline(part, place) for part in segmentation]
        if not all(self.listing.takes(Polygon, outline, place) for outline in outlines):
            return None
        if len(outlines) == 1:
            rotation = self._rotation(said, place)
            return _turned_box(outlines[0], rotation) or Polygon(0, outlines[0])
        mask = filled(outlines, self.picture_shape or (0, 0))
        if mask is None:
            self.listing.unfit("has no pixel in its polygons", place)
            return None
        self.listing.repairs[RASTERISED] += 1
        return mask

    def _outline(self, part: Any, place: str) -> FloatArray:
        numbers = self.numbers(part, "segmentation", place)
        if len(numbers) % 2:
            self.listing.fail(f"segmentation has {len(numbers)} numbers; pairs are expected", place)
        return np.array(numbers, dtype=np.float64).reshape(-1, 2)

    def _box(self, item: Mapping[str, Any], said: Mapping[str, Any], place: str) -> Box | None:
        numbers = self.numbers(item.get("bbox"), "bbox", place)
        if len(numbers) != 4:
            self.listing.fail(f"bbox has {len(numbers)} numbers; 4 are expected", place)
        left, top, width, height = numbers
        points = np.array([[left, top], [left + width, top + height]])
        rotation = self._rotation(said, place)
        if not self.listing.takes(Box, points, place):
            return None
        return Box(0, points, rotation=rotation)

    def _rotation(self, said: Mapping[str, Any], place: str) -> float:
        (rotation,) = self.numbers([said.get("rotation", 0.0)], "rotation", place)
        if not math.isfinite(rotation):
            self.listing.fail(f"rotation is {rotation}; degrees are expected", place)
        return rotation % 360

    def _mask(self, segmentation: Mapping[str, Any], place: str) -> Mask | None:
        assert self.picture_shape is not None  # the object is in a picture
        size = self.numbers(segmentation.get("size"), "segmentation's size", place)
        if tuple(size) != self.picture_shape:
            height, width = self.picture_shape
            self.listing.fail(
                f"segmentation's size is {segmentation['size']}; [{height}, {width}] is expected",
                place,
            )
        counts = segmentation.get("counts")
        try:
            if isinstance(counts, str):
                runs = runs_of_text(counts)
            else:
                runs = [self._run(run, place) for run in self.numbers(counts, "counts", place)]
            mask = mask_of_runs(runs, self.picture_shape)
        except ValueError as error:
            self.listing.fail(f"its mask {error}", place)
        if mask is None:
            self.listing.unfit("mask has no pixel", place)
        return mask

    def _run(self, run: float, place: str) -> int:
        if not (0 <= run < _UNUSED and run.is_integer()):
            self.listing.fail(f"counts has {run} in it; whole numbers are expected", place)
        return int(run)

    def _skeleton(
        self, numbers: list[float], joints: tuple[str, ...], place: str
    ) -> Skeleton | None:
        if len(numbers) != 3 * len(joints):
            self.listing.fail(
                f"keypoints has {len(numbers)} numbers; 3 for each of {len(joints)} points are "
                "expected",
                place,
            )
        values = np.array(numbers).reshape(-1, 3)
        seen = values[:, 2]
        if not np.isin(seen, (0, 1, 2)).all():
            self.listing.fail("keypoints has a visibility that is not 0, 1 or 2", place)
        if not seen.any() or not self.listing.takes(Skeleton, values[:, :2], place):
            return None
        return Skeleton(
            0,
            values[:, :2].copy(),
            joints=joints,
            visible=tuple((seen > 0).tolist()),
            hidden=tuple((seen == 1).tolist()),
        )


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and is_writable(value)


def _text(value: Any) -> str:
    """Return what an attribute says, as CVAT's XML has it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Pictures(NamedTuple):
    """A recording's annotations, and what its pictures are called.

    Parameters
    ----------
    annotations : frame numbers count from 0.
    picture_shape : (height, width) in pixels.
    names : frame → file name, unique in the data set.
    """

    annotations: Annotations
    picture_shape: tuple[int, int]
    names: Mapping[int, str]


def write_coco(path: str | Path, parts: Sequence[Pictures]) -> dict[str, int]:
    """Write recordings as COCO's instances.

    Each frame that was looked at becomes a picture. Frames between listed shapes are filled as
    `evreel.annotations.shapes.interpolate` does.

    Parameters
    ----------
    path
        The file to write; equal annotations give equal bytes.
    parts
        The recordings; all must have the same labels, which become the categories 1, 2, ….

    Returns
    -------
    What the form cannot hold: sentence → how often.

    Raises
    ------
    AnnotationError
        If recordings have different labels, or skeletons of a label have different joints.
    """
    path = Path(path)
    labels = parts[0].annotations.labels
    images: list[dict[str, Any]] = []
    annotations: list[str] = []
    joints: dict[str, tuple[str, ...]] = {}
    lost: Counter[str] = Counter()
    for part in parts:
        if part.annotations.labels != labels:
            raise AnnotationError(
                f"has other labels than {parts[0].annotations.source}",
                path=part.annotations.source or path,
                hint="Give labels.",
            )
        frames, found = shown(part.annotations)
        height, width = part.picture_shape
        first = len(images) + 1
        number = {frame: first + k for k, frame in enumerate(frames)}
        images += (
            {"id": id_, "file_name": part.names[frame], "width": width, "height": height}
            for frame, id_ in number.items()
        )
        lost["frame tags"] += len(part.annotations.tags)
        for one in found:
            if isinstance(one.shape, Skeleton):
                known = joints.setdefault(one.label, one.shape.joints)
                if known != one.shape.joints:
                    raise AnnotationError(
                        f"skeletons of {one.label!r} have different points, which COCO cannot hold",
                        path=part.annotations.source or path,
                        place=f"frame {one.frame}",
                    )
            content = _content(one, part.picture_shape)
            if content is None:
                lost[f"{one.shape.plural}, which COCO does not have"] += 1
                continue
            if isinstance(one.shape, (Ellipse, Cuboid)):
                lost[f"{one.shape.plural} written as polygons"] += 1
            annotation = {
                "id": len(annotations) + 1,
                "image_id": number[one.frame],
                "category_id": labels.index(one.label) + 1,
                **content,
                "iscrowd": int(one.shape.attributes.get("is_crowd") == "true"),
                "attributes": _attributes(one),
            }
            annotations.append(_JSON.encode(annotation))
    categories = [
        {"id": k, "name": label, "supercategory": ""}
        | ({"keypoints": list(joints[label]), "skeleton": []} if label in joints else {})
        for k, label in enumerate(labels, start=1)
    ]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write('{"images": [')
        file.write(",\n".join(map(_JSON.encode, images)))
        file.write('],\n"annotations": [')
        file.write(",\n".join(annotations))
        file.write(f'],\n"categories": {_JSON.encode(categories)}}}\n')
    return dict(lost)


def _turned_box(corners: FloatArray, rotation: float) -> Box | None:
    """Return the box that a rotation turned to four corners; None if they are not of one."""
    if not rotation or len(corners) != 4:
        return None
    upright = turned(corners, corners.mean(axis=0), -rotation)
    points = Box.around(upright)
    box = Box(0, points, rotation=rotation)
    is_box = Box.fault(points) is None and np.allclose(box.outline, corners, atol=1e-6)
    return box if is_box else None


def _content(one: Shown, picture_shape: tuple[int, int]) -> dict[str, Any] | None:
    """Return segmentation, area and box of a shape; None if COCO has none for it."""
    shape = one.shape
    if isinstance(shape, Box):
        (left, top), (right, bottom) = shape.points.tolist()
        box = [left, top, right - left, bottom - top]
        area = box[2] * box[3]
        if not shape.rotation % 360:
            return {"segmentation": [], "area": area, "bbox": box}
        left, top, right, bottom = shape.bounds
        box = [left, top, right - left, bottom - top]
        corners = shape.outline.ravel().tolist()
        return {"segmentation": [corners], "area": area, "bbox": box}
    left, top, right, bottom = shape.bounds
    box = [left, top, right - left, bottom - top]
    if isinstance(shape, Mask):
        runs = picture_runs(shape, picture_shape)
        size = list(picture_shape)
        segmentation = {"size": size, "counts": runs}
        return {"segmentation": segmentation, "area": sum(runs[1::2]), "bbox": box}
    if isinstance(shape, Skeleton):
        seen = [
            2 - hidden if visible else 0
            for visible, hidden in zip(shape.visible, shape.hidden, strict=True)
        ]
        points = zip(shape.points.tolist(), seen, strict=True)
        keypoints = [value for (x, y), v in points for value in ((x, y, v) if v else (0, 0, 0))]
        return {
            "segmentation": [],
            "area": box[2] * box[3],
            "bbox": box,
            "keypoints": keypoints,
            "num_keypoints": sum(v > 0 for v in seen),
        }
    if isinstance(shape, (Polygon, Ellipse, Cuboid)):
        outline = shape.outline
        x, y = outline.T
        area = abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
        return {"segmentation": [outline.ravel().tolist()], "area": area, "bbox": box}
    return None


def _attributes(one: Shown) -> dict[str, Any]:
    shape = one.shape
    said: dict[str, Any] = {
        name: value for name, value in shape.attributes.items() if name != "is_crowd"
    }
    said["occluded"] = shape.occluded
    if isinstance(shape, Box):
        said["rotation"] = shape.rotation
    if one.track >= 0:
        said |= {"track_id": one.track, "keyframe": shape.keyframe}
    if shape.z_order:
        said["z_order"] = shape.z_order
    if shape.group:
        said["group_id"] = shape.group
    return said
