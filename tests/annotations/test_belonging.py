"""An XML that does not fit its clock is told, and whose it seems to be."""

from __future__ import annotations

import re

import pytest

from evreel import steps
from evreel.annotations.belonging import Video, check_belongs
from evreel.annotations.shapes import Annotations
from evreel.errors import AnnotationError
from evreel.files.clock import write_clock
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from support import random_events
from support.cvat import listed, task, track
from support.stores import store_of


@pytest.fixture
def park(tmp_path):
    """A recording of 10 frames, and clocks of others beside its own."""
    store = store_of(tmp_path / "park.h5", random_events(500, (48, 64), stop_us=100_000, seed=1))
    for name, n, size in (("park", 10, (48, 64)), ("night", 20, (48, 64)), ("hall", 20, (96, 64))):
        clock = FrameClock.regular(n * 10_000, 10_000)
        write_clock(tmp_path / f"{name}.clock.tsv", clock, Picture(size))
    (tmp_path / "broken.clock.tsv").write_text("none\n")

    def annotate(xml: str, **settings: object) -> str | None:
        """Return what is wrong with an XML, None if nothing is."""
        (tmp_path / "a.xml").write_text(xml, encoding="utf-8")
        try:
            steps.annotate(
                *(store, tmp_path / "park.clock.tsv", tmp_path / "s.h5", tmp_path / "b.npy"),
                steps.RegularWindows(window_us=50_000),
                steps.AnnotateSettings(**settings),
                rois=tmp_path / "a.xml",
            )
        except AnnotationError as error:
            return str(error)
        return None

    return annotate


def of(n: int, name: str = "shift 7", video: str = "", size: tuple[int, int] | None = None) -> str:
    """Return a task of `n` frames."""
    xml = task(track(listed(range(n))), range(n), name=name)
    if size is not None:
        more = f"<original_size><width>{size[1]}</width><height>{size[0]}</height></original_size>"
        xml = xml.replace("</labels>", "</labels>" + more)
    return xml.replace("</labels>", f"</labels><source>{video}</source>") if video else xml


def test_xml__of_its_own_recording_passes(park):
    assert park(of(10, size=(48, 64))) is None
    assert park(of(10, video="park.mp4")) is None
    assert park(of(10, video="raw/elsewhere.mp4")) is None


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (
            of(20, size=(48, 64)),
            "its task has the frames 0 to 19, the video 0 to 9; it is of task 1 'shift 7'. It "
            "seems to belong to night. Give the XML that belongs here",
        ),
        (
            of(20, size=(96, 64), video="x.mp4"),
            "was drawn on 64x96 pictures; the video's are 64x48; it is of task 1 'shift 7', made "
            "from 'x.mp4'. It seems to belong to hall.",
        ),
        (
            of(10, video="Night.mp4"),
            "was made from video 'Night.mp4', not from that of park; it is of task 1 'shift 7', "
            "made from 'Night.mp4'. It seems to belong to night.",
        ),
        (
            of(15),
            "its task has the frames 0 to 14, the video 0 to 9; it is of task 1 'shift 7'. Was it "
            "made from another video, with another window_us?",
        ),
        (
            of(9),
            "Some programs leave out the last, incomplete frame: then set video/n_frames: 9.",
        ),
    ],
)
def test_xml__that_does_not_fit_its_clock_says_what_it_is_of(park, xml, message):
    assert message in park(xml)


def test_xml__of_a_part_of_the_video_or_of_another_camera_passes_where_that_is_said(park):
    assert park(of(6), part_of_video=True) is None
    assert "its task has the frames" in park(of(6))
    problem = park(of(10, size=(240, 320)))
    assert "was drawn on 320x240 pictures; the video's are 64x48" in problem
    assert problem.endswith("magnified 5 times, make this one with video/scale, too.")
    problem = park(of(10, size=(200, 320)))
    assert problem.endswith("of another camera, or of another size, need annotate/homography.")
    scaled = (0.2, 0, 0, 0, 0.2, 0, 0, 0, 1)
    assert park(of(10, size=(240, 320)), homography=scaled) is None


def test_later_job__passes_where_it_is_said_to_be_a_part(park):
    job = task(track(listed(range(4, 8))), range(4, 8)).replace("task>", "job>")
    problem = park(job)
    assert "is an export of job 1, of the frames 4 to 7; the video has 0 to 9" in problem
    assert "set annotate.part_of_video: true; or export the task" in problem
    assert park(job, part_of_video=True) is None
    beyond = task(track(listed(range(8, 14))), range(8, 14)).replace("task>", "job>")
    assert "the video" in park(beyond)
    assert "has frame 13; the video has 10 frames" in park(beyond, part_of_video=True)


def test_name_of_a_video__does_not_count_where_a_workflow_knows_the_recordings():
    clock = FrameClock.regular(50, 10)
    drawn = Annotations(("car",), frames=range(5), task=range(5), video="night.mp4")
    others = {"night": lambda: None}
    with pytest.raises(AnnotationError, match=r"was made from video 'night\.mp4'"):
        check_belongs(drawn, Video("park", clock, None), others)
    check_belongs(drawn, Video("park", clock, None), others, by_name=False)


def test_others__are_named_up_to_three_and_looked_at_only_where_it_does_not_fit():
    drawn = Annotations(("car",), frames=range(5), task=range(5), picture_shape=(4, 4))
    five = Video("own", FrameClock.regular(50, 10), (4, 4))
    seen = []

    def reader(name):
        def video():
            seen.append(name)
            return five._replace(name=name)

        return video

    others = {name: reader(name) for name in "abcde"}
    check_belongs(drawn, five, others)
    assert seen == []
    six = Video("own", FrameClock.regular(60, 10), (4, 4))
    with pytest.raises(AnnotationError, match=re.escape("belong to a, b, c and 2 more. Give")):
        check_belongs(drawn, six, others)
    assert seen == list("abcde")


def test_clocks_beside__that_cannot_be_read_are_passed_over(park):
    assert "broken" not in park(of(20, size=(48, 64)))
