"""Checks of features files: their windows and values, and their samples."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from evreel.checks.columns import MOST_UNREADABLE, RawColumns, opened
from evreel.checks.finding import DAMAGE, Finding, Located, first_of, problem_of
from evreel.checks.inventory import File, Known
from evreel.checks.registry import checks_of, findings, unreadable
from evreel.checks.samples import read_samples, sample_at
from evreel.checks.tally import located
from evreel.errors import EvreelError
from evreel.files.features import FeaturesFile, SampleWindows
from evreel.files.samples import SamplesFile
from evreel.text import counted
from evreel.windows import Windows

error, warning = checks_of("features")


@error(
    "feature_windows",
    "Windows with events that the recording does not have, or that start after its end.",
)
def feature_windows(windows: Windows, t_stop_us: int | None, n_events: int) -> Iterator[Located]:
    """Find windows beyond the recording's events, or beyond its end if that is given."""
    bad = windows.stop > n_events
    if t_stop_us is not None:
        bad = bad | (windows.start_us >= max(t_stop_us, 1))
    return located(
        bad,
        lambda k: (
            f"window {k}",
            f"{windows.start[k]} to {windows.stop[k]}, from t={windows.start_us[k]} µs",
        ),
        "window",
        f"beyond the recording, the first with rows {{got}}; it has {n_events:,} events; compute "
        "again",
    )


@error("feature_values", "Windows with a value that is NaN or infinite.")
def feature_values(frames: Iterable[tuple[int, npt.NDArray[Any]]]) -> Iterator[Located]:
    """Find windows with a value that is not finite, given one by one as (window, values)."""
    n, place = 0, ""
    for k, frame in frames:
        if frame.dtype.kind == "f" and not np.isfinite(frame).all():
            place = place or f"window {k}"
            n += 1
    if n:
        yield place, f"{counted(n, 'window')} with NaN or infinite values; compute again"


@warning("feature_extra", "Windows for which added values (`extra`) are NaN or infinite.")
def feature_extra(pieces: Iterable[tuple[str, int, npt.NDArray[Any]]]) -> Iterator[Located]:
    """Find added values that are not finite, given piece by piece as (name, first window, …)."""
    first: dict[str, int] = {}
    n: Counter[str] = Counter()
    for name, start, values in pieces:
        if values.dtype.kind == "f":
            bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
            if bad.any():
                first.setdefault(name, start + int(np.argmax(bad)))
                n[name] += int(bad.sum())
    for name, window in first.items():
        yield f"extra/{name}, window {window}", f"{counted(n[name], 'window')} with NaN or infinity"


@error(
    "feature_sample",
    "Windows that are not within their sample, or samples that the recording does not have.",
)
def feature_sample(
    windows: Windows,
    of: SampleWindows,
    cut: SamplesFile | None = None,
    path: str = "",
    before_us: int | None = 0,
) -> Iterator[Located]:
    """Find windows that reach out of their sample.

    Parameters
    ----------
    windows, of
        The windows, and which belong to which sample.
    cut, path
        The recording's samples file, if known, and how findings name it.
    before_us
        How far before its sample a window may start; None: as far as it likes.
    """
    samples = of.samples
    k = np.repeat(np.arange(len(samples)), np.diff(of.bounds))
    bad = windows.start_us >= samples.stop_us[k]
    if before_us is not None:
        bad |= windows.start_us < samples.start_us[k] - before_us
    if cut is not None:
        other = _other_samples(of, cut)
        if other is not None:
            yield other[0], f"{other[1]} {path}; compute again"
        else:
            bad |= (windows.start < cut.start[k]) | (windows.stop > cut.stop[k])

    def say(window: int) -> Located:
        us, rows, of_sample = windows.start_us[window], windows.start[window], int(k[window])
        return (
            f"window {window}",
            f"from t={us} µs, row {rows}; {sample_at(samples, of_sample)} is from "
            f"t={samples.start_us[of_sample]} to {samples.stop_us[of_sample]} µs",
        )

    yield from located(bad, say, "window", "outside its sample, the first {got}; compute again")


def _other_samples(of: SampleWindows, cut: SamplesFile) -> Located | None:
    """Return the first way in which the samples of features differ from the recording's."""
    if of.labels != cut.labels:
        return "labels/name", "numbers the classes differently from"
    ours, theirs = of.samples, cut.samples
    if ours.id != theirs.id:
        return "samples/id", f"has {counted(len(ours), 'sample')}, others or in another order than"
    for name in ("label", "start_us", "stop_us", "t_offset"):
        same = np.array_equal(getattr(ours, name), getattr(theirs, name))
        if not same:
            return f"samples/{name}", "says something else about a sample than"
    return None


def _before_origin(h5: h5py.File) -> int:
    """Return how far before a sample its first window starts: where its origin is negative."""
    said = json.loads(h5.attrs["parameters"])
    origin = said.get("origin_us") if isinstance(said, dict) else None
    return max(0, -origin) if isinstance(origin, int) else 0


def check_features(file: File) -> Iterator[Finding]:
    """Yield what is found in a features file."""
    path = file.path
    with opened(file.location, file.kind) as h5, FeaturesFile(file.location) as frames:
        unread: list[Finding] = []

        def readable() -> Iterator[tuple[int, npt.NDArray[Any]]]:
            for k in range(len(frames)):
                try:
                    frame = frames.read(k)
                except (EvreelError, *DAMAGE) as error:
                    unread.append(unreadable(path, problem_of(error)[0], f"window {k}"))
                    if len(unread) > MOST_UNREADABLE:
                        return
                    continue
                yield k, frame

        lost: list[Finding] = []

        def added() -> Iterator[tuple[str, int, npt.NDArray[Any]]]:
            for name, extra in frames.extra.items():
                try:
                    yield from ((name, *piece) for piece in extra.pieces())
                except EvreelError as error:
                    lost.append(unreadable(path, problem_of(error)[0], f"extra/{name}"))

        yield from findings(feature_values, readable(), path=path)
        yield from findings(feature_extra, added(), path=path)
        yield from lost
        if unread:
            problem = unread[0].problem + first_of(len(unread), "such windows")
            yield unreadable(path, problem, unread[0].place)
        yield from RawColumns(h5, path).problems()


def check_features_of(file: File, known: Known) -> Iterator[Finding]:
    """Yield how a features file differs from the recording and the samples that it is made from."""
    path = file.path
    with opened(file.location, file.kind) as h5, FeaturesFile(file.location) as frames:
        if known.n is not None:
            # A sample may reach beyond the recording's end, and its windows with it; so may a
            # label at whose time a window ends.
            is_within = frames.samples is None and frames.mode != "ending"
            end = known.t_stop_us if is_within else None
            yield from findings(feature_windows, frames.windows, end, known.n, path=path)
        if frames.samples is not None:
            held = None if known.samples is None else read_samples(known.samples)
            theirs = "" if known.samples is None else known.samples.path
            before_us = None if frames.mode == "ending" else _before_origin(h5)
            looked_at = frames.windows, frames.samples, held, theirs, before_us
            yield from findings(feature_sample, *looked_at, path=path)
