"""Names that look the same, however Unicode spells them, and files of such names."""

from __future__ import annotations

import unicodedata

import pytest

from evreel.annotations.cvat import read_cvat
from evreel.annotations.shapes import relabel
from evreel.errors import AnnotationError, did_you_mean
from evreel.samples.cut import by_intervals, by_members
from evreel.samples.intervals import Columns, read_intervals
from evreel.samples.pattern import Pattern
from evreel.samples.samples import Member
from evreel.samples.splits import Unassigned, by_lists, by_seed
from evreel.steps import acquire
from evreel.text import nfc, on_disk, size_text
from support.archives import packed

NFC, NFD = "Fußgänger-é", unicodedata.normalize("NFD", "Fußgänger-é")
XML = """<annotations><version>1.1</version><track id="0" label="{0}">
<box frame="0" xtl="0" ytl="0" xbr="2" ybr="2" outside="0" occluded="0" keyframe="1"/>
</track></annotations>"""


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (999.6, "1.0 kB"),  # of a rate
        (1_000, "1.0 kB"),
        (99_949, "99.9 kB"),
        (99_951, "100 kB"),
        (812_345, "812 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (1_049_999, "1.0 MB"),
        (3_400_000, "3.4 MB"),
        (1_200_000_000, "1.2 GB"),
        (999_999_999_999, "1.0 TB"),
        (50e15, "50.0 PB"),
        (7e18, "7000 PB"),
    ],
)
def test_size__has_two_or_three_figures_and_the_unit_that_fits(n_bytes, text):
    assert size_text(n_bytes) == text


@pytest.mark.parametrize(("there", "listed"), [(NFD, NFC), (NFC, NFD)])
def test_label_of_cvat__is_that_of_the_list_in_either_spelling(tmp_path, there, listed):
    xml = tmp_path / "r.xml"
    xml.write_text(XML.format(there), encoding="utf-8")
    read = relabel(read_cvat(xml), ["car", listed])
    assert read.labels == ("car", NFC)
    assert read.tracks[0].label == NFC


@pytest.mark.parametrize("label", ["Car", "car\u00a0", " car", "\u0441ar", "ca\u200br", "\uff43ar"])
def test_label__that_only_looks_like_one_is_refused_with_what_differs(tmp_path, label):
    xml = tmp_path / "r.xml"
    xml.write_text(XML.format(label), encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"; did you mean 'car'\?") as caught:
        relabel(read_cvat(xml), ["bus", "car"])
    told = str(caught.value)
    assert told.isprintable()
    assert repr(label) in told
    assert ("'\\u0441ar', which only looks like it" in told) == (label == "\u0441ar")


def test_guess__prefers_what_looks_the_same():
    assert did_you_mean("CAT", ["CATS", "cat"]) == "did you mean 'cat'?"
    assert did_you_mean("x", ["Y"]) == ""


@pytest.mark.parametrize(("there", "listed"), [(NFD, NFC), (NFC, NFD)])
def test_table_of_intervals__has_labels_groups_and_columns_in_either_spelling(
    tmp_path, there, listed
):
    table = tmp_path / "t.csv"
    table.write_text(
        f"{there},start_us,stop_us,group,recording\nk{there},0,5,{there},{there}\n", "utf-8"
    )
    columns = Columns(label=listed, group="group")
    rows = read_intervals(table, columns, recording=NFC)
    given = {"t_offset": 0, "classes": {f"k{listed}": listed}, "labels": [listed]}
    samples = by_intervals(rows, **given)
    assert (samples.label, samples.group) == ((NFC,), (NFC,))
    assert samples.numbers(["x", listed]).tolist() == [1]


@pytest.mark.parametrize(("there", "listed"), [(NFD, NFC), (NFC, NFD)])
def test_members__have_labels_and_names_in_either_spelling(there, listed):
    fits = f"{listed}/{{label}}/?.bin"
    assert Pattern(fits).of(f"{there}/{there}/{there[-2:].strip('-')}.bin") == (NFC, "")
    samples = by_members(
        [Member(f"{there}/{there}/é.bin", 0, 5, 0)], fits, classes={listed: "person"}
    )
    assert (samples.id, samples.label) == ((f"{NFC}/{NFC}/é",), ("person",))


@pytest.mark.parametrize(("there", "listed"), [(NFD, NFC), (NFC, NFD)])
def test_list_of_a_split__names_samples_and_files_in_either_spelling(tmp_path, there, listed):
    samples = [Unassigned("a", f"{there}.zip", "0", "", ""), Unassigned("b", "b", there, "", "")]
    (tmp_path / "train.txt").write_text(f"{listed}.zip\n", "utf-8")
    (tmp_path / "test.txt").write_text(f"b/{listed}\n", "utf-8")
    lists = {split: tmp_path / f"{split}.txt" for split in ("train", "test")}
    assert by_lists(samples, lists) == ["train", "test"]


def test_group__is_one_in_both_spellings():
    for seed in range(20):
        rows = [Unassigned("r", "r", str(k), "c", (NFC, NFD)[k % 2]) for k in range(4)]
        assert len(set(by_seed(rows, seed, {"train": 0.5, "test": 0.5}))) == 1


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize(("there", "asked"), [(NFD, NFC), (NFC, NFD)])
def test_member_of_an_archive__is_found_in_either_spelling(tmp_path, kind, there, asked):
    path = packed(tmp_path / f"a.{kind}", {f"d/{there}.raw": b"events"})
    acquire(f"{path}!d/{asked}.raw", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"events"


def test_path__is_found_as_the_disk_spells_it(tmp_path):
    for folder in (NFD, NFC):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{NFD}.xml").touch()
        assert on_disk(tmp_path / folder / f"{NFC}.xml") == tmp_path / folder / f"{NFD}.xml"
    (tmp_path / NFC / f"{NFD}.xml").rename(tmp_path / NFC / "x")
    for path in (tmp_path / NFC / f"{NFC}.xml", tmp_path / "x" / NFC, f"a\0{NFC}", "", "."):
        assert str(on_disk(path)) == str(tmp_path.__class__(path))


def test_text_that_is_not_unicode__is_compared_as_it_is():
    assert nfc("a\udcff") == "a\udcff"
