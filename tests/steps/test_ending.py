"""Features whose windows end at given instants, or begin at an origin."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from evreel import steps
from evreel.checks.run import check
from evreel.cli.main import main
from evreel.errors import EvreelError, SourceError
from evreel.files.boxes import read_boxes
from evreel.files.clock import read_clock
from evreel.files.events_store import EventsStore
from evreel.files.features import FeaturesFile
from evreel.provenance import sha256
from evreel.representations import create, frames
from support.scenes import annotated


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A simulated recording: its store, clock, boxes every 7 ms, a column of times, and samples."""
    folder = tmp_path_factory.mktemp("made")
    at = steps.AnnotateSettings(boxes_at="rate", boxes_us=7_000)
    store, _ = annotated(folder, folder / "slices.h5", folder / "park_bbox.npy", at)
    (folder / "park.times").write_text("-5\n0\n20000\n20000\n20001\n900000000\n")
    table = folder / "park.csv"
    table.write_text("label,start_us,stop_us\na,0,20000\nb,20000,50000\n")
    steps.cut(store, folder / "park.tsv", intervals=str(table))
    return folder


def files(folder):
    return {
        "labels": folder / "park_bbox.npy",
        "frames": folder / "park.clock.tsv",
        "times": folder / "park.times",
    }


def features(folder, output, **settings):
    """Compute a feature; return what was changed."""
    step = {name: settings.pop(name) for name in ("cut", "times_sha256") if name in settings}
    asked = steps.FeatureSettings(representation="histogram", **settings)
    return steps.features(folder / "park.h5", output, asked, ends=files(folder), **step)


def instants(folder):
    """Return the instants of each kind."""
    return {
        "labels": np.unique(read_boxes(folder / "park_bbox.npy")["t"]).tolist(),
        "frames": read_clock(folder / "park.clock.tsv")[0].stop_us.tolist(),
        "times": [-5, 0, 20_000, 20_000, 20_001, 900_000_000],
    }


@pytest.mark.parametrize("compat", [None, "rvt"])
@pytest.mark.parametrize(("at", "role"), [("labels", "boxes"), ("frames", "clock"), ("times",) * 2])
def test_features__have_a_window_that_ends_at_each_instant(made, tmp_path, at, role, compat):
    output = tmp_path / "f.h5"
    more = {} if compat is None else {"compat": compat}
    assert features(made, output, window_us=15_000, ending=at, **more) == {}
    with FeaturesFile(output) as file, EventsStore(made / "park.h5") as store:
        ends = instants(made)[at]
        assert (file.windows.start_us + 15_000).tolist() == ends
        assert (file.windows.stop_us - (compat == "rvt")).tolist() == ends
        assert (file.mode, file.delta_t_us, file.n_events) == ("ending", 15_000, 0)
        t = store.read().t
        for k, (start_us, stop_us) in enumerate(
            zip(file.windows.start_us, file.windows.stop_us, strict=True)
        ):
            assert file[k].sum() == ((t >= start_us) & (t < stop_us)).sum()
        live = frames(create("histogram", {}), store.read, file.windows, file.sensor)
        assert all((one == file[k]).all() for k, one in enumerate(live))
        said = json.loads(file.provenance["parameters"])
        assert (said["window_us"], said["at"], said["compat"]) == (15_000, at, compat)
        digests = {"store": sha256(made / "park.h5"), role: sha256(files(made)[at])}
        assert json.loads(file.provenance["inputs"]) == digests
    assert not check(tmp_path).errors


def test_boxes__are_in_the_window_that_ends_at_their_time(made, tmp_path):
    features(made, tmp_path / "f.h5", window_us=20_000, ending="labels")
    output = tmp_path / "f_bbox.npy"
    keep = steps.FeatureBoxesSettings(boxes="all")
    repairs = steps.feature_boxes(tmp_path / "f.h5", made / "park_bbox.npy", output, keep)
    assert repairs == {"boxes_in_no_window": 0, "earlier_boxes": 0}
    first = np.load(tmp_path / "f_bbox_first.npy")
    times = np.load(output)["t"]
    with FeaturesFile(tmp_path / "f.h5") as file:
        window = np.repeat(np.arange(len(file)), np.diff(first))
        assert (times == file.windows.stop_us[window]).all()
    assert not check(tmp_path).errors


def test_samples__have_the_instants_from_their_start_to_their_stop_and_their_own_events(
    made, tmp_path
):
    cut = made / "park.tsv"
    features(made, tmp_path / "f.h5", window_us=15_000, ending="times", cut=cut)
    with FeaturesFile(tmp_path / "f.h5") as file, EventsStore(made / "park.h5") as store:
        assert file.windows.stop_us.tolist() == [0, 20_000, 20_000, 20_000, 20_000, 20_001]
        assert file.samples.bounds.tolist() == [0, 3, 6]
        edge = store.index_of([5_000, 20_000, 20_001]).tolist()
        rows = zip(file.windows.start.tolist(), file.windows.stop.tolist(), strict=True)
        assert list(rows) == [
            *[(0, 0), (edge[0], edge[1]), (edge[0], edge[1])],
            *[(edge[1], edge[1])] * 2,
            (edge[1], edge[2]),
        ]
    assert not check(tmp_path).errors


@pytest.mark.parametrize(
    "windows",
    [{"window_us": 15_000, "ending": "times"}, {"window_us": 6_000, "origin_us": -2_500}],
    ids=str,
)
@pytest.mark.parametrize("history", [None, 4_000])
def test_samples__do_not_look_back_beyond_their_start_where_a_window_does(
    made, tmp_path, windows, history
):
    asked = steps.FeatureSettings(
        representation="last_timestamp", parameters={"history_us": history}, **windows
    )
    given = {"cut": made / "park.tsv", "ends": files(made)}
    steps.features(made / "park.h5", tmp_path / "f.h5", asked, **given)
    with FeaturesFile(tmp_path / "f.h5") as file:
        begins = np.repeat([0, 20_000], np.diff(file.samples.bounds))
        assert (file.windows.start_us < begins).any()
        for k, frame in enumerate(file):
            seen = file.windows.stop_us[k] - frame[frame >= 0]
            assert (seen >= begins[k]).all()
            assert len(seen) or file.windows.start[k] == file.windows.stop[k]


def test_origin__leaves_out_events_before_it_which_are_counted(made, tmp_path):
    with EventsStore(made / "park.h5") as store:
        early, late = store.index_of([12_000, 32_000]).tolist()
        middle = int(store.index_of(20_000))
    for settings in ({"window_us": 10_000}, {"count": 100}, {"number": 4}):
        asked = {**settings, "origin_us": 12_000}
        assert features(made, tmp_path / "f.h5", **asked) == {"events_before_origin": early}
        with FeaturesFile(tmp_path / "f.h5") as file, h5py.File(made / "park.h5") as store:
            n = len(store["events/t"])
            assert file[:].sum() == n - early
            assert file.windows.start[0] == early
            assert json.loads(file.provenance["parameters"])["origin_us"] == 12_000
            assert json.loads(file.provenance["repairs"]) == {"events_before_origin": early}
        of_samples = features(made, tmp_path / "f.h5", **asked, cut=made / "park.tsv")
        assert of_samples == {"events_before_origin": early + late - middle}
        assert not check(tmp_path).errors
    assert features(made, tmp_path / "f.h5", window_us=7_000, origin_us=-15_000) == {}
    with FeaturesFile(tmp_path / "f.h5") as file:
        assert file.windows.start_us[:4].tolist() == [-15_000, -8_000, -1_000, 6_000]
        assert file[:].sum() == n
    features(made, tmp_path / "f.h5", window_us=7_000, origin_us=-15_000, cut=made / "park.tsv")
    assert not check(tmp_path).errors


def test_windows__that_end_by_time_or_count_say_both_limits_in_the_file(made, tmp_path):
    features(made, tmp_path / "f.h5", window_us=5_000, count=40)
    with FeaturesFile(tmp_path / "f.h5") as file:
        assert (file.mode, file.delta_t_us, file.n_events) == ("mixed", 5_000, 40)
        n = file.windows.stop - file.windows.start
        long = file.windows.stop_us - file.windows.start_us
        assert ((n == 40) | (long == 5_000)).all() and (n <= 40).all() and (long <= 5_000).all()
        assert {40} < set(n.tolist())
        assert (file.windows.start[1:] == file.windows.stop[:-1]).all()
    assert not check(tmp_path).errors


def test_feature__is_kept_until_the_times_of_its_windows_change(made, tmp_path):
    times = tmp_path / "park.times"
    times.write_text("20000\n")
    asked = {
        tmp_path / "f.h5": steps.FeatureSettings(
            representation="histogram", window_us=5_000, ending="times"
        )
    }
    inode = []
    for text in ("20000\n", "20000\n", "20000\n30000\n"):
        times.write_text(text)
        steps.all_features(made / "park.h5", asked, ends={"times": times})
        inode.append((tmp_path / "f.h5").stat().st_ino)
    assert inode[0] == inode[1] != inode[2]
    with FeaturesFile(tmp_path / "f.h5") as file:
        assert file.windows.stop_us.tolist() == [20_000, 30_000]


def test_instants__that_are_missing_wrong_or_edited_meanwhile_are_refused(made, tmp_path):
    asked = steps.FeatureSettings(representation="histogram", window_us=9, ending="labels")
    with pytest.raises(
        EvreelError, match="windows are to end at labels, but there is no file of b"
    ):
        steps.features(made / "park.h5", tmp_path / "f.h5", asked)
    with pytest.raises(EvreelError, match=r"park\.times: is not"):
        steps.features(
            made / "park.h5", tmp_path / "f.h5", asked, ends={"labels": made / "park.times"}
        )
    with pytest.raises(SourceError, match=r"park\.times: was changed while it was in use"):
        features(made, tmp_path / "f.h5", window_us=9, ending="times", times_sha256="0" * 64)
    assert not (tmp_path / "f.h5").exists()


def test_command__takes_what_windows_end_at_from_a_folder(made, tmp_path):
    command = ["features", str(made / "park.h5"), "-o", str(tmp_path), "-q"]
    command += ["--representation", "histogram", "--window-us", "15000", "--ends", str(made)]
    for at, ends in instants(made).items():
        assert main([*command, "--ending", at]) == 0
        with FeaturesFile(tmp_path / "park.h5") as file:
            assert file.windows.stop_us.tolist() == ends
