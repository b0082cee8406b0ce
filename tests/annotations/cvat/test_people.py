"""People whom an export names, and how they are left out."""

from __future__ import annotations

import zipfile

import pytest

from evreel.annotations.cvat import read_cvat
from evreel.annotations.cvat.people import copy_without_people, names_in, people_in
from evreel.errors import AnnotationError
from support import shared_file
from support.annotations import by_frame
from support.cvat import frame_names, images, listed, task, track

KIM = "<owner>\n<username>Kim</username>\n<email>kim@example.org</email>\n</owner>"
LEE = '<assignee id="2"><username>李</username><email></email></assignee>'
NOBODY = "<owner><username>annotator</username><email>\n</email></owner><assignee></assignee>"


def of(people, body=None):
    text = task(track(listed(range(20))) if body is None else body)
    return text.replace("<labels>", f"{people}<labels>")


@pytest.mark.parametrize(
    ("people", "n"),
    [("", (0, 0)), (NOBODY, (0, 0)), (KIM, (1, 1)), (KIM + LEE, (2, 1)), (KIM + KIM, (1, 1))],
)
@pytest.mark.parametrize("body", [None, images(frame_names(range(20)))])
def test_people__are_counted_and_left_out_and_nothing_else_is(tmp_path, people, n, body):
    source, made = tmp_path / "a.xml", tmp_path / "b.xml"
    source.write_text(of(people, body), encoding="utf-8")
    assert people_in(source) == n
    assert copy_without_people(source, made) == (n != (0, 0))
    text = made.read_text(encoding="utf-8")
    assert not any(said in text for said in ("Kim", "kim@", "李"))
    assert text.count("\n") == source.read_text(encoding="utf-8").count("\n")
    assert people_in(made) == (0, 0)
    assert by_frame(read_cvat(made)) == by_frame(read_cvat(source))
    if n == (0, 0):
        assert made.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("empty", ["<assignee/>", "<assignee />", '<assignee id="1" />'])
def test_empty_element__is_nobody_and_hides_nothing_behind_it(tmp_path, empty):
    source, made = tmp_path / "a.xml", tmp_path / "b.xml"
    source.write_text(of(f"{empty}<bugtracker>kept</bugtracker>{LEE}"), encoding="utf-8")
    assert people_in(source) == (1, 0)
    assert copy_without_people(source, made)
    assert f"{empty}<bugtracker>kept</bugtracker><assignee" in made.read_text(encoding="utf-8")
    assert "李" not in made.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["data.yaml", "gt/gt.txt", "annotations/instances.json"])
def test_zip_of_another_form__names_nobody_and_is_copied(tmp_path, name):
    source, made = tmp_path / "a.zip", tmp_path / "b.zip"
    with zipfile.ZipFile(source, "w") as packed:
        packed.writestr(name, "names: [car]")
    assert people_in(source) == (0, 0)
    assert not copy_without_people(source, made)
    assert made.read_bytes() == source.read_bytes()


def test_zip__keeps_its_other_files(tmp_path):
    source, made = tmp_path / "a.zip", [tmp_path / "b.zip", tmp_path / "c.zip"]
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("images/frame_000000.png", b"<owner>a picture</owner>")
        packed.writestr("annotations.xml", of(KIM))
    assert people_in(source) == (1, 1)
    for path in made:
        assert copy_without_people(source, path)
    assert made[0].read_bytes() == made[1].read_bytes()
    with zipfile.ZipFile(made[0]) as packed:
        assert packed.namelist() == ["images/frame_000000.png", "annotations.xml"]
        assert packed.read("images/frame_000000.png") == b"<owner>a picture</owner>"
        assert b"Kim" not in packed.read("annotations.xml")
    assert people_in(made[0]) == (0, 0)


def test_other_forms__name_nobody_and_are_copied(tmp_path):
    for name, data in (("a.json", b'{"images": []}'), ("b.txt", b"1,2,3"), ("c.npy", b"\x93NUMPY")):
        (tmp_path / name).write_bytes(data)
        assert people_in(tmp_path / name) == (0, 0)
        assert not copy_without_people(tmp_path / name, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == data


def test_utf_16__is_not_taken_for_a_file_without_people(tmp_path):
    (tmp_path / "a.xml").write_text(of(KIM), encoding="utf-16")
    with pytest.raises(AnnotationError, match="is in UTF-16"):
        copy_without_people(tmp_path / "a.xml", tmp_path / "b.xml")


def test_real_project__loses_its_people_alone(tmp_path):
    text = shared_file("annotations/datumaro_images_project_subsets.xml").read_text("utf-8")
    source = tmp_path / "a.xml"
    source.write_text(text.replace("annotator<", "Kim<"), encoding="utf-8")
    assert people_in(source).n == 1
    assert copy_without_people(source, tmp_path / "b.xml")
    assert people_in(tmp_path / "b.xml").n == 0
    assert "Kim" not in (tmp_path / "b.xml").read_text(encoding="utf-8")


def test_hosts__are_left_out_where_asked_for(tmp_path):
    source, made = tmp_path / "a.xml", tmp_path / "b.xml"
    url = "<segments><segment><id>1</id><url>http://cvat.lab.net:8080/1</url></segment></segments>"
    source.write_text(of(url), encoding="utf-8")
    assert people_in(source) == (0, 0)
    assert names_in(source) == {"http://cvat.lab.net:8080/1"}
    assert not copy_without_people(source, made)
    assert copy_without_people(source, made, hosts=True)
    text = source.read_text(encoding="utf-8")
    assert made.read_text(encoding="utf-8") == text.replace("http://cvat.lab.net:8080/1", "")
