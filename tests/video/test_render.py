"""Pictures: each grey level is what its events say, whatever the chunks, at one contrast."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import EventsError, ParameterError
from evreel.events import Events, Sensor
from evreel.kernels.pictures import (
    add_counts,
    add_trail,
    decay,
    fade_trail,
    magnify,
    tone_counts,
    tone_trail,
)
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from evreel.video.render import render
from support import PLAIN_PROCESSOR, random_events, run_python, shared_file
from support.stores import pieces
from support.video import digests

SENSOR = Sensor(3, 3)
COLUMNS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 2), st.integers(0, 2), st.integers(0, 1)),
    max_size=40,
)
ROWS = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 25)), min_size=1, max_size=5)


def events_of(rows, origin: int = 0, sensor: Sensor = SENSOR) -> Events:
    """Events of (t, x, y, p) rows in any order."""
    t, x, y, p = np.array(sorted(rows), dtype=np.int64).reshape(-1, 4).T
    return Events(t + origin, x, y, p, sensor)


def clock_of(rows, origin: int = 0) -> FrameClock:
    """Rows of (gap, length) laid one after the other."""
    start, stop, at = [], [], origin
    for gap, length in rows:
        start.append(at + gap)
        at = at + gap + length
        stop.append(at)
    return FrameClock(np.array(start, dtype=np.int64), np.array(stop, dtype=np.int64))


def slow_level(value: float, background: int, contrast: float) -> int:
    steps = math.floor(min(abs(value) / contrast, 1) * (255 - background) + 0.5)
    return background + steps if value > 0 else background - steps


def slow_picture(
    events: Events, first_us, stop_us, style, contrast, tau_us=None
) -> list[list[int]]:
    """One picture, pixel by pixel and event by event."""
    background = 0 if style == "grey" else 128
    height, width = events.sensor
    sums = [[0.0] * width for _ in range(height)]
    for t, x, y, p in zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True):
        if t < stop_us and (first_us is None or t >= first_us):
            weight = 1.0 if tau_us is None else math.exp(-(stop_us - t) / tau_us)
            sums[y][x] += weight if p or style == "grey" else -weight
    return [[slow_level(value, background, contrast) for value in row] for row in sums]


@pytest.mark.parametrize("style", ["polarity", "grey"])
@settings(max_examples=40, deadline=None)
@given(
    rows=COLUMNS,
    clock_rows=ROWS,
    chunk=st.integers(1, 12),
    accumulate_us=st.none() | st.integers(1, 70),
    contrast=st.sampled_from([1, 2.0, 2.5, 7]),
    origin=st.sampled_from([0, 2**31 - 30, 2**40]),
)
def test_render__equals_a_sum_event_by_event(
    style, rows, clock_rows, chunk, accumulate_us, contrast, origin
):
    events, clock = events_of(rows, origin), clock_of(clock_rows, origin)
    images = list(
        render(
            pieces(events, chunk),
            clock,
            SENSOR,
            style=style,
            accumulate_us=accumulate_us,
            contrast=contrast,
        )
    )
    assert len(images) == len(clock)
    for k, image in enumerate(images):
        stop_us = int(clock.stop_us[k])
        first_us = int(clock.start_us[k]) if accumulate_us is None else stop_us - accumulate_us
        assert image.dtype == np.uint8
        assert image.tolist() == slow_picture(events, first_us, stop_us, style, contrast)


@settings(max_examples=40, deadline=None)
@given(
    rows=COLUMNS,
    clock_rows=ROWS,
    chunk=st.integers(1, 12),
    tau_us=st.sampled_from([1, 10, 1000]),
    contrast=st.sampled_from([0.1, 1, 2.5]),
    origin=st.sampled_from([0, 2**31 - 30, 2**40]),
)
def test_decay__equals_a_weighted_sum_event_by_event(
    rows, clock_rows, chunk, tau_us, contrast, origin
):
    events, clock = events_of(rows, origin), clock_of(clock_rows, origin)
    images = render(
        pieces(events, chunk), clock, SENSOR, style="decay", contrast=contrast, tau_us=tau_us
    )
    for image, stop_us in zip(images, clock.stop_us.tolist(), strict=True):
        slow = slow_picture(events, None, stop_us, "decay", contrast, tau_us)
        # Sums are kept as float32: a value on the edge of two levels may take either.
        assert np.abs(image.astype(int) - slow).max() <= 1


def test_decay__keeps_to_its_twin_over_many_pictures():
    events = random_events(20_000, (12, 16), stop_us=600_000, seed=4)
    clock = FrameClock.regular(events.t_stop_us, 5_000)
    images = list(render(pieces(events, 999), clock, events.sensor, style="decay", tau_us=40_000))
    slow = np.array(
        slow_picture(events, None, int(clock.stop_us[-1]), "decay", 2.0, 40_000), dtype=int
    )
    assert np.abs(images[-1].astype(int) - slow).max() <= 1
    assert np.mean(images[-1] != slow) < 0.01
    assert len(np.unique(slow)) > 20


# Two ON at (x 0, y 0); one ON and one OFF at (1, 1); three OFF at (2, 2), the last pixel; one
# ON at (0, 2) that comes when the frame has stopped.
WORKED = [
    *[(0, 0, 0, 1), (4, 0, 0, 1), (4, 1, 1, 1), (5, 1, 1, 0)],
    *[(5, 2, 2, 0), (5, 2, 2, 0), (9, 2, 2, 0), (10, 0, 2, 1)],
]


@pytest.mark.parametrize(
    ("style", "contrast", "expected"),
    [
        ("polarity", 2, [[255, 128, 128], [128, 128, 128], [128, 128, 1]]),
        # 2/4 of 127 is 63.5, rounded up to 64; 3/4 is 95.25.
        ("polarity", 4, [[192, 128, 128], [128, 128, 128], [128, 128, 33]]),
        ("grey", 2, [[255, 0, 0], [0, 255, 0], [0, 0, 255]]),
        # 2/4 of 255 is 127.5; 3/4 is 191.25.
        ("grey", 4, [[128, 0, 0], [0, 128, 0], [0, 0, 191]]),
        # tau 10: exp(−1) + exp(−0.6) = 0.917 ON; exp(−0.6) − exp(−0.5) = −0.058;
        # 2·exp(−0.5) + exp(−0.1) = 2.118 OFF, beyond full scale.
        ("decay", 1, [[244, 128, 128], [128, 121, 128], [128, 128, 1]]),
    ],
)
def test_render__draws_an_example_worked_by_hand(style, contrast, expected):
    clock = FrameClock([0], [10])
    (image,) = render([events_of(WORKED)], clock, SENSOR, style=style, contrast=contrast, tau_us=10)
    assert image.tolist() == expected


def test_polarity__at_a_contrast_of_one_shows_the_sign_of_each_sum_and_loses_no_event():
    events = random_events(3_000, (10, 12), stop_us=50_000, seed=2)
    clock = FrameClock.regular(events.t_stop_us, 10_000)
    sums = np.zeros((len(clock), 10, 12), dtype=int)
    np.add.at(sums, (clock.frame_of(events.t), events.y, events.x), events.p.astype(int) * 2 - 1)
    images = np.array(list(render([events], clock, events.sensor, contrast=1)))
    assert np.array_equal(np.sign(images.astype(int) - 128), np.sign(sums))
    assert set(np.unique(images)) == {1, 128, 255}


def test_grey__at_full_range_counts_every_event_once():
    events = random_events(3_000, (10, 12), stop_us=50_000, seed=3)
    clock = FrameClock.regular(events.t_stop_us, 10_000)
    images = list(render(pieces(events, 77), clock, events.sensor, style="grey", contrast=255))
    assert sum(int(image.sum()) for image in images) == 3_000


@pytest.mark.parametrize("style", ["polarity", "grey", "decay"])
def test_render__gives_the_same_level_to_the_same_events_in_every_frame(style):
    quiet = [(t, 0, 0, 1) for t in (9, 1_000_009)]
    busy = [(1_000_009, x, y, 1) for x in (1, 2) for y in (1, 2) for _ in range(50)]
    clock = FrameClock([0, 1_000_000], [10, 1_000_010])
    first, second = render([events_of(quiet + busy)], clock, SENSOR, style=style, tau_us=1_000)
    assert first[0, 0] == second[0, 0]
    assert second[1, 1] == 255


@pytest.mark.parametrize("style", ["polarity", "grey", "decay"])
def test_render__does_not_depend_on_chunks(style):
    events = random_events(4_000, (20, 30), stop_us=90_000, seed=6)
    clock = FrameClock.regular(events.t_stop_us, 7_000)
    reach = None if style == "decay" else 20_000
    made = {
        b"".join(
            image.tobytes()
            for image in render(chunks, clock, events.sensor, style=style, accumulate_us=reach)
        )
        for chunks in (
            [events],
            pieces(events, 1_001),
            pieces(events, 13),
            [Events.empty(events.sensor), events[:5], Events.empty(events.sensor), events[5:]],
        )
    }
    assert len(made) == 1


@pytest.mark.parametrize("style", ["polarity", "grey", "decay"])
def test_render__leaves_events_as_they_are_and_pictures_to_their_taker(style):
    events = random_events(500, (6, 6), stop_us=10_000)
    before = [getattr(events, name).copy() for name in "txyp"]
    clock = FrameClock.regular(events.t_stop_us, 5_000)
    first, second = render([events], clock, events.sensor, style=style)
    kept = second.copy()
    first[:] = 7
    assert np.array_equal(second, kept)
    for name, column in zip("txyp", before, strict=True):
        assert np.array_equal(getattr(events, name), column)


def test_render__without_events_is_all_background():
    clock = FrameClock([0, 10], [10, 20])
    for style, level in (("polarity", 128), ("grey", 0), ("decay", 128)):
        for chunks in ([], [Events.empty(SENSOR)]):
            images = list(render(chunks, clock, SENSOR, style=style))
            assert [np.unique(image).tolist() for image in images] == [[level]] * 2
        assert list(render([], FrameClock([], []), SENSOR, style=style)) == []


def test_render__one_event_and_many_at_one_time_are_drawn_at_the_last_pixel():
    clock = FrameClock([0], [1])
    for n, level in ((1, 192), (2, 255), (9, 255)):
        (image,) = render([events_of([(0, 2, 2, 1)] * n)], clock, SENSOR)
        assert image[2, 2] == level
        assert np.count_nonzero(image != 128) == 1


def test_gap__events_in_it_are_in_no_picture_but_leave_a_trail():
    clock = FrameClock([0, 20], [10, 30])
    events = events_of([(10, 0, 0, 1), (19, 1, 0, 1), (20, 2, 0, 1)])
    _, image = render([events], clock, SENSOR)
    assert image[0].tolist() == [128, 128, 192]
    _, image = render([events], clock, SENSOR, style="decay")
    assert (image[0] > 128).all()


def test_frames_before_the_first_event__show_background():
    clock = FrameClock([-30, -10, 0], [-20, 0, 10], source="frames")
    before, also, image = render([events_of([(0, 0, 0, 1)])], clock, SENSOR, accumulate_us=500)
    assert np.unique(before).tolist() == np.unique(also).tolist() == [128]
    assert image[0, 0] == 192


@pytest.mark.parametrize("chunk", [1, 2, 9])
def test_accumulate__shows_an_event_as_long_as_it_reaches_back_and_no_longer(chunk):
    clock = FrameClock.regular(50, 10)
    events = events_of([(0, 0, 0, 1), (9, 1, 0, 1), (10, 2, 0, 1), (15, 2, 0, 0), (49, 0, 0, 0)])
    images = list(render(pieces(events, chunk), clock, SENSOR, accumulate_us=25, contrast=1))
    # [−15, 10), [−5, 20), [5, 30), [15, 40), [25, 50)
    assert [image[0].tolist() for image in images] == [
        [255, 255, 128],
        [255, 255, 128],
        [128, 255, 128],
        [128, 128, 1],
        [1, 128, 128],
    ]


def test_accumulate__may_be_shorter_than_the_frame():
    clock = FrameClock([0, 10], [10, 20])
    events = events_of([(6, 0, 0, 1), (7, 1, 0, 1), (16, 0, 1, 1), (17, 1, 1, 1)])
    first, second = render([events], clock, SENSOR, accumulate_us=3)
    assert np.argwhere(first != 128).tolist() == [[0, 1]]
    assert np.argwhere(second != 128).tolist() == [[1, 1]]


def test_picture__is_magnified_and_padded_right_and_bottom_with_background():
    events = events_of([(0, 2, 1, 1), (1, 0, 2, 0)])
    clock = FrameClock([0], [10])
    picture = Picture(SENSOR, 2, pad_bottom=1, pad_right=3)
    for style, background in (("polarity", 128), ("grey", 0), ("decay", 128)):
        (plain,) = render([events], clock, SENSOR, style=style)
        (image,) = render([events], clock, SENSOR, style=style, picture=picture)
        assert image.shape == picture.shape == (7, 9)
        assert np.array_equal(image[:6, :6], plain.repeat(2, axis=0).repeat(2, axis=1))
        assert (image[6:] == background).all()
        assert (image[:, 6:] == background).all()


def test_render__reads_no_chunk_before_it_is_due():
    taken = []

    def chunks():
        for k in range(10):
            taken.append(k)
            yield events_of([(k * 10, 0, 0, 1)])

    images = render(chunks(), FrameClock.regular(100, 10), SENSOR)
    assert taken == []
    for k in range(5):
        next(images)
        # One chunk further, which says that the picture is whole.
        assert taken == list(range(k + 2))


def test_render__refuses_chunks_of_another_sensor_or_going_back():
    clock = FrameClock.regular(100, 10)
    with pytest.raises(EventsError, match=r"sensor is \(4, 4\), not \(3, 3\)"):
        list(render([random_events(5, (4, 4))], clock, SENSOR))
    parts = [events_of([(50, 0, 0, 1)]), events_of([(49, 0, 0, 1)])]
    with pytest.raises(EventsError, match="starts at t=49, before the last one's t=50"):
        list(render(parts, clock, SENSOR))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": "colour"}, "style: 'colour' is not one of polarity, grey, decay"),
        ({"contrast": 0}, r"contrast: 0 is not more than 0"),
        ({"contrast": float("nan")}, r"contrast: nan is not finite"),
        ({"contrast": 65536}, "contrast: 65536 is more than 65,535"),
        ({"tau_us": 0}, "tau_us: 0 is less than 1"),
        ({"accumulate_us": 0}, "accumulate_us: 0 is less than 1"),
        ({"style": "decay", "accumulate_us": 5}, "does not go with style decay"),
        ({"picture": Picture((4, 4))}, r"picture is for a sensor of \(4, 4\), not of \(3, 3\)"),
    ],
)
def test_render__refuses_parameters_before_the_first_picture(options, message):
    with pytest.raises(ParameterError, match=message):
        render([], FrameClock([0], [10]), SENSOR, **options)


def test_add_counts__adds_the_weights_of_its_events_and_subtracts_them_again():
    events = random_events(1_000, (7, 9), seed=1)
    counts = np.zeros((7, 9), dtype=np.int32)
    add_counts(events.x, events.y, events.p, -1, 1, counts)
    slow = np.zeros((7, 9), dtype=int)
    for x, y, p in zip(events.x, events.y, events.p, strict=True):
        slow[y, x] += 1 if p else -1
    assert np.array_equal(counts, slow)
    assert counts.sum() == 2 * int(events.p.sum()) - 1_000
    add_counts(events.x, events.y, events.p, 1, -1, counts)
    assert not counts.any()


def test_trail__fades_by_e_in_one_time_constant_and_to_zero_in_the_end():
    event = events_of([(2**33, 2, 1, 1), (2**33, 0, 0, 0)])
    trail = np.zeros((3, 3), dtype=np.float32)
    add_trail(event.t, event.x, event.y, event.p, 2**33, 500, trail)
    assert np.argwhere(trail).tolist() == [[0, 0], [1, 2]]
    assert (trail[1, 2], trail[0, 0]) == (1, -1)
    fade_trail(500, 500, 1e-6, trail)
    assert trail[1, 2] == -trail[0, 0] == np.float32(math.exp(-1))
    for _ in range(20):
        fade_trail(500, 500, 1e-6, trail)
    assert not trail.any()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**40), st.integers(1, 10**7))
def test_decay_kernel__is_exp_to_two_units_of_the_last_place(elapsed_us, tau_us):
    expected = math.exp(-(elapsed_us / tau_us)) if elapsed_us <= 700 * tau_us else 0
    assert abs(decay(elapsed_us, tau_us) - expected) <= 2 * math.ulp(expected)


def test_decay_kernel__is_exact_where_exp_is_and_ends():
    assert decay(0, 7) == 1
    assert decay(700, 1) > 0
    assert decay(701, 1) == decay(2**62, 1) == 0


def test_render__draws_the_same_on_a_processor_without_avx_and_fused_multiplication():
    code = "import support.video; print(support.video.digests())"
    assert run_python(code, env=PLAIN_PROCESSOR).stdout.strip() == digests()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(-9, 9), min_size=6, max_size=6),
    st.integers(1, 4),
    st.sampled_from([0.5, 3.0]),
)
def test_tone_and_magnify__equal_loops_over_pixels(values, scale, contrast):
    counts = np.array(values, dtype=np.int32).reshape(2, 3)
    levels = np.array([5, 40, 100, 200, 250], dtype=np.uint8)
    toned = np.full((4, 5), 9, dtype=np.uint8)
    tone_counts(counts, levels, toned)
    assert toned[:2, :3].tolist() == [
        [int(levels[2 + min(max(n, -2), 2)]) for n in row] for row in counts.tolist()
    ]
    faded = np.full((4, 5), 9, dtype=np.uint8)
    tone_trail(counts.astype(np.float32) / 2, contrast, 128, 127, faded)
    assert faded[:2, :3].tolist() == [
        [slow_level(n / 2, 128, contrast) for n in row] for row in counts.tolist()
    ]
    small = np.ascontiguousarray(toned[:2, :3])
    large = np.full((2 * scale + 1, 3 * scale + 2), 9, dtype=np.uint8)
    magnify(small, scale, large)
    assert np.array_equal(large[: 2 * scale, : 3 * scale], np.kron(small, np.ones((scale, scale))))
    for image, (height, width) in (
        (toned, (2, 3)),
        (faded, (2, 3)),
        (large, (2 * scale, 3 * scale)),
    ):
        assert (image[height:] == 9).all()
        assert (image[:, width:] == 9).all()


def test_render__of_a_real_recording_equals_a_sum_by_numpy():
    from evreel.recordings import event_chunks, open_recording

    with open_recording(shared_file("recordings/aestream_davis.aedat4")) as recording:
        sensor = recording.sensor
        events = Events.concatenate(event_chunks(recording), sensor)
    clock = FrameClock.regular(events.t_stop_us, 10_000)
    sums = np.zeros((len(clock), *sensor), dtype=int)
    np.add.at(sums, (clock.frame_of(events.t), events.y, events.x), events.p.astype(int) * 2 - 1)
    expected = 128 + np.sign(sums) * ((np.minimum(np.abs(sums), 2) * 127 + 1) // 2)
    images = np.array(list(render(pieces(events, 10_000), clock, sensor)))
    assert np.array_equal(images, expected)
