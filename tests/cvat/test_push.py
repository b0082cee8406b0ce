"""What `evreel cvat push` makes, finds, removes and refuses."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from cvat_sdk.core import uploading
from cvat_sdk.core.auth import AuthStore, ProfileEntry

from evreel.annotations.cvat import write_video_xml
from evreel.annotations.forms.event_bbox import write_event_bbox
from evreel.annotations.shapes import Mask, Track
from evreel.cvat import sdk
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from support.annotations import annotated, box, still
from support.cvat_data import CLOCK, LABELS, SHAPE, N
from support.cvat_server import PASSWORD, TOKEN, USER

MORE = {"name": "park", "n_frames": N, "picture_shape": SHAPE}


def names(server) -> list[str]:
    return [task.name for task in server.tasks.values()]


def test_push__makes_one_task_of_one_job_per_recording(data, server, capsys):
    assert data.run("push", "-q") == 0
    assert names(server) == ["park", "street", "yard"]
    for task in server.tasks.values():
        assert [label["name"] for label in task.labels] == LABELS
        assert (task.size, task.shape, task.segment_size) == (N, SHAPE, 0)
        assert task.options["image_quality"] == 100
        assert task.options["use_zip_chunks"] is True
    note = data.note()
    assert note.task == next(iter(server.tasks))
    assert (note.server, note.video, note.frames) == (server.url, "park.mp4", N)
    assert note.clock.startswith("sha256:") and note.video_sha256.startswith("sha256:")
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"park\t{note.task}\t{server.url}/tasks/{note.task}\tnew"


def test_push__again_makes_no_second_task_and_changes_no_file(data, server, capsys):
    assert data.run("push") == 0
    before, tasks = data.files(), dict(server.tasks)
    assert data.run("push") == 0
    assert data.files() == before
    assert server.tasks == tasks
    assert "is there, task" in capsys.readouterr().err


def test_push__makes_a_new_task_if_told_and_says_that_the_old_one_stays(data, server, capsys):
    assert data.run("push", "park") == 0
    old = data.note().task
    assert data.run("push", "park", "--again") == 0
    assert data.note().task != old
    assert names(server) == ["park", "park"]
    assert f"task {old} stays" in capsys.readouterr().err


def test_push__removes_what_a_killed_run_has_left(data, server, capsys):
    server.faults = [("POST", "/data", "hang up"), *[("DELETE", "/tasks", 503)] * 9]
    assert data.run("push", "park") == 1
    (left,) = server.tasks
    assert "unfinished" in server.tasks[left].name
    assert f"task {left} stays unfinished" in capsys.readouterr().err
    assert not data.note_path().exists()
    server.faults = []
    assert data.run("push", "park") == 0
    assert f"removes task {left}" in capsys.readouterr().err
    assert names(server) == ["park"]


def test_push__leaves_unfinished_tasks_of_other_people_alone(data, server):
    server.faults = [("POST", "/data", "hang up"), *[("DELETE", "/tasks", 503)] * 9]
    assert data.run("push", "park") == 1
    server.faults, server.owner = [], "bert"
    assert data.run("push", "park") == 0
    assert len(names(server)) == 2


def test_push__that_was_killed_before_the_task_got_its_name_is_finished_by_the_next(data, server):
    server.faults = [("PATCH", "/tasks", "hang up")] * 9
    assert data.run("push", "park") == 1
    server.faults = []
    assert data.run("push", "park") == 0
    assert names(server) == ["park"]


@pytest.mark.parametrize("path", ["/data", "/annotations", "/data/meta", "/labels"])
def test_push__that_fails_leaves_no_task_and_no_note(data, server, path):
    write_video_xml(data.folder / "my/park.xml", annotated(still(box(0), range(3))), **MORE)
    data.table(park={"rois": "my/park.xml"})
    server.faults = [(method, path, 500) for method in ("GET", "POST", "PUT") for _ in range(4)]
    before = data.files()
    assert data.run("push", "park") == 1
    assert server.tasks == {}
    assert data.files() == before


def test_push__interrupted_removes_the_task(data, server):
    def interrupt():
        raise KeyboardInterrupt

    server.faults = [("PUT", "/annotations", 500)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sdk.Server, "labels", lambda *_: interrupt())
        assert data.run("push", "park") == 130
    assert server.tasks == {}


def test_push__takes_a_zip_of_pictures(data, server):
    data.config(video={"container": "png-zip"})
    data.make("park", ".zip")
    assert data.run("push", "park") == 0
    (task,) = server.tasks.values()
    assert task.of_images
    assert task.pictures[1] == "000001_10000.png"


def test_push__sends_a_large_video_in_pieces(data, server, monkeypatch):
    monkeypatch.setitem(uploading.DataUploader.__init__.__kwdefaults__, "max_request_size", 100)
    monkeypatch.setattr(uploading, "TUS_CHUNK_SIZE", 500)
    assert data.run("push", "park") == 0
    (task,) = server.tasks.values()
    assert task.content == (data.folder / "results/video/park.mp4").read_bytes()
    assert server.asked("PATCH", "/data/file") > 1


def test_push__makes_key_frames_of_boxes_few(data, server):
    rows = "".join(f"{k + 1},4,{k + 1},2,10,10,1,2,1\n" for k in range(N - 1))
    (data.folder / "my/park.txt").write_text(rows, encoding="utf-8")
    data.table(park={"rois": "my/park.txt"})
    assert data.run("push", "park") == 0
    (task,) = server.tasks.values()
    (track,) = task.annotations["tracks"]
    said = [(shape["frame"], shape["outside"]) for shape in track["shapes"]]
    assert said == [(0, False), (N - 2, False), (N - 1, True)]


def test_push__takes_published_boxes_as_tracks(data, server):
    moving = tuple(box(k, left=float(k), right=k + 10.0) for k in range(N))
    boxes = data.folder / "results/boxes/park_bbox.npy"
    boxes.parent.mkdir()
    found = replace(annotated(Track(4, "car", moving)), labels=tuple(LABELS))
    write_event_bbox(boxes, found, CLOCK, Picture(SHAPE))
    (data.folder / "my/park_bbox.npy").write_bytes(boxes.read_bytes())
    data.table(park={"boxes": "my/park_bbox.npy"})
    assert data.run("push", "park") == 0
    (task,) = server.tasks.values()
    (track,) = task.annotations["tracks"]
    assert [shape["frame"] for shape in track["shapes"]] == [0, N - 1]


def test_push__keeps_masks_of_one_object_in_one_group(data, server):
    corners = np.array([[1.0, 2.0], [4.0, 4.0]])
    masks = [Mask(k, corners, runs=(1, 2, 3)) for k in (0, 1)]
    closed = Mask(2, corners, runs=(1, 2, 3), outside=True)
    found = annotated(Track(0, "car", (*masks, closed)))
    write_video_xml(data.folder / "my/park.xml", found, **MORE)
    data.table(park={"rois": "my/park.xml"})
    assert data.run("push", "park") == 0
    (task,) = server.tasks.values()
    assert [shape["points"] for shape in task.annotations["shapes"]] == [[1, 2, 3, 1, 2, 3, 3]] * 2
    first, second = (shape["group"] for shape in task.annotations["shapes"])
    assert first == second > 0


def test_push__without_pre_labels_gives_only_the_video(data, server):
    write_video_xml(data.folder / "my/park.xml", annotated(still(box(0), range(3))), **MORE)
    data.table(park={"rois": "my/park.xml"})
    assert data.run("push", "park", "--no-pre-labels") == 0
    (task,) = server.tasks.values()
    assert task.annotations["tracks"] == []


def test_push__says_which_annotation_is_not_there_to_be_corrected(data, server, capsys):
    data.table(park={"rois": "my/park.zip"})
    assert data.run("push", "park") == 0
    assert "rois my/park.zip is not there, and is not pushed" in capsys.readouterr().err


def test_push__into_a_project_takes_its_labels_or_says_which_it_lacks(data, server, capsys):
    server.projects[3] = server.whole([{"name": name} for name in LABELS])
    server.projects[4] = server.whole([{"name": "car"}])
    assert data.run("push", "park", "--project", "3") == 0
    assert data.note().project == 3
    assert data.run("push", "street", "--project", "4") == 2
    assert "lacks the labels bush & tree, Süd, person" in capsys.readouterr().err
    assert len(server.tasks) == 1


def test_push__refuses_a_video_that_the_server_decodes_to_other_frames(data, server, capsys):
    data.make("park", clock=FrameClock.regular((N + 1) * 10_000, 10_000))
    short = (data.folder / "results/video/street.mp4").read_bytes()
    (data.folder / "results/video/park.mp4").write_bytes(short)
    assert data.run("push", "park") == 1
    assert f"has {N} frames; the clock has {N + 1}" in capsys.readouterr().err
    assert server.tasks == {}


def test_push__refuses_a_clock_with_other_times_than_the_task_has(data, server, capsys):
    assert data.run("push", "park") == 0
    data.make("park", clock=FrameClock.regular(N * 20_000, 20_000))
    assert data.run("push", "park") == 1
    assert "the times of its frames are not those that task" in capsys.readouterr().err


def test_push__names_a_task_that_was_deleted(data, server, capsys):
    assert data.run("push", "park") == 0
    number = data.note().task
    server.tasks.clear()
    assert data.run("push", "park") == 1
    told = capsys.readouterr().err
    assert f"did not show task {number}: 404" in told and "evreel cvat push --again" in told


def test_push__again_says_which_labels_of_the_config_a_task_lacks(data, server, capsys):
    assert data.run("push", "park") == 0
    data.config(labels=["car", "Süd", "lorry", "bush & tree"])
    capsys.readouterr()
    assert data.run("push", "park") == 0
    assert "lacks the labels lorry. Add them in CVAT" in capsys.readouterr().err


def test_push__refuses_annotations_of_another_camera(data, server, capsys):
    write_video_xml(data.folder / "my/park.xml", annotated(still(box(0), range(3))), **MORE)
    data.table(park={"rois": "my/park.xml", "annotate/homography": "[2,0,0, 0,2,0, 0,0,1]"})
    assert data.run("push", "park") == 2
    assert "another camera's pictures" in capsys.readouterr().err


def test_push__says_how_to_make_what_is_missing(data, capsys):
    (data.folder / "results/video/park.mp4").unlink()
    assert data.run("push", "park") == 2
    assert "snakemake --cores 2 results/video/park.mp4" in capsys.readouterr().err


def test_push__goes_on_where_one_recording_fails(data, server, capsys):
    data.make("park", shape=(48, 62))
    (data.folder / "results/video/park.mp4").write_bytes(b"no video")
    assert data.run("push") == 1
    said = capsys.readouterr().err
    assert "1 of 3 recordings failed: park" in said
    assert names(server) == ["street", "yard"]


def test_push__stops_where_the_server_does_not_answer(data, server, capsys):
    server.faults = [("POST", "/api/tasks", "hang up")] * 99
    assert data.run("push") == 1
    assert server.asked("POST", "/api/tasks") <= 4
    assert "could not be asked to make a task" in capsys.readouterr().err


def test_config_files__are_read_as_snakemake_reads_them(data, server):
    other = data.folder / "more.yaml"
    other.write_text("labels: [car, bus]\nvideo: {scale: 1}\n", encoding="utf-8")
    assert data.run("push", "park", "--configfile", "config.yaml", "more.yaml") == 0
    (task,) = server.tasks.values()
    assert [label["name"] for label in task.labels] == ["car", "bus"]


# -- credentials


def test_credentials__are_in_no_file_and_no_message(data, server, capsys, monkeypatch):
    assert data.run("push", "park") == 0
    server.faults = [("GET", "/users/self", 403)]
    assert data.run("pull", "park") == 1
    monkeypatch.delenv("CVAT_ACCESS_TOKEN")
    assert data.run("push", "street", "--auth", f"{USER}:{PASSWORD}") == 0
    said = "".join(capsys.readouterr()) + "".join(
        content.decode("latin1") for content, _ in data.files().values()
    )
    assert "403 because of Bearer …" in said
    assert TOKEN not in said
    assert PASSWORD not in said


def test_credentials__by_password_of_the_environment(data, server, monkeypatch):
    monkeypatch.delenv("CVAT_ACCESS_TOKEN")
    monkeypatch.setenv("PASS", PASSWORD)
    assert data.run("push", "park", "--auth", USER) == 0
    assert server.asked("POST", "/auth/logout") == 1


def test_credentials__of_a_saved_profile_are_for_its_server_alone(
    data, server, monkeypatch, capsys
):
    monkeypatch.delenv("CVAT_ACCESS_TOKEN")
    store = AuthStore()
    entry = {"token": TOKEN, "created_date": ""}
    store.put_profile("ours", ProfileEntry(server=server.url, **entry))
    store.put_profile("other", ProfileEntry(server="https://other.example", **entry))
    assert data.run("push", "park", server=False) == 0, "the default profile"
    assert data.run("pull", "park", "--profile", "other", server=False) == 2
    assert "is of https://other.example; the task is on" in capsys.readouterr().err
    assert data.run("pull", "park", server=False) == 0
    assert data.run("push", "yard", "--profile", "theirs", server=False) == 2


def test_credentials__that_are_missing_are_not_asked_for_without_a_terminal(
    data, monkeypatch, capsys
):
    monkeypatch.delenv("CVAT_ACCESS_TOKEN")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert data.run("push", "park") == 2
    assert "there are no credentials for" in capsys.readouterr().err


def test_credentials__in_an_address_are_refused_and_not_repeated(data, capsys):
    assert data.run("push", "--server", f"https://{USER}:{PASSWORD}@a.example", server=False) == 2
    said = capsys.readouterr().err
    assert "has a user or a password in it" in said
    assert PASSWORD not in said


def test_cvat__without_the_extra_says_what_to_install(data, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "evreel.cvat.sdk", raising=False)
    for name in [name for name in sys.modules if name.startswith("cvat_sdk")]:
        monkeypatch.setitem(sys.modules, name, None)
    assert data.run("push") == 2
    assert "pip install -e '.[cvat]'" in capsys.readouterr().err


def test_note__that_is_damaged_is_refused(data, capsys):
    for text in ("{", "[]", '{"task": "x"}', json.dumps({"task": 1, "server": "ftp://x"})):
        data.note_path().write_text(text, encoding="utf-8")
        assert data.run("push", "park") == 2
        assert "does not say which CVAT task is this recording's" in capsys.readouterr().err


def test_push__killed_in_the_middle_is_made_whole_by_the_next(data, server):
    server.faults = [("POST", "/data", "silent")]
    killed = subprocess.Popen(
        [sys.executable, "-m", "evreel.cli", "cvat", "push", "park", "--server", server.url],
        stderr=subprocess.DEVNULL,
    )
    while not server.asked("POST", "/data"):
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert len(server.tasks) == 1
    assert not data.note_path().exists()
    assert data.run("push", "park") == 0
    assert names(server) == ["park"]


def test_push__again_keeps_a_whole_task_that_did_not_get_its_name(data, server):
    server.faults = [("PATCH", "/tasks", 500)] * 9
    assert data.run("push", "park") == 1
    server.faults = []
    assert data.run("push", "park", "--again") == 0
    assert len(server.tasks) == 2
