"""What all steps share: logging, settings from rules, and local side files."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from evreel.errors import (
    EvreelError,
    OneLineFormatter,
    ReleaseError,
    SourceError,
    UsageError,
    one_line,
)
from evreel.folders import folder_of
from evreel.outputs import (
    FULL,
    MAKE_ROOM,
    Progress,
    check_wanted,
    ended_in_order,
    refused,
    scratch_path,
)
from evreel.provenance import content_sha256, sha256, state
from evreel.settings import Settings
from evreel.threads import Crew, Hashing, Task

LOG = logging.getLogger("evreel")

T = TypeVar("T")
S = TypeVar("S", bound=Settings)


@contextlib.contextmanager
def logged(path: str | Path) -> Iterator[None]:
    """Write a step's messages into a log file; an error in its input becomes one line there."""
    check_wanted(Path(path))
    try:
        handler = logging.FileHandler(path, mode="w", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        told = refused(Path(path), error)
        raise SystemExit(f"{type(told).__name__}: {told}") from None  # to stderr; the code is 1
    handler.setFormatter(OneLineFormatter(marked=True))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        with ended_in_order():
            yield
    except EvreelError as error:
        LOG.error("%s: %s", type(error).__name__, error)
        raise SystemExit(error.exit_code) from None
    except OSError as error:
        LOG.error("OSError: %s", os_error(error))
        raise SystemExit(1) from None
    except MemoryError as error:
        LOG.error("MemoryError: %s", memory_error(error))
        raise SystemExit(1) from None
    except Exception:
        LOG.exception("This is a bug in evreel; please report it with this log.")
        raise
    finally:
        LOG.removeHandler(handler)
        handler.close()


def unverified_note(path: str | Path) -> Path:
    """Return the file beside a download that says that no checksum was given for it."""
    path = Path(path)
    return path.with_name(f"{path.name}.unverified")


def given(of: type[S], params: Any) -> S:
    """Return the settings that a rule passes to its job.

    Parameters
    ----------
    of
        A class of settings.
    params
        Snakemake's: ``<class>_<setting>`` → a mapping of that one setting to its value.

    Examples
    --------
    >>> from evreel.dataset.settings import ClockSettings
    >>> given(ClockSettings, {"ClockSettings_scale": {"scale": 2}, "revision": 1}).scale
    2
    """
    values: dict[str, Any] = {}
    for name, value in params.items():
        if name.startswith(f"{of.__name__}_"):
            values |= value
    return of(**values)


def given_each(of: type[S], params: Any) -> dict[str, S]:
    """Return the settings that a rule passes for each of several groups, by the group's name.

    Parameters
    ----------
    of
        A class of settings.
    params
        Snakemake's: ``<class>_<setting> of <group>`` → a mapping of ``<group>/<setting>`` to its
        value.

    Examples
    --------
    >>> from evreel.dataset.settings import ClockSettings
    >>> params = {"ClockSettings_scale of a": {"a/scale": 2}}
    >>> given_each(ClockSettings, params)["a"].scale
    2
    """
    groups: dict[str, dict[str, Any]] = {}
    for name, value in params.items():
        setting, _, group = name.partition(" of ")
        if group:
            of_setting = {key.removeprefix(f"{group}/"): what for key, what in value.items()}
            groups.setdefault(group, {})[setting] = of_setting
    return {group: given(of, values) for group, values in groups.items()}


def annotation_of(files: Any, params: Any) -> dict[str, Any]:
    """Return what a rule passes to `annotate` and `annotate_part` alike: annotations and labels.

    Parameters
    ----------
    files, params
        Snakemake's inputs and parameters.
    """
    return {
        "rois": files.rois,
        "tags": files.tags,
        "rois_md5": params.rois_md5,
        "tags_md5": params.tags_md5,
        "rois_sha256": params.rois_sha256,
        "tags_sha256": params.tags_sha256,
        "labelled": files.labelled or None,
        "labelled_md5": params.labelled_md5,
        "labelled_sha256": params.labelled_sha256["labelled"],
        "labels": params.labels,
        "names": params.names,
    }


def beside_of(files: Any, params: Any) -> dict[str, Any]:
    """Return what a rule passes to `all_features` and `features_part` alike, beside the store.

    Parameters
    ----------
    files, params
        Snakemake's inputs and parameters.
    """
    return {
        "cut": files.get("cut") or None,
        "slices": files.get("slices") or None,
        "labels": params.labels,
        "ends": {
            "labels": files.get("boxes") or None,
            "frames": files.get("clock") or None,
            "times": files.get("times") or None,
        },
        "times_sha256": params.times_sha256["times"],
    }


def os_error(error: OSError) -> str:
    """Return one line that says what the system refused, and for which file."""
    what = error.strerror or str(error) or type(error).__name__
    if error.errno in FULL:
        what += f". {MAKE_ROOM}"
    return one_line(f"{error.filename}: {what}" if error.filename is not None else what)


def memory_error(error: MemoryError) -> str:
    """Return one line that says what did not fit into memory, and what to do."""
    what = f": {error}" if str(error) else ""
    return one_line(f"out of memory{what}. Run fewer jobs at a time, or raise the limit of memory.")


class Steady:
    """Files that must keep their bytes while a step reads them.

    People edit their files while a workflow runs: what is made of one may then have the content of
    the old file and the digest of the new one.

    Parameters
    ----------
    files
        Role → file, None for no file.
    wanted
        Role → SHA-256 that the workflow took for this file when it planned the job, 64 hexadecimal
        digits, None where it is not known.

    Raises
    ------
    SourceError
        If a file is not the wanted one.
    """

    def __init__(
        self, files: Mapping[str, str | Path | None], wanted: Mapping[str, str | None] | None = None
    ) -> None:
        self._files = {role: Path(path) for role, path in files.items() if path is not None}
        self._states: dict[str, list[int]] = {}
        self.digests: dict[str, str] = {}
        for role, path in self._files.items():
            with contextlib.suppress(OSError):  # whoever reads it says what is wrong
                self._states[role], self.digests[role] = state(path), content_sha256(path)
        for role, digest in (wanted or {}).items():
            if digest is not None and self.digests.get(role, "") not in ("", f"sha256:{digest}"):
                raise changed(self._files[role])

    def check(self) -> None:
        """Raise `SourceError` if a file has changed; only one that may have is read again."""
        for role, then in self._states.items():
            path = self._files[role]
            # A change within a folder does not show in its own state.
            may_differ = path.is_dir() or state(path) != then
            if may_differ and content_sha256(path) != self.digests[role]:
                raise changed(path)


def hashed(crew: Crew, path: str | Path) -> Hashing | Task[str]:
    """Begin to find what `evreel.provenance.sha256` returns, beside a crew's other tasks."""
    if folder_of(path) is not None:
        return crew.begin(sha256, path)
    return crew.sha256(Path(path))


def changed(path: Path) -> SourceError:
    """Return the error of a file that was edited or replaced during a run."""
    return SourceError(
        "was changed while it was in use",
        place=str(path),
        hint="Run the same command again.",
    )


@contextlib.contextmanager
def local_file(source: str, output: str | Path, md5: str | None = None) -> Iterator[Path]:
    """Yield a local file, or a member of a local archive, unpacked temporarily."""
    from evreel.acquire import check_md5, fetch, read_source

    parsed = read_source(source)
    if parsed.path is None:
        raise UsageError("is a download; a local file is expected here", path=source)
    if not parsed.members:
        if md5 is not None:
            check_md5(parsed.path, md5)
        yield parsed.path
        return
    with scratch_path(Path(output).with_name(parsed.name)) as unpacked:
        fetch(source, unpacked, member_md5=md5)
        yield unpacked


def named(counts: Mapping[str, int]) -> str:
    """Return counts above 0 for the end of a line of the log: `` (hot_pixels 3, …)``, or nothing.

    Examples
    --------
    >>> named({"outside_crop": 0, "hot_pixels": 3})
    ' (hot_pixels 3)'
    """
    said = ", ".join(f"{what} {n}" for what, n in counts.items() if n)
    return said and f" ({said})"


def with_progress(items: Iterable[T], total: int, progress: Progress) -> Iterator[T]:
    """Yield items, reporting how many were done."""
    for k, item in enumerate(items):
        progress(k, total)
        yield item


def check_made(batches: Iterable[str | Path], ids: Collection[str]) -> None:
    """Raise `ReleaseError` if a recording failed in a batch: older files of it may be there."""
    from evreel.dataset.ledger import Manifest
    from evreel.release.manifest import lacking

    failed: dict[str, tuple[str, str]] = {}
    for path in batches:
        failed |= {id_: why for id_, why in Manifest.read(path).failed.items() if id_ in ids}
    if failed:
        id_, (step, what) = next(iter(failed.items()))
        raise ReleaseError(
            f"jobs of {lacking(failed, len(ids))} failed; {step} of {id_!r}: {what}",
            hint="Run it again once these are fixed, or with release/incomplete: allow, which then "
            "leaves them out.",
        )
