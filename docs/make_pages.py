"""Write the pages that are made from the code: schemas, layouts, scene format, checks, gallery.

Run ``python docs/make_pages.py`` after an edit of either; a test tells when it was forgotten. The
gallery's pictures are made from the demo's recording of a street; a file is written again only if
its pixels differ.

What is written by hand into a made page stands between two comments, at the end of the section
that it belongs to, and stays when the page is made again::

    <!-- by hand: NAME -->
    …
    <!-- made again -->
"""

from __future__ import annotations

import json
import re
import runpy
import tempfile
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

import evreel
from evreel.checks import CHECKS
from evreel.checks.finding import Report
from evreel.checks.run import audit
from evreel.dataset.settings import FREE_COLUMNS, Config, RecordingColumns
from evreel.errors import EvreelError
from evreel.filters import Crop
from evreel.layout import (
    BOX_DTYPE,
    FEATURE_DATA_ATTRIBUTES,
    FEATURE_STORED_ATTRIBUTES,
    FEATURES,
    LAYOUTS,
)
from evreel.representations import REGISTRY, Representation, create, tensor
from evreel.representations.channels import legend_text
from evreel.representations.described import describe, documented, range_text, section
from evreel.settings import Facts, Known, Settings, plain, schema, settings_of
from evreel.simulate import scene
from evreel.timebase import FARTHEST
from evreel.video.palette import MOST
from evreel.video.png import png_bytes
from evreel.viz.rgb import tiles_of, to_rgb
from evreel.windows import Windows

DOCS = Path(__file__).parent
HEAD = "<!-- Made by docs/make_pages.py; edit what it is made from. -->\n"


def pages() -> dict[str, str]:
    """Return file name → text of each page."""
    return {
        "checks.md": "\n".join(checks_page()),
        "config.md": "\n".join(config_page()),
        "config.schema.json": "\n".join(schema_page()),
        "files.md": "\n".join(files_page()),
        "representations.md": "\n".join(representations_page()),
        "scenes.md": "\n".join(scenes_page()),
    }


def config_page() -> Iterator[str]:
    """Yield the lines of config.md."""
    yield HEAD
    yield "# config.yaml and recordings.tsv\n"
    yield "Unknown keys and columns are errors. A key without a default must be given, unless its"
    yield "meaning says otherwise. Values after `--config` on the command line override the file,"
    yield "but nested keys are easily misread there: edit the file, or name another by"
    yield "`--configfile`."
    yield "An editor that knows JSON schemas completes and checks a config with"
    yield "[config.schema.json](config.schema.json).\n"
    yield "## config.yaml\n"
    yield "| key | default | unit | meaning |\n|---|---|---|---|"
    yield from keys(Config, "")
    yield "\n## recordings.tsv\n"
    yield "One row per recording. Empty cells count as absent.\n"
    yield "| column | required | meaning |\n|---|---|---|"
    for name, known in settings_of(RecordingColumns).items():
        needed = "yes" if known.required else ""
        yield f"| `{name}` | {needed} | {meaning_of(known)} |"
    for form, meaning in FREE_COLUMNS.items():
        # "(a|b)/.+" is shown as a/…, b/…; "meta\\..+" as meta.…
        alternatives, after = re.fullmatch(r"\(?([a-z|]+)\)?(/|\\\.).*", form).groups()
        names = ", ".join(f"`{name}{after[-1]}…`" for name in alternatives.split("|"))
        yield f"| {names} |  | {meaning} |"
    yield ""


def keys(of: type[Settings], path: str) -> Iterator[str]:
    """Yield a table row for each setting of a class, and of the groups in it."""
    for name, known in settings_of(of).items():
        kind = known.type
        if kind.base is dict and kind.item is not None and issubclass(kind.item.base, Settings):
            yield f"| **`{path}{name}`** |  |  | {known.facts.meaning} |"
            yield from keys(kind.item.base, f"{path}{name}/<name>/")
        elif issubclass(kind.base, Settings):
            yield f"| **`{path}{name}`** |  |  | {known.facts.meaning} |"
            yield from keys(kind.base, f"{path}{name}/")
        else:
            shown = not known.required and not known.optional
            default = f"`{as_yaml(plain(known.default))}`" if shown else ""
            yield f"| `{path}{name}` | {default} | {known.facts.unit} | {meaning_of(known)} |"


def meaning_of(known: Known) -> str:
    """Return what a setting means, with its values and limits, as a cell of a table."""
    facts = known.facts
    choices = known.choices or (known.type.item.choices if known.type.item else ())
    parts = [facts.meaning.replace("|", "\\|")]
    if choices:
        parts.append(f"One of {', '.join(choices)}.")
    parts += limits_of(facts)
    return " ".join(parts)


def limits_of(facts: Facts) -> Iterator[str]:
    """Yield sentences on the smallest and largest value."""
    for limit, words in (
        (facts.minimum, "At least"),
        (facts.above, "More than"),
        (facts.maximum, "At most"),
    ):
        if limit is not None and limit != FARTHEST:
            yield f"{words} {limit:g}."


def schema_page() -> Iterator[str]:
    """Yield the lines of config.schema.json, for editors."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "config.yaml"}
    yield json.dumps(head | schema(Config), indent=1, ensure_ascii=False)
    yield ""


def as_yaml(value: Any) -> str:
    """Return a default as one writes it in YAML."""
    return str(yaml.safe_dump(value, default_flow_style=True)).removesuffix("...\n").strip()


def files_page() -> Iterator[str]:
    """Yield the lines of files.md."""
    yield HEAD
    yield "# Files\n"
    yield (
        "Every HDF5 file has the root attributes `layout`, `layout_version`, `evreel_version`, "
        "`step`, `step_revision`, `parameters`, `inputs` (SHA-256 of each input) and `repairs` "
        "(what was changed, and how often); the last three are JSON. Working files are "
        "compressed by the filter named; a release with `compression: portable` has gzip "
        "instead, which any HDF5 reads: for working files, `import hdf5plugin` before h5py opens "
        "them.\n"
    )
    yield (
        "An HDF5 file ends with a seal, so that evreel never hands damage to HDF5's library, "
        "which may then hang: CRC-32 checksums of all bytes but the values of the data sets, "
        "whose chunks have checksums of their own. Other readers need not know of it, because "
        "HDF5 ignores what follows its own end. A program that opens a file for writing cuts the "
        "seal off; evreel then lets a process of its own, limited to some seconds, read the file "
        "first, which takes a third of a second each time a program opens it. `evreel.files.seal` "
        "describes the bytes.\n"
    )
    for layout in LAYOUTS.values():
        yield f"## {layout.name}, version {layout.version}\n"
        yield f"{layout.meaning}\n"
        yield "| data set | dtype | dimensions | unit | filter | meaning |"
        yield "|---|---|---|---|---|---|"
        for array in layout.arrays:
            optional = " Left out where the source has none." if array.optional else ""
            yield (
                f"| `{array.name}` | {array.dtype} | {', '.join(array.dims) or 'scalar'} | "
                f"{array.unit} | {array.filter} | {array.meaning}{optional} |"
            )
        yield "\n| attribute | meaning |\n|---|---|"
        for name, meaning in layout.attributes.items():
            yield f"| `{name}` | {meaning} |"
        for name, meaning in layout.optional.items():
            yield f"| `{name}` | {meaning} Left out where there is none. |"
        if layout is FEATURES:
            for name, meaning in (FEATURE_DATA_ATTRIBUTES | FEATURE_STORED_ATTRIBUTES).items():
                yield f"| of `data`: `{name}` | {meaning} |"
        yield ""
    yield "## `<id>_bbox.npy`\n"
    yield f"One record of {BOX_DTYPE.itemsize} bytes a box, sorted by t, then track_id.\n"
    yield "| field | dtype | byte |\n|---|---|---|"
    for name in BOX_DTYPE.names or ():
        dtype, byte = BOX_DTYPE.fields[name][:2]  # type: ignore[index]
        yield f"| `{name}` | {dtype.str} | {byte} |"
    yield "\n`track_id` is a row of the slices' `rois`, whose `rois/track` has the annotation's own"
    yield "number: [numbers of tracks](concepts.md#numbers-of-tracks)."
    yield "\nBeside a feature's file, they may be [in the order of its"
    yield "windows](steps/features.md#boxes-in-the-order-of-windows) instead. Then there is"
    yield "`<id>_bbox_first.npy`: int64, one more than windows; window k has the boxes `first[k]`"
    yield "to `first[k + 1]`, without the latter. A `<id>_bbox.json` says how boxes were made."
    yield ""


def representations_page() -> Iterator[str]:
    """Yield the lines of representations.md: the docstrings and parameters of the registry."""
    by_hand = hand_written(DOCS / "representations.md")
    yield HEAD
    yield "# Representations\n"
    yield "What a window of events can become: the names and parameters that `config.yaml` and"
    yield "`evreel features` take. A frame is (channels, height, width); H and W are the sensor's"
    yield "height and width. `evreel representations` lists the same, also as JSON.\n"
    yield f"A picture shows {PICTURED_US // 1000} ms of the demo's recording `street`, as"
    yield "`evreel.viz.to_rgb` and [`evreel play`](steps/features.md#looking-at-features) draw it:"
    yield "OFF is blue and ON is orange, signed values are blue below zero and orange above, others"
    yield "go over green to yellow. What a pixel without events has is the background. Bins and"
    yield "other parts of a frame are side by side, in order; of many, every n-th row and column.\n"
    yield "| name | frame | unit | |\n|---|---|---|---|"
    for name in REGISTRY:
        one = describe(name)
        frame = f"{shape_text(one['shape'])} {one['dtype']}"
        yield f"| [`{name}`](#{name}) | {frame} | {one['unit']} | {in_markdown(one['summary'])} |"
    yield ""
    yield from by_hand.pop("introduction", ())
    for name, kind in REGISTRY.items():
        yield from representation_section(name, kind)
        yield from by_hand.pop(name, ())
    if by_hand:
        raise EvreelError(
            f"text that is written by hand is of {', '.join(by_hand)}, which is not there",
            path=DOCS / "representations.md",
            hint="Move it to another section.",
        )


def representation_section(name: str, kind: type[Representation]) -> Iterator[str]:
    """Yield the lines of one representation."""
    one = describe(name)
    summary, text = documented(kind)
    yield f"## {name}\n"
    yield f"![{PICTURED_US // 1000} ms of a street as {name}]({PICTURES}/{name}.png)\n"
    yield in_markdown(summary) + "\n"
    if text:
        yield in_markdown(text) + "\n"
    yield "| | |\n|---|---|"
    yield f"| frame | {shape_text(one['shape'])} {one['dtype']} |"
    yield f"| channels | {legend_text(create(name).legend)} |"
    yield f"| unit | {one['unit']} |"
    yield f"| source | {linked(one['reference'])} |\n"
    if one["parameters"]:
        yield "| parameter | default | values | meaning |\n|---|---|---|---|"
    for parameter in one["parameters"]:
        default = "" if parameter.get("required") else f"`{as_yaml(parameter['default'])}`"
        meaning = parameter["meaning"].replace("|", "\\|")
        yield f"| `{parameter['name']}` | {default} | {range_text(parameter)} | {meaning} |"
    for title in ("Notes", "References"):
        found = section(kind, title)
        if found:
            yield "\n" + in_markdown(linked(found))
    yield ""


def hand_written(page: Path) -> dict[str, list[str]]:
    """Return what is written by hand into a page, with its marks: name → lines."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    found = re.findall(r"^(<!-- by hand: (\S+) -->\n.*?\n<!-- made again -->)$", text, re.M | re.S)
    return {name: [whole, ""] for whole, name in found}


def shape_text(shape: list[int | str]) -> str:
    """Return a shape as in Python."""
    return f"({', '.join(map(str, shape))})"


def in_markdown(text: str) -> str:
    """Return words of a docstring as a page has them: t* is no emphasis."""
    return re.sub(r"(?<=\w)\*(?!\*)", r"\\*", text)


def linked(text: str) -> str:
    """Return words with links for the numbers of papers, unless one is a part of a link."""
    text = re.sub(r"(?<!/)\b(arXiv:(\d{4}\.\d{4,5}))\b", r"[\1](https://arxiv.org/abs/\2)", text)
    return re.sub(r"(?<!/)\b(doi:(10\.\d+/[^\s,;]*[^\s,;.:)]))", r"[\1](https://doi.org/\2)", text)


PICTURES = "representations"
"""Folder of the gallery's pictures."""

PICTURED_US = 50_000
"""Duration of the window that they show."""

_PICTURED_FROM_US = 500_000
_PICTURED = Crop(0, 76, 240, 226)
"""A van that passes in front of a car, and a cyclist."""

_MOST_PIXELS = 200_000  # of parts side by side
_WIDE_PX = 480  # what a picture has at least, about
_SHADES = range(8, 65, 4)  # steps of red, green and blue; the first that gives few colours


def pictures() -> dict[str, npt.NDArray[np.uint8]]:
    """Return name → picture of each representation."""
    stop_us = _PICTURED_FROM_US + PICTURED_US
    recording = DOCS.parent / "demo" / "recordings" / "street.aedat4"
    events = _PICTURED.apply(evreel.read(recording, 0, stop_us))
    edges_us = np.array([[_PICTURED_FROM_US], [stop_us]])
    windows = Windows(*edges_us, *np.searchsorted(events.t, edges_us))
    made = {}
    for name in REGISTRY:
        made_of = create(name)
        [frame] = tensor(made_of, events, windows)
        made[name] = pictured(frame, made_of)
    return made


def pictured(frame: npt.NDArray[Any], made_of: Representation) -> npt.NDArray[np.uint8]:
    """Return a frame as a picture of few bytes, its parts side by side."""
    parts = len(tiles_of(made_of.legend, "montage"))
    step = next(n for n in range(1, 9999) if parts * frame[0, ::n, ::n].size < _MOST_PIXELS)
    whole = to_rgb(frame[:, ::step, ::step], made_of, channels="montage")
    scale = max(_WIDE_PX // whole.shape[1], 1)
    whole = whole.repeat(scale, axis=0).repeat(scale, axis=1)
    shaded = (whole // shades * shades + shades // 2 for shades in _SHADES)
    return next(found for found in shaded if n_colours(found) <= MOST)


def n_colours(picture: npt.NDArray[np.uint8]) -> int:
    """Return how many colours a picture has."""
    return len(np.unique(picture.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)))


def write_pictures() -> None:
    """Write the pictures that there are not yet, or whose pixels differ; remove all others."""
    folder, every = DOCS / PICTURES, pictures()
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.png"):
        if path.stem not in every:
            path.unlink()
    for name, picture in every.items():
        path = folder / f"{name}.png"
        if not path.exists() or not np.array_equal(pixels_of(path), picture):
            path.write_bytes(png_bytes(picture, path, few_colours=True))


def pixels_of(path: Path) -> npt.NDArray[np.uint8]:
    """Read a picture."""
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB"))


def scenes_page() -> Iterator[str]:
    """Yield the lines of scenes.md: the module's own description of the format."""
    text, example = (scene.__doc__ or "").split(".. code-block:: toml\n\n")
    yield HEAD
    yield "# Scene files\n"
    yield text.strip().replace("``", "`") + "\n"
    yield "```toml"
    yield textwrap.dedent(example).rstrip()
    yield "```\n"
    yield "`evreel simulate corner.toml -o folder` writes `corner.aedat4`, `corner.rois.xml` (CVAT"
    yield "for video 1.1), `corner.tags.xml` (CVAT for images 1.1, where the scene has tags) and"
    yield "`corner.truth.json` (outlines by the microsecond). Shapes are drawn around what each"
    yield "frame's picture shows of an object. `--objects` also writes `corner.objects.npy`: which"
    yield "object each event is of, −1 none."
    yield "\n## Limits\n"
    yield "What is said of the scene above with a value that is out of range:\n"
    yield "```text"
    for place, beyond in _BEYOND:
        yield _refusal(tomllib.loads(textwrap.dedent(example)), place, beyond)
    yield "```"
    yield ""


_BEYOND = (
    ("", {"duration_us": 0}),
    ("", {"duration_us": 1_000_100}),
    ("", {"seed": -1}),
    ("", {"step_us": 2_000}),
    ("", {"frame_us": 50}),
    ("sensor", {"height": 4_096}),
    ("camera", {"threshold_on": 0.01}),
    ("camera", {"threshold_spread": 0.05}),
    ("camera", {"refractory_us": -1}),
    ("camera", {"noise_hz": 200.0}),
    ("camera", {"hot_pixels": 5_000}),
    ("camera", {"hot_pixel_hz": -1.0}),
    ("background", {"intensity": 0.0}),
    ("background", {"texture": "fur"}),
    ("background", {"contrast": 0.95}),
    ("background", {"cell_px": 3}),
    ("background", {"drift_px_s": [0.0, 20_000.0]}),
    ("object.0", {"texture": "noise", "contrast": 0.3}),
    ("object.0", {"annotate": "ellipse"}),
    ("object.0", {"box": [0.5, 12.0]}),
    ("object.0", {"z_order": 5_000}),
    ("object.0", {"motion": [[0, 20_000.0, 0.0]]}),
    ("object.0", {"visible_us": [[0, 2_000_000]]}),
    ("tag.0", {"stop_us": 2_000_000}),
)
"""Tables of the documented scene, and what goes beyond a limit in them."""


def _refusal(document: dict[str, Any], place: str, beyond: dict[str, Any]) -> str:
    """Return what is said of a scene in which a table has other values."""
    table: Any = document
    for name in filter(None, place.split(".")):
        table = table[int(name) if name.isdigit() else name]
    table |= beyond
    try:
        scene.parse_scene(document, "corner.toml")
    except EvreelError as error:
        return str(error)
    raise AssertionError(f"{place}: {beyond} is not refused")


def checks_page() -> Iterator[str]:
    """Yield the lines of checks.md: every check, and what an audit of planted faults says."""
    yield HEAD
    yield "# Checks\n"
    yield (
        "`evreel check PATH` looks into what evreel made: an events store, slices, samples, a "
        "features file, boxes, a release (by its manifest), or a folder with any of them, such as "
        "`results/`. `evreel audit PATH` looks into what it did not make: every recording that "
        "can be read, `…_bbox.npy`, lists of splits (`train.txt`, `test_files.csv`, …) and "
        "folders such as `train` and `my_test`; files that can't be told are counted. What belongs "
        "together is told by names and by the nearest folder; samples of one release, or of one "
        "folder, are taken for those of one data set. Both end with "
        "exit code 1 where there is an error, 0 where there are only warnings, 2 where the path "
        "is none to look into; `--json` prints the findings as one list.\n"
    )
    yield (
        "An **error** makes whoever uses the file get wrong results or none; a **warning** may be "
        "meant. Each fault is found once a file: with the place of the first and how many there "
        "are. Copies of a file, such as the boxes beside each feature of a release, are named in "
        "one finding. `evreel verify` is for something else: whether a release's bytes are still "
        "those that were published.\n"
    )
    yield "| check | severity | looks at | finds | thresholds |\n|---|---|---|---|---|"
    for check in CHECKS.values():
        thresholds = " ".join(f"`{t.name}={t.value:,}`: {t.reason}" for t in check.thresholds)
        yield f"| `{check.name}` | {check.severity} | {check.of} | {check.finds} | {thresholds} |"
    yield "\n## Every fault, planted and found\n"
    yield (
        "[examples/plant_faults.py](../examples/plant_faults.py) writes a data set with each of "
        "these faults; a file is named after its fault.\n"
    )
    yield "```console\n$ python examples/plant_faults.py planted\n$ evreel audit planted"
    yield from audit_of_planted().lines()
    yield "```\n"


def audit_of_planted() -> Report:
    """Return what an audit of the planted faults finds."""
    plant = runpy.run_path(str(DOCS.parent / "examples" / "plant_faults.py"))["plant"]
    with tempfile.TemporaryDirectory() as scratch:
        planted = Path(scratch) / "planted"
        plant(planted)
        return audit(planted)


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
    write_pictures()
