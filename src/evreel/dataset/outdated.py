"""Results that were made from other local files than the data set names now."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evreel.dataset.dataset import DataSet
from evreel.dataset.job_records import is_recorded
from evreel.dataset.memory import Memory
from evreel.errors import EvreelError
from evreel.files.clock import CLOCK_SUFFIX, read_clock
from evreel.layout import BOXES_SUFFIX
from evreel.outputs import refused
from evreel.provenance import digests_in, state
from evreel.release.content import ANNOTATIONS, has_boxes, paths_in, role_of
from evreel.release.licences import licence_notice
from evreel.release.manifest import MANIFEST, read_manifest


def is_unrecorded(path: str) -> bool:
    """Tell whether Snakemake does not know what a file was made from."""
    return not is_recorded(path)


def forget_outdated(
    dataset: DataSet, memory: Memory, is_seen: Callable[[str], bool] = lambda path: False
) -> Iterator[str]:
    """Let Snakemake make again what `outdated` finds; yield what to say of each result.

    Parameters
    ----------
    dataset, memory
        As for `outdated`.
    is_seen
        Tells of a path whether Snakemake sees in another way what it was made from.

    Raises
    ------
    EvreelError
        If a result's times cannot be changed.
    """
    for path in outdated(dataset, memory, lambda path: is_unrecorded(path) and not is_seen(path)):
        age(path)
        yield f"{path}: was made from other files than there are now"


def outdated(
    dataset: DataSet, memory: Memory, is_unknown: Callable[[str], bool] = is_unrecorded
) -> Iterator[str]:
    """Yield results that say that they were made from other files than the data set names.

    Snakemake knows from which files it made a result, unless its records were lost, or left behind
    when the results were copied. Then only what the results say of themselves shows that a file
    changed which has an older time than they have. A table of samples does not say which lists its
    splits are from, nor pictures of labels which font they have: they count as made from others
    until these were seen once.

    Parameters
    ----------
    dataset
        What config and table say.
    memory
        What is known of files: a result that did not change is not read again.
    is_unknown
        Tells of a path whether Snakemake does not know what it was made from; others are not read.
    """
    for id_, row in dataset.recordings.items():
        folder, listing = dataset.folder(id_), Path(dataset.recording_file(id_))
        if folder is not None and listing.is_file() and is_unknown(str(listing)):
            listed = hashlib.sha256(listing.read_bytes()).hexdigest()
            store = f"{dataset.results}/events/{id_}.h5"
            # Its job then says that the folder is to be acquired again.
            if listed != memory.digests(folder).sha256 and Path(store).exists():
                yield store
        if dataset.is_annotated(id_):
            path = f"{dataset.results}/slices/{id_}.h5"
            wanted = {role: row.get(role) for role in (*ANNOTATIONS, "labelled")} | {
                role_of(column, k): file
                for column in ANNOTATIONS
                for k, file in enumerate(paths_in(row.get(column)))
            }
            if is_unknown(path):
                yield from _if_made_of_others(path, wanted, _of_slices, memory)
            path = f"{dataset.results}/video/{id_}{CLOCK_SUFFIX}"
            if "clock" in row and is_unknown(path):
                yield from _if_made_of_others(path, {"table": row["clock"]}, _of_clock, memory)
        if "boxes" in row:
            path = f"{dataset.results}/boxes/{id_}_bbox.npy"
            if is_unknown(path):
                yield from _if_made_of_others(path, {"published": row["boxes"]}, _of_boxes, memory)
        for feature in dataset.features_with_boxes if has_boxes(row) else ():
            path = f"{dataset.results}/features/{feature}/{id_}{BOXES_SUFFIX}"
            every = dataset.boxes_file(id_)
            if is_unknown(path) and Path(every).exists():  # else Snakemake makes both
                yield from _if_made_of_others(path, {"boxes": every}, _of_boxes, memory)
        for feature, one in dataset.settings(id_).features.items():
            path = f"{dataset.results}/features/{feature}/{id_}.h5"
            made_of = dataset.feature_sources(id_, feature)
            if one.ending == "times":
                made_of["times"] = f"sha256:{memory.digests(row['times']).sha256}"
            if made_of and is_unknown(path):
                yield from _if_says_others(path, made_of, _of_feature, memory)
        table, cut = dataset.local_intervals(id_), dataset.cut_table(id_)
        if table is not None and cut is not None and is_unknown(cut):
            yield from _if_made_of_others(cut, {"intervals": table}, _of_cut, memory)
    samples = f"{dataset.results}/samples.tsv"
    if dataset.local_lists and is_unknown(samples):
        lists = {split: memory.digests(path).sha256 for split, path in dataset.local_lists.items()}
        yield from _unless_seen("lists", samples, lists, memory)
    font = dataset.config.qa.font
    if font is not None:
        pictures = [
            f"{dataset.results}/slices/{id_}.{picture}"
            for id_ in dataset.annotated
            for picture in ("qa.mp4", "summary.png")
        ]
        pictures += [f"{dataset.results}/previews/{id_}.mp4" for id_ in dataset.recordings]
        for path in filter(is_unknown, pictures):
            yield from _unless_seen("font", path, memory.digests(font).sha256, memory)
    folder = Path(dataset.results, "release", dataset.release_name)
    stamp = _stamp(dataset)
    if (
        stamp.exists()
        and is_unknown(str(stamp))
        and not _is_released_as_is(dataset, folder, memory)
    ):
        yield str(stamp)


def forget_release(dataset: DataSet, memory: Memory) -> Iterator[str]:
    """Let Snakemake build a release again whose manifest is not the one that was written.

    Its rule has a stamp as output, and no file of the release: Snakemake removes outputs before a
    job, and the older release has to stay whole until the newer one is. The stamp is removed here.

    Yields
    ------
    What to say of it; nothing if the release is as it was written, or was never built.

    Raises
    ------
    EvreelError
        If the stamp cannot be removed.
    """
    stamp = _stamp(dataset)
    manifest = Path(dataset.results, "release", dataset.release_name, MANIFEST)
    try:
        if stamp.read_text(encoding="utf-8").split()[0] == memory.digests(manifest).sha256:
            return
        problem = "was changed"
    except FileNotFoundError:
        return
    except (OSError, ValueError, IndexError, EvreelError):
        problem = "is not there"
    try:
        stamp.unlink()
    except OSError as error:
        raise refused(stamp, error) from error
    yield f"{manifest}: {problem}; the release will be built again"


def _stamp(dataset: DataSet) -> Path:
    """Return the file that tells that a release is whole."""
    return Path(dataset.results, "release", f"{dataset.release_name}.sha256")


def age(path: str | Path) -> None:
    """Let Snakemake make a file again: it then counts as older than whatever it was made from."""
    try:
        os.utime(path, (0, 0))
    except OSError as error:
        raise refused(Path(path), error) from error


def _of_slices(path: str) -> Mapping[str, str]:
    from evreel.release.origins import Made

    return Made.read(path, "", Path(path), str).inputs


def _of_clock(path: str) -> Mapping[str, str]:
    return read_clock(path)[2]


def _of_boxes(path: str) -> Mapping[str, str]:
    from evreel.files.boxes import read_origin

    return read_origin(path)["inputs"]


def _of_cut(path: str) -> Mapping[str, str]:
    from evreel.samples.tables import inputs_of_cut

    return inputs_of_cut(path)


def _of_feature(path: str) -> Mapping[str, str]:
    from evreel.files.features import FeaturesFile

    with FeaturesFile(path) as file:
        return {**digests_in(file.provenance["inputs"]), **file.sources}


def _if_made_of_others(
    path: str,
    wanted: Mapping[str, str | None],
    said_by: Callable[[str], Mapping[str, str]],
    memory: Memory,
) -> Iterator[str]:
    """Yield a result if the digests in it are not those of the wanted files, role → path."""
    digests = {
        role: file and f"sha256:{memory.digests(file).sha256}" for role, file in wanted.items()
    }
    yield from _if_says_others(path, digests, said_by, memory)


def _if_says_others(
    path: str,
    wanted: Mapping[str, str | None],
    said_by: Callable[[str], Mapping[str, str]],
    memory: Memory,
) -> Iterator[str]:
    """Yield a result if the digests in it are not the wanted ones, role → digest."""
    try:
        now = state(path)
        known = memory.fact(f"inputs of {path}")
        if known is None or known[0] != now:
            said = said_by(path)
            known = [now, {role: said.get(role) for role in wanted}]
            memory.learn(f"inputs of {path}", known)
    except OSError:
        return  # it is not there
    except EvreelError:
        yield path  # it cannot be read
        return
    if known[1] != wanted:
        yield path


def _unless_seen(what: str, path: str, digests: Any, memory: Memory) -> Iterator[str]:
    """Yield a result that does not say what it is made from, unless it was seen beside the same."""
    key = f"{what} of {path}"
    if Path(path).exists() and memory.fact(key) != digests:
        yield path
    memory.learn(key, digests)


def _is_released_as_is(dataset: DataSet, folder: Path, memory: Memory) -> bool:
    """Tell whether a release has the files that the data set names, or is not there."""
    try:
        released = read_manifest(folder).recordings
        licence = (folder / "LICENSE.txt").read_text(encoding="utf-8")
    except (OSError, EvreelError, ValueError):
        return True
    said = dataset.description(lambda path: memory.digests(path).sha256)["recordings"]
    about = dataset.config.release
    file = about.licence_file
    text = None if file is None else Path(file).read_text(encoding="utf-8")
    return licence == licence_notice(about.licence, text) and all(
        released.get(id_, {}).get(column) == cell
        for id_, row in said.items()
        for column, cell in row.items()
        if column.endswith("_sha256")
    )
