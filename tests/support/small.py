"""A sensor of a few pixels, and events on it that an example can be worked out for by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from evreel.events import Events, Sensor
from evreel.windows import Count, Windows

SENSOR = Sensor(3, 5)


def one_pixel(t, p, sensor=SENSOR, x=0, y=0) -> Events:
    """Return events of one pixel."""
    return Events(t, [x] * len(t), [y] * len(t), p, sensor)


@st.composite
def small_events(draw, stop=60):
    """Draw a few events, with equal timestamps among them."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, stop), st.integers(0, 4), st.integers(0, 2), st.integers(0, 1)
            ),
            max_size=40,
        )
    )
    columns = zip(*sorted(rows), strict=True) if rows else ([], [], [], [])
    return Events(*(np.array(column, dtype=np.int64) for column in columns), SENSOR)


def whole(events: Events) -> Windows:
    """Return one window of all events, from the first timestamp to the last."""
    return Count(max(len(events), 1)).plan(len(events), lambda rows: events.t[rows])


class Reads:
    """A source of events that remembers which rows were asked for."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self.asked: list[tuple[int, int]] = []

    def __call__(self, start: int, stop: int) -> Events:
        self.asked.append((start, stop))
        return self.events[start:stop]

    def index_of(self, t):
        return np.searchsorted(self.events.t, t)
