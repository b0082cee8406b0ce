"""Write the pages that are made from the code: schemas, layouts, scene format, checks.

Run ``python docs/make_pages.py`` after an edit of either; a test tells when it was forgotten.
"""

from __future__ import annotations

import inspect
import json
import re
import runpy
import tempfile
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from evreel.checks import CHECKS
from evreel.checks.run import audit
from evreel.dataset.settings import FREE_COLUMNS, Config, RecordingColumns
from evreel.errors import EvreelError
from evreel.layout import (
    BOX_DTYPE,
    FEATURE_DATA_ATTRIBUTES,
    FEATURE_STORED_ATTRIBUTES,
    FEATURES,
    LAYOUTS,
)
from evreel.representations import REGISTRY
from evreel.settings import Facts, Known, Settings, plain, schema, settings_of
from evreel.simulate import scene
from evreel.timebase import FARTHEST

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
    yield HEAD
    yield "# Representations\n"
    yield "What a window of events can become: the names and parameters that `config.yaml` and"
    yield "`evreel features` take. A frame is (channels, height, width).\n"
    for name, kind in REGISTRY.items():
        made = kind()
        yield f"## {name}\n"
        text = inspect.getdoc(kind) or ""
        before, *sections = re.split(r"\n\n?(\w+)\n-+\n", text)
        yield before.replace("``", "`") + "\n"
        yield f"By default {made.channels} channels of {made.dtype}, unit: {made.unit}."
        yield f"Source: {made.reference}.\n"
        yield "| parameter | default | meaning |\n|---|---|---|"
        for name, known in settings_of(kind).items():
            yield f"| `{name}` | `{known.default}` | {meaning_of(known)} |"
        notes = dict(zip(sections[::2], sections[1::2], strict=True)).get("Notes")
        yield "\n" + notes.replace("``", "`") + "\n" if notes else ""


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
        "are. `evreel verify` is for something else: whether a release's bytes are still those "
        "that were published.\n"
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
    plant = runpy.run_path(str(DOCS.parent / "examples" / "plant_faults.py"))["plant"]
    with tempfile.TemporaryDirectory() as scratch:
        planted = Path(scratch) / "planted"
        plant(planted)
        yield from audit(planted).lines()
    yield "```\n"


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
