"""Draw one labelled frame of a release: events, the pixels of each region, boxes and names.

    python examples/draw_labelled_frame.py \
        results/release/demo-1.0/train/slices/street.h5 --at-us 1200000 -o frame.png

Needs h5py, numpy and Pillow (`make setup` brings them); a `portable` release needs nothing of
evreel to be read.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import h5py
import numpy as np
from PIL import Image, ImageDraw, ImageFont

with contextlib.suppress(ImportError):  # only files that are not `portable` need it
    import hdf5plugin  # noqa: F401

COLOURS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (213, 94, 0))


def draw(slices: Path, boxes: Path, at_us: int, window_us: int, scale: int) -> Image.Image:
    """Return a picture of the events in ``[at_us − window_us, at_us)`` and of the boxes at at_us.

    The boxes of the last labelled frame at or before `at_us` are drawn, if it lies in the window.
    """
    with h5py.File(slices) as file:
        t = file["events/t"][:]
        rows = slice(*np.searchsorted(t, [at_us - window_us, at_us]))
        x, y, p, roi = (file[f"events/{name}"][rows] for name in ("x", "y", "p", "roi"))
        height, width = int(file["events/height"][()]), int(file["events/width"][()])
        names = file["labels/name"].asstr()[:]
        label_of_roi = file["rois/label"][:]

    picture = np.full((height, width, 3), 28, dtype=np.uint8)
    picture[y, x] = np.where(p[:, None] == 1, 215, 120)
    for row in np.unique(roi[roi >= 0]):
        inside = roi == row
        colour = np.array(COLOURS[label_of_roi[row] % len(COLOURS)])
        picture[y[inside], x[inside]] = np.where(p[inside, None] == 1, colour, colour * 0.6)

    image = Image.fromarray(picture).resize(
        (width * scale, height * scale), Image.Resampling.NEAREST
    )
    canvas = ImageDraw.Draw(image)
    font = ImageFont.load_default(6 * scale)
    records = np.load(boxes)
    times = np.unique(records["t"])
    last = times[(times > at_us - window_us) & (times <= at_us)][-1:]
    for box in records[np.isin(records["t"], last)]:
        colour = COLOURS[box["class_id"] % len(COLOURS)]
        left, top, w, h = (float(box[name]) * scale for name in ("x", "y", "w", "h"))
        canvas.rectangle((left, top, left + w, top + h), outline=colour, width=2)
        above = top - 7 * scale if top > 7 * scale else top + h + scale
        canvas.text((left, above), str(names[box["class_id"]]), fill=colour, font=font)
    return image


def main() -> None:
    """Read the arguments, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slices", type=Path, help="slices file of a release")
    parser.add_argument("--boxes", type=Path, help="default: <slices>_bbox.npy")
    parser.add_argument("--at-us", type=int, required=True, help="µs since the first event")
    parser.add_argument("--window-us", type=int, default=10_000, help="show this much before it")
    parser.add_argument("--scale", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, default=Path("frame.png"))
    options = parser.parse_args()
    boxes = options.boxes or options.slices.with_name(options.slices.stem + "_bbox.npy")
    picture = draw(options.slices, boxes, options.at_us, options.window_us, options.scale)
    picture.save(options.output)


if __name__ == "__main__":
    main()
