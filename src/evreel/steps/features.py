"""From events to features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evreel.outputs import Progress, atomic, silent
from evreel.provenance import Provenance, sha256
from evreel.steps.common import LOG, counted
from evreel.steps.events import Source, as_store

if TYPE_CHECKING:
    from evreel.windows import Tail


def features(
    store: Source,
    output: str | Path,
    *,
    representation: str,
    parameters: Mapping[str, Any] | None = None,
    window_us: int | None = None,
    count: int | None = None,
    stride_us: int | None = None,
    stride: int | None = None,
    tail: Tail = "keep",
    number: int | None = None,
    by: Literal["time", "count"] | None = None,
    cut: str | Path | None = None,
    labels: Sequence[str] | None = None,
    progress: Progress = silent,
) -> dict[str, int]:
    """Precompute one representation of one recording.

    Parameters
    ----------
    store
        Events store (or a recording, decoded for the while).
    output
        The feature file, HDF5.
    representation, parameters
        As `evreel.representations.create` takes them.
    window_us, count, stride_us, stride, tail, number, by
        As `evreel.windows.division` takes them.
    cut
        Table of the recording's samples, as `cut` writes it: each is divided by itself. None
        divides the recording.
    labels
        Label names in the order of their numbers; None takes those of the samples, sorted.

    Returns
    -------
    What was changed on the way: name → count. The file carries it as ``repairs``.

    Raises
    ------
    ParameterError
        Where there is no such representation, or a parameter is out of its range.
    """
    from evreel.files import hdf5
    from evreel.files.features import FeaturesWriter, SampleWindows
    from evreel.layout import FEATURES
    from evreel.representations import create, frames
    from evreel.samples.tables import read_cut
    from evreel.windows import division

    made_of = create(representation, parameters)
    divided = division(window_us, count, stride_us, stride, tail, number, by)
    repairs: dict[str, int] = {}
    with as_store(store, beside=output) as opened:
        inputs = {"store": sha256(opened.path)}
        of_samples = None
        if cut is None:
            windows = opened.windows(divided)
        else:
            inputs["cut"] = sha256(cut)
            samples = read_cut(cut)
            windows, bounds = opened.windows_of(samples, divided)
            names = tuple(labels) if labels else tuple(sorted({*samples.label} - {""}))
            of_samples = SampleWindows(samples, names, bounds)
        made = Provenance(
            "features",
            {"representation": {representation: made_of.parameters}, **asdict(divided)},
            inputs,
            repairs,
        )
        with (
            atomic(output, inputs=[opened.path, cut]) as (scratch,),
            hdf5.create(scratch, FEATURES, made) as file,
        ):
            writer = FeaturesWriter(
                file,
                windows,
                divided,
                opened.sensor,
                opened.t_offset,
                shape=made_of.shape(opened.sensor),
                samples=of_samples,
                **made_of.description,
            )
            made_frames = frames(made_of, opened.read, windows, opened.sensor, repairs=repairs)
            for frame in counted(made_frames, len(windows), progress):
                writer.write(frame)
            writer.finish()
    LOG.info("%s: %d windows of %s", Path(output).name, len(windows), representation)
    return repairs
