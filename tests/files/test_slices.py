"""The file of slices: each event once, with its region, and the windows over them."""

from __future__ import annotations

import numpy as np
import pytest

from evreel.annotations.attributes import Coding
from evreel.annotations.labelling import Annotator
from evreel.annotations.regions import Regions
from evreel.annotations.shapes import Annotations, Attribute, FrameTag, Track, merge
from evreel.errors import EventsError, LayoutError, UsageError
from evreel.events import Events
from evreel.files import hdf5
from evreel.files.events_store import EventsStore
from evreel.files.repack import repack
from evreel.files.slices import WRITE_ROWS, SlicesFile, SlicesWriter
from evreel.layout import COLUMN_CHUNK, SHAPE_KINDS, SLICES
from evreel.provenance import Provenance
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from evreel.windows import Count, Duration, Windows
from support import random_events
from support.annotations import CLOCK, SENSOR, annotated, box, label, moving_scene, polygon, still
from support.hdf5 import edited
from support.stores import write_store

PICTURE = Picture((48, 64))
NO_SLICES = Windows(*np.empty((4, 0), dtype=np.int64))


def write_slices(path, store, regions, windows, rows=1_000, *, copy=False):
    with hdf5.create(path, SLICES, Provenance("annotate", {})) as file:
        writer = SlicesWriter(
            *(file, store.sensor, store.t_offset, windows, regions.tables),
            store=store if copy else None,
        )
        annotator = Annotator(regions)
        for chunk in store.chunks(rows=rows):
            writer.write(chunk, *annotator.label(chunk))
        writer.finish()
    return path


@pytest.fixture
def store(tmp_path):
    events = random_events(4_000, stop_us=110, seed=6)
    with EventsStore(write_store(tmp_path / "events.h5", [events], events.sensor)) as opened:
        yield opened


@pytest.fixture
def slices(tmp_path, store):
    """A file of three slices and a shorter one."""
    regions = Regions(moving_scene(), CLOCK, PICTURE)
    return write_slices(tmp_path / "s.h5", store, regions, store.windows(Duration(30)))


def test_slices_file__holds_every_event_once_with_its_region(tmp_path, store):
    scene = merge([moving_scene(), Annotations(("day",), tags=(FrameTag(4, "day"),))])
    regions = Regions(scene, CLOCK, PICTURE)
    windows = store.windows(Duration(30, tail="drop"))
    path = write_slices(tmp_path / "s.h5", store, regions, windows)
    whole = label(scene, store.read())
    with SlicesFile(path) as got:
        assert (got.n, got.n_events, len(got)) == (3, 4_000, 3)
        assert (got.sensor, got.t_offset, got.first_row) == (store.sensor, store.t_offset, 0)
        assert got.t_stop_us == store.t_stop_us
        assert got.labels == ("car", "bus", "day")
        events, roi = got.read()
        for name in "txyp":
            np.testing.assert_array_equal(getattr(events, name), getattr(store.read(), name))
        np.testing.assert_array_equal(roi, whole.roi)
        np.testing.assert_array_equal(got.overlaps.event, whole.overlap_event)
        np.testing.assert_array_equal(got.overlaps.roi, whole.overlap_roi)
        in_slices = 0
        for k in range(got.n):
            part, part_roi = got.slice(k)
            inside = (events.t >= 30 * k) & (events.t < 30 * k + 30)
            np.testing.assert_array_equal(part.t, events.t[inside])
            np.testing.assert_array_equal(part_roi, roi[inside])
            in_slices += len(part)
        assert got.events_outside_slices == np.count_nonzero(events.t >= 90) > 0
        assert in_slices + got.events_outside_slices == 4_000
        for name in ("rois", "tags", "labelled"):
            columns = zip(getattr(got, name), getattr(regions.tables, name), strict=True)
            for column, expected in columns:
                np.testing.assert_array_equal(column, expected)
        with pytest.raises(IndexError, match=r"s\.h5: slice 3 is not in 0 to 2"):
            got.slice(3)


def chunks_of(path, name):
    with SlicesFile(path) as opened:
        column = opened._file[f"events/{name}"]
        firsts = range(0, len(column), column.chunks[0])
        return len(column), [column.id.read_direct_chunk((first,)) for first in firsts]


@pytest.mark.parametrize("n", [0, 5, COLUMN_CHUNK, 2 * COLUMN_CHUNK + 7])
def test_slices__that_copy_the_columns_of_a_store_are_as_if_compressed_anew(tmp_path, n):
    events = random_events(n, stop_us=110, seed=6)
    regions = Regions(moving_scene(), CLOCK, PICTURE)
    with EventsStore(write_store(tmp_path / "e.h5", [events], events.sensor)) as store:
        windows = store.windows(Duration(30))
        plain = write_slices(tmp_path / "plain.h5", store, regions, windows)
        copied = write_slices(tmp_path / "copied.h5", store, regions, windows, copy=True)
    for name in (*"txyp", "roi"):
        assert chunks_of(copied, name) == chunks_of(plain, name)


def test_slices__of_a_store_that_is_compressed_otherwise_hold_its_events_too(tmp_path, store):
    regions = Regions(moving_scene(), CLOCK, PICTURE)
    repack(store.path, tmp_path / "portable.h5")
    with EventsStore(tmp_path / "portable.h5") as portable:
        windows = portable.windows(Duration(30))
        path = write_slices(tmp_path / "s.h5", portable, regions, windows, copy=True)
    for name in (*"txyp", "roi"):
        plain = write_slices(tmp_path / f"{name}.h5", store, regions, windows)
        assert chunks_of(path, name) == chunks_of(plain, name)


def test_slices__refuse_to_be_of_a_store_whose_events_did_not_all_come(tmp_path, store):
    regions = Regions(moving_scene(), CLOCK, PICTURE)
    with hdf5.create(tmp_path / "s.h5", SLICES, Provenance("annotate", {})) as file:
        writer = SlicesWriter(
            *(file, store.sensor, store.t_offset, store.windows(Duration(30)), regions.tables),
            store=store,
        )
        with pytest.raises(EventsError, match="0 events were written; the store has 4000"):
            writer.finish()


def test_slices__that_overlap_count_events_outside_once(tmp_path, store):
    regions = Regions(moving_scene(), CLOCK, PICTURE)
    windows = store.windows(Count(1_000, stride=600, tail="drop"))
    with SlicesFile(write_slices(tmp_path / "s.h5", store, regions, windows)) as got:
        assert got.windows.stop[-1] == 4_000
        assert got.events_outside_slices == 0
        assert [len(got.slice(k)[0]) for k in range(got.n)] == [1_000] * 6


def test_slices_file__of_a_part_of_a_recording_counts_rows_from_its_own_first(tmp_path, store):
    scene = moving_scene()
    regions = Regions(scene, CLOCK, PICTURE)
    windows = Count(500, tail="drop").plan(4_000, store.stamp_at)
    part = Windows(*(getattr(windows, c)[2:] for c in ("start_us", "stop_us", "start", "stop")))
    with hdf5.create(tmp_path / "s.h5", SLICES, Provenance("annotate", {})) as file:
        writer = SlicesWriter(file, store.sensor, 0, part, regions.tables, first_row=900)
        events = store.read(900)
        writer.write(events, *Annotator(regions, first_row=900).label(events))
        writer.finish()
    whole = label(scene, store.read())
    with SlicesFile(tmp_path / "s.h5") as got:
        assert (got.first_row, got.n_events, got.events_outside_slices) == (900, 3_100, 100)
        np.testing.assert_array_equal(got.slice(0)[0].t, store.read(1_000, 1_500).t)
        np.testing.assert_array_equal(got.read()[1], whole.roi[900:])
        later = whole.overlap_event >= 900
        np.testing.assert_array_equal(got.overlaps.event, whole.overlap_event[later] - 900)


def test_slices_file__has_the_same_bytes_whatever_the_chunks(tmp_path):
    n = 2 * WRITE_ROWS + 5_000
    rng = np.random.default_rng(7)
    t = np.sort(rng.integers(0, 100, n))
    events = Events(t, rng.integers(0, 8, n), rng.integers(0, 6, n), t % 2, SENSOR)
    scene = annotated(
        still(box(0, 0, 0, 5, 5), range(10)), still(box(0, 3, 2, 8, 6), range(0, 9, 2), 1)
    )
    regions = Regions(scene, CLOCK, Picture(tuple(SENSOR)))
    with EventsStore(write_store(tmp_path / "e.h5", [events], SENSOR)) as opened:
        windows = opened.windows(Duration(25))
        contents = {
            write_slices(tmp_path / f"{rows}.h5", opened, regions, windows, rows).read_bytes()
            for rows in (100_003, WRITE_ROWS, n)
        }
    assert len(contents) == 1, "the size of the chunks shows in the bytes"


def test_slices_file__may_have_no_events(tmp_path):
    regions = Regions(Annotations(()), FrameClock([], []), Picture(tuple(SENSOR)))
    with EventsStore(write_store(tmp_path / "e.h5", [], SENSOR)) as opened:
        path = write_slices(tmp_path / "s.h5", opened, regions, opened.windows(Duration(10)))
    with SlicesFile(path) as got:
        assert (got.n, got.n_events, got.labels, got.events_outside_slices) == (0, 0, (), 0)
        assert len(got.read()[0]) == 0


def test_slices_writer__refuses_time_that_goes_back_and_slices_beyond_the_end(tmp_path, store):
    regions = Regions(moving_scene(), CLOCK, PICTURE)
    nothing = np.empty(0, np.int64), np.empty(0, np.int32)
    chunk = store.read(0, 1_000)
    with hdf5.create(tmp_path / "a.h5", SLICES, Provenance("annotate", {})) as file:
        windows = store.windows(Duration(30))
        writer = SlicesWriter(file, store.sensor, 0, windows, regions.tables)
        roi = np.full(1_000, -1, dtype=np.int32)
        writer.write(chunk, roi, *nothing)
        with pytest.raises(EventsError, match="goes back behind"):
            writer.write(chunk, roi, *nothing)
        with pytest.raises(EventsError, match=r"slice 0 has rows 0 to \d+; there are 1000"):
            writer.finish()


def test_slices_file__that_contradicts_itself_is_refused(slices, store):
    for name, value, message in (
        ("slices/stop", 4_001, "a slice is not within the file's 4000 events"),
        ("rois/label", 2, "rois/label is outside the 2 labels"),
    ):
        with edited(slices) as file:
            kept = file[name][-1]
            file[name][-1] = value
        with pytest.raises(LayoutError, match=rf"^s\.h5: {message}"):
            SlicesFile(slices)
        with edited(slices) as file:
            file[name][-1] = kept
    SlicesFile(slices).close()
    with edited(slices) as file:
        del file["events/roi"]
    with pytest.raises(LayoutError, match=r"^s\.h5: data set events/roi is missing"):
        SlicesFile(slices)
    with pytest.raises(LayoutError, match="its layout is 'evreel-events'"):
        SlicesFile(store.path)


@pytest.mark.parametrize("value", [-2, 2**31 - 1])
@pytest.mark.parametrize("name", ["events/roi", "overlaps/roi", "overlaps/event"])
def test_slices_file__refuses_regions_that_it_lacks(slices, name, value):
    with edited(slices) as file:
        file[name][3] = value
    with SlicesFile(slices) as got, pytest.raises(LayoutError, match=rf"row 3: {name} is {value}"):
        got.read()
        _ = got.overlaps


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shapes/roi", -1),
        ("shapes/roi", 2),
        ("shapes/kind", 99),
        ("shapes/first_vertex", 10**9),
        ("shapes/first_vertex", -(10**9)),
        ("shapes/n_vertices", 10**6),
        ("vertices/y", np.inf),
    ],
)
def test_shapes__refuse_rows_that_point_nowhere(tmp_path, described, name, value):
    described.close()
    with edited(tmp_path / "d.h5") as file:
        file[name][1] = value
    with SlicesFile(tmp_path / "d.h5") as got, pytest.raises(LayoutError, match=name):
        got.shapes()


def everything_in(path):
    """Return all that a file of slices holds."""
    with SlicesFile(path) as got:
        events, roi = got.read()
        columns = [*(getattr(events, name) for name in "txyp"), roi, *got.overlaps]
        columns += [column for table in (got.rois, got.tags, got.labelled) for column in table]
        columns += [getattr(got.windows, c) for c in ("start", "stop", "start_us", "stop_us")]
        plain = (got.sensor, got.t_offset, got.t_stop_us, got.first_row, got.events_outside_slices)
        return [column.tobytes() for column in columns], plain


def test_slices_file__with_any_bit_flipped_is_refused_or_the_same(tmp_path, slices):
    whole, expected = slices.read_bytes(), everything_in(slices)
    damaged = tmp_path / "damaged.h5"
    refused = 0
    for bit in np.random.default_rng(1).integers(0, 8 * len(whole), 100).tolist():
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.write_bytes(flipped)
        try:
            assert everything_in(damaged) == expected, f"bit {bit} gives other values in silence"
        except LayoutError as error:
            assert error.path == damaged, f"bit {bit}"
            refused += 1
    assert refused > 60


def test_tags__alone_make_a_slices_file(tmp_path, store):
    scene = Annotations(("day", "night"), tags=(FrameTag(3, "night"),), frames=(3,))
    regions = Regions(scene, CLOCK, PICTURE)
    path = write_slices(tmp_path / "s.h5", store, regions, store.windows(Duration(50)))
    with SlicesFile(path) as got:
        assert (got.read()[1] == -1).all()
        assert [column.tolist() for column in got.tags] == [[3], [1], [30], [40]]
        assert [column.tolist() for column in got.labelled] == [[30], [40]]


# The table of shapes


def polygon_scene():
    """A box that is missing in frame 1, a polygon, and what is said about them."""
    car = Track(
        4,
        "car",
        (
            box(0, 0, 0, 4, 6, attributes={"a/b": "red", "..": "3.5", "hurt": "true"}, group=7),
            box(2, 8, 0, 12, 6, keyframe=False, occluded=True, attributes={"a/b": "blå"}),
        ),
    )
    sign = Track(
        9, "bus", (polygon(2, (1, 1), (5, 1), (3, 7), z_order=2, attributes={"..": "-1"}),)
    )
    declared = (Attribute("..", "number"), Attribute("hurt", "checkbox"), Attribute("unused"))
    return annotated(
        *(car, sign),
        tags=(FrameTag(5, "car", {"why": "first\nand last"}), FrameTag(6, "bus")),
        attributes={"car": declared},
    )


@pytest.fixture
def described(tmp_path, store):
    """The slices of `polygon_scene`, at scale 2 and in pieces of 2 rows."""
    regions = Regions(polygon_scene(), CLOCK, Picture((48, 64), scale=2))
    with hdf5.create(tmp_path / "d.h5", SLICES, Provenance("annotate", {})) as file:
        shapes = regions.shape_rows(2)
        SlicesWriter(file, store.sensor, 0, NO_SLICES, regions.tables, shapes=shapes).finish()
    with SlicesFile(tmp_path / "d.h5") as opened:
        yield opened


def test_shapes__are_one_row_per_region_and_frame_in_sensor_pixels(described):
    rows = described.shapes()
    assert (len(rows), described.n_shapes) == (4, 4)
    assert rows.frame.tolist() == [0, 1, 2, 2]
    assert rows.roi.tolist() == [0, 0, 0, 1]
    assert (rows.start_us.tolist(), rows.stop_us.tolist()) == ([0, 10, 20, 20], [10, 20, 30, 30])
    assert [SHAPE_KINDS[kind] for kind in rows.kind] == ["box", "box", "box", "polygon"]
    assert np.stack([rows.x, rows.y, rows.w, rows.h], axis=1).tolist() == [
        [0, 0, 2, 3],
        [2, 0, 2, 3],
        [4, 0, 2, 3],
        [0.5, 0.5, 2, 3],
    ]
    assert rows.keyframe.tolist() == [1, 0, 0, 1]
    assert rows.occluded.tolist() == [0, 0, 1, 0]
    assert (rows.z_order.tolist(), rows.group.tolist()) == ([0, 0, 0, 2], [7, 7, 0, 0])
    assert rows.outline(1).tolist() == [[2, 0], [4, 0], [4, 3], [2, 3]]
    assert rows.outline(3).tolist() == [[0.5, 0.5], [2.5, 0.5], [1.5, 3.5]]
    assert (described.rois.kind.tolist(), described.rois.group.tolist()) == ([0, 2], [7, 0])


def test_shapes__are_read_in_part_and_by_time(described):
    part = described.shapes(1, 3)
    assert part.frame.tolist() == [1, 2]
    assert part.outline(1).tolist() == [[4, 0], [6, 0], [6, 3], [4, 3]]
    assert described.shapes_in(10, 20).frame.tolist() == [1]
    assert described.shapes_in(19, 21).frame.tolist() == [1, 2, 2]
    assert described.shapes_in(30, 99).frame.tolist() == described.shapes(3, 3).frame.tolist() == []


def test_table__says_in_words_what_frames_show(described):
    table = described.table()
    assert list(table)[:6] == ["frame", "start_us", "stop_us", "track", "label", "kind"]
    assert {len(column) for column in table.values()} == {4}
    assert table["kind"].tolist() == ["box", "box", "box", "polygon"]
    assert table["occluded"].tolist() == [False, False, True, False]
    assert table["attributes.a/b"].tolist() == ["red", "red", "blå", None]
    labels = [described.labels[n] for n in described.rois.label[described.shapes().roi]]
    assert table["label"].tolist() == labels
    part = described.table(10, 20)
    assert {name: column[1:2].tolist() for name, column in table.items()} == {
        name: column.tolist() for name, column in part.items()
    }
    assert len(described.table(30)["frame"]) == 0


def test_labels_of__regions_are_theirs_and_of_none_is_none(described):
    first, last = described.rois.label.tolist()
    assert described.labels_of(np.array([1, -1, 0], dtype=np.int32)).tolist() == [last, -1, first]


@pytest.mark.parametrize("first_row", [0, 900])
def test_regions_of__are_of_the_stores_rows_and_count_every_region_of_an_event(
    tmp_path, store, first_row
):
    regions = Regions(moving_scene(), CLOCK, PICTURE)
    with hdf5.create(tmp_path / "s.h5", SLICES, Provenance("annotate", {})) as file:
        writer = SlicesWriter(
            *(file, store.sensor, 0, NO_SLICES, regions.tables), first_row=first_row
        )
        events = store.read(first_row, 3_500)
        writer.write(events, *Annotator(regions, first_row=first_row).label(events))
        writer.finish()
    with SlicesFile(tmp_path / "s.h5") as got:
        roi, overlaps = got.read()[1], got.overlaps
        names = [[got.labels[got.rois.label[k]]] if k >= 0 else [] for k in roi]
        for event, k in zip(*overlaps, strict=True):
            names[event].append(got.labels[got.rois.label[k]])
        assert len(overlaps.event)
        for wanted in (["car"], ["bus"], ["bus", "car"]):
            expected = np.zeros(4_000, dtype=bool)
            expected[first_row:3_500] = [bool({*wanted} & {*each}) for each in names]
            assert 0 < np.count_nonzero(expected) < 2_000
            within = got.regions_of(wanted)
            for start, stop in ((0, 4_000), (0, 10), (800, 1_000), (3_400, 4_000), (3_600, 3_700)):
                np.testing.assert_array_equal(within(start, stop), expected[start:stop])
        with pytest.raises(UsageError, match=r"s\.h5: has no label 'cart'; did you mean 'car'"):
            got.regions_of(["cart"])
    with pytest.raises(UsageError, match="is closed"):
        within(0, 10)


def test_attributes__are_typed_columns_whatever_their_names(described):
    assert described.attributes.name == ("..", "hurt", "unused", "a/b", "why")
    assert described.attributes.kind == ("number", "checkbox", "text", "text", "text")
    np.testing.assert_array_equal(described.attribute(".."), [3.5, 3.5, np.nan, -1])
    assert described.attribute("hurt").tolist() == [1, 1, -1, -1]
    assert described.attribute("a/b").tolist() == ["red", "red", "blå", None]
    assert (described.attribute("a/b") == "red").tolist() == [True, True, False, False]
    assert described.attribute("a/b", 2).tolist() == ["blå", None]
    assert described.tag_attribute("why").tolist() == ["first\nand last", None]
    with pytest.raises(LayoutError, match="has no attribute 'colour'; its attributes are: "):
        described.attribute("colour")


def test_attribute__whose_values_do_not_fit_its_kind_is_kept_as_text():
    said = ["7", "many", "nan", "1_000"]
    for kind, value, expected in (
        *(("number", text, "number" if text == "7" else "text") for text in said),
        ("checkbox", "maybe", "text"),
        ("select", "red", "select"),
    ):
        coding = Coding({"car": (Attribute("n", kind),)}, [{"n": value}])
        assert coding.table.kind == (expected,), value
    two = {"car": (Attribute("n", "number"),), "bus": (Attribute("n", "radio", ("a",)),)}
    assert Coding(two, []).table == (("n",), ("text",), (("a",),))
