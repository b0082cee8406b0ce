"""Cutting recordings into labelled samples, and giving these their splits."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from evreel.errors import AnnotationError, UsageError, did_you_mean
from evreel.outputs import atomic
from evreel.provenance import Provenance, sha256
from evreel.steps.common import LOG, local_file
from evreel.steps.decode import Source, as_store

if TYPE_CHECKING:
    from evreel.annotations import Samples


def cut(
    store: Source,
    output: str | Path,
    *,
    intervals: str | None = None,
    intervals_md5: str | None = None,
    columns: Mapping[str, str] | None = None,
    recording: str | None = None,
    unit: Literal["us", "ms", "s"] = "us",
    clock: Literal["recording", "source"] = "recording",
    repeats: Literal["keep", "first"] = "keep",
    members: str | None = None,
    classes: Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
    group: str | None = None,
) -> int:
    """Write where the samples of a recording lie, and of which class they are.

    Parameters
    ----------
    store
        Events store (or a recording, decoded for the while).
    output
        The table, TSV, as `evreel.io.samples_table` describes it.
    intervals
        Table of labelled intervals, CSV or TSV: a path; behind it may stand ``!`` and the name of
        a member, where the file is an archive.
    intervals_md5
        32 hexadecimal digits that the table must have.
    columns
        Names of its columns, as `evreel.io.intervals.Columns` takes them.
    recording
        Only the rows of this recording, where the table is of several.
    unit, clock, repeats
        As `evreel.io.intervals.read_intervals` and `evreel.samples.cut.by_intervals` take them.
    members
        Instead of a table: the pattern with which an archive was decoded; each of its members is
        a sample.
    classes
        What files call a class → its label.
    labels
        All labels; another one is an error. None takes any.
    group
        The group of samples that name none; None takes `recording`, for intervals.

    Returns
    -------
    How many samples there are.

    Raises
    ------
    AnnotationError
        Where a table is not of its form, a sample does not lie in the recording, its label is not
        listed, or there are none.
    UsageError
        Where not exactly one of `intervals` and `members` is given, or the store is not that of an
        archive.
    """
    from evreel.io.intervals import Columns, read_intervals
    from evreel.io.samples_table import write_cut
    from evreel.samples.cut import by_intervals, by_members

    if (intervals is None) == (members is None):
        raise UsageError("exactly one of intervals and members cuts a recording")
    with (
        as_store(store, beside=output) as opened,
        atomic(output, inputs=[opened.path]) as (scratch,),
    ):
        if intervals is not None:
            with local_file(intervals, output, intervals_md5) as table:
                try:
                    named = Columns(**(columns or {}))
                    of_several = named.recording is not None
                    rows = read_intervals(
                        table, named, unit=unit, recording=recording if of_several else None
                    )
                    samples = by_intervals(
                        rows,
                        t_offset=opened.t_offset,
                        t_stop_us=opened.t_stop_us,
                        clock=clock,
                        repeats=repeats,
                        classes=classes,
                        labels=labels,
                        group=group or recording or "",
                    )
                    n_left_out, t_stop_us = len(rows) - len(samples), opened.t_stop_us
                except AnnotationError as error:
                    raise AnnotationError(
                        error.problem, path=table, place=error.place, hint=error.hint
                    ) from error
        else:
            if not opened.members:
                raise UsageError(
                    "was decoded as one recording, not as an archive of many",
                    path=opened.path,
                    hint="Decode the archive with members.",
                )
            samples = by_members(opened.members, members or "", classes=classes, group=group or "")
            if labels is not None:
                samples.numbers(labels)
            n_left_out = 0
            # A crop may have taken all events of the last ones.
            t_stop_us = opened.members[-1].stop_us
        if not len(samples):
            raise AnnotationError(
                "has no sample" + (f" of recording {recording!r}" if recording else ""),
                path=intervals or opened.path,
            )
        write_cut(scratch, samples)
        _say_what_looks_odd(Path(output).name, samples, t_stop_us)
    repeated = f", rows left out as repeats: {n_left_out}" if n_left_out else ""
    LOG.info("%s: %d samples%s", Path(output).name, len(samples), repeated)
    return len(samples)


def _say_what_looks_odd(name: str, samples: Samples, t_stop_us: int) -> None:
    """Warn of samples that go on after the recording, have no class, or cover next to nothing."""
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


def splits(
    cuts: Mapping[str, str | Path],
    output: str | Path,
    *,
    fixed: Mapping[str, str | None] | None = None,
    file_names: Mapping[str, str] | None = None,
    lists: Mapping[str, str] | None = None,
    seed: int | None = None,
    shares: Mapping[str, float] | None = None,
    counts: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Give each sample of a data set its split, and write them all out.

    Parameters
    ----------
    cuts
        Recording → table of its samples, as `cut` writes it.
    output
        The table of all samples, TSV, as `evreel.io.samples_table` describes it.
    fixed
        Recording → split of all its samples; None for one whose samples are of several.
    file_names
        Recording → name of its file at the source, by which lists may name it.
    lists
        Split → list that ships with the data, for recordings that are not fixed; each a path, or
        an archive's and the name of a member behind ``!``.
    seed, shares
        Instead of lists: as `evreel.samples.splits.by_seed` takes them.
    counts
        Split → samples it must have, as published.

    Returns
    -------
    Split → how many samples it has.

    Raises
    ------
    AnnotationError
        Where a list does not fit the samples, or a split has not as many as published.
    UsageError
        Where a sample is of a recording that is not fixed, and neither lists nor a seed are given;
        where both are, a split is none, or `fixed` or `file_names` name a recording that is not
        among `cuts`.
    """
    from collections import Counter

    from evreel.io.samples_table import Assigned, read_cut, write_samples_table
    from evreel.samples.splits import Unassigned, by_lists, by_seed, check_counts, check_names

    known = fixed or {}
    check_names(split for split in known.values() if split is not None)
    for recording in (*known, *(file_names or {})):
        if recording not in cuts:
            guess = did_you_mean(recording, cuts)
            raise UsageError(
                f"recording {recording!r} has no table of samples" + (f"; {guess}" if guess else "")
            )
    if lists and seed is not None:
        raise UsageError("lists and a seed exclude each other")
    found = [
        (recording, samples, k)
        for recording, samples in ((name, read_cut(path)) for name, path in sorted(cuts.items()))
        for k in range(len(samples))
    ]
    open_rows = [
        Unassigned(
            recording,
            (file_names or {}).get(recording, recording),
            samples.id[k],
            samples.label[k],
            samples.group[k],
        )
        for recording, samples, k in found
        if known.get(recording) is None
    ]
    drawn: list[str] = []
    with contextlib.ExitStack() as stack, atomic(output, inputs=cuts.values()) as (scratch,):
        if open_rows and lists:
            local = {
                split: stack.enter_context(local_file(source, output))
                for split, source in lists.items()
            }
            drawn = by_lists(open_rows, local)
        elif open_rows and seed is not None and shares:
            drawn = by_seed(open_rows, seed, shares)
        elif open_rows:
            raise UsageError(
                f"recording {open_rows[0].recording!r} has samples of several splits, and nothing "
                "says which",
                hint="Give lists, or a seed and shares: samples.split.",
            )
        rest = iter(drawn)
        rows = [
            Assigned(
                recording,
                samples.id[k],
                samples.label[k],
                samples.group[k],
                known.get(recording) or next(rest),
                int(samples.start_us[k]),
                int(samples.stop_us[k]),
            )
            for recording, samples, k in found
        ]
        check_counts([row.split for row in rows], counts or {})
        write_samples_table(scratch, rows)
    numbers = Counter(row.split for row in rows)
    LOG.info("%s: %s", Path(output).name, ", ".join(f"{n} in {s}" for s, n in numbers.items()))
    return dict(numbers)


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
        Events store (or a recording, decoded for the while).
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
        Where a sample does not lie in the recording, has no split, or a label that is not listed.
    """
    from evreel.io import hdf5
    from evreel.io.samples_file import write_samples
    from evreel.io.samples_table import read_cut, splits_of
    from evreel.layout import SAMPLES

    cut_samples = read_cut(cut)
    split_of = splits_of(splits, recording)
    for id_ in cut_samples.id:
        if id_ not in split_of:
            raise AnnotationError(
                f"sample {id_!r} of recording {recording!r} is not in it",
                path=splits,
                hint="Make the splits again.",
            )
    chosen = [split_of[id_] for id_ in cut_samples.id]
    with as_store(store, beside=output) as opened:
        opened.check_within(cut_samples)
        inputs = {"store": sha256(opened.path), "cut": sha256(cut)}
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
