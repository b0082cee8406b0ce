"""Functions that open any format: what they take, how they recognize it, what they yield."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import zipfile

import pytest

from evreel.errors import RecordingError, UnknownFormatError, UsageError
from evreel.events import Events, Sensor
from evreel.recordings import event_chunks, open_recording, read_events
from evreel.recordings.aedat4 import Aedat4Writer
from evreel.recordings.archive import ArchiveRecording
from evreel.recordings.open import COLUMNS_FOLDER, FORMAT_NAMES, FORMATS, read_at_most
from support import ROOT, random_events
from support.stores import store_of
from support.writers import aedat, aer40, event_stream, prophesee

DOORS = (open_recording, event_chunks, read_events)


@pytest.fixture(scope="module")
def events():
    return random_events(30_000, (48, 64), 1_000_000)


@pytest.fixture(scope="module")
def path(events, tmp_path_factory):
    path = tmp_path_factory.mktemp("open") / "x.aedat4"
    with Aedat4Writer(path, events.sensor, events_per_packet=1_000) as writer:
        writer.write(events)
    return path


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: f"{form.name} {form.start!r}")
def test_format__is_recognized_by_one_thing_and_has_its_reader(form):
    assert bool(form.start) != bool(form.suffix)
    module = importlib.import_module(f"evreel.recordings.{form.module}")
    assert callable(getattr(module, form.opener))
    other = [one for one in FORMATS if one is not form and one.start and form.start]
    assert not [one for one in other if form.start.startswith(one.start)]


def test_formats__have_every_reader_there_is_and_the_message_names_all(tmp_path):
    folder = ROOT / "src" / "evreel" / "recordings"
    readers = {
        ".".join(path.relative_to(folder).with_suffix("").parts)
        for path in folder.rglob("*.py")
        if re.search(r"^    format = ", path.read_text("utf-8"), re.MULTILINE)
    }
    listed = {form.module for form in (*FORMATS, COLUMNS_FOLDER)}
    assert {name.removesuffix(".read") for name in readers} == {
        name.removesuffix(".read").removesuffix(".open") for name in listed
    }
    (tmp_path / "a").write_bytes(b"hello")
    with pytest.raises(UnknownFormatError) as caught:
        open_recording(tmp_path / "a")
    assert [form.name for form in FORMATS if form.name not in str(caught.value)] == []


WORDS = aer40.aer40([(5, 0, 33, 1), (9, 1, 2, 0)])


def test_formats__are_stated_as_their_readers_call_them():
    folder = ROOT / "src" / "evreel" / "recordings"
    text = "".join(path.read_text("utf-8") for path in folder.rglob("*.py"))
    assert set(re.findall(r'^    format = "(.+)"$', text, re.MULTILINE)) == {
        name for form in FORMATS for name in form.formats
    }
    assert len(FORMAT_NAMES) == len(set(FORMAT_NAMES))


@pytest.mark.parametrize("name", ["12345678", "r.dat", "r.npz", "r.bin", "r.", ".bin"])
def test_stated_format__is_read_under_any_name(tmp_path, name):
    (tmp_path / name).write_bytes(WORDS)
    with open_recording(tmp_path / name, sensor=Sensor(34, 34), format="aer40") as recording:
        assert recording.format == "aer40"
        assert read_events(recording).t.tolist() == [0, 4]


def test_stated_format__of_a_file_that_shows_it_changes_nothing(path, events):
    with open_recording(path, format="aedat4") as recording:
        assert read_events(recording).t.tolist() == events.t.tolist()


@pytest.mark.parametrize("stated", FORMAT_NAMES)
@pytest.mark.parametrize(
    ("content", "shown", "said"),
    [
        (event_stream.stream(event_stream.DVS, [], (34, 34)), "event_stream", "Event Stream"),
        (prophesee.raw("3.0", [], (34, 34)), "evt3", "evt3|Prophesee"),
        (WORDS, "aer40", "begins with b'"),
    ],
)
def test_stated_format__that_the_content_contradicts_is_an_error_that_names_both(
    tmp_path, stated, content, shown, said
):
    file = tmp_path / "r.bin"
    file.write_bytes(content)
    if stated == shown:
        open_recording(file, sensor=Sensor(34, 34), format=stated).close()
        return
    with pytest.raises(RecordingError, match=f"({said}).* stated to be {re.escape(stated)}. Corr"):
        open_recording(file, format=stated)


def test_stated_format__that_does_not_exist_is_refused_with_a_guess(path):
    with pytest.raises(UsageError, match=r"'aedat' is not one of aedat4, .*; did you mean 'aedat"):
        open_recording(path, format="aedat")


def test_family__stands_for_each_of_its_formats(tmp_path):
    store = store_of(tmp_path / "x.h5", random_events(50))
    with open_recording(store, format="hdf5") as recording:
        assert recording.format == "evreel-events"
    with pytest.raises(RecordingError, match=r"is evreel-events, but .* stated to be hdf5-columns"):
        open_recording(store, format="hdf5-columns")


def test_stated_format__is_that_of_every_member_of_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed:
        for name in ("a/1", "a/2"):
            packed.writestr(name, WORDS)
    given = (tmp_path / "set.zip", "a/*", tmp_path / "room")
    with ArchiveRecording(*given, sensor=Sensor(34, 34), format="aer40") as recording:
        assert recording.format == "archive of aer40"
        assert sum(map(len, recording)) == 4
    with pytest.raises(RecordingError, match=r"a/1.* state format aer40 \(column format"):
        ArchiveRecording(*given)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("given", [7, None, b"a.aedat4", ["a.aedat4"], 1.5])
def test_door__given_anything_else_says_what_it_takes(door, given):
    message = f"{door.__name__} takes .*path of .*, not {re.escape(repr(given))}. Give a path"
    with pytest.raises(UsageError, match=message):
        door(given)


@pytest.mark.parametrize("door", DOORS)
def test_door__given_an_open_file_says_to_give_its_path(door, path):
    with path.open("rb") as file, pytest.raises(UsageError, match="not the open file"):
        door(file)


def test_open_recording__of_an_open_one_or_an_impossible_name_is_refused(path):
    with (
        open_recording(path) as recording,
        pytest.raises(UsageError, match="is open already: use it"),
    ):
        open_recording(recording)
    with pytest.raises(UsageError, match="not a valid file name"):
        open_recording("a\0b")


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_events__are_read_from_a_path_as_from_an_open_recording(kind, path, events):
    assert read_events(kind(path)).t.tolist() == events.t.tolist()
    part = read_events(kind(path), 500, 40_000, threads=1).t.tolist()
    assert part == [t for t in events.t.tolist() if 500 <= t < 40_000]
    assert [t for chunk in event_chunks(kind(path), 500, 40_000) for t in chunk.t.tolist()] == part


@pytest.mark.parametrize("kind", ["reader", "store", "archive"])
def test_recording__is_iterable_in_chunks_of_events(kind, path, events, tmp_path):
    if kind == "archive":
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed:
            packed.write(path, path.name)
        opened = ArchiveRecording(tmp_path / "set.zip", "*.aedat4", tmp_path / "room")
    else:
        opened = open_recording(path if kind == "reader" else store_of(tmp_path / "x.h5", events))
    with opened as recording:
        for _ in range(2):
            chunks = list(recording)
            assert {type(chunk) for chunk in chunks} == {Events}
            assert [t for chunk in chunks for t in chunk.t.tolist()] == events.t.tolist()


@pytest.mark.parametrize(
    ("name", "content", "needed"),
    [
        ("r.bin", aer40.aer40([(5, 0, 33, 1)]), False),
        ("r.aedat", aedat.header2(aedat.DAVIS240) + aedat.davis(5, 1, 2, 1), True),
        ("r.raw", prophesee.raw("3.0", []), True),
        ("r.es", event_stream.stream(event_stream.DVS, [(5, 0, 0, 1)]), True),
    ],
)
def test_numba__is_imported_only_if_events_that_need_it_are_read(name, content, needed, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    code = (
        "import importlib, sys; "
        "from evreel.recordings.open import FORMATS, open_recording; "
        "[importlib.import_module(f'evreel.recordings.{form.module}') for form in FORMATS]; "
        "assert 'numba' not in sys.modules; "
        f"list(open_recording({str(path)!r}, sensor={None if needed else (34, 34)})); "
        f"assert ('numba' in sys.modules) == {needed}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("kind", ["aedat4", "h5"])
def test_closed_recording__says_that_it_is_closed(tmp_path, kind):
    events = random_events(50)
    path = tmp_path / f"r.{kind}"
    if kind == "h5":
        store_of(path, events)
    else:
        with Aedat4Writer(path, events.sensor) as writer:
            writer.write(events)
    recording = open_recording(path)
    assert sum(map(len, recording)) == 50
    recording.close()
    with pytest.raises(UsageError, match=rf"r\.{kind}: is closed\. Open it again to read it\."):
        next(iter(recording))
    if kind == "h5":
        for read in (recording.read, lambda: recording.read_us(0, 9)):
            with pytest.raises(UsageError, match="is closed"):
                read()


@pytest.mark.parametrize(("most", "fits"), [(30_000, True), (29_999, False), (0, False)])
def test_read_at_most__returns_all_events_or_none(events, path, most, fits):
    told = []
    with open_recording(path) as opened:
        read = read_at_most(opened, most, progress=lambda done, total: told.append(done))
    assert (read is not None) == fits
    if read is not None:
        assert read.t.tolist() == events.t.tolist()
        assert told[-1] == 30_000
