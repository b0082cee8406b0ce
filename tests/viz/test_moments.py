"""Moments of a slices file: the events, outlines, tags and times that each picture shows."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from evreel import steps
from evreel.errors import ClockError, UsageError
from evreel.files.slices import SlicesFile
from evreel.video.labelled import Showing, colour_of
from evreel.viz import moments as viz
from evreel.viz.moments import Moments, clock_of, given_clock
from evreel.viz.show import show
from support.fonts import DEJAVU
from support.labelled import N_FRAMES, SENSOR, labelled, rows, van

VAN, SIGN = colour_of(0, 3), colour_of(1, 7)
LOOK = Showing(magnify=4)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return labelled(tmp_path_factory.mktemp("labelled"))


@pytest.fixture
def seen(monkeypatch):
    """What each picture is told to show, instead of the picture."""
    monkeypatch.setattr(
        viz.LabelledPictures,
        "draw",
        lambda self, pieces, moment: ([e for events, _ in pieces for e in events.t], moment),
    )


@pytest.fixture
def opened(made):
    with SlicesFile(made.slices) as file:
        yield Moments(file, LOOK, clock_of(file, made.clock))


def test_frames__show_each_event_once_in_its_frame_with_that_frames_outlines(made, seen, opened):
    shown = list(opened.frames())
    assert [t for events, _ in shown for t in events] == made.events.t.tolist()
    for k, (events, moment) in enumerate(shown):
        assert moment.title == f"frame {k} of {N_FRAMES}"
        assert (moment.start_us, moment.stop_us) == (10_000 * k, 10_000 * k + 10_000)
        assert all(moment.start_us <= t < moment.stop_us for t in events)
        assert [outline.roi for outline in moment.outlines] == ([0, 1] if k == 4 else [0])
        assert moment.outlines[0].vertices[0].tolist() == [2 + k, 4]
        assert list(moment.tags) == (["busy"] if k in (4, 5) else [])
        assert moment.labelled


def test_frames__are_the_same_however_the_file_is_read(seen, opened, monkeypatch):
    def said():
        return repr([(events, moment.title, moment.tags) for events, moment in opened.frames()])

    def drawn():
        return [repr(o.vertices.tolist()) for _, moment in opened.frames() for o in moment.outlines]

    whole = said(), drawn()
    monkeypatch.setattr(viz, "READ_ROWS", 2)
    monkeypatch.setattr(viz, "READ_SHAPES", 1)
    assert (said(), drawn()) == whole


def test_frame__found_directly_is_the_one_of_the_video(opened):
    for k, image in enumerate(opened.frames()):
        assert np.array_equal(opened.frame(k), image)


def test_frame__is_known_without_a_clock_where_it_has_a_region_or_a_tag(tmp_path, seen):
    made = labelled(tmp_path, van(frames=range(2, 4)))
    with SlicesFile(made.slices) as file:
        plain = Moments(file, LOOK)
        events, moment = plain.frame(3)
        assert (moment.title, moment.start_us, len(events)) == ("frame 3", 30_000, 3)
        assert list(plain.frame(5)[1].tags) == ["busy"]
        with pytest.raises(UsageError, match=r"no region and no tag.*--clock"):
            plain.frame(7)
        with pytest.raises(UsageError, match="clock"):
            next(plain.frames())
        known = Moments(file, LOOK, clock_of(file, made.clock))
        assert known.frame(7)[1].outlines == []
        with pytest.raises(UsageError, match="frame 10 is not in 0 to 9"):
            known.frame(10)


def test_slice__shows_its_events_and_the_last_frame_in_it(seen, opened):
    events, moment = opened.slice(2)
    assert moment.title == "slice 2 of 5, frame 5"
    assert len(events) == 6
    assert moment.outlines[0].vertices[0].tolist() == [7, 4]
    for k in (-1, 5):
        with pytest.raises(UsageError, match=f"slice {k} is not in 0 to 4"):
            opened.slice(k)


def test_time__shows_what_is_before_it(seen, opened):
    events, moment = opened.at(40_150, 10_000)
    assert events == [30_200, 30_300, 40_100]
    assert moment.title == "at 0.040150 s, frame 4"
    assert [outline.roi for outline in moment.outlines] == [0, 1]
    assert opened.at(40_000)[1].title == "at 0.040000 s, frame 3"
    for time_us, window_us, problem in (
        (0, 10, "outside the recording. It lasts from 0 to"),
        (10**12, 10, "outside the recording"),
        (5, 0, "shows nothing"),
    ):
        with pytest.raises(UsageError, match=problem):
            opened.at(time_us, window_us)


def test_moment__says_where_nobody_annotated(tmp_path, seen):
    made = labelled(tmp_path, van(frames=range(3)), frames=range(4))
    with SlicesFile(made.slices) as file:
        told = [
            moment.labelled
            for _, moment in Moments(file, LOOK, clock_of(file, made.clock)).frames()
        ]
    assert told == [True] * 4 + [False] * 6


def test_clock__of_another_annotation_is_an_error(made, tmp_path):
    other = tmp_path / "other.tsv"
    other.write_text(made.clock.read_text().replace("90000\t100000", "90000\t100001"))
    with (
        SlicesFile(made.slices) as file,
        pytest.raises(ClockError, match=r"is not the clock that some\.h5 was made with"),
    ):
        clock_of(file, other)


@pytest.mark.parametrize("place", ["", "../video/", "../../video/"])
def test_clock__is_found_beside_the_slices_if_it_is_theirs(made, tmp_path, place):
    slices = tmp_path / "train" / "slices" / "some.h5"
    slices.parent.mkdir(parents=True)
    slices.write_bytes(made.slices.read_bytes())
    with SlicesFile(slices) as file:
        assert given_clock(file, None) is None
        beside = slices.parent / f"{place}some.clock.tsv"
        beside.parent.mkdir(exist_ok=True)
        beside.write_bytes(made.clock.read_bytes())
        assert len(given_clock(file, None)) == N_FRAMES
        beside.write_bytes(made.clock.read_bytes() + b"10\t100000\t110000\n")
        assert given_clock(file, None) is None, "it is of another video"


def test_slice__of_a_file_without_slices_is_an_error(tmp_path, opened):
    with (
        SlicesFile(labelled(tmp_path, events=rows()).slices) as file,
        pytest.raises(UsageError, match="has no slices"),
    ):
        Moments(file, LOOK).slice(0)


def test_pictures__show_the_van_in_its_colour_and_the_sign_in_another(opened):
    image = opened.frame(4)
    area = image[: SENSOR.height * 4, : SENSOR.width * 4]
    assert (area[24:28, 36:40] == VAN).all(), "the event in the van"
    assert (area == SIGN).all(axis=2).any()
    assert not (opened.frame(3) == SIGN).all(axis=2).any()


def test_draw__writes_one_picture_of_any_moment(made, tmp_path):
    path = tmp_path / "m.png"
    look = steps.QaSettings(magnify=2, theme="light")
    frame = steps.draw(made.slices, path, look, frame=4, clock=made.clock)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert np.array_equal(frame, steps.draw(made.slices, path, look, frame=4, clock=made.clock))
    assert not np.array_equal(frame, steps.draw(made.slices, path, look, slice_=2))
    for given, problem in (
        ({}, "exactly one"),
        ({"frame": 1, "at_us": 5}, "exactly one"),
        ({"frame": 1, "window_us": 5}, "window_us goes only with at_us"),
    ):
        with pytest.raises(UsageError, match=problem):
            steps.draw(made.slices, path, **given)
    with pytest.raises(UsageError, match=r"must end in \.png"):
        steps.draw(made.slices, tmp_path / "m.jpg", frame=1)


def test_font__is_of_all_pictures_and_named_by_its_digest(made, tmp_path):
    fonts = {name: tmp_path / name / "f.ttf" for name in ("one", "other")}
    for path in fonts.values():
        path.parent.mkdir()
        shutil.copy(DEJAVU, path)
    one, other = (steps.QaSettings(magnify=2, font=str(path)) for path in fonts.values())
    path = tmp_path / "m.png"
    plain = steps.draw(made.slices, path, steps.QaSettings(magnify=2), frame=4, clock=made.clock)
    lettered = steps.draw(made.slices, path, one, frame=4, clock=made.clock)
    assert plain.shape == lettered.shape
    assert not np.array_equal(plain, lettered)
    videos = []
    for look in (steps.QaSettings(magnify=2), one, other):
        steps.qa(made.slices, made.clock, tmp_path / "q.mp4", look)
        videos.append((tmp_path / "q.mp4").read_bytes())
    assert videos[0] != videos[1] == videos[2], "where the font was is not part of the video"
    plots = []
    for font in (None, fonts["one"]):
        steps.summary(made.slices, plot=path, font=font, clock=made.clock)
        plots.append(path.read_bytes())
    assert plots[0] != plots[1]


def test_font__that_is_none_is_an_error_that_leaves_nothing(made, tmp_path):
    look = steps.QaSettings(font=str(tmp_path / "none.ttf"))
    path = tmp_path / "o.png"
    for make in (
        lambda: steps.draw(made.slices, path, look, slice_=1),
        lambda: steps.qa(made.slices, made.clock, path.with_suffix(".mp4"), look),
        lambda: steps.summary(made.slices, plot=path, font=look.font),
        lambda: show(made.slices, kind="notebook", font=look.font),
    ):
        with pytest.raises(UsageError, match=r"none\.ttf: the font cannot be read: No such file"):
            make()
    assert not list(tmp_path.glob("o.*"))


def test_qa__writes_a_video_with_one_picture_per_frame_or_nothing(made, tmp_path):
    path = tmp_path / "q.mp4"
    assert steps.qa(made.slices, made.clock, path, steps.QaSettings(magnify=2)) == N_FRAMES
    first = path.read_bytes()
    steps.qa(made.slices, made.clock, path, steps.QaSettings(magnify=2))
    assert path.read_bytes() == first
    with pytest.raises(UsageError, match=r"must end in \.mp4"):
        steps.qa(made.slices, made.clock, tmp_path / "q.avi")
    other = tmp_path / "other.tsv"
    other.write_text(made.clock.read_text().replace("90000\t100000", "90000\t100001"))
    with pytest.raises(ClockError):
        steps.qa(made.slices, other, tmp_path / "none.mp4")
    assert not (tmp_path / "none.mp4").exists()
