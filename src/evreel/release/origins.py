"""Whether files of a recording fit together: each says which files it was made from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from evreel.errors import EvreelError
from evreel.layout import BOXES_SUFFIX, EVENTS, FIRST_SUFFIX, SLICES
from evreel.provenance import digests_in
from evreel.release.content import (
    ANNOTATIONS,
    SIDECARS,
    Row,
    column_of,
    listed_in,
    role_of,
)

STORE, CLOCK, BOXES, RECORDING = "store", "clock", "boxes", "recording"
ANNOTATED = "slices"
FEATURES, OF_WINDOWS, FIRST = "features", "of_windows", "first"
"""Roles of which a recording has a file per feature: a colon and its path follow."""
NAMES = {
    STORE: "events store",
    CLOCK: "clock",
    BOXES: "file of boxes",
    ANNOTATED: "file of slices",
    FEATURES: "feature file",
    OF_WINDOWS: "file of boxes",
    FIRST: "file of first rows",
    "cut": "table of samples",
    "intervals": "table of intervals",
    "published": "file of published boxes",
    "times": "file of times",
    RECORDING: "recording",
    **{name: f"{name} annotation" for name in ANNOTATIONS},
    **{name: f"file of {name}" for name in SIDECARS},
}
"""Role of a file, as those that were made from it say it → what messages call it."""

_ROLES = {EVENTS.name: STORE, SLICES.name: ANNOTATED}
"""Layout of a file → its role."""

_COLUMNS = {name: name for name in (*ANNOTATIONS, *SIDECARS)} | {
    "intervals": "samples",
    "published": "boxes",
    "times": "times",
}
"""Role of a file → the column of the recordings table that names it."""


@dataclass(frozen=True)
class Made:
    """A file, and which files it says that it was made from.

    Parameters
    ----------
    path, id
        As messages name it, and its recording.
    role
        What files that were made from it call it; empty if none are.
    digest
        ``sha256:…`` of its bytes when others were made from it; None if unknown.
    inputs
        Role → digest of each file that it was made from.
    beside
        Role → digest of each file that was made together with it.
    needs
        Columns whose files it must have been made from if its recording has them.
    find
        Gives its digest, if that is only needed where another file was made from it.
    """

    path: str
    id: str
    role: str = ""
    digest: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    needs: Sequence[str] = ()
    find: Callable[[], str] | None = None

    @classmethod
    def read(
        cls,
        path: str,
        id_: str,
        place: Path,
        digest: Callable[[], str],
        others: Collection[str] = (),
        said: Said | None = None,
    ) -> Made:
        """Return what a file says, which is in a release or will be.

        Parameters
        ----------
        path, id_
            Its path in the release, and its recording.
        place
            Where it is.
        digest
            Gives the ``sha256:…`` of the file that others may have been made from.
        others
            Paths of all files that it is with.
        said
            What `said_by` found in it, if that is known; it is not opened then.
        """
        from evreel.files.boxes import read_origin

        for suffix, role in ((".h5", FEATURES), (BOXES_SUFFIX, OF_WINDOWS), (FIRST_SUFFIX, FIRST)):
            of = path.removesuffix(suffix)
            if of != path and of + FIRST_SUFFIX in others:
                of_it = _of_windows(of, place) if role == OF_WINDOWS else said or said_by(place)
                return cls(path, id_, f"{role}:{path}", digest(), of_it.inputs, of_it.beside)
        if path.endswith(BOXES_SUFFIX):
            origin = read_origin(place)
            return cls(path, id_, BOXES, digest(), origin["inputs"], origin["beside"])
        for name in ANNOTATIONS:
            released = _role_of_released(path, id_, name)
            if released is not None:
                return cls(path, id_, released, digest())
        for name in SIDECARS:
            if path.startswith(f"sidecars/{id_}.{name}"):
                return cls(path, id_, name, digest())
        said = said or said_by(place, path)
        if said.role == ANNOTATED:
            return cls(path, id_, said.role, None, *said[1:], find=digest)
        return cls(path, id_, said.role, digest() if said.role else None, *said[1:])


def _role_of_released(path: str, id_: str, column: str) -> str | None:
    """Return the role of a released annotation of a column; None if it is none."""
    start = f"annotations/{id_}.{column}."
    if not path.startswith(start):
        return None
    number, dot, _ = path.removeprefix(start).partition(".")
    is_further = dot and number.isascii() and number.isdigit() and int(number) > 1
    return role_of(column, int(number) - 1) if is_further else column


class Said(NamedTuple):
    """What a file says of its origin: its role, and `inputs`, `beside` and `needs` of `Made`."""

    role: str = ""
    inputs: Mapping[str, str] = MappingProxyType({})
    beside: Mapping[str, str] = MappingProxyType({})
    needs: Sequence[str] = ()


def _of_windows(of: str, boxes: Path) -> Said:
    """Return what boxes of the windows of a feature say; `of` is what their paths begin with."""
    from evreel.files.boxes import read_origin

    origin = read_origin(boxes)
    roles = {
        FEATURES: f"{FEATURES}:{of}.h5",
        OF_WINDOWS: f"{OF_WINDOWS}:{of}{BOXES_SUFFIX}",
        FIRST: f"{FIRST}:{of}{FIRST_SUFFIX}",
    }
    inputs, beside = (
        {roles.get(role, role): digest for role, digest in origin[part].items()}
        for part in ("inputs", "beside")
    )
    return Said("", inputs, beside)


def said_by(place: Path, path: str = "") -> Said:
    """Return what a clock or an HDF5 file of evreel's says; nothing if it cannot be read.

    Its name is that of `path`, if it is going to have another one.
    """
    from evreel.files import hdf5
    from evreel.files.clock import read_clock

    path = path or place.name
    try:
        if path.endswith(".clock.tsv"):
            _, _, comments = read_clock(place)
            return Said(CLOCK, {role: comments[role] for role in (STORE,) if role in comments})
        if path.endswith(".h5"):
            with hdf5.open_hdf5(place) as file, hdf5.reading(place, "its origin"):
                layout = file.attrs.get("layout")
                return Said(
                    _ROLES.get(layout, ""),
                    digests_in(file.attrs.get("inputs")),
                    digests_in(file.attrs.get("beside")),
                    ANNOTATIONS if layout == SLICES.name else (),
                )
    except EvreelError:
        pass  # what checks the file itself says why
    return Said()


def mixtures(
    files: Iterable[Made], rows: Mapping[str, Row] | None = None
) -> Iterator[tuple[str, str]]:
    """Find files that were made from others than those they are with.

    Parameters
    ----------
    files
        The files.
    rows
        What is known of each recording, column → text, if it is known. ``rois_sha256`` is the
        digest of the file that column `rois` names, and so on.

    Yields
    ------
    Path and problem. A file that names an input which is not there, and which nobody knows, fits if
    all files that name it name the same.
    """
    of_one: dict[str, list[Made]] = defaultdict(list)
    for file in files:
        of_one[file.id].append(file)
    for id_, together in of_one.items():
        named = {role for file in together for role in file.inputs}
        together = [
            replace(file, digest=file.find()) if file.find and file.role in named else file
            for file in together
        ]
        row = None if rows is None else rows.get(id_, {})
        known = _known(together, row)
        for file in together:
            yield from ((file.path, problem) for problem in _problems(file, known, row))


def _known(files: Sequence[Made], row: Row | None) -> dict[str, tuple[str, str]]:
    """Return role → (digest, what has it) of what files can have been made from."""
    known: dict[str, tuple[str, str]] = {}
    for file in files:
        if file.role and file.digest is not None:
            known.setdefault(file.role, (file.digest, file.path))
    for role, column in _COLUMNS.items():
        for k, digest in enumerate(listed_in((row or {}).get(f"{column}_sha256"))):
            of = f"that of column {column}" if k == 0 else f"file {k + 1} of column {column}"
            known.setdefault(role_of(role, k), (f"sha256:{digest}", of))
    if row and row.get("sha256") and "!" not in row.get("source", "!"):
        known.setdefault("recording", (f"sha256:{row['sha256'].lower()}", "that of column sha256"))
    for file in files:
        for role, digest in file.inputs.items():
            known.setdefault(role, (digest, f"the one that {file.path} was made from"))
    return known


def _problems(file: Made, known: Mapping[str, tuple[str, str]], row: Row | None) -> Iterator[str]:
    for role, digest in file.inputs.items():
        expected, of = known[role]
        if digest != expected:
            yield f"was made from another {_name(role)} than {of}"
        elif _is_beyond(role, row):
            yield f"was made from more files than column {column_of(role)} names"
    for role, digest in file.beside.items():
        expected, of = known.get(role, (digest, ""))
        if digest != expected:
            yield f"was made together with another {_name(role)} than {of}"
    expected, of = known.get(file.role, ("", ""))
    if file.digest is not None and file.digest != expected:
        yield f"differs from {of}, of the same recording"
    stated = _stated(file.role, row)
    if stated and file.digest not in (None, f"sha256:{stated}"):
        yield f"is not the file that column {_COLUMNS[column_of(file.role)]} names"
    for role in known:
        if column_of(role) in file.needs and role not in file.inputs and row is not None:
            yield f"was made without the {_name(role)}, {known[role][1]}"


def _name(role: str) -> str:
    """Return what messages call a file of a role."""
    role = role.partition(":")[0]
    column = column_of(role)
    number = role.removeprefix(column).removeprefix(".")
    return NAMES.get(column, column) + (f" {number}" if number else "")


def _stated(role: str, row: Row | None) -> str | None:
    """Return the digest that a row states of a file."""
    column = _COLUMNS.get(column_of(role))
    sums = listed_in((row or {}).get(f"{column}_sha256"))
    return next((s for k, s in enumerate(sums) if role_of(column_of(role), k) == role), None)


def _is_beyond(role: str, row: Row | None) -> bool:
    """Return whether a role is of a file after the last one that a row's column names."""
    is_further = role != column_of(role) and f"{column_of(role)}_sha256" in (row or {})
    return is_further and _stated(role, row) is None
