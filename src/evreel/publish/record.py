"""What is known of a file that is ready for a release, kept beside it.

A release is made from these records: it links the files and does not read them again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from evreel.checks.looked import Looked
from evreel.errors import ReleaseError
from evreel.release.digests import digests_of, pieces

LAYOUT = "evreel-published"
LAYOUT_VERSION = 1
SUFFIX = ".json"
_HEAD_BYTES = 100
"""Where a record says that it is one."""


@dataclass(frozen=True)
class Record:
    """A file that is ready for a release.

    Parameters
    ----------
    size, md5, sha256
        Of the file; lowercase hexadecimal digits.
    source
        ``sha256:…`` of the file that it was made from, which others name as their input.
    compression, gzip_level
        As it was asked for.
    compressor
        Version of the library that compressed it.
    looked
        What a look at it has found.
    facts
        A part of `evreel.release.facts.RecordingFacts`, plain; empty if it has none.
    is_unverified
        Whether it says that its recording came without a checksum.
    """

    size: int
    md5: str
    sha256: str
    source: str
    compression: str
    gzip_level: int
    compressor: str
    looked: Looked
    facts: Mapping[str, Any] = field(default_factory=dict)
    is_unverified: bool = False

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        head = {"layout": LAYOUT, "layout_version": LAYOUT_VERSION}
        value = head | asdict(self) | {"looked": self.looked.plain(), "facts": dict(self.facts)}
        path.write_text(
            json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n"
        )

    @classmethod
    def beside(cls, path: Path) -> Self | None:
        """Return the record of a file; None if it has none.

        Raises
        ------
        ReleaseError
            If the file is not the one that was recorded, or its record is damaged.
        """
        place, data = path.with_suffix(SUFFIX), b""
        try:
            data = place.read_bytes()
            value = json.loads(data)
            if value.pop("layout") != LAYOUT:
                return None
            if value.pop("layout_version") != LAYOUT_VERSION:
                raise ValueError
            record = cls(**value | {"looked": Looked.read(value["looked"])})
            now, then = path.stat(), place.stat()
        except (
            OSError,
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            RecursionError,
        ) as error:
            # A file of somebody else's may have this name.
            if f'"{LAYOUT}"'.encode() in data[:_HEAD_BYTES]:
                raise ReleaseError(
                    f"cannot be read as the record of {path.name}",
                    place=str(place),
                    hint="Remove it, and run the workflow again: both are then made anew.",
                ) from error
            return None
        # The record is written after the file. If times tell nothing, as in a copy, it is read.
        is_as_it_was = now.st_size == record.size
        if is_as_it_was and now.st_mtime_ns > then.st_mtime_ns:
            is_as_it_was = digests_of(pieces(path))[1]["sha256"] == record.sha256
        if not is_as_it_was:
            raise ReleaseError(
                "was changed after it was made ready for the release",
                place=str(path),
                hint="Remove it, and run the workflow again: it is then made anew.",
            )
        return record
