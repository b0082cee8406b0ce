"""The samples of one recording: rows of its events store, class, split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evreel.errors import AnnotationError
from evreel.outputs import atomic
from evreel.provenance import Provenance, sha256
from evreel.steps.common import LOG
from evreel.steps.events import Source, as_store


def samples(
    store: Source,
    cut: str | Path,
    splits: str | Path,
    output: str | Path,
    *,
    recording: str,
    labels: Sequence[str],
) -> int:
    """Write the samples of one recording: rows of its events store, class, split.

    Parameters
    ----------
    store
        Events store (or a recording, decoded temporarily).
    cut
        Table of its samples, as `cut` writes it.
    splits
        Table of all samples, as `splits` writes it.
    output
        The samples file, HDF5.
    recording
        Its name in `splits`.
    labels
        Label names in the order of their numbers.

    Returns
    -------
    How many samples there are.

    Raises
    ------
    AnnotationError
        If a sample is outside the recording, has no split, or has a label that is not listed.
    """
    from evreel.files import hdf5
    from evreel.files.samples import write_samples
    from evreel.layout import SAMPLES
    from evreel.samples.tables import inputs_of_cut, read_cut, splits_of

    cut_samples = read_cut(cut)
    split_of = splits_of(splits, recording)
    for id_ in cut_samples.id:
        if id_ not in split_of:
            raise AnnotationError(
                f"sample {id_!r} of recording {recording!r} is missing",
                path=splits,
                hint="Make the splits again.",
            )
    chosen = [split_of[id_] for id_ in cut_samples.id]
    with as_store(store, beside=output) as opened:
        opened.check_within(cut_samples)
        inputs = {"store": sha256(opened.path), "cut": sha256(cut), **inputs_of_cut(cut)}
        made = Provenance("samples", {"recording": recording, "labels": list(labels)}, inputs)
        with (
            atomic(output, inputs=[opened.path, cut, splits]) as (scratch,),
            hdf5.create(scratch, SAMPLES, made) as file,
        ):
            write_samples(
                file,
                cut_samples,
                labels,
                chosen,
                opened.index_of(cut_samples.start_us),
                opened.index_of(cut_samples.stop_us),
                recording=recording,
                t_stop_us=opened.t_stop_us,
            )
    LOG.info("%s: %d samples", Path(output).name, len(cut_samples))
    return len(cut_samples)
