"""What is labelled in a recording: events by label and track over time, coverage, suspicions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from evreel.checks.tracks import SUSPICIONS, Suspect, Tracks, read_tracks
from evreel.errors import one_line
from evreel.events import Events
from evreel.files.slices import SlicesFile
from evreel.text import nfc
from evreel.timebase import FrameClock, Int64Array

MOST_BINS = 120
"""Most bins that a recording's time is divided into."""

MOST_CELLS = 1 << 22
"""Most counts of events, of all bins and regions: 32 MB."""

COLUMNS = (
    *("what", "label", "track", "region", "start_us", "stop_us", "frames", "shown_us"),
    *("events", "share", "events_per_s", "suspicious", "why", "over_time"),
)
"""Columns of the table."""


def bin_us(t_stop_us: int, n_regions: int = 0) -> int:
    """Return the width of a bin: 1, 2 or 5 times a power of ten.

    There are at most `MOST_BINS`, and fewer where a recording has very many regions.

    Examples
    --------
    >>> bin_us(2_000_000), bin_us(9_160_000), bin_us(5), bin_us(2_000_000, 400_000)
    (20000, 100000, 1, 200000)
    """
    most, power = max(min(MOST_BINS, MOST_CELLS // (1 + n_regions)), 1), 1
    while True:
        for factor in (1, 2, 5):
            if factor * power * most >= t_stop_us:
                return factor * power
        power *= 10


@dataclass(frozen=True)
class Summary:
    """What a slices file says of its recording.

    Parameters
    ----------
    name : of the recording, as its file is called.
    labels : names of the labels.
    tracks : regions, their shapes, and how many events are in each.
    track : (n,) track number of each region, −1 a loose shape.
    bin_us : width of a bin of time.
    t_stop_us : the recording lasts until then.
    counts : (bins, 1 + n) events by bin and primary region; column 0 has no region.
    clock : time of each video frame; None if it is not known.
    """

    name: str
    labels: tuple[str, ...]
    tracks: Tracks
    track: Int64Array
    bin_us: int
    t_stop_us: int
    counts: Int64Array
    clock: FrameClock | None = None

    @cached_property
    def suspects(self) -> dict[int, list[tuple[str, Suspect]]]:
        """Row of each suspicious region → check and finding, in the order of the checks."""
        found: dict[int, list[tuple[str, Suspect]]] = {}
        for check, find in SUSPICIONS.items():
            for suspect in find(self.tracks):
                found.setdefault(suspect.roi, []).append((check, suspect))
        return found

    @cached_property
    def by_label(self) -> Int64Array:
        """(bins, labels) events by bin and label of their primary region."""
        counts = np.zeros((len(self.counts), len(self.labels)), dtype=np.int64)
        np.add.at(counts.T, self.tracks.label, self.counts[:, 1:].T)
        return counts

    @cached_property
    def empty(self) -> list[tuple[int, int]]:
        """First and last number of each run of frames that annotators saw and that show no region.

        Without a clock, frames are not known, and there is none.
        """
        if self.clock is None:
            return []
        empty = self._seen.copy()
        empty[np.unique(self.tracks.frame)] = False
        edges = np.flatnonzero(np.diff(empty, prepend=False, append=False))
        return [(first, stop - 1) for first, stop in edges.reshape(-1, 2).tolist()]

    @cached_property
    def _seen(self) -> npt.NDArray[np.bool_]:
        """(frames,) whether annotators looked at each frame of the clock."""
        assert self.clock is not None
        spans = self.tracks.labelled
        k = np.searchsorted(spans.start_us, self.clock.start_us, side="right") - 1
        seen: npt.NDArray[np.bool_] = k >= 0
        seen &= self.clock.stop_us <= np.append(spans.stop_us, -1)[k]
        return seen

    def facts(self) -> dict[str, str]:
        """Return what holds for the whole recording, name → text."""
        spans, n = self.tracks.labelled, int(self.counts.sum())
        labelled = n - int(self.counts[:, 0].sum())
        within = np.clip([spans.start_us, spans.stop_us], 0, self.t_stop_us)
        looked_at = int((within[1] - within[0]).sum())
        facts = {
            "recording": self.name,
            "duration_us": str(self.t_stop_us),
            "annotated_us": str(looked_at),
            "annotated_share": _share(looked_at, self.t_stop_us),
            "events": str(n),
            "labelled_events": str(labelled),
            "labelled_share": _share(labelled, n),
            "regions": str(len(self.track)),
            "suspicious_regions": str(len(self.suspects)),
        }
        if self.clock is not None:
            n_empty = sum(last - first + 1 for first, last in self.empty)
            facts["frames"] = str(len(self.clock))
            facts["annotated_frames"] = str(int(self._seen.sum()))
            facts["frames_without_region"] = str(n_empty)
            runs = (f"{a}-{b}" if b > a else str(a) for a, b in self.empty)
            facts["without_region"] = ",".join(runs) or "none"
        return facts | {"bin_us": str(self.bin_us)}

    def lines(self) -> Iterator[str]:
        """Yield the lines of a table: comments, header, then recording, labels, regions."""
        for name, value in self.facts().items():
            yield f"# {name}\t{one_line(value)}"
        yield "\t".join(COLUMNS)
        n = int(self.counts.sum())
        unlabelled = self.counts[:, 0]
        yield self._row("unlabelled", "", "", "", [], unlabelled, n)
        shown = np.unique(self.tracks.label)
        for label in shown.tolist():
            rows = np.flatnonzero(self.tracks.label[self.tracks.roi] == label)
            yield self._row("label", self.labels[label], "", "", rows, self.by_label[:, label], n)
        order = np.argsort(self.tracks.roi, kind="stable")
        first = np.searchsorted(self.tracks.roi[order], np.arange(len(self.track) + 1)).tolist()
        for roi, track in enumerate(self.track.tolist()):
            yield self._row(
                "track" if track >= 0 else "shape",
                self.labels[int(self.tracks.label[roi])],
                str(track) if track >= 0 else "",
                str(roi),
                order[first[roi] : first[roi + 1]],
                self.counts[:, 1 + roi],
                n,
            )

    def _row(
        self,
        what: str,
        label: str,
        track: str,
        region: str,
        rows: npt.NDArray[np.int64] | list[int],
        counts: Int64Array,
        n_all: int,
    ) -> str:
        start = self.tracks.start_us[rows]
        stop = np.minimum(self.tracks.stop_us[rows], self.t_stop_us)  # the last frame may be longer
        # Shapes of several regions in one frame are one frame.
        frames, once = np.unique(self.tracks.frame[rows], return_index=True)
        shown_us = self.t_stop_us if what == "unlabelled" else int((stop - start)[once].sum())
        n = int(counts.sum())
        found = self.suspects.get(int(region), []) if region else []
        cells = (
            what,
            one_line(nfc(label)),
            track,
            region,
            str(int(start.min())) if len(rows) else "",
            str(int(stop.max())) if len(rows) else "",
            str(len(frames)) if what != "unlabelled" else "",
            str(shown_us),
            str(n),
            _share(n, n_all),
            f"{n * 1e6 / shown_us:.1f}" if shown_us else "",
            ",".join(check for check, _ in found),
            one_line("; ".join(suspect.problem for _, suspect in found)),
            ",".join(map(str, counts.tolist())),
        )
        return "\t".join(cell.replace("\t", " ") for cell in cells)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.4f}" if whole else "0.0000"


def summarize(slices: SlicesFile, name: str, clock: FrameClock | None = None) -> Summary:
    """Read what a summary needs.

    Parameters
    ----------
    slices
        The open file.
    name
        Of the recording.
    clock
        Time of each frame of the annotated video; None cannot count frames without a region.
    """
    n_columns = 1 + len(slices.rois.label)
    width = bin_us(max(slices.t_stop_us, 1), n_columns - 1)
    counts = np.zeros(-(-slices.t_stop_us // width) * n_columns, dtype=np.int64)

    def count(events: Events, roi: npt.NDArray[np.int32]) -> None:
        key = events.t // width * n_columns + roi + 1
        low = int(key.min())
        found = np.bincount(key - low)
        counts[low : low + len(found)] += found

    tracks = read_tracks(slices, count)
    return Summary(
        *(name, slices.labels, tracks, slices.rois.track, width, slices.t_stop_us),
        *(counts.reshape(-1, n_columns), clock),
    )
