"""All samples of a data set, each with its split."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from evreel.dataset.settings import SplitsSettings
from evreel.errors import UsageError, did_you_mean
from evreel.outputs import atomic
from evreel.steps.common import LOG, Steady, check_made, local_file
from evreel.text import listed

_MOST_NAMED = 3
"""Names that are told in a warning."""


def splits(
    cuts: Mapping[str, str | Path],
    output: str | Path,
    settings: SplitsSettings = SplitsSettings(),
    *,
    fixed: Mapping[str, str | None] | None = None,
    file_names: Mapping[str, str] | None = None,
    lists: Mapping[str, str] | None = None,
    lists_sha256: Mapping[str, str] | None = None,
    incomplete: bool = False,
    batches: Iterable[str | Path] = (),
) -> dict[str, int]:
    """Give each sample of a data set its split, and write the table of all samples.

    Parameters
    ----------
    cuts
        Recording → table of its samples, as `cut` writes it.
    output
        The table of all samples, TSV, as `evreel.samples.tables` describes it.
    settings
        A seed and shares, instead of `lists`, as `evreel.samples.splits.by_seed` takes them; and
        the published number of samples that each split must have.
    fixed
        Recording → split of all its samples; None if its samples are of several splits.
    file_names
        Recording → name of its file at the source, which lists may use.
    lists
        Split → list that ships with the data, for recordings that are not fixed: a path, or an
        archive's path, ``!`` and the name of a member.
    lists_sha256
        Split → 64 hexadecimal digits of the list that the workflow saw: another one is not read.
    incomplete
        Whether recordings of the data set are left out. Then lists may name what is not among the
        samples, and a split may have fewer than the published number; the log says how many.
    batches
        Manifests of the batches that made tables of `cuts`: none of its recordings may have failed
        there.

    Returns
    -------
    Split → how many samples it has.

    Raises
    ------
    AnnotationError
        If a list does not fit the samples, or a split does not have the published number.
    UsageError
        If a sample is of a recording that is not fixed, and neither lists nor a seed are given;
        if both are, a split is not valid, or `fixed` or `file_names` name a recording that is not
        among `cuts`.
    ReleaseError
        If a recording failed in a batch.
    """
    from collections import Counter

    from evreel.samples.splits import Unassigned, by_lists, by_seed, check_counts, check_names
    from evreel.samples.tables import Assigned, read_cut, write_samples_table

    check_made(batches, cuts.keys())
    seed, shares = settings.split.seed, settings.split.shares
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
            steady = Steady(local, lists_sha256)
            unknown: list[str] | None = [] if incomplete else None
            drawn = by_lists(open_rows, local, unknown)
            if unknown:
                LOG.warning(
                    "names in lists that are of no sample, as recordings are left out: %d: %s",
                    len(unknown),
                    listed(unknown, _MOST_NAMED),
                )
            steady.check()
        elif open_rows and seed is not None and shares:
            drawn = by_seed(open_rows, seed, shares.plain())
        elif open_rows:
            raise UsageError(
                f"recording {open_rows[0].recording!r} has samples of several splits, and nothing "
                "says which",
                hint="Give lists, or a seed and shares, in samples.split.",
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
        check_counts([row.split for row in rows], settings.counts.plain(), at_most=incomplete)
        write_samples_table(scratch, rows)
    numbers = Counter(row.split for row in rows)
    LOG.info("%s: %s", Path(output).name, ", ".join(f"{n} in {s}" for s, n in numbers.items()))
    return dict(numbers)
