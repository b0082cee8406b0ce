"""Previews: which stretch of a recording they show, and what of it."""

from __future__ import annotations

import io
import shutil
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from evreel import steps
from evreel.errors import AnnotationError, ClockError, UsageError
from evreel.events import Events, Sensor
from evreel.files.boxes import write_boxes
from evreel.files.events_store import EventsStore
from evreel.files.slices import SlicesFile
from evreel.layout import BOX_DTYPE
from evreel.samples.samples import Samples
from evreel.video.jpeg import jpeg_bytes
from evreel.video.labelled import LabelledPictures, Moment, Outline, Showing, colour_of
from evreel.viz import previews as viz
from evreel.viz.moments import clock_of
from evreel.viz.previews import OfBoxes, OfEvents, OfSamples, OfSlices, sized, stretch
from support.labelled import N_FRAMES, labelled, rows, sign, van
from support.stores import store_of

SHORT = steps.PreviewSettings(max_frames=3, window_us=10_000)
LABELS = ("car", "tram")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return labelled(tmp_path_factory.mktemp("labelled"), van(), sign((6, 7, 8)))


@pytest.fixture
def seen(monkeypatch):
    """What each picture is told to show, instead of the picture."""
    monkeypatch.setattr(
        viz.LabelledPictures,
        "draw",
        lambda self, pieces, moment: ([t for events, _ in pieces for t in events.t], moment),
    )


def stored(folder, *each):
    """Return the store of events of (t, x, y, p) rows."""
    return store_of(folder / "s.h5", rows(*each))


def boxes(path, *each):
    """Write boxes of (t, x, y, w, h, class, track)."""
    table = np.zeros(len(each), dtype=BOX_DTYPE)
    names = ("t", "x", "y", "w", "h", "class_id", "track_id")
    for name, column in zip(names, zip(*each, strict=True), strict=True):
        table[name] = column
    write_boxes(path, table)
    return path


def test_stretch__is_the_first_of_those_with_most():
    assert stretch([1, 0, 1, 0, 1], 2) == range(2)
    assert stretch([1, 0, 1, 0, 1], 2, [0, 0, 0, 9, 0]) == range(2, 4)
    assert stretch([], 2) == range(0)


def test_slices__are_shown_where_most_is_labelled(made, seen):
    with SlicesFile(made.slices) as file, EventsStore(made.slices.with_name("events.h5")) as store:
        shown = OfSlices(file, clock_of(file, made.clock), store, SHORT)
        found = list(shown.frames())
    assert shown.n == 3
    assert [moment.title for _, moment in found] == [f"frame {k} of 10" for k in (6, 7, 8)]
    assert [len(moment.outlines) for _, moment in found] == [2, 2, 2]
    assert [t for times, _ in found for t in times] == [
        t for t in made.events.t.tolist() if 60_000 <= t < 90_000
    ]


def test_slices__without_labels_are_shown_where_most_happens(tmp_path, seen):
    events = rows(*((t, 1, 1, 1) for t in (0, *range(50_000, 70_000, 500), 99_999)))
    made = labelled(tmp_path, van(frames=()), events=events)
    with SlicesFile(made.slices) as file, EventsStore(tmp_path / "events.h5") as store:
        settings = steps.PreviewSettings(max_frames=2)
        (_, first), (_, last) = OfSlices(file, clock_of(file, made.clock), store, settings).frames()
    # Frames 4 and 5 have the only tags.
    assert (first.start_us, last.stop_us) == (40_000, 60_000)


def test_slices__whole_are_the_pictures_of_the_qa_video(made):
    settings = steps.PreviewSettings(max_side_px=640)
    with SlicesFile(made.slices) as file, EventsStore(made.slices.with_name("events.h5")) as store:
        frames = clock_of(file, made.clock)
        shown = list(OfSlices(file, frames, store, settings).frames())
        wanted = list(viz.Moments(file, Showing(21), frames).frames())
    assert len(shown) == len(wanted) == N_FRAMES
    assert all(np.array_equal(*pair) for pair in zip(shown, wanted, strict=True))


def test_slices__of_which_only_the_stretch_is_read(made, monkeypatch):
    monkeypatch.setattr("evreel.viz.moments.READ_ROWS", 4)
    taken = []
    read = SlicesFile.read
    monkeypatch.setattr(
        SlicesFile, "read", lambda self, *span: taken.append(span) or read(self, *span)
    )
    with SlicesFile(made.slices) as file, EventsStore(made.slices.with_name("events.h5")) as store:
        list(OfSlices(file, clock_of(file, made.clock), store, SHORT).frames())
    assert min(span[0] for span in taken) == 18, "three events a frame"
    assert max(span[1] for span in taken) <= 27 + 4


def test_boxes__of_a_window_are_the_last_of_each_track(tmp_path, seen):
    store = stored(tmp_path, (5, 1, 1, 1), (15_000, 3, 3, 0), (29_000, 3, 3, 1))
    path = boxes(
        tmp_path / "b.npy",
        *((2_000, 9, 9, 2, 2, 0, 7), (4_000, 0, 0, 2, 2, 0, 7), (10_000, 2, 2, 3, 3, 1, 8)),
        (20_001, 0, 0, 30, 20, 1, 8),
    )
    with EventsStore(store) as opened:
        shown = OfBoxes(opened, path, LABELS, SHORT)
        found = list(shown.frames())
        pictures = shown._large
    assert [t for t, _ in found] == [[5], [15_000], [29_000]]
    names = [[pictures.name_of(o.roi) for o in moment.outlines] for _, moment in found]
    # The box at 10,000 belongs to the window that ends there. No other is due so soon.
    assert names == [["tram 8", "car 7"], [], ["tram 8"]]
    assert found[0][1].outlines[1].vertices.tolist() == [[0, 0], [2, 0], [2, 2], [0, 2]]


def test_boxes__label_the_events_whose_pixel_has_its_centre_inside(tmp_path):
    store = stored(tmp_path, *((k, x, 1, 1) for k, x in enumerate(range(6))))
    path = boxes(tmp_path / "b.npy", (9, 0.6, -4, 3, 9, 0, 1), (9, 1.6, 0, 1, 3, 1, 2))
    with EventsStore(store) as opened:
        ((pieces, moment),) = OfBoxes(opened, path, LABELS, SHORT)._shown()
    ((events, roi),) = pieces
    assert events.x.tolist() == [0, 1, 2, 3, 4, 5]
    # The smaller one is on top.
    assert roi.tolist() == [-1, 0, 1, 0, -1, -1]
    assert moment.labelled


def test_boxes__that_come_rarely_are_held_until_the_next_are_due(tmp_path, seen):
    store = stored(tmp_path, *((k, 1, 1, 1) for k in range(0, 100_000, 999)))
    path = boxes(tmp_path / "b.npy", *((t, 1, 1, 2, 2, 0, 1) for t in (10_000, 40_000, 70_000)))
    with EventsStore(store) as opened:
        settings = steps.PreviewSettings(window_us=10_000)
        found = [len(moment.outlines) for _, moment in OfBoxes(opened, path, (), settings).frames()]
    assert found == [1] * 10, "at 100,000 the next would be due"
    path = boxes(tmp_path / "c.npy", *((t, 1, 1, 2, 2, 0, 1) for t in (10_000, 20_000, 30_000)))
    with EventsStore(store) as opened:
        found = [len(moment.outlines) for _, moment in OfBoxes(opened, path, (), settings).frames()]
    assert found == [1, 1, 1, 1, *[0] * 6]


def test_boxes__are_shown_where_there_are_most(tmp_path, seen):
    store = stored(tmp_path, *((k, 1, 1, 1) for k in range(0, 100_000, 999)))
    each = ((t, 1, 1, 2, 2, 4_000_000_000, track) for t in (5, 60_000) for track in range(t % 7))
    path = boxes(tmp_path / "b.npy", *each)
    with EventsStore(store) as opened:
        shown = OfBoxes(opened, path, (), SHORT)
        (_, first), *_ = shown.frames()
        assert shown._large.name_of(0) == "class 4000000000 0"
    assert first.start_us == 0
    with EventsStore(store) as opened, pytest.raises(AnnotationError, match="there are 2 labels"):
        OfBoxes(opened, path, LABELS, SHORT)


def test_samples__have_windows_of_their_own_and_the_class_in_the_title(tmp_path, seen):
    store = stored(tmp_path, *((k, 1, 1, 1) for k in range(0, 100_000, 1000)))
    cut = Samples(
        *(("a", "b"), ("wave", ""), ("", ""), [5_000, 40_000], [20_000, 45_000], [0, 0]),
    )
    with EventsStore(store) as opened:
        found = list(OfSamples(opened, cut, SHORT).frames())
    times = [(moment.start_us, moment.stop_us) for _, moment in found]
    assert times == [(5_000, 15_000), (15_000, 20_000), (40_000, 45_000)]
    assert [t[0] for t, _ in found] == [5_000, 15_000, 40_000]
    assert sum(len(t) for t, _ in found) == 20
    titles = ["wave: sample 1 of 2", "wave: sample 1 of 2", "no class: sample 2 of 2"]
    assert [moment.title for _, moment in found] == titles
    assert [moment.labelled for _, moment in found] == [None] * 3


def test_samples__of_thousands_cost_only_those_that_are_shown(tmp_path):
    store = stored(tmp_path, (0, 1, 1, 1))
    n = 50_000
    start = np.arange(n) * 10
    names = tuple(map(str, range(n)))
    cut = Samples(names, ("x",) * n, ("",) * n, start, start + 10, np.zeros(n, dtype=int))
    with EventsStore(store) as opened:
        assert OfSamples(opened, cut, SHORT).n == 3


def test_events__are_shown_where_most_happens(tmp_path, seen):
    store = stored(tmp_path, *((t, 1, 1, 1) for t in (0, *range(50_000, 70_000, 500), 99_999)))
    with EventsStore(store) as opened:
        found = list(
            OfEvents(opened, steps.PreviewSettings(max_frames=2, window_us=10_000)).frames()
        )
    assert [moment.title for _, moment in found] == ["window 5 of 10", "window 6 of 10"]
    assert sum(len(t) for t, _ in found) == 40


def test_events__none_are_one_empty_picture(tmp_path):
    store = store_of(tmp_path / "s.h5", Events.empty(Sensor(20, 30)))
    assert steps.preview(store, tmp_path / "p.mp4", tmp_path / "p.jpg") == 1


def test_poster__is_the_frame_with_most_of_the_sensor_alone(tmp_path):
    store = stored(
        tmp_path, (0, 1, 1, 1), *((15_000, x, 2, 1) for x in range(30)), (29_000, 1, 1, 1)
    )
    with EventsStore(store) as opened:
        shown = OfEvents(opened, SHORT)
        drawn = list(shown.frames())
        poster = shown.poster()
    magnify, _ = sized((20, 30), viz.POSTER_PX)
    assert poster.shape == (20 * magnify, 30 * magnify, 3)
    row = poster[2 * magnify + 1]
    assert (row == row[0]).all(), "30 events, one in each pixel of the row"
    assert len(drawn) == 3


def test_large_sensor__is_reduced_with_its_outlines():
    sensor = (720, 1280)
    assert sized(sensor, 640) == (1, 2)
    pictures = LabelledPictures(
        *(sensor, ["van"], np.array([0]), np.array([3])), look=Showing(1), reduce=2
    )
    assert pictures.area == (360, 640)
    events = Events([0, 1], [1279, 0], [719, 0], [1, 1], Sensor(*sensor))
    edges = np.array([[100, 200], [300, 200], [300, 400], [100, 400]], dtype=float)
    moment = Moment("a", 0, 10, [Outline(0, edges)])
    drawn = pictures.draw([(events, np.array([0, 0], np.int32))], moment)
    van_colour = colour_of(0, 3)
    assert tuple(drawn[359, 639]) == tuple(drawn[0, 0]) == van_colour
    assert all(tuple(drawn[200, x]) == van_colour for x in range(50, 150))


def test_preview__writes_both_files_or_none(made, tmp_path):
    store = made.slices.with_name("events.h5")
    outputs = tmp_path / "a.mp4", tmp_path / "a.jpg"
    given = {"slices": made.slices, "clock": made.clock}
    assert steps.preview(store, *outputs, SHORT, **given) == 3
    first = [path.read_bytes() for path in outputs]
    moved = shutil.copy(store, tmp_path / "elsewhere.h5")
    steps.preview(moved, *outputs, SHORT, **given)
    assert [path.read_bytes() for path in outputs] == first
    with Image.open(io.BytesIO(first[1])) as picture:
        assert (picture.format, picture.size) == ("JPEG", (30 * 13, 20 * 13))
    with pytest.raises(UsageError, match=r"'b\.avi' must end in \.mp4"):
        steps.preview(store, tmp_path / "b.avi", tmp_path / "b.jpg", **given)
    with pytest.raises(UsageError, match=r"'b\.png' must end in \.jpg"):
        steps.preview(store, tmp_path / "b.mp4", tmp_path / "b.png", **given)
    other = tmp_path / "other.tsv"
    other.write_text(made.clock.read_text().replace("90000\t100000", "90000\t100001"))
    with pytest.raises(ClockError):
        steps.preview(
            store, tmp_path / "b.mp4", tmp_path / "b.jpg", slices=made.slices, clock=other
        )
    with pytest.raises(UsageError, match="by their clock; none is given"):
        steps.preview(store, tmp_path / "b.mp4", tmp_path / "b.jpg", slices=made.slices)
    assert not list(tmp_path.glob("b.*"))


def test_jpeg__has_the_colours_of_its_picture():
    picture = np.zeros((16, 48, 3), dtype=np.uint8)
    colours = [(255, 0, 0), (20, 200, 90), (24, 24, 28)]
    for k, colour in enumerate(colours):
        picture[:, 16 * k : 16 * k + 16] = colour
    with Image.open(io.BytesIO(jpeg_bytes(picture))) as read:
        pixels = np.asarray(read.convert("RGB")).astype(int)
    for k, colour in enumerate(colours):
        assert np.abs(pixels[8, 16 * k + 8] - colour).max() <= 6
    edges = [np.abs(np.diff(pixels[8, a:b].mean(axis=1))).max() for a, b in pairwise((0, 16, 32))]
    assert max(edges) < 12
