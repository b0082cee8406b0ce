"""What is joined from parts has the bytes that it has in one piece."""

from __future__ import annotations

import dataclasses
import itertools
import threading

import h5py
import numpy as np
import pytest

from evreel import steps
from evreel.cli.main import main
from evreel.errors import LayoutError, ParameterError, UsageError
from evreel.files import hdf5
from evreel.files.events_store import EventsStoreWriter
from evreel.layout import COLUMN_CHUNK, EVENTS
from evreel.provenance import Provenance
from evreel.representations import REGISTRY
from evreel.samples.samples import Member
from evreel.shares import Share
from evreel.windows import Count, Duration, Ending, Mixed, Number, cut
from support import random_events
from support.cvat import STEP_US, N, listed, task, track
from support.stores import store_of

STOP_US = N * STEP_US
SENSOR = (48, 64)
FEW = {"window_us": 30_000}

DIVISIONS = {
    "time": {"window_us": 9_000, "stride_us": 4_000, "tail": "drop", "origin_us": 5_000},
    "count": {"count": 700, "stride": 300, "origin_us": 5_000},
    "mixed": {"window_us": 9_000, "count": 300},
    "number": {"number": 5, "by": "count"},
    "times": {"window_us": 25_000, "ending": "times"},
    "frames": {"window_us": 25_000, "ending": "frames"},
}


def settings(representation="histogram", **more):
    return steps.FeatureSettings(representation=representation, **(more or FEW))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A recording, one whose clock was reset, and what else features may be made of."""
    folder = tmp_path_factory.mktemp("made")
    events = random_events(4_000, SENSOR, stop_us=STOP_US)
    store_of(folder / "rec.h5", events, t_offset=9)
    with hdf5.create(folder / "reset.h5", EVENTS, Provenance("events", {})) as file:
        writer = EventsStoreWriter(file, events.sensor, 9, "made up", "")
        writer.write(events)
        half = STOP_US // 2
        writer.finish([Member("part 1", 0, half, 9), Member("part 2", half, STOP_US, 3)])
    (folder / "times.txt").write_text("-5\n0\n20000\n20000\n20001\n150000\n900000000\n")
    steps.clock(folder / "rec.h5", folder / "clock.tsv", steps.ClockSettings(window_us=STEP_US))
    table = folder / "table.csv"
    table.write_text("label,start_us,stop_us\na,0,20000\nb,10000,50000\na,60000,60900\n")
    steps.cut(folder / "rec.h5", folder / "cut.tsv", intervals=str(table))
    return folder


def beside(folder, cut=None):
    ends = {"times": folder / "times.txt", "frames": folder / "clock.tsv"}
    return {"ends": ends, "cut": None if cut is None else folder / "cut.tsv"}


def joined_features(store, wanted, folder, n, **more):
    """Make features of n parts, each by as many threads as its number; return bytes by name."""
    paths = {folder / str(n) / name / "rec.h5": one for name, one in wanted.items()}
    parts = [folder / f"{k}of{n}.h5" for k in range(1, n + 1)]
    for k, part in enumerate(parts, 1):
        steps.features_part(store, part, Share(k, n), paths, threads=k, **more)
    steps.all_features(store, paths, parts=parts[::-1], threads=n, **more)
    return {path.parent.name: path.read_bytes() for path in paths}


def features_in_one(store, wanted, folder, **more):
    paths = {folder / "one" / name / "rec.h5": one for name, one in wanted.items()}
    steps.all_features(store, paths, threads=1, **more)
    return {path.parent.name: path.read_bytes() for path in paths}


def test_features__of_every_representation_are_the_same_in_parts(made, tmp_path):
    wanted = {each: settings(each) for each in REGISTRY}
    whole = features_in_one(made / "rec.h5", wanted, tmp_path)
    assert joined_features(made / "rec.h5", wanted, tmp_path, 3) == whole


def test_features__of_a_recording_whose_clock_was_reset_are_the_same_in_parts(made, tmp_path):
    wanted = {each: settings(each) for each in ("histogram", "timesurface", "tore")}
    wanted["times"] = settings(window_us=25_000, ending="times")
    whole = features_in_one(made / "reset.h5", wanted, tmp_path, **beside(made))
    assert joined_features(made / "reset.h5", wanted, tmp_path, 3, **beside(made)) == whole


@pytest.mark.parametrize(("cut", "parts"), [(None, (2, 7)), ("cut", (3,))])
def test_features__of_every_division_are_the_same_in_parts(made, tmp_path, cut, parts):
    given = beside(made, cut)
    of = {"histogram": "counts", "exponential_surface": "state"}
    wanted = {
        f"{short}_{name}": settings(each, **division)
        for each, short in of.items()
        for name, division in DIVISIONS.items()
    } | {
        "none": settings(**FEW, compression="none"),
        "gzip": settings(**FEW, compression="gzip", store="float16"),
        "moved": settings("voxel_grid", **FEW, store="uint8", geometry={"crop": (3, 3, 40, 40)}),
    }
    whole = features_in_one(made / "rec.h5", wanted, tmp_path, **given)
    for n in parts:
        assert joined_features(made / "rec.h5", wanted, tmp_path, n, **given) == whole


def test_features__of_a_recording_with_fewer_windows_than_parts_are_the_same(tmp_path):
    store = store_of(tmp_path / "rec.h5", random_events(5, SENSOR, stop_us=50))
    wanted = {"one": settings("tore"), "none": settings(count=9, tail="drop")}
    whole = features_in_one(store, wanted, tmp_path)
    assert joined_features(store, wanted, tmp_path, 7) == whole


def test_feature_that_is_there__is_not_in_parts_and_is_kept(made, tmp_path, caplog):
    store, kept = made / "rec.h5", tmp_path / "kept" / "rec.h5"
    paths = {kept: settings("tore"), tmp_path / "new" / "rec.h5": settings()}
    steps.all_features(store, {kept: settings("tore")})
    then = kept.read_bytes()
    parts = [tmp_path / "1.h5", tmp_path / "2.h5"]
    for k, part in enumerate(parts, 1):
        steps.features_part(store, part, Share(k, 2), paths)
    steps.all_features(store, paths, parts=parts)
    assert kept.read_bytes() == then
    assert "made in one piece" not in caplog.text
    kept.unlink()  # meanwhile: the parts do not have it
    steps.all_features(store, paths, parts=parts)
    assert kept.read_bytes() == then
    assert "kept/rec.h5: is not in the parts; it is made in one piece" in caplog.text


def test_part_of_a_feature_that_fails__is_not_there_and_says_which_window(tmp_path):
    store = store_of(tmp_path / "rec.h5", random_events(9_000, (1, 2)))
    narrow = {tmp_path / "narrow" / "rec.h5": settings(**FEW, parameters={"dtype": "uint8"})}
    with pytest.raises(ParameterError, match=r"narrow/rec\.h5: histogram, window .* x="):
        steps.features_part(store, tmp_path / "1.h5", Share(1, 2), narrow)
    assert [path.name for path in tmp_path.iterdir()] == ["rec.h5"]
    assert "evreel-crew" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([1], "is part 1/2; 1 are given"),
        ([1, 1], "is part 1/2; is given twice"),
        ([1, 2, 2], "is part 1/2; 3 are given"),
    ],
)
def test_parts_that_are_not_all__are_refused(made, tmp_path, given, problem):
    store, wanted = made / "rec.h5", {tmp_path / "f" / "rec.h5": settings()}
    for k in (1, 2):
        steps.features_part(store, tmp_path / f"{k}.h5", Share(k, 2), wanted)
    with pytest.raises(LayoutError, match=problem):
        steps.all_features(store, wanted, parts=[tmp_path / f"{k}.h5" for k in given])
    assert not (tmp_path / "f").exists() or not [*(tmp_path / "f").iterdir()]


def test_parts_of_another_recording_or_damaged__are_refused(made, tmp_path):
    store, wanted = made / "rec.h5", {tmp_path / "f" / "rec.h5": settings()}
    part = tmp_path / "1.h5"
    steps.features_part(store, part, Share(1, 1), wanted)
    with pytest.raises(LayoutError, match="is a part of another recording"):
        steps.all_features(made / "reset.h5", wanted, parts=[part])
    part.write_bytes(part.read_bytes()[:-40])
    with pytest.raises(LayoutError, match=r"1\.h5"):
        steps.all_features(store, wanted, parts=[part])
    with pytest.raises(LayoutError, match="its layout is 'evreel-events'"):
        steps.all_features(store, wanted, parts=[store])
    assert not (tmp_path / "f" / "rec.h5").exists()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_part_with_a_damaged_frame__is_refused(made, tmp_path, compression, threads):
    store, part = made / "rec.h5", tmp_path / "1.h5"
    wanted = {tmp_path / "f" / "rec.h5": settings(compression=compression, **FEW)}
    steps.features_part(store, part, Share(1, 1), wanted)
    with h5py.File(part) as file:
        chunk = file["frames/0"].id.get_chunk_info(3)
    content = bytearray(part.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 0x55
    part.write_bytes(content)
    with pytest.raises(LayoutError, match=r"1\.h5: frame 3 cannot be read"):
        steps.all_features(store, wanted, parts=[part], threads=threads)
    assert not (tmp_path / "f" / "rec.h5").exists()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A recording of five chunks of events, its clock, and boxes that overlap."""
    folder = tmp_path_factory.mktemp("drawn")
    events = random_events(4 * COLUMN_CHUNK + 99, SENSOR, stop_us=STOP_US)
    store_of(folder / "rec.h5", events)
    steps.clock(folder / "rec.h5", folder / "clock.tsv", steps.ClockSettings(window_us=STEP_US))
    larger = listed(range(N), xtl=0, ytl=0, xbr=30, ybr=20)
    text = task(track(listed(range(N))) + track(larger, number=1))
    (folder / "rois.xml").write_text(text, encoding="utf-8")
    (folder / "labelled.tsv").write_text("start_us\tstop_us\n0\t150000\n")
    return folder


def annotate(folder, output, parts=(), store="rec.h5", **given):
    slices = output.with_suffix(".h5")
    at = steps.AnnotateSettings(part_of_video=True, **given.pop("at", {}))
    steps.annotate(
        *(folder / store, folder / "clock.tsv", slices, output.with_suffix(".npy")),
        *(steps.RegularWindows(window_us=30_000), at),
        parts=parts,
        rois=folder / "rois.xml",
        **given,
    )
    return slices.read_bytes(), output.with_suffix(".npy").read_bytes()


def parts_of(folder, output, n, store="rec.h5", **given):
    """Make parts of slices, each by as many threads as its number; return their paths."""
    at = steps.AnnotateSettings(part_of_video=True, **given.pop("at", {}))
    parts = [output / f"{k}of{n}.h5" for k in range(1, n + 1)]
    for k, part in enumerate(parts, 1):
        steps.annotate_part(
            *(folder / store, folder / "clock.tsv", part, Share(k, n)),
            *(steps.RegularWindows(window_us=30_000), at),
            rois=folder / "rois.xml",
            threads=k,
            **given,
        )
    return parts


@pytest.mark.parametrize(("at", "parts"), [("frame", (2, 7)), ("event", (3,))])
def test_slices__are_the_same_in_parts(drawn, tmp_path, at, parts, monkeypatch):
    given = {"labelled": drawn / "labelled.tsv", "at": {"at": at, "boxes_at": "slices"}}
    whole = annotate(drawn, tmp_path / "whole", threads=1, **given)
    monkeypatch.setattr("evreel.files.events_store.READ_ROWS", COLUMN_CHUNK)
    for n in parts:  # of 7, two are empty
        made = parts_of(drawn, tmp_path, n, **given)
        for threads in (1, 3):
            joined = annotate(drawn, tmp_path / "joined", made, threads=threads, **given)
            assert joined == whole


def test_slices__of_a_store_without_plugins_are_the_same_in_parts(drawn, tmp_path):
    from evreel.files.repack import repack

    repack(drawn / "rec.h5", drawn / "plain.h5")
    whole = annotate(drawn, tmp_path / "whole", store="plain.h5")
    parts = parts_of(drawn, tmp_path, 2, store="plain.h5")
    assert annotate(drawn, tmp_path / "joined", parts, store="plain.h5") == whole


def test_parts_of_another_annotation__are_refused(drawn, tmp_path):
    parts = parts_of(drawn, tmp_path, 2, at={"margin_px": 2})
    with pytest.raises(LayoutError, match="is a part of another annotation"):
        annotate(drawn, tmp_path / "joined", parts)
    assert not (tmp_path / "joined.h5").exists()


def test_share__holds_every_row_once():
    for n in (0, 1, 5, 64, 1_000):
        for of in (1, 2, 7):
            for step in (1, 4, 2_000):
                rows = [Share(k, of).rows(n, step) for k in range(1, of + 1)]
                assert rows[0].start == 0
                assert rows[-1].stop == n
                assert all(a.stop == b.start for a, b in itertools.pairwise(rows))
                assert all(row.start % step == 0 or row.start == n for row in rows)


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "1/", "/2", "-1/2", "1/0"])
def test_share__that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="is not a part of several"):
        Share.parse(text)
    assert str(Share.parse("2/4")) == "2/4"


@pytest.mark.parametrize(
    "division",
    [Duration(7, 3), Duration(7, tail="drop"), Count(5, 2), Mixed(9, 4), Number(3), Ending(6)],
    ids=lambda each: type(each).__name__,
)
def test_chosen_windows__are_those_of_all(division):
    t = random_events(60, stop_us=90).t
    intervals = [0, 20, 20, 60], [20, 20, 70, 90]
    looked_up: list[int] = []

    def index_of(at):
        looked_up.append(len(at))
        return np.searchsorted(t, at)

    given = division, *intervals, index_of, lambda rows: t[rows], [3, 30, 30, 80]
    every, bounds = cut(*given)
    for n in (1, 2, 5, 40):
        for k in range(1, n + 1):
            share = Share(k, n)
            looked_up.clear()
            own, same = cut(*given, share.rows)
            rows = share.rows(len(every))
            np.testing.assert_array_equal(same, bounds)
            for column in dataclasses.fields(own):
                wanted = getattr(every, column.name)[rows]
                np.testing.assert_array_equal(getattr(own, column.name), wanted)
            if not isinstance(division, Mixed):
                assert max(looked_up) <= max(len(own), len(intervals[0]))


def test_commands__make_parts_and_join_them(drawn, tmp_path, capsys):
    store, asked = str(drawn / "rec.h5"), ["--representation", "binary", "--window-us", "30000"]
    parts = [str(tmp_path / f"{k}.part") for k in (1, 2)]
    for k, part in enumerate(parts, 1):
        assert main(["features", store, "-o", part, "--part", f"{k}/2", *asked]) == 0
    assert main(["features", store, "-o", str(tmp_path / "in"), "--parts", *parts, *asked]) == 0
    assert main(["features", store, "-o", str(tmp_path / "of"), *asked]) == 0
    assert (tmp_path / "in" / "rec.h5").read_bytes() == (tmp_path / "of" / "rec.h5").read_bytes()

    rest = ["--clock", str(drawn / "clock.tsv"), "--rois", str(drawn / "rois.xml")]
    rest += ["--window-us", "30000", "--part-of-video"]
    for k, part in enumerate(parts, 1):
        assert main(["annotate", store, "-o", part, "--part", f"{k}/2", *rest]) == 0
    for name, more in (("in", ["--parts", *parts]), ("of", [])):
        assert main(["annotate", store, "-o", str(tmp_path / f"{name}.h5"), *rest, *more]) == 0
    assert (tmp_path / "in.h5").read_bytes() == (tmp_path / "of.h5").read_bytes()
    capsys.readouterr()
    for wrong in (["--start-us", "5"], ["--max-duration-ms", "60"], [store.replace("rec", "b")]):
        first = [wrong.pop()] if wrong[0].endswith(".h5") else []
        args = ["features", store, *first, "-o", parts[0], "--part", "1/2", *asked, *wrong]
        assert main(args) == 2
        assert "are of one whole recording" in capsys.readouterr().err
    both = ["-o", parts[0], "--part", "1/2", "--parts", *parts]
    for command in (["features", store, *asked], ["annotate", store, *rest]):
        assert main([*command, *both]) == 2
        assert "--part makes a part, --parts joins all" in capsys.readouterr().err
    rest[1] = "fps=100"
    assert main(["annotate", store, "-o", parts[0], "--part", "1/2", *rest]) == 2
    assert "parts need a clock that is there" in capsys.readouterr().err
