"""Zips and tars with given members."""

from __future__ import annotations

import io
import tarfile
import warnings
import zipfile


def packed(path, files, kind=None):
    """Write an archive with files, name → content, or a `TarInfo` or `ZipInfo` for a member."""
    kind = kind or path.name.split(".", 1)[1]
    if kind.endswith("zip"):
        method = zipfile.ZIP_STORED if kind == "stored.zip" else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in files.items():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of names that are there twice
                    archive.writestr(name, content)
        return path
    mode = {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz", "tar.bz2": "w:bz2"}[kind]
    options = {"preset": 1} if kind == "tar.xz" else {}
    with tarfile.open(path, mode, **options) as archive:
        for name, content in files.items():
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isreg():
                info.size = info.size or len(content)
            archive.addfile(info, io.BytesIO(content))
    return path
