"""Sources of representations: files and modules of a user, and what goes wrong in them.

A file is read anew for each use, and is never imported by its name: two files of the same name do
not meet, and an edited one is not taken for what it was. Modules beside it can be imported by name
while it is read; they are forgotten afterwards, for the same reason.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import importlib.abc
import importlib.util
import linecache
import os
import sys
import traceback
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evreel.errors import EvreelError, ParameterError, hint_of, one_line

_LONGEST_SAID = 500


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A module of a user, and the digests of the files that it was read from."""

    module: types.ModuleType
    path: Path
    files: Mapping[Path, str]

    def is_current(self) -> bool:
        """Tell whether no file has changed since."""
        try:
            return all(digest(path.read_bytes()) == seen for path, seen in self.files.items())
        except OSError:
            return False


_LOADED: dict[tuple[Path, str], Source] = {}


def read_file(path: Path, package: str, *, has_neighbours: bool) -> Source:
    """Return the module in a file, read again if the file has changed."""
    try:
        real = path.resolve(strict=True)
        data = real.read_bytes()
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ParameterError(
            f"cannot read {str(path)!r}, the source of a representation: {why}",
            hint=hint_of(path.name, _names_in(path.parent))
            or "A path is relative to the folder in which evreel, or Snakemake, runs.",
        ) from error
    known = _LOADED.get((real, package))
    if known is None or not known.is_current():
        known = _executed(real, data, package, has_neighbours)
        _LOADED[real, package] = known
    return known


def _names_in(folder: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return sorted(path.name for path in folder.glob("*.py"))
    return []


def read_module(name: str) -> Source:
    """Return a module: the one that is found now, even if another of its name was imported."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise ParameterError(f"{name!r} is not the name of a module")
    importlib.invalidate_caches()
    parent, _, _ = name.rpartition(".")
    here = os.getcwd()  # noqa: PTH109 (sys.path has texts)
    sys.path.append(here)
    try:
        within = None
        if parent:
            with telling(f"module {name} cannot be imported", {}, ParameterError):
                within = importlib.import_module(parent).__path__
            _check_same(name.partition(".")[0])
        spec = _spec_of(name, within)
        if spec is None:
            raise ParameterError(
                f"there is no module {name!r}",
                hint="Install it, run in its folder, or give its file: path/to/file.py:FUNCTION.",
            )
        if spec.submodule_search_locations is None and (spec.origin or "").endswith(".py"):
            path = Path(str(spec.origin))
            is_here = not parent and path.parent == Path(here)
            return read_file(path, parent, has_neighbours=is_here)
        # A package, or a compiled module.
        with telling(f"module {name} cannot be imported", {}, ParameterError):
            module = importlib.import_module(name)
    finally:
        sys.path.remove(here)
    _check_same(name.partition(".")[0])
    path = Path(getattr(module, "__file__", None) or "")
    if not path.is_file():
        raise ParameterError(f"module {name} has no file", hint="Give the module with the code.")
    known = _LOADED.get((path, name))
    if known is None or known.module is not module or not known.is_current():
        known = Source(module, path, {path: digest(path.read_bytes())})
        _LOADED[path, name] = known
    return known


def _spec_of(name: str, within: Any) -> importlib.machinery.ModuleSpec | None:
    found = (finder.find_spec(name, within) for finder in sys.meta_path)
    return next((spec for spec in found if spec is not None), None)


def _check_same(name: str) -> None:
    """Raise if a package that was imported earlier is another one than is found now."""
    imported, found = sys.modules[name].__spec__, _spec_of(name, None)
    if imported is not None and found is not None and imported.origin != found.origin:
        raise ParameterError(
            f"package {name} is in {found.origin}, but {imported.origin} was imported before",
            hint="Give the file instead: path/to/file.py:FUNCTION.",
        )


class _Loader(importlib.abc.InspectLoader):
    """Runs the text that was read, not what the file, or a compiled copy of it, has by then."""

    def __init__(self, data: bytes, path: Path) -> None:
        self._data, self._path = data, path

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self._data)

    def get_code(self, fullname: str) -> types.CodeType:
        return self.source_to_code(self._data, str(self._path))


def _executed(path: Path, data: bytes, package: str, has_neighbours: bool) -> Source:
    name = f"_evreel_{digest(os.fsencode(path) + data)[7:23]}"
    name = f"{package}.{name}" if package else name
    loader = _Loader(data, path)
    spec = importlib.util.spec_from_loader(name, loader, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    linecache.checkcache(str(path))
    sys.modules[name] = module  # where data classes look for their module
    neighbours: list[Path] = []
    try:
        with (
            telling("cannot be imported", {str(path)}, ParameterError, path=path),
            _beside(path.parent if has_neighbours else None, neighbours),
        ):
            loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    files = {path: digest(data)} | {file: digest(file.read_bytes()) for file in neighbours}
    return Source(module, path, files)


@contextlib.contextmanager
def _beside(folder: Path | None, files: list[Path]) -> Iterator[None]:
    """Let the modules in a folder be imported by name, and forget them; tell their `files`."""
    if folder is None:
        yield
        return

    def of_folder() -> dict[str, types.ModuleType]:
        return {
            name: module
            for name, module in list(sys.modules.items())
            if "." not in name
            and name != "__main__"
            and Path(getattr(module, "__file__", None) or "/").parent == folder
            and not name.startswith("_evreel_")
        }

    before = of_folder()
    writes = sys.dont_write_bytecode
    for name in before:
        del sys.modules[name]
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # a compiled copy may look current beside an edited source
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes
        sys.path.remove(str(folder))
        for name, module in of_folder().items():
            files.append(Path(str(module.__file__)))
            del sys.modules[name]
        sys.modules.update(before)


def digest(data: bytes) -> str:
    """Return ``sha256:…`` of some bytes, as a file's `inputs` have it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@contextlib.contextmanager
def telling(
    what: str,
    files: Any,
    kind: type[EvreelError],
    *,
    path: Path | None = None,
    line: int | None = None,
    hint: str | None = None,
) -> Iterator[None]:
    """Turn whatever a user's code raises into one message, with the last line in their files.

    Parameters
    ----------
    what
        What was done, such as ``window 7``.
    files
        Names of their files.
    kind
        Class of the error.
    path, line
        Where to look if no line of theirs was reached, as in a compiled function.
    hint
        What to do.
    """
    try:
        yield
    except (EvreelError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        if isinstance(error, SyntaxError) and error.filename in files:
            path, line = Path(str(error.filename)), error.lineno
        else:
            for frame in traceback.extract_tb(error.__traceback__):
                if frame.filename in files:
                    path, line = Path(frame.filename), frame.lineno
        problem = type(error).__name__ + (f": {one_line(said, _LONGEST_SAID)}" if said else "")
        place = what if line is None else f"line {line}: {what}"
        raise kind(problem, path=path, place=place, hint=hint) from error
