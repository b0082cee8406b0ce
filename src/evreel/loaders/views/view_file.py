"""``view.yaml``: what it may say, its base and files, and how files are written."""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evreel.dataset.documents import Lines, read_document, stop_at
from evreel.errors import EvreelError, UsageError, foreign
from evreel.loaders.views.gathered import BLOCK_VALUES, Gathered
from evreel.loaders.views.mapped import check_regular
from evreel.loaders.views.nested import Place, with_leaves
from evreel.settings import Place as Keys
from evreel.settings import Settings, guess, optional, required, section, shown

VIEW = "view.yaml"
META = "meta.yaml"
"""The file by which edflow knows a folder of its own."""
LAYOUT = "evreel-view"
LAYOUT_VERSION = 1
BASES: Mapping[str, str] = {
    "windows": "evreel.loaders.windows.WindowsDataset",
    "samples": "evreel.loaders.frames.FramesDataset",
    "slices": "evreel.loaders.slices.SlicesDataset",
}
"""Name in ``view.yaml`` → the class of evreel that makes the base."""

_LONGEST_STEM = 100
"""Characters of a file's name that are of its place: a disk allows 255 bytes for a whole name."""
_DIGEST = "sha256:[0-9a-f]{64}"


@dataclass(frozen=True)
class ViewBase(Settings):
    """The base of a view, as ``view.yaml`` names it."""

    loader: str = required(
        f"What it is: {', '.join(BASES)}; or the import path of a class or function, such as "
        "`my_package.Frames`, which is imported only with `allow_import=True`."
    )
    release: str | None = optional(
        "Folder of the release that is the first argument, from the folder of the view."
    )
    arguments: Mapping[str, Any] = section(dict, "The other arguments, by name.")  # type: ignore[arg-type]
    digest: str | None = optional("Its digest, which is compared.", pattern=_DIGEST)


@dataclass(frozen=True)
class ViewFile(Settings):
    """What ``view.yaml`` says."""

    layout: Literal["evreel-view"] = required("What kind of file it is.")
    layout_version: int = required("Version of its layout.", minimum=1, maximum=LAYOUT_VERSION)
    views: Any = required(
        "The arrays of indices: npy files of whole numbers, in the folder of the view, in mappings "
        "and lists as the examples are to be."
    )
    description: str | None = optional("What it is for.")
    base: ViewBase | None = optional("The data set; left out if it is given in Python.")
    labels: Any = optional(
        "Files with labels that were written out: at each array of indices, a mapping of a name to "
        "an npy file."
    )
    digest: str | None = optional(
        "Digest of base and indices, which is compared; needed with labels.", pattern=_DIGEST
    )
    files: Mapping[str, str] = section(
        dict,  # type: ignore[arg-type]
        "File → its SHA-256, which is compared by `View.validate`.",
        pattern=_DIGEST,
    )

    def contradictions(self) -> Iterator[tuple[Keys, str]]:
        """Yield labels without the digest of what they are of."""
        if self.labels is not None and self.digest is None:
            yield ("labels",), "digest is missing, which tells whether they are out of date"


def read_said(folder: str | os.PathLike[str], name: str) -> tuple[dict[str, Any], Lines]:
    """Return what ``view.yaml`` or ``meta.yaml`` of a folder says, as `read_document`.

    Raises
    ------
    UsageError
        If the folder is not there or has no such file, or the file is a pipe or has a mistake.
    """
    place = Path(folder)
    path = place / name
    if not path.exists():
        why = "is no folder" if place.exists() else "does not exist"
        why = f"has no {name}" if place.is_dir() else why
        raise UsageError(
            f"{os.fspath(folder)} {why}", hint=f"Give the folder of a view, which has a {name}."
        )
    check_regular(path)
    return read_document(path.absolute())


def files_in(said: Any, keys: Keys, lines: Lines, folder: Path) -> Any:
    """Return the files that ``view.yaml`` names, in dictionaries and lists as it has them."""
    problems = []

    def file(at: Place, name: Any) -> Path | None:
        below = (*keys, *map(str, at))
        try:
            return file_in(folder, name, "/".join(below))
        except UsageError as error:
            problems.append(f"{lines.at(below)}: {error}")
            return None

    for below, problem in _not_named(said, keys):
        problems.append(f"{lines.at(below)}: {'/'.join(below)}: {problem}")
    found = with_leaves(said, file)
    stop_at(problems)
    return found


def _not_named(said: Any, keys: Keys) -> Iterator[tuple[Keys, str]]:
    """Yield (place, problem) where a mapping or a list is empty, or a key is not a text."""
    if isinstance(said, (Mapping, list)) and not said:
        yield keys, "names no file"
    for key, below in said.items() if isinstance(said, Mapping) else ():
        if not isinstance(key, str) or not key:
            yield (*keys, str(key)), f"key {key!r} is not a text"
        yield from _not_named(below, (*keys, str(key)))
    for k, below in enumerate(said) if isinstance(said, list) else ():
        yield from _not_named(below, (*keys, str(k)))


def file_in(folder: Path, name: Any, place: str) -> Path:
    """Return a file in a folder or below; raise if the name leads out of it."""
    if not isinstance(name, str) or not re.fullmatch(r"[^\\\x00-\x1f]+", name):
        raise UsageError(f"{shown(name)} is not the name of a file", place=place)
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise UsageError(f"{shown(name)} leads out of the folder of the view", place=place)
    return folder / name


def base_of(said: ViewBase | None, folder: Path, lines: Lines, allow_import: bool) -> Any:
    """Return the base that ``view.yaml`` names."""
    if said is None:
        raise UsageError(
            "names no base", path=folder / VIEW, hint="Give the data set: View.open(folder, base)."
        )
    place = lines.at(("base", "loader"))
    if said.loader not in BASES and "." not in said.loader:
        known = guess(said.loader, BASES) or f"; there are {', '.join(BASES)}, or an import path"
        stop_at([f"{place}: base/loader: {said.loader!r} is not a loader{known}"])
    name = BASES.get(said.loader, said.loader)
    trusted = allow_import or said.loader in BASES
    make = imported(name, trusted, f"{place}: base/loader")
    release = [] if said.release is None else [folder / said.release]
    try:
        inspect.signature(make).bind(*release, **said.arguments)
    except TypeError as error:
        at = lines.at(("base", "arguments"))
        raise UsageError(f"{at}: base/arguments: {name}: {error}") from error
    except ValueError:  # of a builtin, which has no signature
        pass
    if release and not release[0].exists():
        raise UsageError(
            f"{lines.at(('base', 'release'))}: base/release: {said.release} does not exist, seen "
            "from the folder of the view",
            hint="Correct the path, or give the data set: View.open(folder, base).",
        )
    with foreign(lambda why: EvreelError(f"base {name} cannot be made: {why}", path=folder / VIEW)):
        return make(*release, **said.arguments)


def imported(name: str, trusted: bool, place: str) -> Any:
    """Return what an import path names, such as ``my_package.Frames``.

    Parameters
    ----------
    name
        The path.
    trusted
        Whether its code may be run.
    place
        Where it is named.

    Raises
    ------
    UsageError
        If it may not, or there is no such thing.
    """
    if not trusted:
        raise UsageError(
            f"{place}: {name!r} is code to be imported",
            hint="If you trust who wrote this folder, open it with allow_import=True.",
        )
    module, _, attribute = name.rpartition(".")
    with foreign(lambda why: UsageError(f"{place}: {name!r} cannot be imported: {why}")):
        return getattr(importlib.import_module(module), attribute)


class Written:
    """Writes arrays into a folder, each under a name made of its place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[str] = set()
        self.all: list[str] = []

    def write(self, place: Place, array: npt.NDArray[Any] | Gathered) -> str:
        """Write an array as an npy file and return its name, from the folder."""
        kind, *keys = map(str, place)
        stem = re.sub(r"[^\w-]", "_", ".".join(keys).replace(".", "-"), flags=re.ASCII)
        stem = stem[:_LONGEST_STEM] or "all"
        name, n = f"{kind}/{stem}.npy", 1
        while name.casefold() in self._taken:
            n += 1
            name = f"{kind}/{stem}-{n}.npy"
        self._taken.add(name.casefold())
        self.all.append(name)
        if array.dtype.hasobject:
            raise UsageError("holds Python objects, which are not written", place="/".join(keys))
        file = self._folder / name
        file.parent.mkdir(exist_ok=True)
        with file.open("wb") as out:
            descr = np.lib.format.dtype_to_descr(array.dtype)
            head = {"descr": descr, "fortran_order": False, "shape": array.shape}
            np.lib.format.write_array_header_1_0(out, head)
            step = max(1, BLOCK_VALUES // max(1, int(np.prod(array.shape[1:], dtype=np.int64))))
            for start in range(0, len(array), step):
                out.write(np.ascontiguousarray(array[start : start + step]).tobytes())
        return name

    def write_each(self, place: Place, labels: Any) -> Any:
        """Write labels, and return their names in dictionaries and lists as they are."""
        return with_leaves(labels, lambda at, label: self.write((*place, *at), label))
