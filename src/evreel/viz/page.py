"""The table of a summary as a page that any browser shows: no script, no other file."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from evreel.viz.summary import COLUMNS

MOST_BYTES = 1_400_000
"""Limit of a page's size. Chromium shows an embedded page only if its address, which has the whole
page in base64, is shorter than 2 MiB."""

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.2rem; }
h1 { font-size: 1.3rem; margin: 0 0 .4rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid; white-space: nowrap; }
tbody tr { border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
.number { text-align: right; white-space: nowrap; }
.label td { font-weight: 600; }
.why { min-width: 16rem; }
svg { width: 120px; height: 20px; fill: currentColor; opacity: .65; }
"""

_HEADS = (
    *("what", "label", "track", "from, s", "to, s", "frames", "shown for, s", "events"),
    *("share, %", "events/s", "events over time", "suspicious"),
)
_NUMBERS = _HEADS[2:10]


def page(lines: Iterable[str]) -> str:
    """Return the page.

    Parameters
    ----------
    lines
        Of the table: `evreel.viz.summary.Summary.lines`. Rows that the page has no room for are
        counted at its end.
    """
    facts: dict[str, str] = {}
    rows: list[str] = []
    size = left_out = 0
    for line in lines:
        if line.startswith("# "):
            name, _, value = line[2:].partition("\t")
            facts[name] = value
        elif (cells := dict(zip(COLUMNS, line.split("\t"), strict=True)))["what"] != "what":
            row = _row(cells)
            size += len(row.encode())
            if size > MOST_BYTES or left_out:
                left_out += 1
            else:
                rows.append(row)
    more = f"<p>{left_out:,} more rows are in the table itself (TSV).</p>\n" if left_out else ""
    name = escape(facts["recording"])
    heads = (f"<th{_class(head)}>{head}</th>" for head in _HEADS)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}: what is labelled</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{name}</h1>\n<p>{_headline(facts)}</p>\n"
        f'<div class="wide">\n<table>\n<thead><tr>{"".join(heads)}</tr></thead>\n<tbody>\n'
        f"{''.join(rows)}</tbody>\n</table>\n</div>\n{more}</body>\n</html>\n"
    )


def _headline(facts: dict[str, str]) -> str:
    """Say what holds for the whole recording."""
    parts = [
        f"{_seconds(facts['duration_us'])} s, of which {_percent(facts['annotated_share'])} % "
        "are annotated",
        f"{int(facts['events']):,} events, of which {_percent(facts['labelled_share'])} % are in a "
        "region",
        f"{int(facts['regions']):,} regions, {int(facts['suspicious_regions']):,} of them "
        "suspicious",
    ]
    if "frames" in facts:
        parts.append(
            f"{int(facts['annotated_frames']):,} annotated frames, "
            f"{int(facts['frames_without_region']):,} of them without a region"
        )
    return "; ".join(parts) + "."


def _row(cells: dict[str, str]) -> str:
    """Return a row of the table as HTML."""
    why = ": ".join(filter(None, (cells["suspicious"], cells["why"])))
    shown = (
        *(escape(cells[name]) for name in ("what", "label", "track")),
        *(_seconds(cells[name]) for name in ("start_us", "stop_us")),
        _whole(cells["frames"]),
        _seconds(cells["shown_us"]),
        _whole(cells["events"]),
        _percent(cells["share"]),
        cells["events_per_s"],
        _bars(cells["over_time"]),
        escape(why),
    )
    inside = (f"<td{_class(head)}>{text}</td>" for head, text in zip(_HEADS, shown, strict=True))
    return f'<tr class="{cells["what"]}">{"".join(inside)}</tr>\n'


def _class(head: str) -> str:
    if head in _NUMBERS:
        return ' class="number"'
    return ' class="why"' if head == "suspicious" else ""


def _seconds(us: str) -> str:
    return f"{int(us) / 1e6:.3f}" if us else ""


def _whole(number: str) -> str:
    return f"{int(number):,}" if number else ""


def _percent(share: str) -> str:
    return f"{100 * float(share):.1f}"


def _bars(over_time: str) -> str:
    """Return counts over time as a small picture, each bin a column of it."""
    counts = [int(count) for count in over_time.split(",") if count]
    highest = max(counts, default=0)
    if not highest:
        return ""
    steps = "".join(f"V{20 - round(20 * count / highest)}h1" for count in counts)
    return (
        f'<svg viewBox="0 0 {len(counts)} 20" preserveAspectRatio="none" role="img" '
        f'aria-label="at most {highest:,} events in a bin of time">'
        f'<path d="M0,20{steps}V20Z"/></svg>'
    )
