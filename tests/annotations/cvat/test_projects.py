"""Exports of projects and jobs: which task an annotation is of, and which frame of its video."""

from __future__ import annotations

import pytest

from evreel.annotations.cvat import read_cvat
from evreel.errors import AnnotationError

# Number, name, subset, first frame, step, number of frames; as CVAT lists them.
TASKS = (
    (12, "park_01.mp4", "train", 0, 1, 10),
    (13, "park_02.mp4", "train", 5, 3, 4),
    (17, "street", "train", 0, 163, 3),
    (11, "night", "val", 2, 5, 6),
)
OFFSETS = {12: 0, 13: 10, 17: 10 + 5 + 3 * 4, 11: 0}


def frames_of(number):
    (start, step, size), *_ = [row[3:] for row in TASKS if row[0] == number]
    return range(start, start + step * size, step)


def meta(tasks=TASKS):
    listed = "".join(
        f"<task><id>{number}</id><name>{name}</name><size>{size}</size><mode>interpolation</mode>"
        f"<created>2024-01-{number}</created><subset>{subset}</subset>"
        f"<start_frame>{start}</start_frame><stop_frame>{start + step * (size - 1)}</stop_frame>"
        f"<frame_filter>{f'step={step}' if step > 1 else ''}</frame_filter>"
        f"<original_size><width>{number}</width><height>8</height></original_size>"
        f"<source>{name}</source></task>"
        for number, name, subset, start, step, size in tasks
    )
    return (
        f"<meta><project><id>3</id><name>all</name><tasks>{listed}</tasks>"
        "<subsets>train\nval</subsets><labels><label><name>car</name></label></labels>"
        "</project></meta>"
    )


def track(number, frame, subset="train", attributes="task_id"):
    of = f'task_id="{number}" subset="{subset}"' if attributes == "task_id" else ""
    return (
        f'<track id="{number}" label="car" source="manual" {of}><box frame="{frame}" outside="0" '
        f'xtl="1" ytl="1" xbr="{number - 1}" ybr="3"/></track>'
    )


def image(number, frame, name="", of=True):
    where = f'task_id="{number}" ' if of else ""
    (subset,) = [row[2] for row in TASKS if row[0] == number]
    return (
        f'<image id="{frame}" name="{name or f"frame_{frame:06d}"}" subset="{subset}" {where}'
        f'width="{number}" height="8"><tag label="car"/></image>'
    )


def written(tmp_path, body, head=None):
    path = tmp_path / "project.xml"
    text = meta() if head is None else head
    path.write_text(f"<annotations><version>1.1</version>{text}\n{body}</annotations>")
    return path


@pytest.fixture
def video(tmp_path):
    body = "".join(
        track(number, OFFSETS[number] + frames_of(number)[-1], subset)
        for number, _, subset, *_ in TASKS
    )
    return written(tmp_path, body)


@pytest.mark.parametrize("number", OFFSETS)
def test_project__is_read_as_one_task_with_its_own_frames(video, number):
    got = read_cvat(video, task=str(number))
    (found,) = got.tracks
    assert (found.id, [shape.frame for shape in found.shapes]) == (number, [frames_of(number)[-1]])
    assert (got.task, got.frames) == (frames_of(number), frames_of(number))
    assert (got.task_id, got.picture_shape) == (f"task {number}", (8, number))
    assert got.labels == ("car",)


@pytest.mark.parametrize("of", [True, False], ids=["task_id", "subset"])
@pytest.mark.parametrize("number", OFFSETS)
def test_project__of_images_is_read_as_one_task_with_its_own_frames(tmp_path, number, of):
    body = "".join(
        image(row[0], OFFSETS[row[0]] + frame, f"frame_{frame:06d}", of)
        for row in TASKS
        for frame in frames_of(row[0])
    )
    got = read_cvat(written(tmp_path, body), task=str(number))
    assert got.frames == tuple(frames_of(number))
    assert [tag.frame for tag in got.tags] == list(frames_of(number))
    assert got.pictures[frames_of(number)[0]] == f"frame_{frames_of(number)[0]:06d}"


@pytest.mark.parametrize(
    ("names", "number"),
    [
        (["street"], 17),
        (["park_02"], 13),
        (["rec7", "NIGHT"], 11),
        (["park", "park_01"], 12),
        (["01"], 12),
    ],
)
def test_task__is_the_one_that_is_called_as_the_recording(video, names, number):
    assert read_cvat(video, names=names).task_id == f"task {number}"


LISTED = r"12 \('park_01\.mp4', train\), 13 \('park_02\.mp4', train\), 17 \('street', train\), 11"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], rf"is the export of a project of 4 tasks, {LISTED} \('night', val\)\. Set annotate"),
        (["day"], rf"of 4 tasks, {LISTED} \('night', val\); none is called 'day'\. Set annotate"),
        (["park"], r"2 of its tasks may be of 'park': 12 \('park_01\.mp4', train\), 13 "),
        (["park_0"], "none is called 'park_0'"),
    ],
)
def test_task__that_no_name_or_several_tell_is_an_error_that_lists_them(video, names, message):
    with pytest.raises(AnnotationError, match=rf"^project\.xml: .*{message}"):
        read_cvat(video, names=names)


def test_task__that_is_asked_for_may_be_a_name_and_must_be_there(video):
    assert read_cvat(video, task="street", names=["night"]).task_id == "task 17"
    with pytest.raises(AnnotationError, match=rf"has no task 'stret'; it has {LISTED}.*'street'"):
        read_cvat(video, task="stret")
    with pytest.raises(AnnotationError, match="has no task '1'"):
        read_cvat(video, task="1")


def test_project__of_one_task_needs_no_choice_and_two_of_a_name_a_number(tmp_path):
    path = written(tmp_path, track(12, 9), meta(TASKS[:1]))
    assert read_cvat(path, names=["other"]).task_id == "task 12"
    twins = ((12, "a", "x", 0, 1, 2), (13, "a", "y", 0, 1, 2))
    path = written(tmp_path, track(12, 1), meta(twins))
    with pytest.raises(AnnotationError, match=r"has 2 tasks 'a'; it has 12 .*the number"):
        read_cvat(path, task="a")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (track(13, 9), "track 13.*frame 9 is before those of its task, which begin at 10"),
        (track(13, 16), r"frame 6: is not one of the task's frames 5 to 14 by 3"),
        (track(99, 1), "track 99: is of task '99', which the project does not list"),
        (track(13, 1, attributes=""), "does not say of which of the project's 4 tasks it is"),
        (image(13, 18, "frame_000011"), "is called 'frame_000011', as CVAT calls frame 11"),
    ],
)
def test_project__whose_frames_or_tasks_contradict_is_refused(tmp_path, body, message):
    with pytest.raises(AnnotationError, match=message):
        read_cvat(written(tmp_path, body), task="13")


def test_project__counts_shapes_and_labels_of_the_chosen_task_alone(tmp_path):
    body = track(12, 1) + '<track id="1" label="car" task_id="13"><hexagon frame="x"/></track>'
    got = read_cvat(written(tmp_path, body), task="12")
    assert (len(got.tracks), got.skipped) == (1, {})


def test_file_of_one_task__is_refused_if_another_is_asked_for(tmp_path):
    head = "<meta><task><id>16</id><name>Static objects</name></task></meta>"
    path = written(tmp_path, "", head)
    assert read_cvat(path, task="16").task_id == "task 16"
    with pytest.raises(AnnotationError, match=r"has no task '17'; it has 16 \('Static objects'\)"):
        read_cvat(path, task="17")
    job = written(tmp_path, "", "<meta><job><id>90</id></job></meta>")
    assert read_cvat(job, task="17").task_id == "job 90", "a job does not say its task's number"
    assert read_cvat(written(tmp_path, "", ""), task="17").task_id is None


def test_task__says_the_frames_of_its_jobs(tmp_path):
    head = (
        "<meta><task><start_frame>10</start_frame><stop_frame>40</stop_frame>"
        "<frame_filter>step=3</frame_filter><segments><segment><start>0</start><stop>5</stop>"
        "</segment><segment><start>4</start><stop>10</stop></segment></segments></task></meta>"
    )
    got = read_cvat(written(tmp_path, "", head))
    assert got.jobs == (range(10, 28, 3), range(22, 43, 3))
