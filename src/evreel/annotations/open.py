"""Reading an annotation of any form: which one it is, its content tells."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from evreel.annotations.forms.listing import Invalid
from evreel.annotations.forms.packed import Packed
from evreel.annotations.shapes import Annotations, of_kinds
from evreel.errors import AnnotationError, UsageError
from evreel.timebase import FrameClock
from evreel.video.picture import Picture

if TYPE_CHECKING:
    from evreel.annotations.cvat.read import Unsupported

T = TypeVar("T")
Form = Literal["cvat", "coco", "mot", "yolo", "event-bbox"]

_BLANK = b" \t\r\n"
_MARK = b"\xef\xbb\xbf"
_START_BYTES = 4096
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
}
_PAGES = (b"<!doctype html", b"<html")
"""How a web page begins, where its server gives that instead of a file."""
_KNOWN = "CVAT XML, COCO, MOT, YOLO and EventBbox (.npy) can be read"


def form_of(path: str | Path) -> Form:
    """Return the form of an annotation, by its content.

    Parameters
    ----------
    path
        File, or folder; a zip is looked into.

    Raises
    ------
    AnnotationError
        If it cannot be read, or is of no form that is known here.
    """
    path = Path(path)
    if path.is_dir():
        return _form_within(path)
    try:
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
    except OSError as error:
        raise AnnotationError(f"cannot be read: {error.strerror}", path=path) from error
    if start.startswith(b"PK\x03\x04") or start.startswith(b"PK\x05\x06"):
        return _form_within(path)
    if start.startswith(b"\x93NUMPY"):
        return "event-bbox"
    text = start.removeprefix(_MARK).lstrip(_BLANK)
    if not text and path.stat().st_size <= len(start):
        raise AnnotationError("is empty", path=path, hint="Export or download it again.")
    if text[: len(_PAGES[0])].lower().startswith(_PAGES):
        raise AnnotationError(
            "is a web page, not an annotation",
            path=path,
            hint="Servers send one instead of a file to those who are not logged in: log in, and "
            "download the export again.",
        )
    packed = next((name for mark, name in _PACKED.items() if start.startswith(mark)), None)
    if packed is not None:
        raise AnnotationError(
            f"is packed by {packed}", path=path, hint="Unpack it, or pack it as a zip."
        )
    if text[:1] == b"{":
        return "coco"
    if text[:1].isdigit() and b"," in text.split(b"\n")[0]:
        return "mot"
    if text[:1] == b"<" or start[:2] in (b"\xff\xfe", b"\xfe\xff") or path.suffix == ".xml":
        return "cvat"
    raise AnnotationError("is not an annotation", path=path, hint=f"{_KNOWN}.")


def _form_within(path: Path) -> Form:
    """Return the form of what a folder or a zip holds."""
    from evreel.annotations.forms.mot import GROUND_TRUTH
    from evreel.annotations.forms.yolo import CONFIG, OLD_NAMES

    with Packed(path) as packed:
        marks: dict[Form, bool] = {
            "yolo": bool(packed.named(CONFIG) or packed.named(OLD_NAMES)),
            "mot": bool(packed.named(GROUND_TRUTH)),
            "cvat": any(name.lower().endswith(".xml") for name in packed.names),
            "coco": any(name.lower().endswith(".json") for name in packed.names),
        }
        found = [form for form, is_there in marks.items() if is_there]
        if found:
            return found[0]
        what = f"holds {', '.join(packed.names[:3])}" if packed.names else "is empty"
    raise AnnotationError(
        f"{what}: no annotation",
        path=path,
        hint=f"{_KNOWN}; a folder or zip needs an *.xml, *.json, {CONFIG} or gt/{GROUND_TRUTH}.",
    )


def read_annotations(
    path: str | Path,
    *,
    clock: FrameClock | None = None,
    picture: Picture | None = None,
    labels: Sequence[str] | None = None,
    unsupported: Unsupported = "error",
    invalid: Invalid = "error",
    fill: bool = False,
    tags_only: bool = False,
    shapes: Collection[str] | None = None,
    task: str | None = None,
    names: Sequence[str] = (),
) -> Annotations:
    r"""Read an annotation: CVAT XML, COCO, MOT, YOLO or EventBbox, told by content.

    Parameters
    ----------
    path
        File, zip or folder.
    clock
        The time that each frame stands for; EventBbox needs it.
    picture
        The pictures' size; EventBbox and YOLO need it.
    labels
        Names of the classes, in the order of their numbers, for files that have numbers alone:
        EventBbox, and MOT without ``labels.txt``.
    unsupported
        As `evreel.annotations.cvat.read_cvat` takes it.
    invalid
        How shapes without area, or with a coordinate that is not a number of pixels, and the second
        of two equal shapes of one track in one frame are handled: ``error``, or ``drop`` and count
        them.
    fill
        For all forms but CVAT's, which list an object wherever it is: take what is listed for key
        frames, between which objects move, instead of frames that stand alone.
    tags_only
        Read only the tags of frames, which CVAT's images form alone has.
    shapes
        Kinds of shapes that are read, by name; None takes all. Others are skipped, and counted.
    task, names
        As `evreel.annotations.cvat.read_cvat` takes them.

    Returns
    -------
    Annotations
        With frame numbers as the file has them, from 0; `evreel.annotations.frames.place` holds
        the names of pictures against a clock.

    Raises
    ------
    AnnotationError
        With the place, if the file is not valid.
    UsageError
        If something is needed that is not given.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "gt.txt"
    >>> _ = path.write_text("1,7,10,20,30,40,1,1,1\n2,7,11,20,30,40,1,1,1\n")
    >>> car = read_annotations(path, labels=["car"]).tracks[0]
    >>> car.id, car.label, [(shape.frame, shape.outside) for shape in car.shapes]
    (7, 'car', [(0, False), (1, False), (2, True)])
    """
    path = Path(path)
    form = form_of(path)
    if form == "cvat":
        from evreel.annotations.cvat import read_cvat

        return read_cvat(
            path,
            unsupported=unsupported,
            invalid=invalid,
            tags_only=tags_only,
            shapes=shapes,
            task=task,
            names=names,
        )
    if tags_only:
        raise AnnotationError(
            f"is of the form {form}, which has no tags of frames",
            path=path,
            hint="Give it as rois; an export CVAT for images 1.1 has tags.",
        )
    read = _read_other(path, form, clock, picture, labels, invalid, fill)
    return read if shapes is None else of_kinds(read, shapes)


def _read_other(
    path: Path,
    form: Form,
    clock: FrameClock | None,
    picture: Picture | None,
    labels: Sequence[str] | None,
    invalid: Invalid,
    fill: bool,
) -> Annotations:
    """Read an annotation of a form that is not CVAT's."""
    if form == "coco":
        from evreel.annotations.forms.coco import read_coco

        return read_coco(path, invalid=invalid, fill=fill)
    if form == "mot":
        from evreel.annotations.forms.mot import read_mot

        return read_mot(path, labels=labels, invalid=invalid, fill=fill)
    if form == "yolo":
        from evreel.annotations.forms.yolo import read_yolo

        shape = _needed(path, picture, "the size of the pictures").shape
        return read_yolo(path, shape, invalid=invalid, fill=fill)
    from evreel.annotations.forms.event_bbox import read_event_bbox

    return read_event_bbox(
        path,
        _needed(path, clock, "the clock of the frames"),
        _needed(path, picture, "the size of the pictures"),
        _needed(path, labels, "names of its classes: labels"),
        invalid=invalid,
        fill=fill,
    )


def check_annotations(
    path: str | Path,
    labels: Sequence[str],
    *,
    unsupported: Unsupported = "error",
    invalid: Invalid = "error",
    tags_only: bool = False,
    shapes: Collection[str] | None = None,
    task: str | None = None,
    names: Sequence[str] = (),
) -> Annotations:
    """Read an annotation without its clock and pictures, as far as it can be read then.

    Returns
    -------
    What `read_annotations` does. YOLO's coordinates stay shares of the picture, and EventBbox
    records, which have no frames, are only checked.

    Raises
    ------
    AnnotationError
        As `read_annotations`.
    """
    path = Path(path)
    form = form_of(path)
    if form == "event-bbox" and not tags_only:
        from evreel.annotations.forms.event_bbox import check_event_bbox

        check_event_bbox(path, labels, invalid)
        return Annotations(tuple(labels), source=path.name)
    return read_annotations(
        path,
        picture=Picture((1, 1)) if form == "yolo" else None,
        labels=labels,
        unsupported=unsupported,
        invalid=invalid,
        tags_only=tags_only,
        shapes=shapes,
        task=task,
        names=names,
    )


def _needed(path: Path, value: T | None, what: str) -> T:
    if value is None:
        raise UsageError(f"needs {what}, which it does not state", path=path)
    return value
