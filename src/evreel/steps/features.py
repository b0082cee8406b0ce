"""From events to features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from evreel.dataset.settings import FeatureSettings
from evreel.outputs import Progress, atomic, silent
from evreel.provenance import Provenance, sha256
from evreel.steps.common import LOG, counted
from evreel.steps.events import Source, as_store


def features(
    store: Source,
    output: str | Path,
    settings: FeatureSettings,
    *,
    cut: str | Path | None = None,
    labels: Sequence[str] | None = None,
    progress: Progress = silent,
) -> dict[str, int]:
    """Precompute one representation of one recording.

    Parameters
    ----------
    store
        Events store (or a recording, decoded temporarily).
    output
        The feature file, HDF5.
    settings
        The representation, its parameters, and its windows.
    cut
        Table of the recording's samples, as `cut` writes it; each is divided on its own. None
        divides the recording.
    labels
        Label names in the order of their numbers; None takes those of the samples, sorted.

    Returns
    -------
    What was changed: name → count. The file has it as ``repairs``.

    Raises
    ------
    ParameterError
        If there is no such representation, or a parameter is out of range.
    """
    from evreel.files import hdf5
    from evreel.files.features import FeaturesWriter, SampleWindows
    from evreel.layout import FEATURES
    from evreel.representations import create, frames
    from evreel.samples.tables import read_cut

    made_of = create(settings.representation, settings.parameters)
    divided = settings.division()
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
            {"representation": {made_of.name: made_of.parameters}, **asdict(divided)},
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
    LOG.info("%s: %d windows of %s", Path(output).name, len(windows), made_of.name)
    return repairs
