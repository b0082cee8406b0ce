"""Where a file came from: versions, parameters, input digests, counted repairs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evreel import __version__
from evreel.folders import folder_of, listing_of, state_of

STEP_REVISIONS: Mapping[str, int] = {
    "acquire": 1,
    "events": 4,
    "cut": 2,
    "splits": 1,
    "samples": 2,
    "clock": 1,
    "video": 1,
    "annotate": 5,
    "qa": 2,
    "summary": 4,
    "preview": 1,
    "boxes": 2,
    "features": 5,
    "feature_boxes": 1,
    "publish": 1,
    "recipe": 1,
    "release": 9,
}
"""One integer per step, raised when its output changes; the workflow passes it as a parameter."""


@dataclass(frozen=True)
class Provenance:
    """What made a file.

    Parameters
    ----------
    step
        Name of the pipeline step, a key of `STEP_REVISIONS`.
    parameters
        Every parameter of the step, including defaults; plain JSON values.
    inputs
        Role of each input file → ``sha256:…`` of its bytes.
    repairs
        What was changed and how often: ``{"hot_pixel_events": 120}``. Zeros are kept, so that
        "none" differs from "not looked for".
    beside
        Role → ``sha256:…`` of each file that is made together with this one and has no place for a
        provenance of its own.
    """

    step: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    repairs: Mapping[str, int] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)

    def attributes(self) -> dict[str, str | int]:
        """Return the root attributes that carry this provenance in an HDF5 file."""
        beside = {"beside": canonical_json(self.beside)} if self.beside else {}
        return {
            "evreel_version": __version__,
            "step": self.step,
            "step_revision": STEP_REVISIONS[self.step],
            "parameters": canonical_json(self.parameters),
            "inputs": canonical_json(self.inputs),
            "repairs": canonical_json(self.repairs),
            **beside,
        }


def decoding(recording: str, parameters: Mapping[str, Any], revision: int) -> str:
    """Return ``sha256:…`` of what makes the events of a recording what they are.

    Parameters
    ----------
    recording
        ``sha256:…`` of its bytes.
    parameters, revision
        Of step events.
    """
    return digest_of([recording, parameters, revision])


def canonical_json(value: Any) -> str:
    """Return `value` as JSON with sorted keys: equal values give equal text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(", ", ": "))


def digest_of(value: Any) -> str:
    """Return ``sha256:…`` of plain JSON: equal values have equal digests.

    Examples
    --------
    >>> digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    True
    """
    return "sha256:" + hashlib.sha256(canonical_json(value).encode()).hexdigest()


def state(path: str | Path) -> list[int]:
    """Return what of a file shows that its bytes may have changed, or of a folder's files.

    Size, inode, and the times of its last change. One of these times is set by the system, and no
    program can set it back.
    """
    folder = folder_of(path)
    if folder is not None:
        return state_of(folder)
    status = Path(path).stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def sha256(path: str | Path) -> str:
    """Return ``sha256:<hex>`` of a file's bytes, read in pieces; of a folder, of its listing."""
    folder = folder_of(path)
    if folder is not None:
        return f"sha256:{listing_of(folder).sha256}"
    with Path(path).open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def content_sha256(path: str | Path) -> str:
    """Return ``sha256:<hex>`` of a file's bytes, or of the names and bytes of a folder's files."""
    path = Path(path)
    if not path.is_dir():
        return sha256(path)
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    listed = "".join(f"{sha256(path / name)}  {name}\n" for name in names)
    return "sha256:" + hashlib.sha256(listed.encode()).hexdigest()


def digests_in(text: object) -> dict[str, str]:
    """Return what an attribute says, role → digest; nothing if it is of another form."""
    value = json.loads(text) if isinstance(text, str) else {}
    fits = isinstance(value, dict) and all(isinstance(digest, str) for digest in value.values())
    return value if fits else {}


def counts_in(text: object) -> dict[str, int]:
    """Return what an attribute counts, name → count; nothing if it is of another form."""
    value = json.loads(text) if isinstance(text, str) else {}
    fits = isinstance(value, dict) and all(type(count) is int for count in value.values())
    return value if fits else {}
