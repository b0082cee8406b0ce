"""A features file as a video, an animation and a picture: all its frames, at the right time."""

from __future__ import annotations

from fractions import Fraction

import av
import imageio.v3 as imageio
import numpy as np
import pytest

from evreel import steps
from evreel.cli.main import main
from evreel.errors import AnnotationError, LayoutError, ParameterError, UsageError
from evreel.events import Events, Sensor
from evreel.files.boxes import write_boxes
from evreel.files.features import FeaturesFile
from evreel.layout import BOX_DTYPE
from evreel.samples.samples import Samples
from evreel.samples.tables import write_cut
from evreel.steps import Playing
from evreel.video.labelled import colour_of
from evreel.viz.playing import FeaturePictures, evenly, pace, rows_of
from evreel.viz.rgb import to_rgb
from support import random_events
from support.stores import store_of

SENSOR = Sensor(23, 31)  # odd, so that a video must be padded
N = 10


def feature(folder, name="park", events=None, representation="histogram", **windows):
    """Write a feature of events: windows of 10 ms unless others are asked for."""
    events = random_events(2_000, SENSOR, N * 10_000) if events is None else events
    store = folder / "store.h5"
    store.unlink(missing_ok=True)
    path = folder / f"{name}.h5"
    cut = windows.pop("cut", None)
    given = steps.FeatureSettings(representation=representation, **windows or {"window_us": 10_000})
    steps.features(store_of(store, events), path, given, cut=cut)
    return path


@pytest.fixture(scope="module")
def park(tmp_path_factory):
    return feature(tmp_path_factory.mktemp("park"))


@pytest.fixture(scope="module")
def pictures(park):
    """The pictures of all frames, as a video has them."""
    with FeaturesFile(park) as file:
        drawn = FeaturePictures(file, range(N), Playing(magnify=2))
        return [drawn.draw(k) for k in range(N)]


def decoded(path):
    """Return the pictures of an mp4, and its rate."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        return [f.to_ndarray(format="rgb24") for f in container.decode(stream)], stream.average_rate


def test_mp4__shows_every_frame_in_real_time(park, pictures, tmp_path):
    assert steps.play(park, tmp_path / "park.mp4", Playing(magnify=2)) == N
    frames, rate = decoded(tmp_path / "park.mp4")
    assert rate == 100
    assert len(frames) == N
    for frame, picture in zip(frames, pictures, strict=True):
        assert frame.shape == (46, 62, 3)
        assert np.abs(frame[:46, :62].astype(int) - picture).mean() < 25


def test_gif__has_exactly_the_pictures_and_no_more_than_50_per_second(park, pictures, tmp_path):
    steps.play(park, tmp_path / "park.gif", Playing(magnify=2))
    assert (imageio.imread(tmp_path / "park.gif", index=None) == np.stack(pictures)).all()
    about = imageio.immeta(tmp_path / "park.gif")
    assert (about["duration"], about["loop"]) == (20, 0)


def test_png__of_one_frame_is_its_picture(park, pictures, tmp_path):
    assert steps.play(park, tmp_path / "park.png", Playing(magnify=2), frames="3") == 1
    with FeaturesFile(park) as file:
        scaled = FeaturePictures(file, range(3, 4), Playing(magnify=2)).draw(3)
        alone = to_rgb(file[3], file).repeat(2, axis=0).repeat(2, axis=1)
    found = imageio.imread(tmp_path / "park.png")
    assert (found == scaled).all()
    assert (found == alone).all()


def test_png__of_several_frames_shows_each_with_its_number_below(park, tmp_path):
    assert steps.play(park, tmp_path / "park.png", Playing(magnify=6), frames="2:5") == 3
    sheet = imageio.imread(tmp_path / "park.png")
    with FeaturesFile(park) as file:
        drawn = FeaturePictures(file, range(2, 5), Playing(magnify=6))
        assert (sheet[: 23 * 6, : 31 * 6] == drawn.draw(2)).all()
        assert (sheet == drawn.sheet(range(2, 5))).all()
        other = drawn.sheet([2, 3, 7])
    assert (other != sheet).any()
    below = sheet[23 * 6 : 23 * 6 + 16, : 31 * 6]
    assert len(np.unique(below.reshape(-1, 3), axis=0)) > 2  # it is written on


def test_png__of_very_many_frames_shows_some_at_even_distances(tmp_path, caplog):
    path = feature(tmp_path, window_us=1_000)
    with caplog.at_level("INFO"):
        assert steps.play(path, tmp_path / "sheet.png", Playing(magnify=1)) == 48
    assert "sheet.png: 48 of 100 frames" in caplog.text
    chosen = evenly(range(100), 48)
    assert (chosen[0], chosen[-1], len(set(chosen))) == (0, 99, 48)
    assert set(np.diff(chosen)) == {2, 3}


def test_montage__shows_bins_side_by_side(tmp_path):
    path = feature(tmp_path, representation="voxel_grid")
    look = Playing(channels="montage", magnify=1, theme="light")
    steps.play(path, tmp_path / "bins.png", look, frames="0")
    with FeaturesFile(path) as file:
        expected = to_rgb(file[0], file, channels="montage", theme="light")
    assert (imageio.imread(tmp_path / "bins.png") == expected).all()


@pytest.mark.parametrize(
    ("representation", "stored"),
    [
        ("histo", {"store": "uint8"}),
        ("histogram", {"store": "float16"}),
        ("tore", {"store": "uint8", "scale": 0.1}),
        ("tore", {"store": "float16"}),
        ("last_timestamp", {"store": "float32"}),
    ],
)
def test_stored_values__look_as_those_that_were_computed(tmp_path, caplog, representation, stored):
    events = random_events(300, SENSOR, N * 10_000)  # so few that many pixels have none
    computed = feature(tmp_path, "computed", events, representation, window_us=10_000)
    path = feature(tmp_path, "stored", events, representation, window_us=10_000, **stored)
    made = []
    with caplog.at_level("INFO"):
        for one in (computed, path):
            out = tmp_path / f"{one.stem}.png"
            steps.play(one, out, Playing(magnify=1, limit=5), frames="4")
            made.append(imageio.imread(out).astype(int))
    assert caplog.text.count("full colour from 5\n") == 2
    assert np.abs(made[0] - made[1]).max() <= 6
    assert (made[0] == made[0][0, 0]).all(axis=2).mean() > 0.3  # background


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, range(10)),
        (":", range(10)),
        ("3", range(3, 4)),
        ("-1", range(9, 10)),
        ("2:5", range(2, 5)),
        ("8:", range(8, 10)),
        (":10", range(10)),
        ("-3:-1", range(7, 9)),
        ("::4", range(0, 10, 4)),
        ("1:9:3", range(1, 9, 3)),
    ],
)
def test_frames__are_named_as_slices_of_python(text, expected):
    assert rows_of(text, 10) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' does not name frames.*such as 10:20"),
        ("a:b", "'a:b' does not name frames"),
        ("1.5", "does not name frames"),
        ("1:2:3:4", "does not name frames"),
        ("1-5", "does not name frames"),
        ("10", "'10' is not within the 10 frames, 0 to 9"),
        ("5:11", "'5:11' is not within the 10 frames"),
        ("-11:", "'-11:' is not within the 10 frames"),
        ("5:5", "'5:5' names no frame of the 10"),
        ("7:3", "'7:3' names no frame"),
        ("0:5:0", "has a step of 0"),
    ],
)
def test_frames__that_there_are_not_are_an_error(text, message):
    with pytest.raises(UsageError, match=message):
        rows_of(text, 10)


def paced(path, look, rows=None, fastest=240):
    with FeaturesFile(path) as file:
        return pace(file, rows or range(len(file)), look, fastest)


def test_pace__is_real_time_unless_something_else_is_asked_for(park):
    assert paced(park, Playing())[:] == (100, range(N), 1)
    assert paced(park, Playing(speed=0.25))[:] == (25, range(N), Fraction(1, 4))
    assert paced(park, Playing(fps=29.97))[:2] == (Fraction(2997, 100), range(N))
    assert paced(park, Playing(), range(4, 5)).fps == 100
    assert paced(park, Playing(), range(0, N, 2)).fps == 50


def test_pace__beyond_what_a_player_can_is_slower_or_leaves_frames_out_if_speed_is_asked_for(park):
    assert paced(park, Playing(), fastest=50)[:] == (50, range(N), Fraction(1, 2))
    assert paced(park, Playing(speed=1), fastest=50)[:] == (50, range(0, N, 2), 1)
    assert paced(park, Playing(speed=1), fastest=40)[:] == (Fraction(100, 3), range(0, N, 3), 1)
    assert paced(park, Playing(speed=2), range(2, 8), fastest=50).rows == range(2, 8, 4)
    with pytest.raises(UsageError, match="--fps: 60 is more than 50"):
        paced(park, Playing(fps=60), fastest=50)


def test_pace__of_other_windows_is_the_mean_time_between_their_starts(tmp_path):
    t = np.array([0, 1_000, 4_000, 6_000, 30_000, 31_000])
    events = Events(t, *np.zeros((2, 6), int), np.ones(6, int), SENSOR)
    count = feature(tmp_path, "count", events, count=2)
    assert paced(count, Playing()).fps == Fraction(200, 3)  # starts at 0, 4 and 30 ms
    thirds = feature(tmp_path, "thirds", events, window_us=333)
    assert abs(float(paced(thirds, Playing(speed=0.01)).fps) - 30.03) < 1e-3
    cut = tmp_path / "cut.tsv"
    edges = np.array([0, 30_000]), np.array([7_000, 32_000])
    write_cut(cut, Samples(("a", "b"), ("", ""), ("", ""), *edges, np.array([0, 0])))
    of_samples = feature(tmp_path, "samples", events, window_us=1_000, cut=cut)
    assert paced(of_samples, Playing(speed=0.1)).fps == 100


def test_pace__of_windows_that_take_no_time_is_30_and_has_no_speed(tmp_path):
    events = Events(*np.zeros((3, 4), int), np.ones(4, int), SENSOR)
    path = feature(tmp_path, "instant", events, count=1)
    assert paced(path, Playing())[:] == (30, range(4), None)
    with pytest.raises(UsageError, match=r"instant\.h5: the windows do not tell the time.*--fps"):
        paced(path, Playing(speed=1))


def test_pace__of_very_long_windows_is_an_error_that_says_what_to_do(tmp_path):
    t = np.array([0, 7_200_000_000])
    events = Events(t, *np.zeros((2, 2), int), np.ones(2, int), SENSOR)
    path = feature(tmp_path, "long", events, window_us=3_600_000_000)
    with pytest.raises(UsageError, match=r"shown for more than 600 s.*--fps, or a higher --speed"):
        paced(path, Playing())
    for look in ({"fps": 1e-320}, {"speed": 1e-320}):
        with pytest.raises(UsageError, match="shown for more than 600 s"):
            paced(path, Playing(**look))
    assert paced(path, Playing(speed=1e300)).rows[:] == range(0, 3, 3)
    assert paced(path, Playing(speed=3600)).fps == 1
    assert paced(path, Playing(speed=36)).fps == Fraction(1, 100)


def boxes_at(*boxes) -> np.ndarray:
    found = np.zeros(len(boxes), dtype=BOX_DTYPE)
    for row, values in zip(found, boxes, strict=True):
        for name, value in zip(BOX_DTYPE.names, (*values, 1), strict=True):
            row[name] = value
    return found


def test_boxes__beside_the_file_are_drawn_on_the_frame_of_their_window(tmp_path):
    path = feature(tmp_path)
    beside = tmp_path / "park_bbox.npy"
    # Two of one track in window 2, of which the last is drawn; one at the end of window 5.
    boxes = boxes_at(
        (22_000, 1, 1, 3, 3, 0, 7), (28_000, 4, 5, 10, 8, 0, 7), (60_000, 2, 2, 6, 6, 1, 1)
    )
    write_boxes(beside, boxes)
    for frame, corner, colour in ((2, (5, 4), colour_of(0, 7)), (5, (2, 2), colour_of(1, 1))):
        out = tmp_path / f"{frame}.png"
        steps.play(path, out, Playing(magnify=1), frames=str(frame))
        with_boxes = imageio.imread(out)
        steps.play(path, out, Playing(magnify=1), frames=str(frame), without_boxes=True)
        changed = (with_boxes != imageio.imread(out)).any(axis=2)
        assert tuple(with_boxes[corner].tolist()) == colour
        assert changed.any(axis=1).argmax() == corner[0]  # and nothing of the first one
    steps.play(path, tmp_path / "3.png", Playing(magnify=1), frames="3")
    with FeaturesFile(path) as file:
        assert (imageio.imread(tmp_path / "3.png") == to_rgb(file[3], file)).all()


@pytest.mark.parametrize("keep", ["last", "all"])
def test_boxes__in_the_order_of_windows_are_drawn_alike(tmp_path, keep):
    path = feature(tmp_path)
    boxes = boxes_at((22_000, 1, 1, 3, 3, 0, 7), (28_000, 4, 5, 10, 8, 0, 7))
    write_boxes(tmp_path / "all.npy", boxes)
    steps.play(path, tmp_path / "a.png", frames="2", boxes=tmp_path / "all.npy")
    by_windows = steps.FeatureBoxesSettings(boxes=keep)
    steps.feature_boxes(path, tmp_path / "all.npy", tmp_path / "park_bbox.npy", by_windows)
    steps.play(path, tmp_path / "b.png", frames="2")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    other = feature(tmp_path, "other", window_us=5_000)
    with pytest.raises(AnnotationError, match=r"has boxes of 10 windows, but other\.h5 has 20"):
        steps.play(other, tmp_path / "c.png", boxes=tmp_path / "park_bbox.npy")


def test_boxes__are_where_the_geometry_of_a_feature_puts_them(tmp_path):
    moved = {"crop": [3, 2, 31, 22], "flip_x": True, "downsample": 1}
    path = feature(tmp_path, window_us=10_000, geometry=moved)
    write_boxes(tmp_path / "park_bbox.npy", boxes_at((25_000, 5, 4, 8, 6, 0, 7)))
    steps.play(path, tmp_path / "a.png", Playing(magnify=1), frames="2")
    steps.play(path, tmp_path / "b.png", Playing(magnify=1), frames="2", without_boxes=True)
    with_box, without = (imageio.imread(tmp_path / f"{name}.png") for name in "ab")
    assert with_box.shape == (10, 14, 3)
    rows, columns = np.nonzero((with_box != without).any(axis=2))
    # Columns 5 to 13 of 3 to 31 are 18 to 26 from the right, and 9 to 13 of halves.
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 4, 9, 13)
    last = steps.FeatureBoxesSettings(boxes="last")
    steps.feature_boxes(path, tmp_path / "park_bbox.npy", tmp_path / "by_window_bbox.npy", last)
    by_window = tmp_path / "by_window_bbox.npy"
    steps.play(path, tmp_path / "c.png", Playing(magnify=1), frames="2", boxes=by_window)
    assert (imageio.imread(tmp_path / "c.png") == with_box).all()
    (tmp_path / "by_window_bbox_first.npy").unlink()  # by time, as beside features of many
    steps.play(path, tmp_path / "d.png", Playing(magnify=1), frames="2", boxes=by_window)
    assert (imageio.imread(tmp_path / "d.png") == with_box).all()


def test_boxes__of_frames_with_a_pixel_for_many_are_as_much_smaller(tmp_path):
    path = feature(tmp_path, representation="hats", window_us=10_000)
    write_boxes(tmp_path / "park_bbox.npy", boxes_at((25_000, 11, 0, 8, 9, 0, 7)))
    look = Playing(magnify=10)
    steps.play(path, tmp_path / "a.png", look, frames="2")
    steps.play(path, tmp_path / "b.png", look, frames="2", without_boxes=True)
    with_box, without = (imageio.imread(tmp_path / f"{name}.png") for name in "ab")
    assert with_box.shape == (30, 40, 3)
    _, columns = np.nonzero((with_box != without).any(axis=2))
    assert (columns.min(), columns.max()) == (13, 25)  # 14.2 to 24.5, 2 px wide


def test_boxes__that_reach_beyond_the_picture_or_are_no_numbers_do_no_harm(tmp_path):
    path = feature(tmp_path)
    steps.play(path, tmp_path / "none.png", Playing(magnify=1), frames="2")
    for name, place in (("far", (1e30, -1e30, 1e30, 5)), ("nan", (np.nan, 1, np.inf, 3))):
        write_boxes(tmp_path / f"{name}.npy", boxes_at((25_000, *place, 0, 7)))
        out, boxes = tmp_path / f"{name}.png", tmp_path / f"{name}.npy"
        steps.play(path, out, Playing(magnify=1), frames="2", boxes=boxes)
        assert (imageio.imread(out) == imageio.imread(tmp_path / "none.png")).all()


def test_outputs__have_the_same_bytes_again(park, tmp_path):
    for kind in ("mp4", "gif", "png"):
        made = [tmp_path / f"{k}.{kind}" for k in range(2)]
        for path in made:
            steps.play(park, path, Playing(magnify=1), frames=":4")
        assert made[0].read_bytes() == made[1].read_bytes()


@pytest.mark.parametrize(
    ("output", "look", "options", "message"),
    [
        (
            "park.avi",
            {},
            {},
            r"park\.avi: its name must end in \.mp4, \.gif or \.png, not in '\.avi'",
        ),
        ("park", {}, {}, "not in ''"),
        ("park.png", {"fps": 3}, {}, "fps and speed do not go with a picture"),
        ("park.gif", {"fps": 51}, {}, "--fps: 51 is more than 50"),
        ("park.mp4", {"fps": 241}, {}, "--fps: 241 is more than 240"),
        ("park.mp4", {}, {"frames": "10:20"}, "not within the 10 frames"),
        ("park.mp4", {"magnify": 64, "channels": "sum"}, {"boxes": "no.npy"}, "no.npy"),
        ("park.h5", {}, {}, "must end in"),
        (
            "park.mp4",
            {},
            {"boxes": "a.npy", "without_boxes": True},
            "boxes and without_boxes exclude each other",
        ),
    ],
)
def test_play__refuses_what_it_cannot_do_and_leaves_nothing(
    park, tmp_path, output, look, options, message
):
    with pytest.raises((UsageError, AnnotationError), match=message):
        steps.play(park, tmp_path / output, Playing(**look), **options)
    assert not list(tmp_path.iterdir())


def test_settings__that_contradict_each_other_are_refused():
    with pytest.raises(ParameterError, match="fps: does not go with speed"):
        Playing(fps=3, speed=2)
    for wrong in ({"fps": 0}, {"speed": -1}, {"magnify": 0}, {"channels": "mean"}, {"limit": 0}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            Playing(**wrong)


def test_play__of_a_file_that_is_damaged_empty_or_none_leaves_nothing(park, tmp_path):
    store = store_of(tmp_path / "store.h5", random_events(10, SENSOR))
    whole = park.read_bytes()
    (tmp_path / "damaged.h5").write_bytes(whole[:-2000] + bytes(1000) + whole[-1000:])
    empty = feature(tmp_path, "empty", Events.empty(SENSOR))
    for path, error, message in (
        (tmp_path / "damaged.h5", LayoutError, r"damaged\.h5"),
        (tmp_path / "missing.h5", LayoutError, r"missing\.h5"),
        (store, LayoutError, "evreel-features"),
        (empty, UsageError, r"empty\.h5: has no frames"),
    ):
        with pytest.raises(error, match=message):
            steps.play(path, tmp_path / "out.gif")
    assert not (tmp_path / "out.gif").exists()


def test_play__never_overwrites_the_features(park, tmp_path):
    disguised = tmp_path / "features.png"
    disguised.write_bytes(park.read_bytes())
    with pytest.raises(UsageError, match="would overwrite"):
        steps.play(disguised, disguised)


def test_command__plays_with_its_options(park, tmp_path, capsys):
    out = tmp_path / "park.gif"
    arguments = ["play", str(park), "-o", str(out), "--frames", "2:6", "--fps", "25"]
    assert main([*arguments, "--magnify", "1", "--theme", "light", "--no-boxes"]) == 0
    assert "park.gif: 4 frames at 25 per second, 0.25 × real time" in capsys.readouterr().err
    assert imageio.imread(out, index=None).shape == (4, 23, 31, 3)
    assert main(["play", str(park), "-o", str(tmp_path / "x.mkv")]) == 2
    assert main(["play", str(park), "-o", str(out), "--fps", "2", "--speed", "3"]) == 2
    assert main(["play", str(tmp_path / "none.h5"), "-o", str(out)]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3, told
