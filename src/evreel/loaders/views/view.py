"""Views: examples of a data set, put together by arrays of indices.

A base has examples (``len`` and an index), and perhaps `labels`, name → array; an array or a list
with a value of each example is one label, ``labels``. A view has, for each of its own examples, the
numbers of those that it consists of: an array of shape [M] makes one example of the base of each,
one of [M, 5] a list of five, one of [M, 5, 2] a list of five lists of two. Such arrays stand in
dictionaries and lists, and so do the examples. Neither examples nor labels of the base are copied.
"""

from __future__ import annotations

import hashlib
import numbers
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.dataset.documents import Lines, document, named, stop_at
from evreel.errors import EvreelError, UsageError, foreign
from evreel.loaders.arguments import checked_index
from evreel.loaders.views.gathered import BLOCK_VALUES, Gathered, Indices, label_of
from evreel.loaders.views.mapped import check_regular, map_npy, mapped_again
from evreel.loaders.views.nested import Place, leaves, name_of, outline, with_leaves
from evreel.loaders.views.view_file import (
    LAYOUT,
    LAYOUT_VERSION,
    META,
    VIEW,
    ViewFile,
    Written,
    base_of,
    file_in,
    files_in,
    read_said,
)
from evreel.outputs import atomic
from evreel.provenance import digest_of, sha256
from evreel.settings import mistakes, read


class View:
    """Examples of a base data set, put together by arrays of indices.

    `View.from_indices` and `View.open` make it. It can be pickled if the base can; files are mapped
    by each process for itself.

    Attributes
    ----------
    base : the data set.
    indices : its arrays, (M, …) each, in dictionaries and lists.
    description : what it is for.

    Examples
    --------
    >>> view = View.from_indices("abcdef", {"frames": [[0, 1], [2, 3]], "appearance": [5, 4]})
    >>> len(view), view[1]
    (2, {'frames': ['c', 'd'], 'appearance': 'e'})
    """

    def __init__(self, base: Any, indices: Any, description: str = "") -> None:
        if isinstance(base, View):
            base, indices = base.base, base._composed(indices)
        n = _length_of(base)
        self.base: Any = base
        self.description = description
        self._parts = with_leaves(
            _structured(indices), lambda place, array: Indices(array, place, n)
        )
        (first, part), *others = leaves(self._parts)
        self._n = len(part)
        for _, other in others:
            if len(other) != self._n:
                raise other.error(
                    f"has {len(other):,} rows; {name_of(first, 'indices')} has {self._n:,}, and a "
                    "view has one of each for an example"
                )
        self._written: Any = None
        self._said: tuple[Path, ViewFile] | None = None

    @classmethod
    def from_indices(cls, base: Any, indices: Any) -> View:
        """Return a view of a data set.

        Parameters
        ----------
        base
            What has a length and examples by number, and perhaps `labels`: name → array or list
            with a value for each example; or one such array or list, which is a label named
            ``labels``. Any other attribute of this name is not about examples, such as a list of
            classes. With an attribute `digest`, a text, it says what it holds. A
            view of a view is one view of its base.
        indices
            Arrays of whole numbers, (M, …) each; or dictionaries and lists of such. A list of
            numbers, or of lists of numbers, is an array; a path is that of an npy file, which is
            mapped. What is not mapped is copied.

        Raises
        ------
        UsageError
            If an index is negative, or not less than the length of the base, or not a whole
            number; or if arrays have different lengths.
        """
        return cls(base, indices)

    @classmethod
    def open(
        cls, folder: str | os.PathLike[str], base: Any = None, *, allow_import: bool = False
    ) -> View:
        """Open the view that a folder declares in its ``view.yaml``, or edflow's ``meta.yaml``.

        Parameters
        ----------
        folder
            The folder.
        base
            The data set, which then stands for the one that ``view.yaml`` names.
        allow_import
            Whether a base of other packages may be imported, which runs their code.

        Raises
        ------
        UsageError
            If ``view.yaml`` has a mistake: each is told with its line.
        EvreelError
            If a file is damaged or missing, an index is not of an example of the base, or a digest
            is not that of base or indices.
        """
        place = Path(folder).absolute()
        if (place / META).exists() and not (place / VIEW).exists():
            from evreel.loaders.views.edflow import MetaViewDataset

            return MetaViewDataset(place, base=base, allow_import=allow_import).view
        values, lines = read_said(folder, VIEW)
        stop_at(f"{lines.at(at)}: {named(at, what)}" for at, what in mistakes(ViewFile, values))
        said = read(ViewFile, values)
        stop_at(f"{lines.at(at)}: {'/'.join(at)}: {what}" for at, what in said.contradictions())
        files = files_in(said.views, ("views",), lines, place)
        made = base_of(said.base, place, lines, allow_import) if base is None else base
        view = cls(made, with_leaves(files, lambda _, file: map_npy(file)), said.description or "")
        view._said = place, said
        view._compare_digests()
        if said.labels is not None:
            view._written = view._read_labels(said.labels, lines, place)
        return view

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: int) -> Any:
        k = checked_index(index, self._n)
        return with_leaves(self._parts, lambda _, part: self._examples(part.rows(k).tolist()))

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(self._n))

    def __repr__(self) -> str:
        shapes = {name_of(at, "indices"): part.shape for at, part in leaves(self._parts)}
        text = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        return f"<view of length {self._n} over {type(self.base).__name__}: {text}>"

    def _examples(self, rows: Any) -> Any:
        if isinstance(rows, list):
            return [self._examples(row) for row in rows]
        return self.base[rows]

    @property
    def indices(self) -> Any:
        """Its arrays, in dictionaries and lists."""
        return with_leaves(self._parts, lambda _, part: part.array)

    @cached_property
    def labels(self) -> Any:
        """Labels of the base, taken through each array: at its place, name → array.

        They are gathered when they are used: each is a `evreel.loaders.views.gathered.Gathered`,
        or is mapped from a file where the view was written out with its labels.

        Raises
        ------
        UsageError
            If a label of the base has not a value for each of its examples.
        """
        return self._gathered if self._written is None else self._written

    @property
    def _gathered(self) -> Any:
        of_base = _labels_of(self.base)
        return with_leaves(
            self._parts,
            lambda _, part: with_leaves(of_base, lambda _, label: Gathered(label, part)),
        )

    @cached_property
    def digest(self) -> str:
        """``sha256:…`` of base and indices: views with the same digest have the same examples.

        Of a base without an attribute `digest`, its type, length and labels are what counts.
        """
        return self._digest_now()

    def _digest_now(self) -> str:
        parts = sorted([list(at), part.digest()] for at, part in leaves(self._parts))
        return digest_of([base_digest(self.base), parts])

    def compose(self, indices: Any) -> View:
        """Return the view of this view that arrays of indices make, as one view of its base.

        Its examples are those that a view of this one would have.

        Parameters
        ----------
        indices
            As `from_indices` takes them; numbers of examples of this view.

        Examples
        --------
        >>> pairs = View.from_indices("abcdef", [[0, 1], [2, 3], [4, 5]])
        >>> pairs.compose({"late": [2, 1]})[0]
        {'late': ['e', 'f']}
        """
        return View(self, indices)

    def _composed(self, indices: Any) -> Any:
        """Return the arrays of a view of this one as arrays of indices of its base."""

        def through(parts: Any, outer: npt.NDArray[np.int64]) -> Any:
            if isinstance(parts, Indices):
                return parts.rows(outer)
            if outer.ndim > 1 and outer.shape[1]:  # lists of examples, each of this form
                return [through(parts, outer[:, k]) for k in range(outer.shape[1])]
            if outer.ndim > 1:
                return outer
            return with_leaves(parts, lambda _, part: part.rows(outer))

        return with_leaves(
            _structured(indices),
            lambda place, array: through(
                self._parts, Indices(array, place, self._n).rows(slice(None))
            ),
        )

    def validate(self) -> None:
        """Check everything: all indices, the lengths of labels, and all digests that are stated.

        Raises
        ------
        EvreelError
            That names the array, the position, the value and what is allowed; or the file.
        """
        for _, part in leaves(self._parts):
            part.check_all()
        list(leaves(self._gathered))
        if self._said is not None:
            self._compare_digests()
            folder, said = self._said
            for name, digest in said.files.items():
                file = file_in(folder, name, "files")
                check_regular(file)
                found = sha256(file)
                if found != digest:
                    raise EvreelError(
                        f"is not the file that {VIEW} names: its SHA-256 is {found}, not {digest}",
                        path=folder / name,
                        hint="Write the view out again with View.materialize.",
                    )

    def _compare_digests(self) -> None:
        """Raise if base or indices are not those that ``view.yaml`` is about."""
        assert self._said is not None
        folder, said = self._said
        wanted = said.base.digest if said.base is not None else None
        for what, stated, found in (
            ("base", wanted, base_digest(self.base) if wanted else None),
            ("base or indices", said.digest, self._digest_now() if said.digest else None),
        ):
            if stated != found:
                raise EvreelError(
                    f"the {what} changed since it was written: the digest is {found}, not {stated}",
                    path=folder / VIEW,
                    hint="Make the view again, or remove the digest and what was made with it.",
                )

    def materialize(self, folder: str | os.PathLike[str]) -> None:
        """Write indices and gathered labels into a folder, which `open` opens.

        It appears when it is whole. Examples are not written. A base that `open` could make is
        named; any other is to be given to `open` again, which compares its digest.

        Parameters
        ----------
        folder
            To be made; a view that is there is replaced.

        Raises
        ------
        UsageError
            If there is anything else, or a label holds Python objects.
        """
        final = Path(folder).absolute()
        if final.is_dir() and any(final.iterdir()) and not (final / VIEW).is_file():
            raise UsageError("is not a view, so it is not replaced", path=final)
        with atomic(final) as (scratch,):
            scratch.mkdir()
            names = Written(scratch)
            views = with_leaves(
                self._parts, lambda at, part: names.write(("indices", *at), part.array)
            )
            labels = with_leaves(
                self._parts, lambda at, _: names.write_each(("labels", *at), _at(self.labels, at))
            )
            base = {**self._declared(final), "digest": base_digest(self.base)}
            said = {
                "layout": LAYOUT,
                "layout_version": LAYOUT_VERSION,
                **({"description": self.description} if self.description else {}),
                **({"base": base} if "loader" in base else {}),
                "views": views,
                **({"labels": labels} if any(True for _ in leaves(labels)) else {}),
                "digest": self._digest_now(),
                "files": {name: sha256(scratch / name) for name in names.all},
            }
            (scratch / VIEW).write_text(document(said), encoding="utf-8", newline="\n")

    def _declared(self, folder: Path) -> dict[str, Any]:
        """Return how ``view.yaml`` of a folder names the base; empty if it cannot."""
        found = getattr(self.base, "declared", None)
        if isinstance(found, Mapping):
            declared = dict(found)
        elif self._said is not None and self._said[1].base is not None:
            opened, said = self._said
            assert said.base is not None
            declared = said.base.plain()
            if "release" in declared:
                declared["release"] = str(opened / declared["release"])
        else:
            return {}
        if "release" in declared:
            declared["release"] = Path(os.path.relpath(declared["release"], folder)).as_posix()
        return declared

    def show(self, index: int = 0) -> None:
        """Print what the view is, its labels, and what an example holds."""
        print("\n".join(self.described(index)))

    def described(self, index: int = 0) -> list[str]:
        """Return the lines that `show` prints."""
        parts = [repr(self)[1:-1]]
        if self.description:
            parts.append(self.description.strip())
        if any(True for _ in leaves(self.labels)):
            parts += ["labels", *(f"  {line}" for line in outline(self.labels))]
        if self._n:
            parts += [f"example {index}", *(f"  {line}" for line in outline(self[index]))]
        return parts

    def _read_labels(self, said: Any, lines: Lines, folder: Path) -> Any:
        """Return the labels that were written out, each of the form of its indices."""

        def of(at: Place, part: Indices) -> Any:
            keys = ("labels", *map(str, at))
            try:
                below = _at(said, at)
            except (KeyError, IndexError, TypeError):
                below = None
            if not isinstance(below, Mapping):
                stop_at([f"{lines.at(keys)}: {'/'.join(keys)}: is not a mapping of names to files"])

            def array(_: Place, file: Path) -> npt.NDArray[Any]:
                found = map_npy(file)
                if found.shape[: len(part.shape)] != part.shape:
                    raise EvreelError(
                        f"is of shape {found.shape}; the indices are of {part.shape}", path=file
                    )
                return found

            return with_leaves(files_in(below, keys, lines, folder), array)

        return with_leaves(self._parts, of)


def sequences(base: Any, length: int, stride: int = 1) -> npt.NDArray[np.int64]:
    """Return the indices of all sequences that stay within a recording, for `View.from_indices`.

    Parameters
    ----------
    base
        A data set with a label `recording`. Where it has the labels `sample`, and `window` or
        `slice`, as the data sets of evreel do, a sequence also stays within a sample, and its
        windows follow one another.
    length
        Examples in each sequence.
    stride
        Examples from the start of one sequence to the start of the next, within a recording.

    Returns
    -------
    (M, length) indices of the base. What is shorter than `length` is in no sequence.

    Raises
    ------
    UsageError
        If the base has no label `recording`, or a number is not a whole number of 1 or more.

    Examples
    --------
    >>> class Frames(list):
    ...     labels = {"recording": ["park", "park", "park", "town", "town"]}
    >>> sequences(Frames("abcde"), 2).tolist()
    [[0, 1], [1, 2], [3, 4]]
    """
    for name, value in (("length", length), ("stride", stride)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise UsageError(f"{name}={value!r} is not a whole number of 1 or more")
    labels = _labels_of(base)
    if "recording" not in labels:
        raise UsageError(
            f"{type(base).__name__} has no label 'recording', which says where one ends",
            hint="Give a data set of evreel, or labels={'recording': one of each example}.",
        )
    n = _length_of(base)
    starts_anew = np.arange(n) == 0
    for name, step in (("recording", None), ("sample", None), ("window", 1), ("slice", 1)):
        if name in labels:
            values = np.asarray(labels[name])
            before, after = values[:-1], values[1:]
            differs = after != before if step is None else after - before != step
            starts_anew[1:] |= differs.any(axis=tuple(range(1, differs.ndim)))
    first = np.flatnonzero(starts_anew)
    starts = [
        np.arange(start, stop - length + 1, stride)
        for start, stop in pairwise([*first.tolist(), n])
    ]
    found = np.concatenate([np.empty(0, dtype=np.int64), *starts])
    return found[:, None] + np.arange(length)


def base_digest(base: Any) -> str:
    """Return ``sha256:…`` of what a base is.

    It is made of its attribute `digest`, if it has one; or else of its type, its length and its
    labels; of an array, of its values.

    Raises
    ------
    UsageError
        If a label holds Python objects other than texts and numbers.
    """
    stated = getattr(base, "digest", None)
    if isinstance(stated, str):
        return digest_of([stated])
    kind = type(base).__qualname__  # its module may be __main__, or __mp_main__ in a worker
    labels = {"": base} if isinstance(base, np.ndarray) else _labels_of(base)
    parts = []
    for at, array in leaves(labels):
        parts.append([list(at), repr(array.shape), array.dtype.str, _values(array, at)])
    return digest_of([kind, len(base), sorted(parts)])


def _values(array: npt.NDArray[Any] | Gathered, at: Place) -> str:
    found = hashlib.sha256()
    if isinstance(array, Gathered):
        blocks: Iterator[npt.NDArray[Any]] = array.blocks()
    else:
        step = max(1, BLOCK_VALUES // max(1, array[:1].size))
        blocks = (np.asarray(array[k : k + step]) for k in range(0, len(array), step))
    for block in blocks:
        if block.dtype.hasobject:
            raise UsageError(
                f"label {name_of(at, 'labels')!r} holds Python objects, of which no digest can be "
                "made",
                hint="Give the base an attribute `digest`: a text that says what it holds.",
            )
        found.update(np.ascontiguousarray(block).tobytes())
    return found.hexdigest()


def _length_of(base: Any) -> int:
    if not (hasattr(base, "__len__") and hasattr(base, "__getitem__")):
        raise UsageError(
            f"a base has a length and examples by number; {type(base).__name__} has not",
            hint="An iterable data set cannot be one.",
        )
    with foreign(lambda why: UsageError(f"a base has a length; {type(base).__name__}: {why}")):
        return len(base)


def _labels_of(base: Any) -> Any:
    """Return the labels of a base as arrays, in dictionaries and lists as it has them."""
    n, found = _length_of(base), getattr(base, "labels", None)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        if not hasattr(found, "__len__") or len(found) != n:
            return {}
        found = {"labels": found}

    def of(place: Place, value: Any) -> Any:
        if isinstance(value, Mapping):
            _check_keys(value, name_of(place, "labels"))
            return {key: of((*place, key), below) for key, below in value.items()}
        is_rows = isinstance(value, list) and (len(value) == n or not any(map(_is_list, value)))
        if isinstance(value, list) and not (is_rows and _is_array(value, _VALUES)) and value:
            return [of((*place, k), below) for k, below in enumerate(value)]
        return label_of(value, name_of(place, "labels"), n)

    return of((), found)


def _check_keys(names: Mapping[Any, Any], place: str) -> None:
    for key in names:
        if not isinstance(key, str) or not key:
            raise UsageError(f"key {key!r} is not a text", place=place)


def _structured(value: Any, place: Place = ()) -> Any:
    """Return dictionaries and lists of arrays, made of what a caller gives."""
    name = name_of(place, "indices")
    if isinstance(value, Mapping):
        _check_keys(value, name)
        made: Any = {key: _structured(below, (*place, key)) for key, below in value.items()}
    elif isinstance(value, (list, tuple)) and not _is_array(value):
        made = [_structured(below, (*place, k)) for k, below in enumerate(value)]
    elif isinstance(value, (str, os.PathLike)):
        return map_npy(Path(value))
    elif isinstance(value, np.memmap) and not value.flags.writeable:
        return mapped_again(value)
    elif np.ma.is_masked(value):
        raise UsageError("has masked values, which are no indices", place=name)
    else:
        with foreign(lambda why: UsageError(f"cannot be made an array: {why}", place=name)):
            made = np.array(value)
        made.flags.writeable = False
        return made
    if not made:
        raise UsageError("has no array of indices", place=name)
    return made


_NUMBERS = (numbers.Number, np.generic)
_VALUES = (*_NUMBERS, str, bytes)


def _is_array(items: list[Any] | tuple[Any, ...], kinds: tuple[type, ...] = _NUMBERS) -> bool:
    """Tell whether a list consists of numbers, or of lists of them, and is not empty."""
    return bool(items) and all(
        _is_array(item, kinds) if _is_list(item) else isinstance(item, kinds) for item in items
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _at(nested: Any, place: Place) -> Any:
    for key in place:
        nested = nested[key]
    return nested
