"""Zips and tars with given members."""

from __future__ import annotations

import functools
import io
import tarfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path


def packed(path: Path, files: Mapping, kind: str | None = None) -> Path:
    """Write an archive with files, name → content, or a `TarInfo` or `ZipInfo` for a member."""
    path.write_bytes(_packed(kind or path.name.split(".", 1)[1], tuple(files.items())))
    return path


@functools.lru_cache(maxsize=32)
def _packed(kind: str, files: tuple) -> bytes:
    """Return an archive; the same one is packed once, which for bzip2 takes long."""
    packed = io.BytesIO()
    if kind.endswith("zip"):
        method = zipfile.ZIP_STORED if kind == "stored.zip" else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(packed, "w", method) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that are there twice
            for name, content in files:
                archive.writestr(name, content)
        return packed.getvalue()
    mode = {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz", "tar.bz2": "w:bz2"}[kind]
    options = {"tar.xz": {"preset": 1}, "tar.bz2": {"compresslevel": 1}}.get(kind, {})
    with tarfile.open(fileobj=packed, mode=mode, **options) as archive:
        for name, content in files:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isreg():
                info.size = info.size or len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()
