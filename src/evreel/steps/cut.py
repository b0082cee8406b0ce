"""Where the samples of a recording are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evreel.dataset.settings import CutSettings
from evreel.errors import AnnotationError, UsageError
from evreel.outputs import atomic
from evreel.steps.common import LOG, Steady, local_file
from evreel.steps.events import Source, as_store

if TYPE_CHECKING:
    from evreel.samples.samples import Samples


def cut(
    store: Source,
    output: str | Path,
    settings: CutSettings = CutSettings(),
    *,
    intervals: str | None = None,
    intervals_md5: str | None = None,
    intervals_sha256: str | None = None,
    of_several: bool = False,
    recording: str | None = None,
    members: str | None = None,
    labels: Sequence[str] | None = None,
    group: str | None = None,
    label: str | None = None,
) -> int:
    """Write where the samples of a recording are, and their classes.

    Parameters
    ----------
    store
        Events store (or a recording, decoded temporarily).
    output
        The table, TSV, as `evreel.samples.tables` describes it.
    settings
        How the table is read, and what classes are called.
    intervals
        Table of labelled intervals, CSV or TSV: a path. For an archive, ``!`` and the name of a
        member follow.
    intervals_md5
        32 hexadecimal digits that the table's MD5 must have.
    intervals_sha256
        64 hexadecimal digits of the table that the workflow saw: another one is not read.
    of_several
        Whether the table is for several recordings; with a named column ``recording`` it always is.
    recording
        The recording whose rows are taken, if the table is for several.
    members
        Instead of a table: the pattern with which an archive was decoded. Each of its members is
        a sample.
    labels
        All labels; any other is an error. None takes any.
    group
        The group of samples that name none; None takes `recording`, for intervals.
    label
        The class of members whose names have none, as the files call it.

    Returns
    -------
    How many samples there are.

    Raises
    ------
    AnnotationError
        If a table is malformed, a sample is outside the recording, its label is not listed, or
        there are no samples.
    UsageError
        If not exactly one of `intervals` and `members` is given, the store is not an archive's, or
        times are of the camera's clock, and that was reset.
    """
    from evreel.samples.cut import by_intervals, by_members
    from evreel.samples.intervals import read_intervals
    from evreel.samples.tables import write_cut

    if (intervals is None) == (members is None):
        raise UsageError("give exactly one of intervals and members")
    with (
        as_store(store, beside=output) as opened,
        atomic(output, inputs=[opened.path]) as (scratch,),
    ):
        inputs: dict[str, str] = {}
        if intervals is not None:
            if settings.clock == "source" and opened.clocks:
                raise UsageError(
                    f"has {len(opened.clocks)} parts, each with a clock of its own: times of the "
                    "camera's clock may be in several",
                    path=opened.path,
                    hint="Decode one part, with on_reset: first or last.",
                )
            with local_file(intervals, output, intervals_md5) as table:
                steady = Steady({"intervals": table}, {"intervals": intervals_sha256})
                inputs |= steady.digests
                try:
                    columns = settings.columns
                    is_one_of = of_several or columns.recording is not None
                    rows = read_intervals(
                        *(table, columns),
                        unit=settings.unit,
                        recording=recording if is_one_of else None,
                    )
                    samples = by_intervals(
                        rows,
                        t_offset=opened.t_offset,
                        t_stop_us=opened.t_stop_us,
                        clock=settings.clock,
                        repeats=settings.repeats,
                        classes=settings.classes,
                        labels=labels,
                        group=group or recording or "",
                    )
                    steady.check()
                    n_left_out, t_stop_us = len(rows) - len(samples), opened.t_stop_us
                except AnnotationError as error:
                    raise AnnotationError(
                        error.problem, path=table, place=error.place, hint=error.hint
                    ) from error
        else:
            if opened.clocks or not opened.members:
                raise UsageError(
                    "was decoded as one recording, not as an archive of several",
                    path=opened.path,
                    hint="Decode the archive with members.",
                )
            samples = by_members(
                *(opened.members, members or ""),
                classes=settings.classes,
                group=group or "",
                label=label or "",
            )
            if labels is not None:
                samples.numbers(labels)
            n_left_out = 0
            # A crop may have removed all events of the last ones.
            t_stop_us = opened.members[-1].stop_us
        if not len(samples):
            raise AnnotationError(
                "has no samples" + (f" of recording {recording!r}" if recording else ""),
                path=intervals or opened.path,
            )
        write_cut(scratch, samples, inputs)
        _say_what_looks_odd(Path(output).name, samples, t_stop_us)
    repeated = f", repeats left out: {n_left_out}" if n_left_out else ""
    LOG.info("%s: %d samples%s", Path(output).name, len(samples), repeated)
    return len(samples)


def _say_what_looks_odd(name: str, samples: Samples, t_stop_us: int) -> None:
    """Warn of samples that end after the recording, have no class, or cover next to nothing."""
    beyond = samples.stop_us - t_stop_us
    if (beyond > 0).any():
        k = int(beyond.argmax())
        LOG.warning("%s: sample %r ends %d µs after the recording", name, samples.id[k], beyond[k])
    if "" in samples.label:
        n = samples.label.count("")
        LOG.warning("%s: %d samples have no class: the pattern has no {label}", name, n)
    if samples.stop_us.max() * 100 < t_stop_us:
        LOG.warning(
            "%s: all samples end within the first %d of %d µs: is samples.unit right?",
            name,
            samples.stop_us.max(),
            t_stop_us,
        )
