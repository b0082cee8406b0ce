"""Opening a release for reading: its recordings, splits, features and labels by name.

The manifest says what there is, and where; files are opened when they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, TypeVar

from evreel.closing import Closing
from evreel.errors import ReleaseError, UsageError, did_you_mean, foreign
from evreel.files.opened import OpenFiles
from evreel.layout import BOXES_SUFFIX, FIRST_SUFFIX, LABEL_MAP, OF_BOXES
from evreel.release.digests import digests_of, pieces
from evreel.release.manifest import ListedFile, Manifest, is_release, kind_of, read_manifest
from evreel.samples.splits import SPLITS
from evreel.text import listed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from evreel.annotations.tables import Spans
    from evreel.files.boxes import Keep
    from evreel.files.events_store import EventsStore
    from evreel.files.features import FeaturesFile
    from evreel.files.hdf5 import Opened
    from evreel.files.samples import SamplesFile
    from evreel.files.slices import SlicesFile
    from evreel.samples.tables import Assigned
    from evreel.timebase import Int64Array

_MOST_NAMED = 12
"""Most names that a message lists; a release may have thousands."""
_NOT_AS_BUILT = "Download or build the release again; `evreel verify` lists all that differs."

_Item = TypeVar("_Item")
_File = TypeVar("_File", bound="Opened")


class NotInReleaseError(UsageError, KeyError):
    """A recording, split, feature or kind of file that a release does not have.

    It is also a `KeyError`, so that the mappings of a release behave like any other.
    """

    __str__ = Exception.__str__  # that of KeyError is a repr


class ByName(Mapping[str, _Item]):
    """What a release has, by name; a value is made when it is asked for.

    Parameters
    ----------
    what
        What a value is called in messages, such as ``recording``.
    owner
        What has the values; messages begin with it.
    names
        All names, in the order in which they are listed.
    find
        Function of a name → its value.

    Raises
    ------
    NotInReleaseError
        If there is no such name; the message lists the names that exist.

    Examples
    --------
    >>> sizes = ByName("size", "shirt", ["small", "large"], len)
    >>> list(sizes), sizes["small"], sizes.get("tiny")
    (['small', 'large'], 5, None)
    >>> sizes["smal"]
    Traceback (most recent call last):
    evreel.release.open.NotInReleaseError: shirt: has no size 'smal'; did you mean 'small'?
    """

    def __init__(
        self, what: str, owner: str, names: Iterable[str], find: Callable[[str], _Item]
    ) -> None:
        self._what = what
        self._owner = owner
        self._names = dict.fromkeys(names)
        self._find = find

    def __getitem__(self, name: str) -> _Item:
        if not isinstance(name, str) or name not in self._names:
            raise _not_there(self._what, name, self._names, self._owner)
        return self._find(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names  # without opening the file

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<{self._what} by name: {listed(self._names, _MOST_NAMED) or 'none'}>"


class ReleasedRecording:
    """A recording of a release.

    Attributes
    ----------
    id : its name.
    split : ``train``, ``val`` or ``test``; ``mixed`` if its samples are in several; empty if it
        is in none.
    columns : column → text: what the manifest says of it, such as ``group`` or ``meta.light``.
    kinds : which of ``boxes``, ``events``, ``features``, ``samples`` and ``slices`` it has, sorted.
    files : path in the release → place on the disk: all its files, also videos and annotations.
    features : name of a feature → its file, which is a sequence of frames.
    """

    def __init__(
        self,
        id_: str,
        split: str,
        columns: Mapping[str, str],
        listed: Iterable[ListedFile],
        folder: _Folder,
    ) -> None:
        self.id = id_
        self.split = split
        self.columns = dict(columns)
        self._folder = folder
        self._listed = tuple(listed)
        self._of_kind: dict[str, list[ListedFile]] = {}
        self._of_feature: dict[str, list[ListedFile]] = {}
        self._listed_at = {file.path: file for file in self._listed}
        for file in self._listed:
            kind = kind_of(file)
            # Those in the order of windows are read by `boxes_of`.
            if kind and not (kind == "boxes" and self._beside(file, FIRST_SUFFIX)):
                self._of_kind.setdefault(kind, []).append(file)
            if kind == "features":
                name = PurePosixPath(file.path).parent.name
                self._of_feature.setdefault(name, []).append(file)
        self.kinds = tuple(sorted(self._of_kind))
        self.features: Mapping[str, FeaturesFile] = ByName(
            "feature", f"{folder.name}: {id_}", sorted(self._of_feature), self._feature
        )

    def __repr__(self) -> str:
        return f"<recording {self.id!r}, {self.split or 'of no split'}: {', '.join(self.kinds)}>"

    @cached_property
    def files(self) -> dict[str, Path]:
        """Path in the release → place on the disk: all its files, also videos and annotations.

        Made when it is asked for: of 10,000 recordings, these paths take 0.2 s.
        """
        return {file.path: self._folder.root / file.path for file in self._listed}

    @property
    def events(self) -> EventsStore:
        """All its events, as an open events store: read it in chunks or by time range."""
        from evreel.files.events_store import EventsStore

        return self._folder.opened(self._only("events"), EventsStore)

    @property
    def slices(self) -> SlicesFile:
        """Its annotated slices: events, each with the object that it is in."""
        from evreel.files.slices import SlicesFile

        return self._folder.opened(self._only("slices"), SlicesFile)

    @property
    def samples(self) -> SamplesFile:
        """Its samples: labelled intervals, as times and as rows of `events`."""
        from evreel.files.samples import SamplesFile

        return self._folder.opened(self._only("samples"), SamplesFile)

    @property
    def boxes(self) -> npt.NDArray[np.void]:
        """Its boxes, (n,) records of `evreel.layout.BOX_DTYPE` by time; t in µs, the rest in px.

        Raises
        ------
        NotInReleaseError
            If the release has no boxes file of it, which is not the same as no boxes.
        """
        from evreel.files.boxes import read_boxes

        copies = self._listed_of("boxes")  # one beside each feature
        others = [file for file in copies if file.sha256 != copies[0].sha256]
        if others:
            raise ReleaseError(
                f"boxes of recording {self.id!r} differ: {copies[0].path} and {others[0].path}",
                path=self._folder.root,
                hint="Read the one that you want with evreel.files.boxes.read_boxes.",
            )
        self._folder.content(copies[0])
        return read_boxes(self.boxes_file)

    @property
    def boxes_file(self) -> Path:
        """The file of its boxes, beside which is how they were made."""
        return self._folder.place(self._listed_of("boxes")[0])

    def boxes_of(
        self, feature: str, keep: Literal["last", "all"] = "all"
    ) -> tuple[npt.NDArray[np.void], Int64Array]:
        """Return the boxes of each frame of a feature, so that a reader need not search for them.

        Parameters
        ----------
        feature
            Name of the feature.
        keep
            ``all`` boxes of a frame's window, or of each track its ``last`` one.

        Returns
        -------
        (m,) records as `boxes` has them, but in the coordinates of the feature's frames, frame by
        frame; and (N + 1,) int64: frame k has the rows ``[first[k], first[k + 1])``. A box is of
        one frame: the first whose window holds its time; of a recording that is cut, it is of one
        frame per sample that holds its time. They are read as the release has them, if it was built
        with ``boxes`` for this feature, and else searched for.

        Raises
        ------
        NotInReleaseError
            If the recording has no such feature, or the release no boxes file of it.
        """
        from evreel.files.boxes import boxes_of_windows, last_of_tracks, moved

        if feature not in self._of_feature:
            self.features[feature]  # the error says which there are
        has = self._kept_boxes(feature)
        if has in (keep, "all"):
            found = self._boxes_in_order(feature)
            return found if has == keep else last_of_tracks(*found)
        frames = self.features[feature]
        every = self.boxes
        every, _ = moved(every, self.boxes_file, frames.geometry, frames.sensor)
        return boxes_of_windows(every, frames.windows, keep, samples=frames.samples)

    def _kept_boxes(self, feature: str) -> Keep | None:
        """Return which boxes are in the order of a feature's windows, None if none are."""
        from evreel.files.boxes import kept

        file = self._file_of(feature)
        boxes, first, origin = (self._beside(file, suffix) for suffix in OF_BOXES)
        if boxes is None or first is None or origin is None:
            return None
        return kept(self._folder.content(origin))

    def _boxes_in_order(self, feature: str) -> tuple[npt.NDArray[np.void], Int64Array]:
        """Return boxes in the order of a feature's windows, which there are."""
        from evreel.files.boxes import read_boxes_of_windows

        file = self._file_of(feature)
        boxes, first = self._beside(file, BOXES_SUFFIX), self._beside(file, FIRST_SUFFIX)
        assert boxes is not None and first is not None
        for each in (first, boxes):
            self._folder.content(each)
        return read_boxes_of_windows(self._folder.place(boxes))

    def _beside(self, file: ListedFile, suffix: str) -> ListedFile | None:
        """Return the file of another kind beside a feature file or boxes, None if not listed."""
        of = file.path.removesuffix(".h5").removesuffix(BOXES_SUFFIX)
        return self._listed_at.get(of + suffix)

    @property
    def labelled(self) -> Spans:
        """Where annotators looked: intervals ``[start_us, stop_us)``, (n,) int64 each, in µs.

        A frame without boxes is empty within them, and not labelled outside them.
        """
        return self.slices.labelled

    def digest_of(self, kind: str, feature: str | None = None) -> str:
        """Return ``sha256:…`` of a file, as the manifest has it.

        Parameters
        ----------
        kind
            Its kind, of which it is the only file.
        feature
            For kind ``features``: the name of one.

        Raises
        ------
        NotInReleaseError
            If there is none.
        """
        file = self._only(kind) if feature is None else self._file_of(feature)
        return f"sha256:{file.sha256}"

    def _feature(self, name: str) -> FeaturesFile:
        from evreel.files.features import FeaturesFile

        return self._folder.opened(self._file_of(name), FeaturesFile)

    def _file_of(self, feature: str) -> ListedFile:
        return self._single(self._of_feature[feature], f"files of feature {feature!r}")

    def _only(self, kind: str) -> ListedFile:
        return self._single(self._listed_of(kind), f"files of {kind}")

    def _listed_of(self, kind: str) -> list[ListedFile]:
        if kind not in self._of_kind:
            raise NotInReleaseError(
                f"has no {kind}; there are {', '.join(self.kinds) or 'only other files'}",
                place=f"{self._folder.name}: {self.id}",
            )
        return self._of_kind[kind]

    def _single(self, files: list[ListedFile], what: str) -> ListedFile:
        if len(files) > 1:
            raise ReleaseError(
                f"has several {what} of recording {self.id!r}: {files[0].path}, {files[1].path}",
                path=self._folder.root,
            )
        return files[0]


class Release(Closing):
    """A release, opened for reading; `open_release` makes it.

    Open files are closed at the end of a ``with`` block, or by `close`; files that are asked for
    after that are opened again. A pickled release has no open files, so that worker processes open
    their own.

    Parameters
    ----------
    folder
        Its folder.
    manifest
        Its manifest.
    verify
        Whether a file is compared with its SHA-256 before it is opened.

    Attributes
    ----------
    path : its folder.
    manifest : every file with its size and digests.
    name, version, licence : of the data set.
    recordings : id → recording.
    splits : name → its recordings, in the order of their ids. Empty splits are included.
    features : names of all features.

    Raises
    ------
    ReleaseError
        If the manifest contradicts itself.
    """

    def __init__(self, folder: Path, manifest: Manifest, verify: bool = False) -> None:
        self.path = folder
        self.manifest = manifest
        self.name, self.version = manifest.name, manifest.version
        self.licence = manifest.licence
        self._folder = _Folder(folder, verify)
        listed: dict[str, list[ListedFile]] = {id_: [] for id_ in manifest.recordings}
        for file in manifest.files:
            if file.id:
                listed.setdefault(file.id, []).append(file)
        found = {
            id_: ReleasedRecording(
                id_,
                _split_of(id_, manifest.recordings.get(id_, {}), files, folder),
                manifest.recordings.get(id_, {}),
                files,
                self._folder,
            )
            for id_, files in sorted(listed.items())
        }
        members: dict[str, list[ReleasedRecording]] = {
            PurePosixPath(file.path).stem: [] for file in manifest.files if file.kind == "split"
        }
        for recording in found.values():
            if recording.split:
                members.setdefault(recording.split, []).append(recording)
        in_order = sorted(members, key=lambda name: ((*SPLITS, name).index(name), name))
        splits = {name: tuple(members[name]) for name in in_order}
        self.recordings: Mapping[str, ReleasedRecording] = ByName(
            "recording", self._folder.name, found, found.__getitem__
        )
        self.splits: Mapping[str, tuple[ReleasedRecording, ...]] = ByName(
            "split", self._folder.name, splits, splits.__getitem__
        )
        self.features = tuple(sorted({name for each in found.values() for name in each.features}))

    def __repr__(self) -> str:
        splits = ", ".join(f"{len(self.splits[name])} {name}" for name in self.splits)
        parts = [f"{len(self.recordings)} recordings" + (f" ({splits})" if splits else "")]
        if self.features:
            parts.append(f"features {listed(self.features, _MOST_NAMED)}")
        return f"<release {self.name} {self.version}: {'; '.join(parts)}>"

    def close(self) -> None:
        """Close every file that was opened through the release."""
        self._folder.close()

    @cached_property
    def labels(self) -> Mapping[int, str]:
        """Number of a class → its name; empty if the release has no classes."""
        from evreel.files.boxes import label_map

        listed = [file for file in self.manifest.files if file.path == LABEL_MAP]
        if not listed:
            return {}
        with foreign(
            lambda why: ReleaseError(
                f"is not a map of class numbers to names: {why} (in folder {self.path})",
                path=self.path / LABEL_MAP,
            )
        ):
            return label_map(self._folder.content(listed[0]))

    @cached_property
    def samples(self) -> tuple[Assigned, ...]:
        """All samples of all recordings, with class, split and times in µs; empty if none."""
        from evreel.samples.tables import Assigned, read_samples_table

        for file in self.manifest.files:
            if file.kind == "samples" and not file.id:
                self._folder.content(file)
                return tuple(read_samples_table(self._folder.place(file)))
        cut = [each for each in self.recordings.values() if "samples" in each.kinds]
        return tuple(
            Assigned(recording.id, *row)
            for recording in cut
            for of in [recording.samples]
            for row in zip(
                of.samples.id,
                of.samples.label,
                of.samples.group,
                of.split,
                of.samples.start_us.tolist(),
                of.samples.stop_us.tolist(),
                strict=True,
            )
        )


def open_release(folder: str | os.PathLike[str], *, verify: bool = False) -> Release:
    """Open a release; of its files, only the manifest is read.

    Parameters
    ----------
    folder
        The release, as str or Path.
    verify
        Whether each file is compared with its SHA-256 before it is opened, which takes about 1 s
        per gigabyte. Otherwise only its size is compared, and damage is found by the checksums
        within the file, of which ``portable`` releases have fewer.

    Raises
    ------
    UsageError
        If `folder` is not a path.
    ReleaseError
        If it is not a release's folder, or the manifest is damaged, of another version, or
        names a file outside the folder.

    Examples
    --------
    ::

        with evreel.open_release("demo-1.0") as release:
            for recording in release.splits["train"]:
                frames = recording.features["histogram_10ms"]
                print(recording.id, frames.shape, recording.boxes["t"])

    >>> import tempfile
    >>> from evreel.publish.build import build
    >>> from evreel.release.manifest import PlanEntry
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "biases.txt").write_text("low")
    ...     entry = PlanEntry("biases.txt", Path(folder) / "biases.txt", id="park", split="train")
    ...     made = build([entry], f"{folder}/r", name="parks", version="1", licence="CC0-1.0")
    ...     with open_release(f"{folder}/r") as release:
    ...         print(release)
    ...         print(release.splits["train"])
    3
    <release parks 1: 1 recordings (1 train, 0 val, 0 test)>
    (<recording 'park', train: >,)
    """
    path = _as_folder(folder)
    return Release(path, read_manifest(path), verify)


def _as_folder(given: object) -> Path:
    """Return what is given as the path of a folder that exists."""
    if not isinstance(given, (str, os.PathLike)):
        said = "None" if given is None else f"{type(given).__name__} {given!r:.60}"
        raise UsageError(
            f"open_release takes the path of a release's folder, not {said}",
            hint="Give it as str or Path, such as 'demo-1.0'.",
        )
    path = Path(given).absolute()  # the working directory may change
    if not path.is_dir():
        raise ReleaseError(
            "is not a folder" if path.exists() else "does not exist",
            path=path,
            hint="Give the folder that holds the release's manifest.json.",
        )
    return path


class _Folder:
    """A release's folder and its open files."""

    def __init__(self, root: Path, verify: bool) -> None:
        self.root = root
        self.verify = verify
        self.name = root.name or str(root)
        self._files = OpenFiles()

    def place(self, file: ListedFile) -> Path:
        """Return where a file is; raise if it is missing or has the wrong size."""
        place = self.root / file.path
        try:
            size = place.stat().st_size if place.is_file() else None
        except OSError as error:
            raise self._error(file, f"cannot be read: {error.strerror}") from error
        if size is None:
            if file.withheld:
                raise ReleaseError(
                    f"{file.path} is to be made: this release is a recipe",
                    path=self.root,
                    hint="Run evreel rebuild with the recordings, and open what it makes.",
                )
            raise self._error(file, "is missing, but the manifest lists it")
        if size != file.size:
            raise self._error(file, f"has {size:,} bytes; the manifest says {file.size:,}")
        return place

    def content(self, file: ListedFile) -> bytes:
        """Return a small file's bytes, compared with the manifest."""
        place = self.place(file)
        self._compare(file, place)
        return place.read_bytes()

    def _compare(self, file: ListedFile, place: Path) -> None:
        """Raise if a file's bytes do not match the manifest."""
        try:
            digests = digests_of(pieces(Path(os.path.realpath(place))))[1]
        except OSError as error:
            raise self._error(file, f"cannot be read: {error.strerror}") from error
        if digests["sha256"] != file.sha256:
            raise self._error(file, "is damaged: its SHA-256 is not the manifest's")

    def opened(self, file: ListedFile, reader: Callable[[Path], _File]) -> _File:
        """Return an open file, opened before or now."""

        def opening() -> _File:
            place = self.place(file)
            if self.verify:
                self._compare(file, place)
            return reader(place)

        return self._files.get(file.path, opening)

    def close(self) -> None:
        """Close what is open."""
        self._files.close()

    def _error(self, file: ListedFile, problem: str) -> ReleaseError:
        return ReleaseError(problem, path=self.root, place=file.path, hint=_NOT_AS_BUILT)


def _split_of(
    id_: str, columns: Mapping[str, str], files: Iterable[ListedFile], folder: Path
) -> str:
    """Return the split of a recording; raise if the manifest names two."""
    names = dict.fromkeys([columns.get("split", ""), *(file.split for file in files)])
    names.pop("", None)
    if len(names) > 1:
        raise ReleaseError(
            f"the manifest has recording {id_!r} in splits {' and '.join(names)}", path=folder
        )
    return next(iter(names), "")


def _not_there(what: str, name: object, names: Iterable[str], owner: str) -> NotInReleaseError:
    known = list(names)
    guess = did_you_mean(name, known) or f"there are {listed(known, _MOST_NAMED) or 'none'}"
    return NotInReleaseError(f"has no {what} {name!r}; {guess}", place=owner)


def given_release(given: object) -> Release | None:
    """Return the release that is given, itself or as its folder; None if it is something else.

    Raises
    ------
    ReleaseError
        As `open_release`, if it is the folder of one.
    """
    if isinstance(given, Release):
        return given
    if isinstance(given, (str, os.PathLike)) and is_release(Path(given)):
        return open_release(given)
    return None
