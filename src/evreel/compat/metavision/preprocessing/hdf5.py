"""Precomputing features: `generate_hdf5`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from evreel.errors import EvreelError, UsageError
from evreel.events import Sensor
from evreel.geometry import to_size
from evreel.layout import BOXES_SUFFIX
from evreel.recordings.open import open_recording
from evreel.representations import (
    Diff,
    DiffQuantized,
    EventCube,
    create,
)
from evreel.steps import BoxesSettings, FeatureSettings
from evreel.steps.many import by_name, files_of, without_marks
from evreel.steps.precompute import Wanted, precompute


def generate_hdf5(
    paths: str | Path | Sequence[str | Path],
    output_folder: str | Path,
    preprocess: str,
    delta_t: int,
    height: int | None = None,
    width: int | None = None,
    start_ts: int = 0,
    max_duration: int | None = None,
    n_processes: int = 2,
    box_labels: Sequence[str | Path] = (),
    store_as_uint8: bool = False,
    mode: str = "delta_t",
    n_events: int = 0,
    preprocess_kwargs: Mapping[str, Any] | None = MappingProxyType({}),
) -> None:
    """Precompute features of recordings: ``<output_folder>/<name>.h5`` each.

    The name is the recording's up to its first dot, without ``_td`` or ``_cd``. Files that are
    complete and the same are kept. If recordings fail, all others are done before it raises.

    Parameters
    ----------
    paths
        Recordings of any kind that evreel reads; wildcards are allowed.
    output_folder
        Folder; other files in it stay.
    preprocess
        Name of a representation: one of Metavision's, any other of evreel's, or a registered one.
    delta_t
        Duration of a frame, µs.
    height, width
        Size of a frame; None: the sensor's. Halvings take place in event space, as Metavision's;
        what is left to do is a bilinear resize of the finished frame.
    start_ts
        Where frames begin, µs, and what times in the files count from. It counts from zero in the
        recording's file; in RAW files, from the last overflow of their short timestamps before
        the first event, as Metavision shifts these; where timestamps are dates, from the first
        event.
    max_duration
        Longest part of a recording in one file, µs; the files are ``<name>_0.h5``,
        ``<name>_1.h5``, …
    n_processes
        Recordings at a time.
    box_labels
        A file of boxes for each recording, in their order. Each ``.h5`` gets its own, in pixels of
        the sensor, as the loaders expect them: ``<name>_bbox.npy``.
    store_as_uint8
        Store round(255 · v), for values from 0 to 1.
    mode, n_events
        ``delta_t``; or ``n_events``, and how many make a frame.
    preprocess_kwargs
        Parameters of the representation.

    Raises
    ------
    UsageError
        If an argument is not valid, or two recordings have the same name.
    EvreelError
        If recordings failed.
    """
    if n_processes < 1:
        raise UsageError(f"n_processes={n_processes} is less than 1")
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    names = by_name(files_of(given, but=BOXES_SUFFIX), without_marks)
    kwargs = dict(preprocess_kwargs or {})
    store = _store(preprocess, kwargs, store_as_uint8)
    if mode not in ("delta_t", "n_events"):
        raise UsageError(f"mode={mode!r} is neither 'delta_t' nor 'n_events'")
    windows: dict[str, Any] = {"window_us": delta_t} if mode == "delta_t" else {"count": n_events}
    if (height is None) != (width is None):
        raise UsageError(f"height={height} and width={width}: give both, or none")

    def settings(**more: Any) -> FeatureSettings:
        return FeatureSettings(
            representation=preprocess,
            parameters=kwargs,
            compression="gzip",
            **windows,
            **store,
            **more,
        )

    of_size: dict[str, FeatureSettings] = {}
    if height is not None and width is not None:
        for name, path in names.items():
            # Whoever makes its features says why it cannot be opened.
            with contextlib.suppress(EvreelError, OSError), open_recording(path) as recording:
                of_size[name] = settings(geometry=to_size(recording.sensor, Sensor(height, width)))
    wanted = Wanted(
        folder=Path(output_folder),
        settings=settings(),
        settings_for=of_size,
        start_us=start_ts,
        max_duration_us=max_duration,
        clock="metavision",
        boxes=_in_order(box_labels, names),
        of_boxes=BoxesSettings(outside="keep", invalid="drop"),
        boxes_move=False,
    )
    failed = [
        outcome
        for outcome in precompute(names, wanted, workers=n_processes)
        if outcome.error is not None
    ]
    if failed:
        first = failed[0].error
        assert first is not None
        more = f"; {len(failed) - 1} more of {len(names)} recordings failed" * (len(failed) > 1)
        raise type(first)(
            f"{first.problem}{more}", path=first.path, place=first.place, hint=first.hint
        ) from first


def _store(preprocess: str, kwargs: dict[str, Any], store_as_uint8: bool) -> dict[str, Any]:
    """Return in which type values are stored."""
    computed = create(preprocess, kwargs)
    if not store_as_uint8:
        return {}
    is_other = (
        isinstance(computed, (Diff, DiffQuantized))
        or (isinstance(computed, EventCube) and not computed.split_polarity)
        or np.dtype(computed.dtype).kind != "f"
    )
    if is_other:
        raise UsageError(
            f"store_as_uint8 is for values from 0 to 1; those of {preprocess} are not",
            hint="Leave it out, or choose other preprocess_kwargs.",
        )
    return {"store": "uint8"}


def _in_order(box_labels: Sequence[str | Path], names: Mapping[str, Path]) -> dict[str, Path]:
    """Return name of a recording → its boxes, which are in the order of recordings."""
    if not box_labels:
        return {}
    boxes = files_of(box_labels)
    if len(boxes) != len(names):
        raise UsageError(
            f"there are {len(names)} recordings, but {len(boxes)} box_labels",
            hint="Give one file of boxes for each recording, in their order.",
        )
    for name, path in zip(names, boxes, strict=True):
        other = path.name.removesuffix(BOXES_SUFFIX)
        if other != name and other in names:
            raise UsageError(
                f"is given for {names[name].name}, but is named as that of {names[other].name}",
                path=path,
                hint="Give box_labels in the order of paths.",
            )
    return dict(zip(names, boxes, strict=True))
