"""Recordings that hold many samples: intervals, archives of members, splits, and their files."""

from __future__ import annotations

import gzip
import io
import itertools
import tarfile
import warnings
import zipfile
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evreel import steps
from evreel.acquire import Archive
from evreel.errors import AnnotationError, EvreelError, RecordingError, SourceError, UsageError
from evreel.files.events_store import EventsStore
from evreel.files.features import FeaturesFile
from evreel.files.samples import SamplesFile
from evreel.recordings.archive import ArchiveRecording
from evreel.samples.cut import by_intervals, by_members
from evreel.samples.intervals import Columns, Interval, read_intervals
from evreel.samples.pattern import Pattern
from evreel.samples.samples import Member, Samples
from evreel.samples.splits import Unassigned, by_lists, by_seed, check_counts
from evreel.samples.tables import read_cut, read_samples_table, write_cut
from support import random_events
from support.archives import packed
from support.calls import with_settings
from support.stores import store_of
from support.writers.aer40 import aer40


def small(seed, n=200, stop_us=50_000):
    """Return the events of a short recording, and its bytes in 40-bit words."""
    events = random_events(n, (34, 34), stop_us, seed)
    t = events.t + 17 * (seed + 1)
    columns = (t, events.x, events.y, events.p)
    return events, aer40(zip(*(column.tolist() for column in columns), strict=True))


def decode(archive, out, members, **options):
    """Decode the recordings in an archive."""
    events = options.pop("events", steps.EventsSettings())
    chosen = steps.MemberSettings(members=members, **options)
    return steps.events(archive, out, events, archive=chosen, sensor="34x34")


# Tables of intervals


def test_read_intervals__takes_columns_by_name_and_any_separator(tmp_path):
    for between in ",;\t":
        table = tmp_path / "t.csv"
        rows = ["class,startTime_usec,endTime_usec", "2, 100,200", "", "1,300,450"]
        table.write_text("\r\n".join(rows).replace(",", between), encoding="utf-8-sig")
        columns = Columns(label="class", start="startTime_usec", stop="endTime_usec")
        assert read_intervals(table, columns) == [
            Interval(2, "0", "2", "", 100, 200),
            Interval(4, "1", "1", "", 300, 450),
        ]


def test_read_intervals__turns_units_into_whole_microseconds(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("label,start_us,stop_us,id\na,0.1,2.000001,x\n")
    [row] = read_intervals(table, Columns(id="id"), unit="s")
    assert (row.id, row.start_us, row.stop_us) == ("x", 100_000, 2_000_001)
    with pytest.raises(AnnotationError, match=r"line 2: stop is '2.000001', which is not a whole"):
        read_intervals(table, Columns(), unit="ms")


def test_read_intervals__takes_one_recording_of_a_table_for_all(tmp_path):
    table = tmp_path / "t.tsv"
    table.write_text("recording\tlabel\tstart_us\tstop_us\na\tx\t0\t5\nb\ty\t0\t5\nb\tz\t5\t9\n")
    rows = read_intervals(table, Columns(), recording="b")
    assert [(row.line, row.id, row.label) for row in rows] == [(3, "0", "y"), (4, "1", "z")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.csv: is empty"),
        ("label,start_us\na,0\n", "line 1: column 'stop_us' is missing; did you mean 'start_us'"),
        ("label,start_us,stop_us,label\n", "line 1: column 'label' is duplicated"),
        ("label,start_us,stop_us\na,0\n", "line 2: has 2 cells; the header has 3"),
        ("label,start_us,stop_us\na,x,5\n", "line 2: start is 'x'; a time is expected"),
        ("label,start_us,stop_us\na,nan,5\n", "line 2: start is 'nan'"),
        ("label,start_us,stop_us\na,5,5\n", r"line 2: stops at 5, not after its start at 5"),
        ("label,start_us,stop_us\na,0,1e30\n", "line 2: stop is '1e30', which is beyond"),
        ("label,start_us,stop_us\na,0,inf\n", "line 2: stop is 'inf'"),
        ("label,start_us,stop_us\na,0,1_0\n", "line 2: stop is '1_0'; a time is expected"),
        ("label,start_us,stop_us\na,0,\u0661\n", "line 2: stop is '\u0661'; a time is expected"),
        ("label,start_us,stop_us\na,0,1e999999\n", "line 2: stop is '1e999999'; a time is"),
        ("label,start_us,stop_us\na,0,1e-999999999\n", "line 2: stop is '1e-999999999'; a time"),
        (f"label,start_us,stop_us\na,0,{'9' * 5000}\n", "line 2: stop is '9+'; a time is"),
        (f"label,start_us,stop_us\na,0,1.{'0' * 40}1\n", r"stop is '1.0+1', which is not a whole"),
    ],
)
def test_read_intervals__names_line_and_value(tmp_path, text, message):
    table = tmp_path / "t.csv"
    table.write_text(text)
    for unit in ("us", "s"):
        with pytest.raises(AnnotationError, match=message):
            read_intervals(table, Columns(), unit=unit)


@given(st.integers(0, 10**12), st.sampled_from([("", 0), ("e0", 0), ("E+3", 3), ("e-03", -3)]))
def test_read_intervals__computes_times_exactly(tmp_path_factory, time_us, exponent):
    text, power = exponent
    table = tmp_path_factory.getbasetemp() / "exact.csv"
    seconds = f"{time_us // 10**6}.{time_us % 10**6:06d}"
    table.write_text(f"label,start_us,stop_us\na,-1,+{seconds}{text}\n")
    expected, rest = divmod(time_us * 10 ** (power + 3), 1000)
    if rest:
        with pytest.raises(AnnotationError, match="which is not a whole number of µs"):
            read_intervals(table, Columns(), unit="s")
    else:
        [row] = read_intervals(table, Columns(), unit="s")
        assert row.stop_us == expected


def rows_of(*spans):
    return [Interval(k + 2, str(k), label, "", a, b) for k, (label, a, b) in enumerate(spans)]


def test_by_intervals__restores_each_samples_own_clock():
    rows = rows_of(("b", 700, 900), ("a", 500, 600))
    of_source = by_intervals(rows, t_offset=500, clock="source", classes={"a": "clap"})
    assert of_source.id == ("1", "0") and of_source.label == ("clap", "b")
    assert of_source.start_us.tolist() == [0, 200]
    assert of_source.t_offset.tolist() == [500, 700]
    of_recording = by_intervals(rows, t_offset=500)
    assert of_recording.start_us.tolist() == [500, 700]
    assert of_recording.t_offset.tolist() == [1000, 1200]


def test_by_intervals__keeps_or_drops_a_class_that_comes_again():
    rows = rows_of(("8", 0, 10), ("1", 20, 30), ("8", 40, 50))
    assert by_intervals(rows, t_offset=0).label == ("8", "1", "8")
    first = by_intervals(rows, t_offset=0, repeats="first")
    assert first.label == ("8", "1") and first.id == ("0", "1")
    # Two words of the table may stand for one class.
    both = by_intervals(rows, t_offset=0, repeats="first", classes={"8": "drums", "1": "drums"})
    assert both.label == ("drums",) and both.id == ("0",)
    with pytest.raises(UsageError, match="repeats='last' is neither"):
        by_intervals(rows, t_offset=0, repeats="last")


def test_by_intervals__refuses_a_sample_that_ends_far_beyond_the_recording():
    rows = rows_of(("a", 20, 30), ("b", 50, 1010))
    # A scene may be quiet at its end, and a crop may make it so.
    assert by_intervals(rows, t_offset=0, t_stop_us=101).stop_us.tolist() == [30, 1010]
    for options, start, stop_us in (({}, 0, 100), ({"clock": "source"}, 10, 99)):
        with pytest.raises(AnnotationError) as caught:
            by_intervals(rows, t_offset=10, t_stop_us=stop_us, **options)
        assert str(caught.value).startswith(
            f"line 3: runs from {50 - start} to {1010 - start} µs, far beyond the recording's "
            f"end at {stop_us} µs"
        )


def test_samples__refuse_what_is_not_a_valid_cut():
    def made(**changed):
        columns = {"id": ("a", "b"), "label": ("x", "y"), "group": ("", "")}
        times = {"start_us": [0, 5], "stop_us": [9, 8], "t_offset": [0, 5]}
        return Samples(**(columns | times | changed))

    assert len(made()) == 2  # samples may overlap
    for changed, message in (
        ({"id": ("a", "a")}, "sample 'a': is duplicated"),
        ({"label": ("x",)}, "1 samples have a label, but 2 have an id"),
        ({"stop_us": [9, 5]}, "sample 'b': start_us=5 is not before stop_us=5"),
        ({"start_us": [6, 5]}, "sample 'b': starts at 5 µs, before the previous one"),
    ):
        with pytest.raises(AnnotationError, match=message):
            made(**changed)
    assert made(label=("y", "")).numbers(["x", "y"]).tolist() == [1, -1]
    with pytest.raises(AnnotationError, match="sample 'a': label 'x' is not listed"):
        made().numbers(["y"])


# Archives of samples


@pytest.mark.parametrize(
    ("pattern", "name", "said"),
    [
        ("*/{label}/*.bin", "Train/7/0001.bin", ("7", "")),
        ("{group}/{label}_?.npy", "user1/wave_2.npy", ("wave", "user1")),
        ("*.mat", "a/b.mat", None),
        ("*/{label}/*.bin", "Train/7/._0001.bin", None),
        ("*/{label}/*.bin", "Train/.git/0001.bin", None),
        ("a+b/{label}.bin", "a+b/c.bin", ("c", "")),
        ("a.b/*", "axb/c", None),
    ],
)
def test_pattern__reads_names(pattern, name, said):
    assert Pattern(pattern).of(name) == said


WORDS = st.sampled_from(["a", "b", "ab", "*", "?", "a*", "{label}", "{group}"])


@given(*[st.lists(WORDS, min_size=1, max_size=3)] * 2)
@settings(max_examples=300, deadline=None)
def test_pattern__excludes_another_only_if_no_name_fits_both(one, other):
    assume(
        all(words.count(field) < 2 for words in (one, other) for field in ("{label}", "{group}"))
    )
    one, other = Pattern("/".join(one)), Pattern("/".join(other))
    names = [
        "/".join(n) for k in (1, 2, 3) for n in itertools.product(("a", "b", "ab", "c"), repeat=k)
    ]
    fit_both = [name for name in names if one.of(name) and other.of(name)]
    assert not (fit_both and one.excludes(other))
    assert one.excludes(other) == other.excludes(one)


def test_pattern__excludes_another_of_the_same_name_in_another_spelling():
    composed, decomposed = "caf\u00e9/*", "cafe\u0301/*"
    assert not Pattern(composed).excludes(Pattern(decomposed))


def test_pattern__refuses_unknown_words():
    with pytest.raises(UsageError, match=r"has \{klass\} in it; only \{label\} and \{group\} are"):
        Pattern("{klass}/*.bin")
    with pytest.raises(UsageError, match=r"has \{label\} in it twice"):
        Pattern("{label}/{label}.bin")
    with pytest.raises(UsageError, match=r"'c/\\udcff' is not UTF-8. Write \? for each"):
        Pattern("c/\udcff")
    assert Pattern("c/?").of("c/\udcff") == ("", "")


@pytest.fixture(params=["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
def archive(request, tmp_path):
    """An archive with four recordings and other files, in no order."""
    members = {f"Train/{k % 2}/{9 - k:05d}.bin": small(k)[1] for k in range(4)}
    members |= {"readme.txt": b"text", "Train/0/._x.bin": b"hidden"}
    path = tmp_path / f"a.{request.param}"
    return packed(path, members)


def test_archive__is_laid_end_to_end_from_whole_milliseconds_on(tmp_path, archive):
    out = tmp_path / "s.h5"
    repairs = decode(archive, out, "*/{label}/*.bin")
    assert repairs["skipped_files"] == 2 and repairs["left_out_members"] == 0
    names = sorted(f"Train/{k % 2}/{9 - k:05d}.bin" for k in range(4))
    with EventsStore(out) as store:
        assert [member.name for member in store.members] == names
        assert store.source_format == "archive of aer40" and store.t_offset == 0
        begin = 0
        for member in store.members:
            k = 9 - int(member.name[-9:-4])
            own, _ = small(k)
            assert member.start_us == begin and member.start_us % 1000 == 0
            assert member.t_offset == 17 * (k + 1)
            got = store.read_us(member.start_us, member.stop_us)
            assert (got.t - begin).tolist() == own.t.tolist()
            assert got.x.tolist() == own.x.tolist() and got.y.tolist() == own.y.tolist()
            assert got.p.tolist() == own.p.tolist()
            last = begin + int(own.t[-1])
            assert member.stop_us == last + 1
            begin = (last // 1000 + 1) * 1000
        assert store.n == 800


def test_archive__does_not_depend_on_how_it_was_packed(tmp_path):
    members = {f"{k}.bin": small(k)[1] for k in range(3)}
    archives = [
        packed(tmp_path / "a.zip", members),
        packed(tmp_path / "b.zip", dict(reversed(members.items()))),
        packed(tmp_path / "c.tar.gz", members),
    ]
    stores = []
    for path in archives:
        out = path.with_suffix(".h5")
        decode(path, out, "*.bin")
        with EventsStore(out) as store:
            events = store.read()
            stores.append((store.members, events.t.tolist(), events.x.tolist()))
    assert stores[0] == stores[1] == stores[2]


def test_archive__crops_and_counts_as_one_recording_does(tmp_path):
    path = packed(tmp_path / "a.zip", {f"{k}.bin": small(k)[1] for k in range(3)})
    out = tmp_path / "s.h5"
    repairs = decode(
        path, out, "*.bin", leave_out=["1.*"], events=steps.EventsSettings(crop=[0, 0, 10, 34])
    )
    inside = sum(int((small(k)[0].x < 10).sum()) for k in (0, 2))
    assert repairs["left_out_members"] == 1 and repairs["outside_crop"] == 400 - inside
    with EventsStore(out) as store:
        assert store.n == inside and [m.name for m in store.members] == ["0.bin", "2.bin"]


@pytest.mark.parametrize(
    ("members", "options", "message"),
    [
        ({"a.bin": b""}, {}, r"a.zip: a.bin: .*is empty"),
        ({"a.bin": small(0)[1][:-2]}, {}, r"a.zip: a.bin: byte 995: "),
        (
            {"a.txt": b"x"},
            {},
            r"a.zip: no file in it matches '\*.bin'. It has 1 files, such as 'a.txt'",
        ),
        ({"a.bin": small(0)[1]}, {"leave_out": ["a.*"]}, "no file in it matches"),
        (
            {"a.bin": small(0)[1]},
            {"sensor": "10x10"},
            r"a.zip: a.bin: byte 0: .*outside the sensor",
        ),
    ],
)
def test_archive__names_the_member_that_is_at_fault(tmp_path, members, options, message):
    path = packed(tmp_path / "a.zip", members)
    with pytest.raises(RecordingError, match=message):
        with_settings(
            steps.events,
            path,
            tmp_path / "s.h5",
            **({"members": "*.bin", "sensor": "34x34"} | options),
        )
    assert not (tmp_path / "s.h5").exists()


def test_archive__refuses_what_it_cannot_read(tmp_path):
    plain = tmp_path / "x.bin"
    plain.write_bytes(small(0)[1])
    with pytest.raises(
        SourceError, match=r"x.bin: the archive is neither a zip nor a tar.* needs an ar"
    ):
        decode(plain, tmp_path / "s.h5", "*.bin")
    path = packed(tmp_path / "a.zip", {f"{k}.bin": small(k)[1] for k in range(9)})
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at])
        with pytest.raises(EvreelError, match=r"a\.zip"):
            decode(path, tmp_path / "s.h5", "*.bin")
    with pytest.raises(UsageError, match="start_us, stop_us and stream do not apply"):
        steps.events(
            path,
            tmp_path / "s.h5",
            steps.EventsSettings(start_us=5),
            archive=steps.MemberSettings(members="*.bin"),
        )


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (("empty.bin", b""), "a.*: empty.bin: is empty. Copy"),
        (("1.bin", b"x"), "a.*!1.bin: is duplicated in the archive"),
        (("x\n.bin", b"x"), "cannot hold the name of member"),
    ],
)
def test_archive__is_judged_as_it_is_read_and_not_after(tmp_path, name, bad, problem):
    path = tmp_path / name
    members = [("1.bin", small(0)[1]), bad]
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.GNU_FORMAT) as file:
        for member, content in members:
            info = tarfile.TarInfo(member)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
        end = file.offset
    # What follows is no tar any more.
    data = whole.getvalue()[:end] + np.random.default_rng(1).bytes(1 << 20)
    path.write_bytes(gzip.compress(data)[:-9] if name.endswith("gz") else data)
    with pytest.raises(EvreelError, match=problem):
        decode(path, tmp_path / "s.h5", "*.bin")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_archive__with_an_empty_member_anywhere_is_refused_before_one_is_decoded(
    tmp_path, monkeypatch, kind
):
    members = {f"{k}.bin": small(k)[1] for k in range(3)} | {"9.bin": b""}
    path = packed(tmp_path / f"a.{kind}", members)
    monkeypatch.setattr(Archive, "unpack", lambda *_: pytest.fail("a member is unpacked"))
    with pytest.raises(RecordingError, match=r"9.bin: is empty. .*name it in samples.leave_out"):
        decode(path, tmp_path / "s.h5", "*.bin")


def test_archive__refuses_members_of_another_size_or_kind(tmp_path):
    events = random_events(50, (34, 34))
    buffer = io.BytesIO()
    np.savez(buffer, t=events.t, x=events.x, y=events.y, p=events.p)
    path = packed(tmp_path / "a.zip", {"a.bin": small(0)[1], "b.npz": buffer.getvalue()})
    with pytest.raises(
        RecordingError, match=r"a.zip: b.npz: is npz of 34x34 px, but others are aer40"
    ):
        decode(path, tmp_path / "s.h5", "?.*")


def test_archive__refuses_a_member_that_is_not_a_file_and_counts_others(tmp_path):
    path, data = tmp_path / "a.tar", small(0)[1]
    with tarfile.open(path, "w") as archive:
        for name, kind in (
            ("c/0.bin", tarfile.REGTYPE),
            ("c/1.bin", tarfile.LNKTYPE),
            ("c/2.bin", tarfile.SYMTYPE),
            ("c/3.bin", b"S"),
            ("c", tarfile.DIRTYPE),
            ("odd", tarfile.LNKTYPE),
            ("odd", tarfile.LNKTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "c/0.bin"
            info.size = len(data) if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(data))
    out, leave_out = tmp_path / "s.h5", []
    for k, says in ((1, "a link, not a file"), (2, "a link, not a file"), (3, "a file with holes")):
        with pytest.raises(SourceError, match=rf"a\.tar!c/{k}\.bin: is {says}") as caught:
            decode(path, out, "*/*", leave_out=leave_out)
        assert "To skip it, name it in samples.leave_out." in str(caught.value)
        leave_out.append(f"c/{k}.*")
    repairs = decode(path, out, "*/*", leave_out=leave_out)
    assert (repairs["skipped_files"], repairs["left_out_members"]) == (2, 3)


def test_archive__is_read_if_another_file_in_it_is_duplicated_or_large(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in (
            ("0.bin", small(0)[1]),
            ("README.txt", b"a"),
            ("README.txt", b"b"),
            ("large", bytes(1 << 16)),
            ("1.bin", b"one"),
            ("1.bin", b"two"),
        ):
            archive.writestr(name, data)
    options = {"members": "*.bin", "sensor": "34x34", "member_gib": 1e-5}
    with pytest.raises(SourceError, match=r"a.zip!1.bin: is duplicated .*leave_out"):
        with_settings(steps.events, path, tmp_path / "s.h5", **options)
    repairs = with_settings(steps.events, path, tmp_path / "s.h5", leave_out=["1.*"], **options)
    assert (repairs["skipped_files"], repairs["left_out_members"]) == (3, 2)
    with pytest.raises(SourceError, match=r"a.zip!large: has a declared size of 65,536 bytes"):
        with_settings(steps.events, path, tmp_path / "s.h5", **options | {"members": "l*"})


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("c/\udcff.bin", "*/*"),
        ("c/a\tb.bin", "*/*"),
        ("c/a\nb.bin", "*/*"),
        ("c/\x1b[31m.bin", "*/*"),
        ("c/a.bin ", "*/*"),
        (" c/a.bin", "*/*"),
        ("c/a.bin\u00a0", "*/*"),
        ("c/a\u00a0b.bin", "*/*"),
        ("c/a .bin", "*/*"),  # its sample's name
        ("c/ g/a.bin", "*/{group}/*"),
    ],
)
def test_archive__with_a_name_that_does_not_fit_a_table_is_refused_before_it_is_decoded(
    tmp_path, name, pattern
):
    path, out = tmp_path / "a.tar", tmp_path / "s.h5"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for each in ("c/00.bin", "c/g/00.bin", name):
            info = tarfile.TarInfo(each)
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))  # no events: it would fail to decode
    with pytest.raises(RecordingError) as caught:
        decode(path, out, pattern)
    message = str(caught.value)
    assert message.startswith(f"a.tar: a table of samples cannot hold the name of member {name!r}")
    assert "Rename it" in message and "samples.leave_out" in message
    message.encode()
    # Left out, it is in nobody's way.
    folder = tmp_path / "x"
    with pytest.raises(RecordingError, match=r"a\.tar: c/(g/)?00\.bin: "):
        ArchiveRecording(path, pattern, folder, leave_out=[name.replace("\udcff", "?")])


def test_archive__takes_names_of_any_script(tmp_path):
    names = ["übung/0 1.bin", "手/a+b=c.bin", "c/[x]*.bin"]
    path, out = packed(tmp_path / "a.zip", dict.fromkeys(names, small(0)[1])), tmp_path / "s.h5"
    decode(path, out, "{label}/*.bin")
    assert steps.cut(out, tmp_path / "s.tsv", members="{label}/*.bin") == 3
    assert read_cut(tmp_path / "s.tsv").id == tuple(name[:-4] for name in sorted(names))


def test_archive_recording__salvages_and_counts_over_all_members(tmp_path):
    cut = small(0)[1][:-2]
    path = packed(tmp_path / "a.zip", {"a.bin": cut, "b.bin": cut})
    repairs = decode(
        path, tmp_path / "s.h5", "*.bin", events=steps.EventsSettings(on_damage="salvage")
    )
    assert repairs["damaged_bytes"] == 6


def test_archive_recording__gives_no_part_of_its_time(tmp_path):
    path = packed(tmp_path / "a.zip", {"a.bin": small(0)[1]})
    with (
        ArchiveRecording(path, "*.bin", tmp_path / "x", sensor=(34, 34)) as recording,
        pytest.raises(UsageError, match="are for one recording"),
    ):
        next(recording.batches(0, 10))


def test_by_members__takes_class_and_group_from_names():
    members = [Member("u1/7/a.bin", 0, 10, 3), Member("u2/8/a.bin", 1000, 1200, 9)]
    samples = by_members(members, "{group}/{label}/*.bin", classes={"7": "seven"})
    assert samples.id == ("u1/7/a", "u2/8/a")
    assert samples.label == ("seven", "8") and samples.group == ("u1", "u2")
    assert samples.t_offset.tolist() == [3, 9] and samples.stop_us.tolist() == [10, 1200]
    of_one = by_members(members, "{group}/*/*.bin", classes={"7": "seven"}, label="7")
    assert of_one.label == ("seven", "seven") and of_one.group == ("u1", "u2")
    assert by_members(members, "{group}/{label}/*.bin", label="9").label == ("7", "8")
    with pytest.raises(AnnotationError, match=r"member 'u1/7/a.bin': does not fit 'x/\*'"):
        by_members(members, "x/*")
    twice = [Member("a.bin", 0, 10, 0), Member("a.mat", 1000, 1200, 0)]
    with pytest.raises(AnnotationError, match="sample 'a': is duplicated"):
        by_members(twice, "a.*")


# Splits


def unassigned(*rows):
    return [Unassigned("r", "r.zip", f"{k}", label, group) for k, (label, group) in enumerate(rows)]


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=60),
    st.integers(-5, 5),
    st.sampled_from(
        [
            {"train": 0.8, "test": 0.2},
            {"train": 0.7, "val": 0.1, "test": 0.2},
            {"train": 1 / 3, "val": 1 / 3, "test": 1 / 3},
        ]
    ),
)
def test_by_seed__divides_each_class_and_all_as_shares_say(labels, seed, shares):
    samples = unassigned(*((label, "") for label in labels))
    splits = by_seed(samples, seed, shares)
    found = Counter(zip(labels, splits, strict=True))
    for label, n in Counter(labels).items():
        assert all(abs(found[label, s] - share * n) < 1 + 1e-9 for s, share in shares.items())
        assert sum(found[label, s] for s in shares) == n
    for split, share in shares.items():
        assert abs(splits.count(split) - share * len(labels)) < 1 + 1e-9


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("uvwx")), max_size=40),
    st.randoms(use_true_random=False),
)
def test_by_seed__keeps_groups_together_whatever_the_order(rows, random):
    samples = unassigned(*rows)
    splits = dict(zip(samples, by_seed(samples, 1, {"train": 0.5, "test": 0.5}), strict=True))
    of_group = {(sample.group, split) for sample, split in splits.items()}
    assert len(of_group) == len({group for group, _ in of_group})
    random.shuffle(samples)
    again = by_seed(samples, 1, {"train": 0.5, "test": 0.5})
    assert dict(zip(samples, again, strict=True)) == splits


def test_by_seed__is_drawn_by_the_seed():
    samples = unassigned(*(("a", "") for _ in range(100)))
    drawn = [by_seed(samples, seed, {"train": 0.9, "test": 0.1}) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert [splits.count("test") for splits in drawn] == [10, 10, 10]


def test_by_seed__rounds_over_classes_so_that_small_ones_add_up():
    samples = unassigned(*((f"{k}", "") for k in range(100) for _ in range(5)))
    splits = by_seed(samples, 0, {"train": 0.9, "test": 0.1})
    assert splits.count("test") == 50


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"train": 0.5}, "shares must each be more than 0, and 1 in total"),
        ({"train": 1.5, "test": -0.5}, "shares must each be more than 0"),
        ({"training": 1.0}, "'training' is not a split; splits are train, val, test"),
        ({}, "no split is given"),
    ],
)
def test_by_seed__refuses_shares_that_are_not_valid(shares, message):
    with pytest.raises(UsageError, match=message):
        by_seed([], 0, shares)


def test_by_lists__takes_samples_and_recordings_by_any_of_their_names(tmp_path):
    samples = [
        Unassigned("u1", "user1_led.aedat", "0", "a", ""),
        Unassigned("u1", "user1_led.aedat", "1", "b", ""),
        Unassigned("z", "all.zip", "Train/7/3", "a", ""),
        Unassigned("z", "all.zip", "Train/7/4", "a", ""),
    ]
    train, test = tmp_path / "train.txt", tmp_path / "test.txt"
    train.write_text("# those of training\nuser1_led.aedat\n\nTrain/7/4.bin\n")
    test.write_text("z/Train/7/3\n")
    assert by_lists(samples, {"train": train, "test": test}) == ["train", "train", "test", "train"]
    for text, message in (
        ("Train/7/33\n", "test.txt: line 1: 'Train/7/33' is not a recording or a sample; did you"),
        ("", "sample 'z/Train/7/3': is in none of the lists train.txt, test.txt"),
        (
            "Train/7/3\nu1\n",
            "test.txt: line 2: 'u1/0' is in test here, but in train at train.txt, line 2",
        ),
    ):
        test.write_text(text)
        with pytest.raises(AnnotationError, match=message):
            by_lists(samples, {"train": train, "test": test})


def in_lists(folder, samples, **lists):
    """Return the splits of samples by lists with these lines."""
    for split, lines in lists.items():
        (folder / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines))
    found = by_lists(samples, {split: folder / f"{split}.txt" for split in lists})
    return dict(zip((sample.place for sample in samples), found, strict=True))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        # Samples of intervals are called 0, 1, … and so may recordings be.
        ("1", "'1' may be recording '1' or sample '0/1'"),
        ("0", "'0' may be recording '0' or sample '1/0'"),
        ("2.bin", "'2.bin' may be sample '0/2' or sample '1/2'"),
        ("b", "'b' may be recording '1' or recording 'b'"),
        ("b.bin", "'b.bin' may be recording '1' or recording 'b'"),
    ],
)
def test_by_lists__refuses_an_ambiguous_name(tmp_path, line, message):
    samples = [
        Unassigned(recording, file, sample, "c", "")
        for recording, file in (("0", "a.aedat"), ("1", "b.aedat"), ("b", "c.aedat"))
        for sample in "012"
        if recording != "b" or sample == "0"
    ]
    with pytest.raises(AnnotationError) as caught:
        in_lists(tmp_path, samples, train=["a.aedat", line])
    assert str(caught.value).startswith(f"train.txt: line 2: {message}. Write recording/sample")
    found = in_lists(tmp_path, samples, train=["a.aedat", "b/0"], test=["1/0", "1/1", "1/2"])
    assert list(found.values()) == ["train"] * 3 + ["test"] * 3 + ["train"]
    # The whole name of a file is its recording's, and no sample's.
    found = in_lists(tmp_path, samples, train=["a.aedat", "c.aedat"], test=["b.aedat"])
    assert list(found.values()) == ["train"] * 3 + ["test"] * 3 + ["train"]


def test_by_lists__takes_all_recordings_of_a_file_by_its_name(tmp_path):
    samples = [
        Unassigned("early", "long.aedat", "0", "c", ""),
        Unassigned("late", "long.aedat", "0", "c", ""),
        Unassigned("x", "x.y.aedat", "x", "c", ""),
        Unassigned("z", "x.z.aedat", "s", "c", ""),
    ]
    found = in_lists(tmp_path, samples, train=["long", "x.y"], test=["x.z"])
    assert found == {"early/0": "train", "late/0": "train", "x/x": "train", "z/s": "test"}


def test_check_counts__says_what_is_there_and_what_was_published():
    check_counts(["train", "test"], {"train": 1})
    with pytest.raises(AnnotationError, match="there are 1 in test; 2 in test are expected"):
        check_counts(["train", "test"], {"train": 1, "test": 2})
    with pytest.raises(UsageError, match="'training' is not a split"):
        check_counts(["train", "test"], {"training": 1})


# Files and steps


def test_cut_table__is_read_as_it_was_written(tmp_path):
    samples = by_intervals(rows_of(("ä b", 0, 10), ("", 20, 30)), t_offset=2**40, group="g")
    write_cut(tmp_path / "c.tsv", samples)
    again = read_cut(tmp_path / "c.tsv")
    assert (again.id, again.label, again.group) == (samples.id, samples.label, samples.group)
    for name in ("start_us", "stop_us", "t_offset"):
        assert getattr(again, name).tolist() == getattr(samples, name).tolist()


def test_cut_table__refuses_damage(tmp_path):
    path = tmp_path / "c.tsv"
    write_cut(path, by_intervals(rows_of(("a", 0, 10), ("b", 20, 30)), t_offset=0))
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at])
        try:
            n = len(read_cut(path))
        except AnnotationError as error:
            assert str(error).startswith("c.tsv: ")
        else:  # cut at the end of a line
            assert whole[at - 1 : at] == b"\n" and n == whole[:at].count(b"\n") - 1
    with pytest.raises(AnnotationError, match=r"label 'a\\tb' does not fit into a table"):
        write_cut(path, by_intervals(rows_of(("a\tb", 0, 10)), t_offset=0))


@pytest.fixture
def cut_store(tmp_path):
    """A store of 3,000 events in 100 ms from stamp 7000 on, cut into three samples."""
    store = store_of(tmp_path / "u1.h5", random_events(3000, (8, 9)), t_offset=7000)
    table = tmp_path / "u1.csv"
    table.write_text("class,start,end\n2,27000,58000\n1,7000,27000\n2,57500,90000\n")
    cut = tmp_path / "u1.tsv"
    columns = {"label": "class", "start": "start", "stop": "end"}
    n = steps.cut(
        store,
        cut,
        steps.CutSettings(columns=columns, clock="source", classes={"1": "clap", "2": "wave"}),
        intervals=str(table),
        labels=["wave", "clap"],
        recording="u1",
    )
    assert n == 3
    return store, cut, table


def test_steps__lead_to_samples_that_index_the_store(tmp_path, cut_store):
    store, cut, _ = cut_store
    found = steps.splits({"u1": cut}, tmp_path / "samples.tsv", fixed={"u1": "val"})
    assert found == {"val": 3}
    out = tmp_path / "samples.h5"
    steps.samples(
        store, cut, tmp_path / "samples.tsv", out, recording="u1", labels=["wave", "clap"]
    )
    with SamplesFile(out) as made, EventsStore(store) as events:
        assert made.samples.id == ("1", "0", "2") and made.split == ("val",) * 3
        assert made.label.tolist() == [1, 0, 0] and made.samples.group == ("u1",) * 3
        t = events.read().t
        for k in range(3):
            a, b = made.samples.start_us[k], made.samples.stop_us[k]
            rows = np.flatnonzero((t >= a) & (t < b))
            assert (made.start[k], made.stop[k]) == (rows[0], rows[-1] + 1)
        assert made.samples.t_offset.tolist() == [7000, 27000, 57500]
        assert made.recording == "u1" and made.t_stop_us == events.t_stop_us


@pytest.mark.parametrize(
    "asked", [{"number": 5, "by": "count"}, {"window_us": 7000}, {"count": 99}]
)
def test_features__windows_never_cross_a_sample(tmp_path, cut_store, asked):
    store, cut, _ = cut_store
    out = tmp_path / "f.h5"
    settings = steps.FeatureSettings(representation="histogram", **asked)
    steps.features(store, out, settings, cut=cut, labels=["wave", "clap"])
    with FeaturesFile(out) as made, EventsStore(store) as events:
        samples, labels, bounds = made.samples
        assert labels == ("wave", "clap") and samples.label == ("clap", "wave", "wave")
        for k in range(3):
            first, last = events.index_of([samples.start_us[k], samples.stop_us[k]])
            windows = made.windows[bounds[k] : bounds[k + 1]]
            assert windows.start[0] == first and windows.stop[-1] == last
            assert (windows.start[1:] == windows.stop[:-1]).all()
            own = made[int(bounds[k]) : int(bounds[k + 1])]
            assert own.sum() == last - first  # each event of the sample once, and none else
            if "number" in asked:
                assert len(windows) == 5
        assert (
            made.mode
            == {"number": "number", "window_us": "delta_t", "count": "n_events"}[next(iter(asked))]
        )


def test_cut__names_what_does_not_fit(tmp_path, cut_store):
    store, _, table = cut_store
    columns = {"label": "class", "start": "start", "stop": "end"}

    def cut(**options):
        out = tmp_path / "x.tsv"
        return with_settings(
            steps.cut, store, out, intervals=str(table), columns=columns, **options
        )

    table.write_text("class,start,end\n2,57500,58000\n2,157500,158000\n")
    with pytest.raises(AnnotationError, match=r"u1\.csv: line 3: starts at 157500 µs"):
        cut()
    table.write_text("class,start,end\n2,100,500\n")
    with pytest.raises(AnnotationError, match=r"u1\.csv: line 2: starts at -6900 µs"):
        cut(clock="source")
    with pytest.raises(AnnotationError, match=r"u1\.csv: line 2: label '2' is not listed"):
        cut(labels=["a"])
    table.write_text("class,start,end\n2,100,500\n2,99000,1580000\n")
    with pytest.raises(AnnotationError, match=r"u1\.csv: line 3: runs from 99000 to 1580000 µs"):
        cut()
    table.write_text("class,start,end\n")
    with pytest.raises(AnnotationError, match="has no sample"):
        cut()
    with pytest.raises(UsageError, match="was decoded as one recording"):
        steps.cut(store, tmp_path / "x.tsv", members="*")
    with pytest.raises(UsageError, match="exactly one of intervals and members"):
        steps.cut(store, tmp_path / "x.tsv")
    assert not (tmp_path / "x.tsv").exists()


def test_cut__says_how_many_rows_are_left_out_as_repeats(tmp_path, cut_store, caplog):
    store, _, table = cut_store
    columns = {"label": "class", "start": "start", "stop": "end"}
    options = {"intervals": str(table), "columns": columns, "clock": "source"}
    with caplog.at_level("INFO", "evreel"):
        out = tmp_path / "x.tsv"
        assert with_settings(steps.cut, store, out, repeats="first", **options) == 2
        assert caplog.messages[-1] == "x.tsv: 2 samples, repeats left out: 1"
        assert with_settings(steps.cut, store, out, **options) == 3
        assert caplog.messages[-1] == "x.tsv: 3 samples"


def test_cut__gives_members_the_group_of_their_archive(tmp_path):
    path = packed(tmp_path / "a.zip", {f"{g}_{k}.bin": small(k)[1] for g in "uv" for k in (0, 1)})
    decode(path, tmp_path / "a.h5", "*.bin")
    cut = tmp_path / "a.tsv"
    for pattern, group, groups in (
        ("*.bin", "one", ("one",) * 4),
        ("{group}_*.bin", "one", ("u", "u", "v", "v")),
        ("*.bin", None, ("",) * 4),
    ):
        steps.cut(tmp_path / "a.h5", cut, members=pattern, group=group)
        assert read_cut(cut).group == groups


def test_cut__takes_members_that_a_crop_left_empty_as_they_are(tmp_path, caplog):
    members = {f"{k}.bin": aer40([(0, x, 1, 0), (900, x, 1, 1)]) for k, x in enumerate((1, 30))}
    path = packed(tmp_path / "a.zip", members)
    options = {"members": "*.bin", "sensor": "34x34", "crop": [0, 0, 10, 34]}
    with_settings(steps.events, path, tmp_path / "a.h5", **options)
    assert steps.cut(tmp_path / "a.h5", tmp_path / "a.tsv", members="{label}.bin") == 2
    assert read_cut(tmp_path / "a.tsv").stop_us.tolist() == [901, 1901]
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_cut__takes_its_table_out_of_an_archive(tmp_path, cut_store):
    store, cut, table = cut_store
    archive = packed(tmp_path / "a.zip", {"x/u1_labels.csv": table.read_bytes()})
    again = tmp_path / "again.tsv"
    columns = {"label": "class", "start": "start", "stop": "end"}
    steps.cut(
        store,
        again,
        steps.CutSettings(columns=columns, clock="source", classes={"1": "clap", "2": "wave"}),
        intervals=f"{archive}!x/u1_labels.csv",
        recording="u1",
    )
    assert again.read_bytes() == cut.read_bytes()
    with pytest.raises(SourceError, match="md5 is"):
        steps.cut(
            store,
            again,
            steps.CutSettings(columns=columns),
            intervals=str(table),
            intervals_md5="0" * 32,
        )


def test_splits__mixes_fixed_and_drawn_ones(tmp_path, cut_store):
    _, cut, _ = cut_store
    write_cut(
        tmp_path / "b.tsv",
        by_intervals(rows_of(*(("a", 9 * k, 9 * k + 9) for k in range(10))), t_offset=0),
    )
    out = tmp_path / "samples.tsv"
    cuts = {"u1": cut, "b": tmp_path / "b.tsv"}
    with pytest.raises(UsageError, match="recording 'b' has samples of several splits"):
        steps.splits(cuts, out, fixed={"u1": "test"})
    found = steps.splits(
        cuts,
        out,
        steps.SplitsSettings(split={"seed": 4, "shares": {"train": 0.8, "test": 0.2}}),
        fixed={"u1": "test", "b": None},
    )
    assert found == {"train": 8, "test": 5}
    rows = read_samples_table(out)
    assert [row.recording for row in rows] == ["b"] * 10 + ["u1"] * 3
    with pytest.raises(AnnotationError, match="there are 10 in train; 9 in train are expected"):
        steps.splits(
            cuts, out, steps.SplitsSettings(counts={"train": 9}), fixed={"u1": "test", "b": "train"}
        )
    assert read_samples_table(out) == rows  # what was there stays


def test_splits__of_an_incomplete_data_set_may_lack_what_lists_and_counts_name(
    tmp_path, cut_store, caplog
):
    _, cut, _ = cut_store
    (tmp_path / "train.txt").write_text("u1\nuser7\nuser8/3\n")
    known = {"fixed": {"u1": None}, "lists": {"train": str(tmp_path / "train.txt")}}
    settings = steps.SplitsSettings(counts={"train": 9})
    out = tmp_path / "samples.tsv"
    with pytest.raises(AnnotationError, match=r"train\.txt: line 2: 'user7' is not a recording"):
        steps.splits({"u1": cut}, out, settings, **known)
    found = steps.splits({"u1": cut}, out, settings, **known, incomplete=True)
    assert found == {"train": 3}
    assert "are left out: 2: user7, user8/3" in caplog.text
    fewer = steps.SplitsSettings(counts={"train": 2})
    with pytest.raises(AnnotationError, match="there are 3 in train; 2 in train are expected"):
        steps.splits({"u1": cut}, out, fewer, **known, incomplete=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fixed": {"u1": "training"}}, "'training' is not a split; splits are train, val, test"),
        ({"fixed": {"u1": "mixed"}}, "'mixed' is not a split"),
        ({"fixed": {"u1_": "train"}}, "'u1_' has no table of samples; did you mean 'u1'"),
        ({"file_names": {"x": "x.bin"}}, "recording 'x' has no table of samples"),
        (
            {"lists": {"train": "train.txt"}, "split": {"seed": 0, "shares": {"train": 1.0}}},
            "lists and a seed exclude each other",
        ),
        ({"fixed": {"u1": "train"}, "counts": {"training": 3}}, "unknown key 'training'"),
    ],
)
def test_splits__refuses_what_does_not_go_together(tmp_path, cut_store, options, message):
    _, cut, _ = cut_store
    (tmp_path / "train.txt").write_text("u1\n")
    with pytest.raises(UsageError, match=message):
        with_settings(steps.splits, {"u1": cut}, tmp_path / "all.tsv", **options)
    assert not (tmp_path / "all.tsv").exists()


def test_features__of_a_sample_with_fewer_events_than_windows_are_in_its_last_window(
    tmp_path, cut_store
):
    store, cut, _ = cut_store
    settings = steps.FeatureSettings(representation="histogram", number=650, by="count")
    steps.features(store, tmp_path / "f.h5", settings, cut=cut)
    with FeaturesFile(tmp_path / "f.h5") as made, EventsStore(store) as events:
        assert len(made) == 3 * 650
        short = made.rows_of("1")
        n = int(np.diff(events.index_of([0, 20_000]))[0])
        assert 500 < n < 650
        assert made.windows.stop[short].tolist() == [*[0] * 649, n]
        assert made[short.stop - 1].sum() == n and made[short].sum() == n
