"""YOLO's folders, as Ultralytics and CVAT have them: a text of objects beside each picture.

``data.yaml`` names the classes; ``labels/<subset>/<picture>.txt`` has a line for each object, in
shares of the picture's width and height: class (from 0), centre x and y, width and height (CVAT
adds a track's number); or class, and the x and y of 3 or more vertices; or, where ``data.yaml`` has
``kpt_shape``, the box and then the points of a pose. A picture that is listed, or is there, without
such a text shows nothing.

In the older YOLO 1.1, ``obj.names`` names the classes, a line each, and texts are beside the
pictures, in ``obj_<subset>_data/``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from evreel.annotations.forms.listing import (
    Invalid,
    Listing,
    checked_labels,
    class_label,
    frames_by_name,
    is_upright_box,
    number_of,
    shown,
    stated,
    task_of,
    whole_of,
    with_gaps,
)
from evreel.annotations.forms.packed import Packed
from evreel.annotations.shapes import (
    Annotations,
    Box,
    Cuboid,
    Ellipse,
    FloatArray,
    Polygon,
    Shape,
    Skeleton,
)
from evreel.errors import AnnotationError, UsageError, foreign

CONFIG = "data.yaml"
OLD_NAMES = "obj.names"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_OLD_FOLDER = re.compile(r"obj_\w+_data")
_SLACK = 2e-6
"""Shares with six decimals, as most tools write them, may add up to this beyond the picture."""
_MOST_POINTS = 1000


def read_yolo(
    path: str | Path,
    picture_shape: tuple[int, int],
    *,
    invalid: Invalid = "error",
    fill: bool = False,
) -> Annotations:
    """Read YOLO's boxes, polygons or poses.

    Parameters
    ----------
    path
        Folder or zip with a ``data.yaml``, or with an ``obj.names``.
    picture_shape
        (height, width) of the pictures, which the files do not state.
    invalid, fill
        As `evreel.annotations.read_annotations` takes them.

    Returns
    -------
    Annotations
        All pictures of all subsets, each of which was looked at; a picture's frame is the one that
        its name states. Objects without a track's number are loose.

    Raises
    ------
    AnnotationError
        With the text and line, if the files are not of this form, or names do not state frames.
    """
    path = Path(path)
    listing = Listing(path, invalid)
    with Packed(path) as packed:
        found = packed.named(CONFIG) or packed.named(OLD_NAMES)
        if len(found) != 1:
            what = " and ".join(found[:2]) or f"no {CONFIG}"
            listing.fail(f"has {what}; one is expected")
        root = str(PurePosixPath(found[0]).parent)
        config = packed.text(found[0])
        if found[0].endswith(OLD_NAMES):
            rows = [row for row in config.splitlines() if row.strip()]
            labels, points = checked_labels(rows, path, OLD_NAMES), None
            texts, pictures = _old_contents(packed, root)
        else:
            labels, points, lists = _config(config, path)
            texts, pictures = _contents(packed, root, lists)
        keys = sorted({*texts, *pictures})
        names = [PurePosixPath(pictures.get(key, key)).name for key in keys]
        numbers = frames_by_name(names)
        if numbers is None:
            listing.fail(
                "has pictures whose names do not say which frames they are, such as "
                f"{(names or ['none'])[0]!r}",
                hint="Name each by its index and start, as evreel's PNG frames are, or by a "
                "number of its own.",
            )
        frames = dict(zip(keys, numbers, strict=True))
        for key, name in texts.items():
            for line, row in enumerate(packed.text(name).splitlines(), start=1):
                if row.strip():
                    place = f"{name}, line {line}"
                    _read_row(row, place, frames[key], listing, labels, points, picture_shape)
    known = sorted(numbers)
    task = task_of(known)
    step = 1 if task is None else task.step
    tracks = listing.tracks(frozenset(known), step=step, fill=fill)
    return Annotations(
        labels=labels,
        tracks=tracks,
        frames=with_gaps(known, tracks, path) if fill else tuple(known),
        picture_shape=picture_shape,
        source=path.name,
        repairs=listing.repairs,
        task=task,
        of_images=True,
        lists_frames=True,
        pictures=dict(zip(numbers, names, strict=True)),
    )


def _config(text: str, path: Path) -> tuple[tuple[str, ...], tuple[int, int] | None, list[str]]:
    """Return labels, (number of points, numbers of each), and the names of lists of pictures."""

    def fail(problem: str) -> AnnotationError:
        return AnnotationError(problem, path=path, place=CONFIG)

    with foreign(lambda why: fail(f"is not YAML: {why}")):
        said = yaml.load(text, _LOADER)
    names = said.get("names") if isinstance(said, dict) else None
    if isinstance(names, dict):
        if set(names) != set(range(len(names))):
            raise fail(f"names are numbered {list(names)[:9]}; 0, 1, … are expected")
        names = [names[k] for k in range(len(names))]
    if not isinstance(names, list) or not names:
        raise fail("has no names of classes")
    if said.get("nc", len(names)) != len(names):
        raise fail(f"nc is {stated(said['nc'])}, but there are {len(names)} names")
    labels = checked_labels([_name(name) for name in names], path, CONFIG)
    lists = [said.get(subset) for subset in ("train", "val", "test")]
    shape = said.get("kpt_shape")
    if shape is None:
        return labels, None, [name for name in lists if isinstance(name, str)]
    whole = isinstance(shape, list) and all(type(n) is int for n in shape)
    if not whole or len(shape) != 2 or not 1 <= shape[0] <= _MOST_POINTS or shape[1] not in (2, 3):
        raise fail(f"kpt_shape is {stated(shape)}; [number of points, 2 or 3] is expected")
    return labels, (shape[0], shape[1]), [name for name in lists if isinstance(name, str)]


def _name(name: object) -> object:
    """Return a label; YAML takes a name such as 7 for a number."""
    return str(name) if isinstance(name, (int, float)) and not isinstance(name, bool) else name


def _contents(
    packed: Packed, root: str, lists: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return key → text of its objects, and key → picture; a key is subset and name."""
    texts, pictures = {}, {}
    for name in packed.names:
        inner = PurePosixPath(name)
        if not inner.is_relative_to(root):
            continue
        kind, *rest = inner.relative_to(root).parts
        key = str(PurePosixPath(*rest).with_suffix("")) if rest else ""
        suffix = inner.suffix.lower()
        if kind == "labels" and rest and suffix == ".txt":
            texts[key] = name
        elif kind == "images" and rest and suffix in _PICTURES:
            pictures[key] = name
    for each in lists:
        place = str(PurePosixPath(root, each))
        if each.endswith(".txt") and place in packed.names:
            for row in packed.text(place).splitlines():
                parts = PurePosixPath(row.strip().replace("\\", "/")).parts
                if parts:
                    after = parts[parts.index("images") + 1 :] if "images" in parts else parts[-1:]
                    picture = PurePosixPath(*after)
                    if not picture.name:
                        raise AnnotationError(
                            f"{row.strip()!r} is not the name of a picture",
                            path=packed.path,
                            place=place,
                        )
                    pictures[str(picture.with_suffix(""))] = row.strip()
    return texts, pictures


def _old_contents(packed: Packed, root: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return what `_contents` does, of YOLO 1.1."""
    texts, pictures = {}, {}
    for name in packed.names:
        inner = PurePosixPath(name)
        if not inner.is_relative_to(root):
            continue
        kind, *rest = inner.relative_to(root).parts
        key = str(inner.relative_to(root).with_suffix(""))
        if _OLD_FOLDER.fullmatch(kind) and rest:
            if inner.suffix.lower() == ".txt":
                texts[key] = name
            elif inner.suffix.lower() in _PICTURES:
                pictures[key] = name
        elif not rest and inner.suffix == ".txt":
            for row in packed.text(name).splitlines():
                listed = PurePosixPath(row.strip().replace("\\", "/"))
                folder = next(filter(_OLD_FOLDER.fullmatch, listed.parts), None)
                if folder is not None:
                    after = listed.parts[listed.parts.index(folder) :]
                    pictures[str(PurePosixPath(*after).with_suffix(""))] = str(listed)
    return texts, pictures


def _read_row(
    row: str,
    place: str,
    frame: int,
    listing: Listing,
    labels: Sequence[str],
    points: tuple[int, int] | None,
    picture_shape: tuple[int, int],
) -> None:
    first, *rest = row.split()
    number = whole_of(first)
    if number is None:
        listing.fail(f"class {first!r} is not a whole number", place)
    label = class_label(number, labels, 0, listing, place)
    track = -1
    if points is None and len(rest) == 5:
        given = whole_of(rest.pop())
        if given is None or given < 0:
            listing.fail(
                f"column 6 is {row.split()[5]!r}; the number of a track is expected",
                place,
                "Are these detections, with their confidence?",
            )
        track = given
    values = np.array([number_of(text) for text in rest])
    if points is not None:
        shape = _pose(values, points, frame, listing, place, picture_shape)
    elif len(values) == 4:
        shape = _box(values, frame, listing, place, picture_shape)
    elif len(values) >= 6 and not len(values) % 2:
        vertices = _pixels(values.reshape(-1, 2), listing, place, picture_shape)
        takes = vertices is not None and listing.takes(Polygon, vertices, place)
        shape = Polygon(frame, vertices) if vertices is not None and takes else None
    else:
        listing.fail(
            f"has {len(rest) + 1} columns; 5 are expected of a box, 7 or more of a polygon", place
        )
    if shape is not None:
        listing.add(track, label, shape, place)


def _pixels(
    shares: FloatArray, listing: Listing, place: str, picture_shape: tuple[int, int]
) -> FloatArray | None:
    """Return x and y, (n, 2), in pixels; None if one is outside the picture, and dropped."""
    inside = (shares >= -_SLACK) & (shares <= 1 + _SLACK)
    if not inside.all():
        value = shares[~inside].ravel()[0]
        listing.unfit(f"has {value:g}, which is not a share of the picture, 0 to 1", place)
        return None
    height, width = picture_shape
    pixels: FloatArray = np.clip(shares, 0, 1) * np.array([width, height], dtype=np.float64)
    return pixels


def _box(
    values: FloatArray, frame: int, listing: Listing, place: str, picture_shape: tuple[int, int]
) -> Box | None:
    centre, size = values.reshape(2, 2)
    corners = _pixels(
        np.stack([centre - size / 2, centre + size / 2]), listing, place, picture_shape
    )
    if corners is None or not listing.takes(Box, corners, place):
        return None
    return Box(frame, corners)


def _pose(
    values: FloatArray,
    points: tuple[int, int],
    frame: int,
    listing: Listing,
    place: str,
    picture_shape: tuple[int, int],
) -> Shape | None:
    """Return a skeleton of a pose's points, from which its box follows; the box if none is seen."""
    n, each = points
    if len(values) != 4 + n * each:
        listing.fail(
            f"has {len(values) + 1} columns; {5 + n * each} are expected of {n} points", place
        )
    numbers = values[4:].reshape(n, each)
    seen = numbers[:, 2] if each == 3 else (numbers != 0).any(axis=1) * 2.0
    if not np.isin(seen, (0, 1, 2)).all():
        listing.fail("has a visibility that is not 0, 1 or 2", place)
    if not seen.any():
        return _box(values[:4], frame, listing, place, picture_shape)
    pixels = _pixels(numbers[:, :2], listing, place, picture_shape)
    if pixels is None:
        return None
    return Skeleton(
        frame,
        pixels,
        joints=tuple(map(str, range(n))),
        visible=tuple((seen > 0).tolist()),
        hidden=tuple((seen == 1).tolist()),
    )


def write_yolo(
    folder: str | Path,
    annotations: Annotations,
    *,
    picture_shape: tuple[int, int],
    names: Mapping[int, str],
    subset: str = "train",
    outlines: bool = False,
) -> dict[str, int]:
    """Add a recording's texts to a folder in YOLO's form; `write_yolo_config` completes it.

    Frames between listed shapes are filled as `evreel.annotations.shapes.interpolate` does.

    Parameters
    ----------
    folder
        The folder; ``labels/<subset>`` is made in it, and ``<subset>.txt`` gets the pictures.
    annotations
        What to write. Each frame that was looked at gets a text, and an empty one shows nothing.
    picture_shape
        (height, width) of the pictures.
    names
        Frame → file name of its picture below ``images/<subset>``.
    subset
        ``train``, ``val`` or ``test``.
    outlines
        Write outlines, for segmentation, instead of bounding boxes.

    Returns
    -------
    What the form cannot hold: sentence → how often.
    """
    folder = Path(folder)
    frames, found = shown(annotations)
    numbers = {label: k for k, label in enumerate(annotations.labels)}
    rows: dict[int, list[str]] = {frame: [] for frame in frames}
    lost: Counter[str] = Counter({"frame tags": len(annotations.tags)})
    height, width = picture_shape
    size = np.array([width, height], dtype=np.float64)
    for one in found:
        exact = isinstance(one.shape, (Polygon, Ellipse, Cuboid, Box)) if outlines else False
        if exact:
            vertices = one.shape.outline
        else:
            left, top, right, bottom = one.shape.bounds
            vertices = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        kept = np.clip(vertices, 0, size)
        lost["shapes cut off at the picture's edge"] += bool((kept != vertices).any())
        low, high = kept.min(axis=0), kept.max(axis=0)
        if not (low < high).all():
            lost[f"{one.shape.plural} without area in the picture, left out"] += 1
            continue
        lost["shapes written as their bounding boxes"] += not (exact or is_upright_box(one.shape))
        values = kept if outlines else np.stack([(low + high) / 2, high - low])
        shares = " ".join(f"{value:.9f}" for value in (values / size).ravel().tolist())
        rows[one.frame].append(f"{numbers[one.label]} {shares}\n")
        lost["shapes of tracks, without the track's number"] += one.track >= 0
        lost["marks of occluded shapes"] += one.shape.occluded
        lost["attributes"] += len(one.shape.attributes)
        lost["z orders"] += one.shape.z_order != 0
        lost["groups"] += one.shape.group != 0
    for frame, lines in rows.items():
        text = (folder / "labels" / subset / names[frame]).with_suffix(".txt")
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("".join(lines), encoding="utf-8", newline="\n")
    with (folder / f"{subset}.txt").open("a", encoding="utf-8", newline="\n") as file:
        file.writelines(f"./images/{subset}/{names[frame]}\n" for frame in frames)
    return {name: int(n) for name, n in lost.items()}


def write_yolo_config(folder: str | Path, labels: Sequence[str]) -> None:
    """Write ``data.yaml`` for the subsets that a folder has.

    Raises
    ------
    UsageError
        If the folder has none.
    """
    folder = Path(folder)
    subsets = [name for name in ("train", "val", "test") if (folder / f"{name}.txt").exists()]
    if not subsets:
        raise UsageError("has no subset", path=folder)
    said = dict(_subsets(subsets)) | {"names": dict(enumerate(labels))}
    text = yaml.safe_dump(said, sort_keys=False, allow_unicode=True)
    (folder / CONFIG).write_text(text, encoding="utf-8", newline="\n")


def _subsets(subsets: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what ``data.yaml`` says of subsets; train and val are required of it."""
    for name in ("train", "val", "test"):
        if name in subsets:
            yield name, f"{name}.txt"
        elif name != "test":
            yield name, f"{subsets[0]}.txt"
