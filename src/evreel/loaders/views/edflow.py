"""Folders of edflow 0.4: data sets and views that a ``meta.yaml`` describes.

Labels are raw arrays without a header, ``labels/**/NAME[:LOADER]-*-SHAPE-*-DTYPE.npy``; with a
loader, each value of a label is what an example is loaded from. A view has a base, and labels that
are indices of its examples. What differs from edflow, on purpose:

- Labels of the base are taken through a view when they are used. They are never written out, so
  they cannot be out of date; copies that edflow made are not read.
- Indices below 0 or beyond the base, sizes of files that do not fit their names, labels of
  different lengths and two files of one label are errors. An example below 0 is one too.
- What a folder names is imported only with ``allow_import``, and files outside it are read only
  with ``allow_outside``. A relative path is one from the folder, wherever the program runs.
- Whatever an example holds can be pickled.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from evreel.dataset.documents import named, stop_at
from evreel.errors import EvreelError, UsageError, foreign, hint_of
from evreel.loaders.arguments import checked_index
from evreel.loaders.views.mapped import check_regular, map_npy, map_raw
from evreel.loaders.views.nested import Place, leaves, name_of, outline, with_leaves
from evreel.loaders.views.view import View
from evreel.loaders.views.view_file import BASES, META, imported, read_said
from evreel.outputs import atomic
from evreel.settings import Settings, mistakes, optional, read, section, setting, settings_of, shown

LABELS = "labels"
CONSTRUCTED = ".constructed.txt"
"""A file that edflow leaves where it wrote out a view's labels."""
_BETWEEN = "-*-"
_SHAPE = re.compile("[0-9]{1,18}(x[0-9]{1,18})*", re.ASCII)
_DTYPE = re.compile(r"[<>=|]?[A-Za-z]+[0-9]*(\[[0-9A-Za-z]+\])?", re.ASCII)
_NAME = re.compile(r"[^/\\\x00-\x1f]+")

Support = Literal["0->255", "0->1", "-1->1"]


@dataclass(frozen=True)
class MetaFile(Settings):
    """What of ``meta.yaml`` is used; it may say more."""

    description: str | None = optional("What it is.")
    loaders: Mapping[str, str] = section(
        dict,  # type: ignore[arg-type]
        "Label → what loads its values: image, np, category, or an import path.",
    )
    loader_kwargs: Mapping[str, Any] = section(
        dict,  # type: ignore[arg-type]
        "Label → arguments of its loader, by name.",
    )
    base_dset: str | None = optional("Of a view: import path of the base.")
    base_kwargs: Mapping[str, Any] = section(
        dict,  # type: ignore[arg-type]
        "Arguments of the base, by name.",
    )
    views: Any = setting("view", "Names of labels with indices, in mappings and lists.")


@dataclass(frozen=True)
class PictureSettings(Settings):
    """Arguments of the loader ``image``."""

    root: str = setting("", "Folder that the paths begin at.")
    support: str = setting("0->255", "Range of the values.", choices=get_args(Support))
    resize_to: Any = optional("Width and height, or one number for both, px.")


@dataclass(frozen=True)
class ArraySettings(Settings):
    """Arguments of the loader ``np``."""

    root: str = setting("", "Folder that the paths begin at.")


@dataclass(frozen=True)
class PictureFile:
    """A picture that is read when it is called, as an array."""

    path: Path
    support: Support = "0->255"
    resize_to: tuple[int, int] | None = None

    def __call__(self) -> npt.NDArray[Any]:
        """Return its pixels: as they are stored, or float64 in the range of `support`."""
        from evreel.video.still import read_still

        check_regular(self.path)
        pixels = read_still(self.path, self.resize_to)
        if self.support == "0->255":
            return pixels
        shares = pixels / 255.0
        return shares if self.support == "0->1" else shares * 2.0 - 1.0


@dataclass(frozen=True)
class ArrayFile:
    """An npy file that is read when it is called."""

    path: Path

    def __call__(self) -> npt.NDArray[Any]:
        """Return its array."""
        return np.array(map_npy(self.path))


class _LabelFile(NamedTuple):
    place: tuple[str, ...]
    loader: str | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    path: Path


class MetaDataset:
    """A folder of labels, and of what is loaded from them, as edflow's class of this name.

    An example is a dictionary of what is loaded, with its number, `index_`, and its labels,
    `labels_`.

    Parameters
    ----------
    root
        The folder, with its ``meta.yaml``.
    allow_import
        Whether loaders of other packages may be imported, which runs their code.
    allow_outside
        Whether labels may name files outside the folder.

    Attributes
    ----------
    root : the folder.
    meta : what ``meta.yaml`` says.
    labels : name → array, mapped from its file; in dictionaries by folder. That of a loader has the
        name with ``_`` behind it.
    loaders : name → the loader's name, or function.
    loader_kwargs : name → its arguments.
    append_labels : whether examples have `labels_`.
    expand : whether what is loaded is there as arrays, and not as functions that load it.

    Raises
    ------
    UsageError
        If ``meta.yaml`` has a mistake: each is told with its line.
    EvreelError
        If a file is damaged or missing, or labels have different lengths.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        allow_import: bool = False,
        allow_outside: bool = False,
    ) -> None:
        self.root = Path(root).resolve()
        self.meta, self._lines = read_said(root, META)
        known = {key: value for key, value in self.meta.items() if key in settings_of(MetaFile)}
        self._stop_at(mistakes(MetaFile, known))
        self._said = read(MetaFile, known)
        self._allow_import = allow_import
        self._allow_outside = allow_outside
        self.append_labels = True
        self.expand = False
        files = [file for file in _label_files(self.root / LABELS) if self._is_label(file)]
        self.loaders: dict[str, str | Callable[..., Any]] = {}
        self.loader_kwargs: dict[str, Mapping[str, Any]] = {}
        self._find_loaders(files)
        self.labels: dict[str, Any] = _as_nested(files, self.loaders)
        if not self.labels:
            raise EvreelError(f"has no label in its folder {LABELS}", path=self.root)
        (place, first), *others = leaves(self.labels)
        self.num_examples = len(first)
        for other, label in others:
            if len(label) != len(first):
                raise EvreelError(
                    f"label {name_of(other, '')} has {len(label):,} values; "
                    f"{name_of(place, '')} has {len(first):,}",
                    path=self.root,
                )

    def __len__(self) -> int:
        return self.num_examples

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if isinstance(index, (list, np.ndarray)) and np.ndim(index) > 0:
            return [self[k] for k in index]
        k = checked_index(index, len(self))
        example = {**self.get_example(k), "index_": k}
        if self.append_labels:
            example["labels_"] = with_leaves(self.labels, lambda _, label: label[k])
        return with_leaves(example, _expanded) if self.expand else example

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.root.name}: {len(self)} examples>"

    def get_example(self, idx: int) -> dict[str, Any]:
        """Return what is loaded for an example: name → value, or function that loads it."""
        k = checked_index(idx, len(self))
        return {name: self._loaded(name, self.labels[f"{name}_"][k]) for name in self.loaders}

    def show(self) -> None:
        """Print what it is, its labels, and what the first example holds."""
        lines = [self._said.description or repr(self), "# Labels", *outline(self.labels)]
        if len(self):
            example = with_leaves(self[0], _expanded)
            lines += ["# Example 0", *outline(example)]
        print("\n".join(lines))

    def _is_label(self, file: _LabelFile) -> bool:
        return True

    def _stop_at(self, found: Any) -> None:
        stop_at(f"{self._lines.at(place)}: {named(place, problem)}" for place, problem in found)

    def _find_loaders(self, files: list[_LabelFile]) -> None:
        """Set loaders and their arguments; raise if a label or a loader does not exist."""
        names = {file.place[0] for file in files if len(file.place) == 1}
        wanted = {file.place[0]: file.loader for file in files if len(file.place) == 1}
        wanted = {name: loader for name, loader in wanted.items() if loader is not None}
        for key, of in (("loaders", names), ("loader_kwargs", names)):
            self._stop_at(
                ((key, name), f"there is no label {name!r}. {hint_of(name, of) or ''}".strip())
                for name in getattr(self._said, key)
                if name not in names
            )
        for name, loader in {**wanted, **self._said.loaders}.items():
            place = ("loaders", name)
            assert loader is not None
            kwargs = self._said.loader_kwargs.get(name, {})
            if not isinstance(kwargs, Mapping):
                problem = f"{shown(kwargs)} is not a mapping of keys to values"
                self._stop_at([(("loader_kwargs", name), problem)])
            self.loaders[name], self.loader_kwargs[name] = loader, kwargs
            if loader in _OF_FILES:
                self._stop_at(mistakes(_OF_FILES[loader], kwargs, ("loader_kwargs", name)))
                size = kwargs.get("resize_to")
                if _size(size) is None and size is not None:
                    problem = f"{shown(size)} is not a width and a height in px"
                    self._stop_at([(("loader_kwargs", name, "resize_to"), problem)])
            elif loader in _CATEGORY:
                if not isinstance(kwargs.get("categories"), (list, Mapping)):
                    problem = "categories is missing: a list, or a mapping of values to names"
                    self._stop_at([(("loader_kwargs", name), problem)])
            elif "." not in loader:
                there = ", ".join((*_OF_FILES, *_CATEGORY))
                problem = f"{loader!r} is not a loader; there are {there}, or an import path"
                self._stop_at([(place, problem)])
            else:
                where = f"{self._lines.at(place)}: {'/'.join(place)}"
                self.loaders[name] = imported(loader, self._allow_import, where)

    def _loaded(self, name: str, value: Any) -> Any:
        """Return what the loader of a label makes of a value of it."""
        loader, kwargs = self.loaders[name], self.loader_kwargs[name]
        if callable(loader):
            with foreign(lambda why: self._not_loaded(name, f"its loader failed: {why}")):
                return loader(value, **kwargs)
        if loader in _CATEGORY:
            return self._category(name, value, kwargs["categories"])
        if not isinstance(value, str):
            raise self._not_loaded(name, f"{shown(value)} is not the name of a file")
        path = self._file(name, os.path.join(kwargs.get("root", ""), str(value)))  # noqa: PTH118
        if loader == "np":
            return ArrayFile(path)
        return PictureFile(path, kwargs.get("support", "0->255"), _size(kwargs.get("resize_to")))

    def _category(self, name: str, value: Any, categories: Any) -> Any:
        try:
            if isinstance(categories, list) and value < 0:
                raise IndexError
            return categories[value]
        except (LookupError, TypeError, ValueError) as error:
            problem = f"{value!r} is none of its {len(categories)} categories"
            raise self._not_loaded(name, problem) from error

    def _not_loaded(self, name: str, problem: str) -> EvreelError:
        return EvreelError(problem, path=self.root / META, place=f"label {name!r}")

    def _file(self, name: str, value: str) -> Path:
        """Return the file that a label names."""
        path = Path(os.path.normpath(self.root / value))
        is_inside = path.is_relative_to(self.root) or path.resolve().is_relative_to(self.root)
        if not is_inside and not self._allow_outside:
            raise EvreelError(
                f"label {name!r} names a file outside the folder: {value!r}",
                path=self.root,
                hint="If you trust who wrote this folder, open it with allow_outside=True.",
            )
        return path


_OF_FILES: Mapping[str, type[Settings]] = {"image": PictureSettings, "np": ArraySettings}
_CATEGORY = ("category", "cat")


class MetaViewDataset(MetaDataset):
    """A view of another data set, as edflow's class of this name.

    An example is nested as `views` in ``meta.yaml``, and as the arrays of indices have shapes.

    Parameters
    ----------
    root
        The folder, with its ``meta.yaml``.
    base
        The data set, which then stands for the one that ``meta.yaml`` names.
    allow_import, allow_outside
        As `MetaDataset` takes them; also for the base, if that is a folder of edflow.

    Attributes
    ----------
    base : the data set.
    views : its arrays of indices.
    view : the same as a `View`.
    labels : also those of the base, taken through each array when they are used.

    Raises
    ------
    UsageError, EvreelError
        As `MetaDataset`; and if the base cannot be made, or an index is not of an example of it.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        base: Any = None,
        allow_import: bool = False,
        allow_outside: bool = False,
    ) -> None:
        super().__init__(root, allow_import=allow_import, allow_outside=allow_outside)
        name = self._said.base_dset
        if base is None and name is None:
            raise UsageError("base_dset is missing", path=self.root / META)
        views = with_leaves(self._said.views, self._indices)
        if isinstance(views, list) or (isinstance(views, np.ndarray) and views.ndim > 1):
            problem = "examples are dictionaries; give each view a name: a mapping of names"
            self._stop_at([(("views",), problem)])
        with _opened(self.root):
            self.base = self._made_base(name) if base is None and name is not None else base
        if hasattr(self.base, "append_labels"):
            self.base.append_labels = False
        self.view = View(self.base, views, self._said.description or "")
        self.views = self.view.indices
        self.labels = {**self.labels, **self.view.labels}

    @property
    def digest(self) -> str:
        """Text that says what its examples are."""
        return self.view.digest

    def get_example(self, idx: int) -> dict[str, Any]:
        """Return the examples of the base that belong to an example, and what is loaded for it."""
        example = self.view[idx]
        if not isinstance(example, Mapping):
            kind = type(example).__name__
            raise UsageError(
                f"an example of the base is a {kind}, not a dictionary", path=self.root
            )
        return {**example, **super().get_example(idx)}

    def _is_label(self, file: _LabelFile) -> bool:
        """Tell whether a label is the view's own, and not a copy of the base's that edflow made."""
        if not (self.root / CONSTRUCTED).exists():
            return True
        named_views = dict(leaves(self._said.views))
        is_used = "/".join(file.place) in named_views.values()
        places = [tuple(map(str, place)) for place in named_views if place]
        return is_used or not any(file.place[:-1][: len(at)] == at for at in places)

    def _indices(self, place: Place, name: Any) -> npt.NDArray[Any]:
        found: Any = self.labels
        try:
            for key in str(name).split("/"):
                found = found[int(key) if isinstance(found, list) else key]
        except (LookupError, TypeError, ValueError):
            found = None
        if not isinstance(found, np.ndarray):
            known = [name_of(at, "") for at, _ in leaves(self.labels)]
            problem = f"there is no label {name!r}. {hint_of(name, known) or ''}"
            self._stop_at([(("views", *map(str, place)), problem.strip())])
        array: npt.NDArray[Any] = found
        return array

    def _made_base(self, name: str) -> Any:
        """Return the base that ``meta.yaml`` names."""
        kwargs = dict(self._said.base_kwargs)
        where = f"{self._lines.at(('base_dset',))}: base_dset"
        ours = _BASES.get(name.rpartition(".")[2]) if name.rpartition(".")[0] in _ROOMS else None
        if ours is not None:
            if list(kwargs) != ["root"] or not isinstance(kwargs["root"], str):
                where = self._lines.at(("base_kwargs",))
                raise UsageError(f"{where}: base_kwargs: {name} takes root, the path of a folder")
            return ours()(
                self.root / kwargs["root"],
                allow_import=self._allow_import,
                allow_outside=self._allow_outside,
            )
        is_evreels = name in BASES.values()
        if is_evreels and isinstance(kwargs.get("source"), str):
            kwargs["source"] = self.root / kwargs["source"]
        make = imported(name, self._allow_import or is_evreels, where)
        with foreign(lambda why: UsageError(f"{where}: {name} cannot be made: {why}")):
            return make(**kwargs)


_ROOMS = (
    "edflow.data.believers.meta",
    "edflow.data.believers.meta_view",
    "evreel.compat.edflow",
    "evreel.loaders.views.edflow",
)
"""Modules whose names in ``meta.yaml`` stand for this one, so that nothing is imported."""
_BASES: Mapping[str, Callable[[], type[MetaDataset]]] = {
    "MetaDataset": lambda: MetaDataset,
    "MetaViewDataset": lambda: MetaViewDataset,
}
_OPEN: ContextVar[tuple[Path, ...]] = ContextVar("open", default=())


@contextmanager
def _opened(root: Path) -> Iterator[None]:
    """Raise if a view is its own base, however many views are between."""
    above = _OPEN.get()
    if root in above:
        raise UsageError("the view is its own base", path=root / META)
    token = _OPEN.set((*above, root))
    try:
        yield
    finally:
        _OPEN.reset(token)


def store_label_mmap(data: npt.ArrayLike, root: str | os.PathLike[str], name: str) -> None:
    """Write a label as edflow's function of this name does; the file appears when it is whole.

    Parameters
    ----------
    data
        A value for each example, (n, …).
    root
        The folder, which is made: `labels` of a data set, or one in it.
    name
        Of the label; with ``:LOADER`` behind it, its values are what that loads.

    Raises
    ------
    UsageError
        If the name or the type cannot be that of a label.
    """
    array = np.asarray(data)
    if not _NAME.fullmatch(name) or _BETWEEN in name or name.startswith(".") or name.count(":") > 1:
        raise UsageError(f"{name!r} is not the name of a label")
    dtype = str(array.dtype)
    if array.dtype.hasobject or not _DTYPE.fullmatch(dtype) or not array.ndim or not array.itemsize:
        raise UsageError(
            f"values of type {dtype} and shape {array.shape} are not a label", place=name
        )
    shape = "x".join(map(str, array.shape))
    with atomic(Path(root) / f"{name}{_BETWEEN}{shape}{_BETWEEN}{dtype}.npy") as (file,):
        file.write_bytes(np.ascontiguousarray(array).tobytes())


def _label_files(folder: Path) -> list[_LabelFile]:
    """Return the labels in a folder and those below, in order of their names."""

    def unreadable(error: OSError) -> None:
        raise EvreelError(f"cannot be read: {error.strerror}", path=error.filename) from error

    found = []
    for place, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        at = Path(place)
        for name in sorted(names):
            if name.endswith(".npy") and name.count(_BETWEEN) >= 2 and not name.startswith("."):
                found.append(_label_file(at / name, at.relative_to(folder).parts))
    return found


def _label_file(path: Path, folders: tuple[str, ...]) -> _LabelFile:
    """Return what the name of a label's file says."""
    label, *shape_and_dtype = path.name.removesuffix(".npy").split(_BETWEEN)
    name, *loader = label.split(":")
    shape, dtype = shape_and_dtype if len(shape_and_dtype) == 2 else ("", "")
    if not name or len(loader) > 1 or not _SHAPE.fullmatch(shape) or not _DTYPE.fullmatch(dtype):
        raise EvreelError(
            "is not named NAME[:LOADER]-*-SHAPE-*-DTYPE.npy, such as t-*-100x2-*-int64.npy",
            path=path,
        )
    with foreign(lambda why: EvreelError(f"{dtype!r} is not a type: {why}", path=path)):
        kind = np.dtype(dtype)
    sizes = tuple(int(n) for n in shape.split("x"))
    return _LabelFile((*folders, name), loader[0] if loader else None, sizes, kind, path)


def _as_nested(files: list[_LabelFile], loaders: Mapping[str, Any]) -> dict[str, Any]:
    """Return labels in dictionaries by folder; folders that are 0, 1, … are a list."""
    made: dict[str, Any] = {}
    for file in files:
        below = made
        *folders, name = file.place
        if file.loader is not None or (not folders and name in loaders):
            name += "_"
        for folder in folders:
            below = below.setdefault(folder, {})
            if not isinstance(below, dict):
                raise EvreelError(f"label {folder!r} is also a folder", path=file.path.parent)
        if name in below:
            raise EvreelError(f"a second file of label {name!r}", path=file.path)
        below[name] = map_raw(file.path, file.shape, file.dtype)
    return {name: _with_lists(below) for name, below in made.items()}


def _with_lists(nested: Any) -> Any:
    if not isinstance(nested, dict):
        return nested
    made = {name: _with_lists(below) for name, below in nested.items()}
    numbered = [str(k) for k in range(len(made))]
    return [made[k] for k in numbered] if set(made) == set(numbered) else made


def _size(given: Any) -> tuple[int, int] | None:
    """Return width and height of what ``resize_to`` says, None if it is not that."""
    both = [given, given] if isinstance(given, int) else given
    if not isinstance(both, list) or len(both) != 2:
        return None
    fits = all(isinstance(n, int) and not isinstance(n, bool) and 0 < n <= 1 << 15 for n in both)
    return (both[0], both[1]) if fits else None


def _expanded(_: Place, value: Any) -> Any:
    return value() if callable(value) else value
