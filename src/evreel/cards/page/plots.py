"""Plots of a page: SVG written by hand, each with a table of its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from evreel.cards.page.markup import Markup, name, table, tag
from evreel.cards.page.numbers import count, fractional, rounded, share
from evreel.cards.told import Told
from evreel.release.facts import BINS, SIZE_EDGES, spread

WIDTH = 440
"""Of a plot, in its own units: about as many pixels as it has on a page."""

MOST_ROWS = 20
"""Most classes in a plot; its table has all."""

_HEIGHT = 200
_LEFT = 46
_RIGHT = 18
_TOP = 24
_BOTTOM = 40
_ROW = 26
_NAME = 150

_RATES = (1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
"""Edges between which rates of events are counted, events/s."""


@dataclass(frozen=True)
class Series:
    """One part of each bar: its name, its values, and its colour as CSS has it."""

    name: str
    values: Sequence[float]
    colour: str


def figures(told: Told) -> Iterator[Markup]:
    """Yield the plots of a release, as far as it has what they show."""
    yield from _balance(told)
    yield from _rates(told)
    yield from _sizes(told)
    yield from _course(told)


def colour(told: Told, label: str) -> str:
    """Return the colour of a class, as the page's style has it."""
    names = told.classes
    return f"var(--class-{names.index(label)})" if label in names else "var(--muted)"


def _balance(told: Told) -> Iterator[Markup]:
    """Yield how many boxes, and samples, each class has in each split."""
    for what, counts_of in (("Boxes", "boxes"), ("Samples", "samples")):
        every: Mapping[str, int] = getattr(told.totals, counts_of)
        if not every:
            continue
        order = sorted(every, key=lambda label: (-every[label], label))
        splits = {split: getattr(of, counts_of) for split, of in told.splits.items()}
        splits = {split: of for split, of in splits.items() if of} or {"all": every}
        shown = [
            Series(split, [of.get(label, 0) for label in order], f"var(--split-{k % 4})")
            for k, (split, of) in enumerate(splits.items())
        ]
        rows = [
            [name(label), *(count(of.get(label, 0)) for of in splits.values()), count(every[label])]
            for label in order
        ]
        yield _figure(
            f"{what} by class",
            f"{count(sum(every.values()))} {what.lower()} of {len(order)} classes",
            _rows_of_bars(order, shown),
            table(["Class", *map(name, splits), "All"], rows, caption=f"{what} by class and split"),
            _legend(shown) if len(shown) > 1 else None,
        )


def _rates(told: Told) -> Iterator[Markup]:
    """Yield for how much of the time how many events came."""
    time = [0.0] * (len(_RATES) + 1)
    for one in told.facts:
        if one.events is not None and one.events.duration_us:
            part_us = one.events.duration_us / BINS
            for n in one.events.rate:
                rate = n / part_us * 1e6
                time[sum(rate >= edge for edge in _RATES)] += part_us
    if not sum(time):
        return
    edges = [f"{rounded(edge)}" for edge in _RATES]
    names = [f"< {edges[0]}", *(f"{low} to {high}" for low, high in pairwise(edges))]
    names.append(f"≥ {edges[-1]}")
    used = [k for k, part in enumerate(time) if part]
    kept = range(max(min(used) - 1, 0), min(max(used) + 2, len(time)))
    values = [100 * time[k] / sum(time) for k in kept]
    rows = [[names[k], share(time[k], sum(time))] for k in kept]
    total = told.totals
    mean = total.events / total.duration_us * 1e6
    yield _figure(
        "Event rate",
        f"Share of time at each rate; {rounded(mean)} events/s on average",
        _columns(
            [
                edges[kept[0] - 1] if kept[0] else "0",
                *(edges[k] if k < len(edges) else "" for k in kept),
            ],
            [Series("time", values, "var(--accent)")],
            "% of the time",
            "events/s",
        ),
        table(["Events/s", "Share of time"], rows, caption="Share of time at each event rate"),
    )


def _sizes(told: Told) -> Iterator[Markup]:
    """Yield how large boxes are."""
    names = [f"{low} to {high}" for low, high in pairwise(SIZE_EDGES)]
    names.append(f"≥ {SIZE_EDGES[-1]}")
    of_class = _summed(told, "sizes", len(SIZE_EDGES))
    if of_class:
        yield _figure(
            "Box sizes",
            "Boxes by the side of a square of the same area, px",
            _columns([*map(str, SIZE_EDGES), ""], _by_class(told, of_class), "boxes", "px"),
            _table_by_class(names, of_class, "Side, px", "Boxes by size and class"),
            _legend(_by_class(told, of_class)),
        )


def _course(told: Told) -> Iterator[Markup]:
    """Yield when, in the course of recordings, there are boxes and samples."""
    for what, of_class, lasts in (
        ("Boxes", _summed(told, "over_time", BINS), "its frame"),
        ("Samples", _samples_over_time(told), "its time"),
    ):
        if not of_class:
            continue
        step = BINS // 10
        names = [f"{10 * k} to {10 * k + 10} %" for k in range(10)]
        coarse = {
            label: [sum(values[k : k + step]) for k in range(0, BINS, step)]
            for label, values in of_class.items()
        }
        ends = ["" if k % (BINS // 4) else f"{100 * k // BINS} %" for k in range(BINS + 1)]
        yield _figure(
            f"{what} over time",
            f"{what} from the start to the end of a recording, all recordings together; "
            f"each is spread over {lasts}",
            _columns(
                ends, _by_class(told, of_class), f"{what.lower()} per column", "of a recording"
            ),
            _table_by_class(names, coarse, "Part", f"{what} by part of a recording and class"),
            _legend(_by_class(told, of_class)),
        )


def _samples_over_time(told: Told) -> dict[str, list[float]]:
    """Return where in their recordings samples of each class are; the largest class first."""
    durations = {one.id: one.events.duration_us for one in told.facts if one.events}
    shares: dict[str, tuple[list[float], list[float]]] = {}
    for sample in told.samples:
        whole_us = durations.get(sample.recording, 0)
        if whole_us and sample.start_us < sample.stop_us:
            starts, stops = shares.setdefault(sample.label, ([], []))
            starts.append(sample.start_us / whole_us)
            stops.append(sample.stop_us / whole_us)
    return _largest_first({label: list(spread(*of, 1)) for label, of in shares.items()})


def _largest_first(found: Mapping[str, list[float]]) -> dict[str, list[float]]:
    ordered = sorted(found.items(), key=lambda item: (-sum(item[1]), item[0]))
    return {label: counts for label, counts in ordered if sum(counts)}


def _summed(told: Told, of: str, n: int) -> dict[str, list[float]]:
    """Return the counts of each class in all recordings; the class that has most first."""
    found: dict[str, list[float]] = {}
    for one in told.facts:
        for label, facts in (one.boxes or {}).items():
            sums = found.setdefault(label, [0] * n)
            for k, value in enumerate(getattr(facts, of)):
                sums[k] += value
    return _largest_first(found)


def _by_class(told: Told, of_class: Mapping[str, Sequence[float]]) -> list[Series]:
    """Return a series for each of the largest classes, and one for all others."""
    labels = list(of_class)
    few = labels if len(labels) <= MOST_ROWS // 2 else labels[: MOST_ROWS // 2 - 1]
    found = [Series(label, of_class[label], colour(told, label)) for label in few]
    rest = [of_class[label] for label in labels[len(few) :]]
    if rest:
        others = [sum(values) for values in zip(*rest, strict=True)]
        found.append(Series(f"{len(rest)} others", others, "var(--muted)"))
    return found


def _table_by_class(
    names: Sequence[str], of_class: Mapping[str, Sequence[float]], what: str, caption: str
) -> Markup:
    rows = [
        [name(label), *map(fractional, values), count(round(sum(values)))]
        for label, values in of_class.items()
    ]
    return table(["Class", *names, "All"], rows, caption=f"{caption} ({what})")


def _figure(
    title: str, says: str, plot: Markup, numbers: Markup, legend: Markup | None = None
) -> Markup:
    svg = tag(
        "svg",
        tag("title", f"{title}: {says}"),
        *([plot]),
        role="img",
        viewBox=f"0 0 {WIDTH} {_height_of(plot)}",
    )
    return tag(
        "figure",
        tag("figcaption", tag("h3", title), tag("p", says)),
        svg,
        *([] if legend is None else [legend]),
        tag("details", tag("summary", "Numbers"), numbers),
    )


def _height_of(plot: Markup) -> str:
    """Return the height that a plot states in its first element."""
    return plot.partition('data-height="')[2].partition('"')[0]


def _legend(series: Sequence[Series]) -> Markup:
    items = (
        tag("li", tag("span", class_="key", style=f"background:{one.colour}"), name(one.name))
        for one in series
    )
    return tag("ul", *items, class_="legend")


def _rows_of_bars(names: Sequence[str], series: Sequence[Series]) -> Markup:
    """Return a horizontal bar for each name, of one piece for each series."""
    few = names[:MOST_ROWS]
    total = [sum(one.values[k] for one in series) for k in range(len(few))]
    most, room = max(total, default=0) or 1, WIDTH - _NAME - 64
    parts = []
    for k, label in enumerate(few):
        middle, left = _ROW * k + _ROW / 2, float(_NAME)
        shown = _shortened(label) or "none"
        parts.append(_text(_NAME - 8, middle + 5, shown, "end", "ink", hint=label))
        for one in series:
            width = one.values[k] / most * room
            if width:
                parts.append(_bar(left, middle - 8, width, 16, one.colour))
            left += width
        parts.append(_text(left + 6, middle + 5, rounded(total[k]), "start"))
    height = _ROW * len(few)
    if len(names) > len(few):
        height += _ROW
        more = f"and {len(names) - len(few)} more in the numbers"
        parts.append(_text(_NAME, height - 8, more, "start"))
    return tag("g", *parts, data_height=height)


def _columns(edges: Sequence[str], series: Sequence[Series], unit: str, below: str) -> Markup:
    """Return columns of one piece for each series, above an axis with a text at each edge."""
    n = len(edges) - 1
    total = [sum(one.values[k] for one in series) for k in range(n)]
    top = _round_up(max(total, default=0))
    floor, step = _HEIGHT - _BOTTOM, (WIDTH - _LEFT - _RIGHT) / n
    high, gap = floor - _TOP, min(1.5, step * 0.1)
    parts = []
    for part in (0, 0.5, 1):
        y = floor - part * high
        parts.append(tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(_text(_LEFT - 6, y + 4, rounded(part * top), "end"))
    for k in range(n):
        y, left = float(floor), _LEFT + k * step
        for one in series:
            height = one.values[k] / top * high
            if height:
                y -= height
                parts.append(_bar(left + gap, y, step - 2 * gap, height, one.colour))
    parts += [
        _text(_LEFT + k * step, floor + 16, edge, "middle") for k, edge in enumerate(edges) if edge
    ]
    parts.append(_text(WIDTH - _RIGHT, _HEIGHT - 6, below, "end"))
    parts.append(_text(_LEFT - 6, 10, unit, "start"))
    return tag("g", *parts, data_height=_HEIGHT)


def _bar(left: float, top: float, width: float, height: float, colour: str) -> Markup:
    return tag("rect", x=left, y=top, width=width, height=height, style=f"fill:{colour}")


def _text(
    x: float, y: float, text: str, anchor: str, class_: str | None = None, hint: str = ""
) -> Markup:
    """Return a text; a hint is what a browser shows beside the pointer, if it says more."""
    more = [tag("title", hint)] if hint not in ("", text) else []
    return tag("text", text, *more, x=x, y=y, text_anchor=anchor, class_=class_)


def _shortened(text: str) -> str:
    """Return a name as it fits beside a bar, with both of its ends: names often begin alike.

    Examples
    --------
    >>> _shortened("pedestrian with a dog"), _shortened("tram")
    ('pedest…with a dog', 'tram')
    """
    text = " ".join(text.split())
    return text if len(text) <= 17 else f"{text[:6]}…{text[-10:]}"


def _round_up(value: float) -> float:
    """Return the next of 1, 2 and 5 times a power of ten.

    Examples
    --------
    >>> _round_up(37), _round_up(100), _round_up(0)
    (50.0, 100.0, 1.0)
    """
    if value <= 0:
        return 1.0
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= value)
