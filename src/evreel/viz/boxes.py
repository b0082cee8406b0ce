"""Boxes drawn on a picture: rectangles, and the names of their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.errors import AnnotationError, ParameterError
from evreel.geometry import corners, is_finite
from evreel.text import nfc
from evreel.video.canvas import CHIP_MARGIN_PX, Canvas, Colour
from evreel.video.labelled import Image, colour_of
from evreel.video.text import HEIGHT_PX, text_mask


def draw_box_events(
    frame: Image,
    box_events: npt.NDArray[np.void] | Sequence[Any],
    label_map: Sequence[str] | Mapping[int, str],
    force_color: Sequence[int] | None = None,
    draw_score: bool = True,
    thickness: int = 1,
    color_from: str = "class_id",
    confidence_field: str = "class_confidence",
) -> Image:
    """Draw boxes and the names of their classes on a picture.

    Parameters
    ----------
    frame
        (H, W, 3) uint8; it does not change.
    box_events
        (n,) records with x, y, w, h in pixels of the picture and `class_id`, or none. What is
        outside the picture is cut off; boxes with a side that is not finite are not drawn.
    label_map
        Name of each `class_id`. Classes without one are named by their number.
    force_color
        Red, green and blue, 0 to 255, of all boxes; None: each class has its own.
    draw_score
        Whether names are followed by confidences that are not 1.
    thickness
        Width of lines, px.
    color_from
        The field that decides colours: equal numbers have equal ones.
    confidence_field
        The field with the confidence.

    Returns
    -------
    (H, W, 3) uint8, a new picture.

    Raises
    ------
    ParameterError
        If the frame is not a picture, or a colour or width is not one.
    AnnotationError
        If a field is missing.

    Examples
    --------
    >>> from evreel.boxes import EVENT_BBOX
    >>> boxes = np.zeros(1, dtype=EVENT_BBOX)
    >>> boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 4, 30, 9, 7
    >>> drawn = draw_box_events(np.zeros((64, 64, 3), np.uint8), boxes, ["car"], (255, 0, 0))
    >>> drawn[30, 3:14, 0].tolist()  # the upper line, in the columns from 4 to 12
    [0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0]
    """
    canvas = Canvas(checked_picture(frame).copy())
    boxes = np.asarray(box_events)
    if not boxes.size:
        return canvas.pixels
    for name in (*"xywh", "class_id", color_from, *([confidence_field] if draw_score else [])):
        if name not in (boxes.dtype.names or ()):
            raise AnnotationError(f"boxes of {boxes.dtype} have no field {name}")
    colour = None if force_color is None else _colour(force_color)
    if thickness < 1:
        raise ParameterError(f"thickness={thickness} is less than 1 px")
    for box in boxes[is_finite(corners(boxes))]:
        score = float(box[confidence_field]) if draw_score else 1.0
        text = _name_of(int(box["class_id"]), label_map)
        text = text if score == 1 else f"{text} {score:.2f}"
        _draw(canvas, box, text, colour or colour_of(int(box[color_from]), -1), thickness)
    return canvas.pixels


def checked_picture(frame: Image) -> Image:
    """Return a picture, or raise `ParameterError` if it is not (H, W, 3) uint8."""
    found = np.asarray(frame)
    if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3:
        raise ParameterError(f"a frame is {found.dtype} {found.shape}; uint8 (H, W, 3) is expected")
    return found


def _name_of(number: int, labels: Sequence[str] | Mapping[int, str]) -> str:
    if isinstance(labels, Mapping):
        return nfc(labels.get(number, str(number)))
    return nfc(labels[number]) if number < len(labels) else str(number)


def _colour(given: Sequence[int]) -> Colour:
    values = [int(value) for value in given]
    if len(values) != 3 or not all(0 <= value <= 255 for value in values):
        raise ParameterError(f"colour {given!r} is not red, green and blue, 0 to 255 each")
    red, green, blue = values
    return red, green, blue


def _draw(canvas: Canvas, box: np.void, text: str, colour: Colour, width: int) -> None:
    """Draw a box on the pixels at its edges, and its name above it or, without room, in it."""
    height, columns, _ = canvas.pixels.shape
    x, y, w, h = (float(box[name]) for name in "xywh")
    left, top, right, bottom = np.clip(
        np.rint([x, y, x + w, y + h]), -width, [columns + width, height + width] * 2
    ).astype(int)
    for edges in (
        (left, top, right, min(top + width, bottom)),
        (left, max(bottom - width, top), right, bottom),
        (left, top, min(left + width, right), bottom),
        (max(right - width, left), top, right, bottom),
    ):
        canvas.rectangle(*edges, colour)
    if right <= 0 or bottom <= 0 or left >= columns or top >= height:
        return  # all of it is outside
    size = text_mask(text, canvas.font).shape[1] + 2 * CHIP_MARGIN_PX
    above = top - HEIGHT_PX if top >= HEIGHT_PX else max(top, 0) + width
    canvas.chip(max(min(left, columns - size), 0), above, text, colour)
