"""What `evreel cvat pull` brings, leaves as it is, and refuses; and servers that fail."""

from __future__ import annotations

import zipfile

import pytest

from evreel.annotations.cvat import read_cvat, write_images_xml, write_video_xml
from evreel.annotations.shapes import FrameTag
from evreel.cvat import sdk
from evreel.timebase import FrameClock
from support.annotations import annotated, box, still
from support.cvat_data import SHAPE, N

MORE = {"name": "park", "n_frames": N, "picture_shape": SHAPE}
CAR = annotated(still(box(0), range(3)), tags=(FrameTag(4, "car"),))


@pytest.fixture
def pushed(data, server):
    """Recording park with a task that has a track and a tag, and a table that awaits its files."""
    write_video_xml(data.folder / "my/before.xml", CAR, **MORE)
    write_images_xml(data.folder / "my/before.tags.xml", CAR, **MORE)
    data.table(park={"rois": "my/before.xml", "tags": "my/before.tags.xml"})
    assert data.run("push", "park", "-q") == 0
    data.table(park={"rois": "my/park.zip", "tags": "my/park.tags.xml"})
    return data


def only(server):
    """Return the only task."""
    (task,) = server.tasks.values()
    return task


def move(server) -> None:
    """Let an annotator move the car."""
    only(server).annotations["tracks"][0]["shapes"][0]["points"][0] += 2
    server.touch(only(server).id)


def test_pull__writes_both_exports_where_the_table_names_them(pushed, server, capsys):
    assert pushed.run("pull", "park") == 0
    assert zipfile.is_zipfile("my/park.zip")
    assert (pushed.folder / "my/park.tags.xml").read_bytes().startswith(b"<?xml")
    assert read_cvat("my/park.zip").task_id == f"task {only(server).id}"
    assert [tag.frame for tag in read_cvat("my/park.tags.xml").tags] == [4]
    out = capsys.readouterr().out
    assert "park\trois\tmy/park.zip\twritten\npark\ttags\tmy/park.tags.xml\twritten\n" in out


def test_pull__of_an_unchanged_task_changes_no_byte_and_no_time(pushed, server, capsys):
    assert pushed.run("pull", "park") == 0
    before = pushed.files()
    assert pushed.run("pull") == 0
    assert pushed.files() == before
    assert "nothing has changed" in capsys.readouterr().err
    a, b = (server.files[name] for name in list(server.files)[-4::2])
    assert a != b, "the server's own exports differ by their dates"


def test_pull__writes_only_what_has_changed(pushed, server):
    assert pushed.run("pull", "park") == 0
    before = pushed.files()
    only(server).annotations["tags"][0]["frame"] = 5
    server.touch(only(server).id)
    assert pushed.run("pull", "park") == 0
    after = pushed.files()
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"my/park.tags.xml", "results/video/park.cvat.json"}


def test_pull__of_an_edited_task_brings_the_edit(pushed, server):
    assert pushed.run("pull", "park") == 0
    move(server)
    assert pushed.run("pull", "park") == 0
    assert read_cvat("my/park.zip").tracks[0].shapes[0].points[0, 0] == 3.0


def test_pull__of_a_zip_of_pictures_is_held_against_their_names(data, server, capsys):
    data.config(video={"container": "png-zip"})
    data.make("park", ".zip")
    assert data.run("push", "park") == 0
    assert data.run("pull", "park") == 0
    found = read_cvat("my/annotations/park.tags.zip")
    assert found.pictures[1] == "000001_10000.png"
    only(server).pictures = tuple(f"0000{k:02}_7.png" for k in range(N))
    assert data.run("pull", "park") == 1
    assert "picture '000000_7.png' is frame 0 at 7 µs" in capsys.readouterr().err


# -- where files go


def test_pull__without_columns_says_what_to_write_into_the_table(pushed, capsys):
    pushed.table(park={})
    assert pushed.run("pull", "park") == 0
    said = (
        "Write into its row of my/recordings.tsv: rois my/annotations/park.zip, "
        "tags my/annotations/park.tags.zip"
    )
    assert said in capsys.readouterr().err
    assert len(read_cvat("my/annotations/park.zip").tracks) == 1
    before = pushed.files()
    assert pushed.run("pull", "park") == 0
    assert pushed.files() == before


def test_pull__names_a_file_for_tags_only_where_there_are_some(pushed, server):
    pushed.table(park={"rois": "my/park.xml"})
    only(server).annotations["tags"] = []
    assert pushed.run("pull", "park") == 0
    assert not (pushed.folder / "my/annotations").exists()


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("my/before.txt", "rois names my/before.txt, which is not a zip or an XML"),
        ("my/a.xml | my/b.xml", "rois names 2 files"),
        ("my/folder", "rois names my/folder, which is not a zip or an XML"),
    ],
)
def test_pull__leaves_files_alone_that_no_export_can_be(pushed, capsys, named, reason):
    (pushed.folder / "my/folder").mkdir()
    (pushed.folder / "my/before.txt").write_text("1,4,1,2,10,10,1,2,1\n", encoding="utf-8")
    pushed.table(park={"rois": named, "tags": "my/park.tags.xml"})
    assert pushed.run("pull", "park") == 0
    assert reason in capsys.readouterr().err
    assert (pushed.folder / "my/annotations/park.zip").exists()


def test_pull__does_not_replace_the_export_of_several_recordings(pushed, capsys):
    pushed.table(park={"rois": "my/before.xml"}, street={"rois": "my/before.xml"})
    before = (pushed.folder / "my/before.xml").read_bytes()
    assert pushed.run("pull", "park") == 0
    assert (pushed.folder / "my/before.xml").read_bytes() == before
    assert "as another column or recording does" in capsys.readouterr().err


def test_pull__does_not_replace_what_was_edited_here_unless_told(pushed, server, capsys):
    assert pushed.run("pull", "park") == 0
    move(server)
    edited = pushed.folder / "my/park.tags.xml"
    edited.write_text(edited.read_text("utf-8").replace("car", "Süd"), encoding="utf-8")
    before = pushed.files()
    assert pushed.run("pull", "park") == 2
    assert "my/park.tags.xml was not pulled from task" in capsys.readouterr().err
    assert pushed.files() == before
    assert pushed.run("pull", "park", "--overwrite") == 0


def test_pull__says_that_a_pinned_sum_is_of_the_file_before(pushed, capsys):
    pushed.table(park={"rois": "my/park.zip", "rois_md5": "0" * 32})
    assert pushed.run("pull", "park") == 0
    assert "rois_md5 in my/recordings.tsv is of the file before" in capsys.readouterr().err


def test_pull__of_a_task_that_was_made_by_hand(pushed, server, capsys):
    pushed.note_path().unlink()
    assert pushed.run("pull", "park") == 2
    assert "park has no task" in capsys.readouterr().err
    assert pushed.run("pull", "park", "--task", str(only(server).id)) == 0
    assert pushed.run("pull", "park") == 0
    assert pushed.note().task == only(server).id


# -- tasks that are not the recording's


def alter(server, what: str) -> None:
    """Change a task on the server."""
    task = only(server)
    match what:
        case "frames":
            task.size = N + 1
        case "size":
            task.shape = (96, 128)
        case "video":
            task.pictures, task.file = ("street.mp4",), "street.mp4"
        case "server":
            task.created = server.now()
        case "deleted":
            task.deleted = (3, 5)
        case "label":
            task.labels[1]["name"] = "lorry"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("frames", "it has 11 frames; the clock has 10"),
        ("size", "pictures of 128x96 px; the video's are 64x48"),
        ("video", "shows street.mp4, not park.mp4"),
        ("server", "is not the task that was pushed"),
        ("deleted", "frames 3, 5 were deleted in CVAT"),
        ("label", "label 'lorry' is not one of"),
    ],
)
def test_pull__refuses_a_task_that_was_changed_by_name(pushed, server, capsys, what, said):
    assert pushed.run("pull", "park") == 0
    alter(server, what)
    before = pushed.files()
    assert pushed.run("pull", "park") == 1
    assert said in capsys.readouterr().err
    assert pushed.files() == before


def test_pull__takes_a_task_of_part_of_the_video_if_the_config_does(pushed, server, capsys):
    only(server).size = N - 4
    assert pushed.run("pull", "park") == 1
    assert f"it has {N - 4} frames; the clock has {N}" in capsys.readouterr().err
    pushed.config(annotate={"part_of_video": True})
    assert pushed.run("pull", "park") == 0
    assert read_cvat("my/park.zip").task == range(N - 4)


def test_pull__takes_deleted_frames_if_told(pushed, server):
    alter(server, "deleted")
    assert pushed.run("pull", "park", "--deleted-frames") == 0
    assert 3 not in read_cvat("my/park.tags.xml").frames


def test_pull__refuses_a_clock_that_was_made_anew_with_other_times(pushed, capsys):
    pushed.make("park", clock=FrameClock.regular(N * 20_000, 20_000))
    assert pushed.run("pull", "park") == 1
    assert "the times of its frames are not those" in capsys.readouterr().err


def test_pull__exports_again_what_changes_meanwhile(pushed, server, capsys):
    server.faults = [("GET", "/files/", lambda: move(server))]
    assert pushed.run("pull", "park") == 0
    shown = read_cvat("my/park.zip").tracks[0].shapes[0].points[0, 0]
    assert shown == only(server).annotations["tracks"][0]["shapes"][0]["points"][0] == 3.0
    server.faults = [("GET", "/files/", lambda: move(server))] * 6
    assert pushed.run("pull", "park") == 1
    assert "was changed each time while it was exported" in capsys.readouterr().err


# -- servers that fail


FAILS = [
    ("/users/self", 401, "did not log in: 401 because of Bearer … Its credentials"),
    ("/api/tasks/", 403, "Account 'annie' may not do that"),
    ("/api/tasks/", 404, "404 because of Bearer … Was it deleted"),
    ("/api/tasks/", 500, "500 because of Bearer … The server has a fault"),
    ("/api/tasks/", 418, "418"),
    ("/api/tasks/", "page", "its answer is not as expected"),
    ("/api/tasks/", "hang up", "could not be asked to show task"),
    ("/data/meta", "page", "its answer is not as expected"),
    ("/requests/", 503, "did not export task"),
    ("/requests/", "page", "its answer is not as expected"),
    ("/files/", 500, "did not export task"),
    ("/files/", "cut", "could not be asked to export task"),
    ("/files/", "page", "is a web page, not an annotation"),
]


def test_pull__from_a_server_that_fails_says_so_and_writes_nothing(pushed, server, capsys):
    assert pushed.run("pull", "park") == 0
    move(server)
    for pattern, fault, said in FAILS:
        server.faults = [("GET", pattern, fault)] * 20
        before, n = pushed.files(), len(server.seen)
        assert pushed.run("pull", "park") == 1
        assert said in capsys.readouterr().err, (pattern, fault)
        assert pushed.files() == before
        assert len(server.seen) - n < 40, "attempts are bounded"


def test_pull__asks_again_where_an_answer_fails_once(pushed, server):
    for pattern in ("/users/self", "/api/tasks/", "/requests/", "/files/"):
        server.faults = [("GET", pattern, fault) for fault in (502, "hang up", 429)]
        assert pushed.run("pull", "park") == 0, pattern
        assert not server.faults


def test_pull__downloads_again_what_was_cut_short(pushed, server):
    server.faults = [("GET", "/files/", "cut")]
    assert pushed.run("pull", "park") == 0
    assert len(read_cvat("my/park.zip").tracks) == 1


def test_pull__gives_up_on_an_export_that_does_not_end(pushed, server, capsys):
    server.stays = "queued"
    assert pushed.run("pull", "park", "--wait-s", "1") == 1
    assert "has not finished after 1 s; it is queued" in (err := capsys.readouterr().err)
    assert "--wait-s" in err
    assert not (pushed.folder / "my/park.zip").exists()


def test_pull__says_why_an_export_failed(pushed, server, capsys, monkeypatch):
    work = server.work
    monkeypatch.setattr(server, "work", lambda *a, **k: work(*a, **k | {"message": "no space"}))
    assert pushed.run("pull", "park") == 1
    assert "did not export task" in (err := capsys.readouterr().err)
    assert "no space" in err


def test_pull__does_not_wait_for_ever_for_an_answer(pushed, server, capsys, monkeypatch):
    monkeypatch.setattr(sdk, "RETRIES", 0)
    server.faults = [("GET", "/api/tasks/", "silent")] * 9
    assert pushed.run("pull", "park", "--timeout-s", "1") == 1
    assert "timed out" in capsys.readouterr().err


def test_pull__of_a_server_that_is_down_names_it(pushed, capsys):
    note = pushed.note_path()
    text = note.read_text(encoding="utf-8").replace(pushed.url, "http://127.0.0.1:9")
    note.write_text(text, encoding="utf-8")
    assert pushed.run("pull", "park", server=False) == 1
    assert "http://127.0.0.1:9: could not be asked to log in" in capsys.readouterr().err


def test_pull__goes_on_where_one_recording_fails(pushed, server, capsys):
    assert pushed.run("push", "street") == 0
    del server.tasks[pushed.note().task]
    assert pushed.run("pull") == 1
    assert "1 of 2 recordings failed: park" in capsys.readouterr().err
    assert (pushed.folder / "my/annotations/street.zip").exists()


def test_table__may_await_annotations_but_no_other_files(pushed, capsys):
    pushed.table(park={"rois": "my/park.zip", "labelled": "my/gone.tsv"})
    assert pushed.run("pull", "park") == 2
    assert "labelled: 'my/gone.tsv' does not exist" in capsys.readouterr().err


def test_options__of_the_other_action_are_refused(pushed, capsys):
    assert pushed.run("pull", "--again") == 2
    assert "--again goes with push alone" in capsys.readouterr().err
