"""Write the pages that are made from the code: from the schemas, the layouts, the scene format.

Run ``python docs/make_pages.py`` after an edit of either; a test tells when it was forgotten.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from evreel.io import scene
from evreel.layout import BOX_DTYPE, LAYOUTS

DOCS = Path(__file__).parent
SCHEMAS = DOCS.parent / "workflow" / "schemas"
HEAD = "<!-- Made by docs/make_pages.py; edit what it is made from. -->\n"


def pages() -> dict[str, str]:
    """Return file name → text of each page."""
    return {
        "config.md": "\n".join(config_page()),
        "files.md": "\n".join(files_page()),
        "scenes.md": "\n".join(scenes_page()),
    }


def config_page() -> Iterator[str]:
    """Yield the lines of config.md."""
    config, table = (
        yaml.safe_load((SCHEMAS / f"{name}.schema.yaml").read_text(encoding="utf-8"))
        for name in ("config", "recordings")
    )
    yield HEAD
    yield "# config.yaml and recordings.tsv\n"
    yield "Unknown keys and columns are errors. A key without a default must be given.\n"
    yield "## config.yaml\n"
    yield "| key | default | meaning |\n|---|---|---|"
    yield from keys(config, config, "")
    yield "\n## recordings.tsv\n"
    yield table["description"] + "\n"
    yield "| column | required | meaning |\n|---|---|---|"
    for name, field in table["properties"].items():
        required = "yes" if name in table["required"] else ""
        yield f"| `{name}` | {required} | {field['description']} |"
    for pattern, field in table["patternProperties"].items():
        # "^(a|b)/.+$" is shown as a/…, b/…; "^meta[.]…" as meta.…
        alternatives, after = re.fullmatch(r"\^\(?([a-z|]+)\)?(/|\[\.\]).*", pattern).groups()
        ending = {"/": "/…", "[.]": ".…"}[after]
        names = ", ".join(f"`{name}{ending}`" for name in alternatives.split("|"))
        yield f"| {names} |  | {field['description']} |"
    yield ""


def keys(root: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield a table row for each key below a schema."""
    named = list(schema.get("properties", {}).items())
    if isinstance(schema.get("additionalProperties"), Mapping):
        named.append(("<name>", schema["additionalProperties"]))
    for name, field in named:
        if "$ref" in field:
            field = {**root["$defs"][field["$ref"].rsplit("/", 1)[-1]], **field}
        if field.get("type") == "object" and name != "parameters":
            if "description" in field:
                yield f"| **`{path}{name}`** |  | {field['description']} |"
            yield from keys(root, field, f"{path}{name}/")
            continue
        default = f"`{as_yaml(field['default'])}`" if "default" in field else ""
        choices = f" One of {', '.join(field['enum'])}." if "enum" in field else ""
        yield f"| `{path}{name}` | {default} | {field['description']}{choices} |"


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
        "instead, which any HDF5 reads.\n"
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
        yield ""
    yield "## `<id>_bbox.npy`\n"
    yield f"One record of {BOX_DTYPE.itemsize} bytes a box, sorted by t, then track_id.\n"
    yield "| field | dtype | byte |\n|---|---|---|"
    for name in BOX_DTYPE.names or ():
        dtype, byte = BOX_DTYPE.fields[name][:2]  # type: ignore[index]
        yield f"| `{name}` | {dtype.str} | {byte} |"
    yield ""


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
    yield "`corner.truth.json` (outlines by the microsecond)."
    yield ""


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
