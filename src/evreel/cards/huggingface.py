"""What the Hugging Face Hub reads of a release's README: the YAML before its text.

https://huggingface.co/docs/hub/datasets-cards has its keys. The index is what ``load_dataset`` and
the Hub's viewer show; the recordings themselves are downloaded by path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from evreel.cards.index import Table
from evreel.cards.told import Told

TAGS = ("event-camera", "neuromorphic")

_LICENCES = {
    **{
        name: name.lower()
        for name in (
            *("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC-BY-NC-4.0"),
            *("CC-BY-NC-ND-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "CC-BY-SA-4.0", "CC0-1.0"),
            *("CC-BY-2.0", "CC-BY-3.0", "CC-BY-SA-3.0", "MIT"),
        )
    },
    "PDDL-1.0": "pddl",
    "ODC-By-1.0": "odc-by",
    "ODbL-1.0": "odbl",
    "NOASSERTION": "unknown",
}
"""Licence by SPDX → what the Hub calls it."""

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


def front_matter(told: Told) -> str:
    """Return the first lines of README.md, from ``---`` to ``---``."""
    keywords = told.dataset.get("keywords") or ()
    of = told.tables
    lines = [
        "---",
        f"pretty_name: {_quoted(told.dataset.get('title') or told.title)}",
        *_licence(told.licence),
        *_list("task_categories", _tasks(told)),
        *_list("size_categories", [_size(len(of[-1].columns[0].values))]),
        *_list("tags", list(dict.fromkeys([*TAGS, *keywords]))),
        "configs:",
        *(line for table in reversed(of) for line in _config(table, table is of[-1])),
        "---",
        "",
    ]
    return "\n".join(lines)


def _licence(licence: str) -> Iterator[str]:
    known = _LICENCES.get(licence)
    yield f"license: {known or 'other'}"
    if known is None:
        name = re.sub("[^a-z0-9.]+", "-", licence.lower()).strip("-")
        yield f"license_name: {_quoted(name or 'other')}"
        yield "license_link: LICENSE.txt"


def _tasks(told: Told) -> list[str]:
    """Return the tasks that the labels are for, in the Hub's terms."""
    tasks = ["object-detection"] if told.totals.boxes else []
    return tasks + ["video-classification"] * any(told.totals.samples)


def _size(rows: int) -> str:
    return next((name for below, name in _SIZES if rows < below), "10M<n<100M")


def _config(table: Table, is_default: bool) -> Iterator[str]:
    """Yield one of the tables that `load_dataset` takes by name, with its splits."""
    yield f"- config_name: {table.name}"
    if is_default:
        yield "  default: true"
    if not table.splits:
        yield f"  data_files: {table.path}"
        return
    yield "  data_files:"
    for path in table.splits.values():
        yield f"  - split: {_quoted(PurePosixPath(path).stem)}"
        yield f"    path: {path}"


def _list(key: str, values: Sequence[str]) -> list[str]:
    return [f"{key}:", *(f"- {_quoted(value)}" for value in values)] if values else []


def _quoted(text: str) -> str:
    r"""Return a text as YAML has it within quotes, on one line whatever is in it.

    Examples
    --------
    >>> print(_quoted('a "b": c'), _quoted("tab\t"))
    "a \"b\": c" "tab\U00000009"
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'
