"""RVT's tree is read as RVT's own readers read it, and damage is named."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from evreel.errors import EvreelError, LayoutError, UsageError
from evreel.loaders.mixed import Drawn, MixedLoader
from evreel.loaders.pieces import labelled_ranges, pieces
from evreel.loaders.rvt_tree import rvt_sources
from evreel.loaders.sequential import SequentialLoader
from support import shared_file
from support.rvt import Sequence
from support.rvt_tree import rvt_tree

NAMES = ("t", "x", "y", "w", "h", "class_id", "class_confidence")


def rows_of(boxes):
    return np.stack([boxes[name].astype(np.float32) for name in NAMES], axis=1).tolist()


@pytest.mark.parametrize("run", ["gen1_stacked_fast", "gen4_stacked_fast"])
def test_rvt_tree__gives_the_labels_and_sequences_of_rvts_readers(run):
    tree = shared_file(f"oracles/rvt/{run}")
    oracle = np.load(shared_file("oracles/rvt_reader.npz"))
    cases = json.loads(shared_file("oracles/rvt_reader.json").read_text())
    seen = 0
    for source in rvt_sources(tree):
        place = f"{run}/{source.path.relative_to(tree).as_posix()}"
        with source.open() as frames:
            is_labelled = frames.labelled(0, len(frames))
            boxes = frames.boxes(0, len(frames))
            for k, window in enumerate(np.flatnonzero(is_labelled)):
                assert rows_of(boxes[window]) == oracle[f"{place}/frame{k}"].tolist()
            assert f"{place}/frame{is_labelled.sum()}" not in oracle
            assert sum(map(len, boxes)) == sum(
                len(oracle[f"{place}/frame{k}"]) for k in range(is_labelled.sum())
            )
        for case in cases:
            if case["seq"] != place:
                continue
            t = case["sequence_length"]
            drawn = Drawn.of([source], t, "labelled", "fail")
            assert len(drawn) == case["random_length"]
            assert drawn.n_too_early == case["random_first_objframe"]
            assert (drawn.stop - 1).tolist() == np.flatnonzero(is_labelled)[
                drawn.n_too_early :
            ].tolist()
            ranges = labelled_ranges(is_labelled, t)
            found = [list(pieces(ranges[k : k + 1], t)) for k in range(len(ranges))]
            starts_and_stops = [[[p.start for p in own], [p.stop for p in own]] for own in found]
            assert starts_and_stops == case["train_ranges"]
            for name, expected in (
                ("labelled", [start for own in found for start in (p.start for p in own)]),
                ("from_first_label", case["eval_start"]),
            ):
                loader = MixedLoader(
                    *([source],), array_dim=(t,), n_stream=1, n_random=0, ranges=name, num_workers=0
                )
                assert len(loader) == len(expected)
            seen += 1
    assert seen == 5 * {"gen1_stacked_fast": 4, "gen4_stacked_fast": 2}[run]


@pytest.mark.parametrize("run", ["gen1_mixed", "gen4_stacked_fast"])
def test_rvt_tree__gives_the_frames_of_its_files(run):
    tree = shared_file(f"oracles/rvt/{run}")
    for source in rvt_sources(tree, "val"):
        twin = Sequence(source.path, (1, 1), run.startswith("gen4"))
        with pickle.loads(pickle.dumps(source)).open() as frames:
            assert len(frames) == twin.n and frames.dtype == ("int8" if "mixed" in run else "uint8")
            for dtype in (np.float32, frames.dtype):
                into = np.empty((3, *frames.metadata.shape), dtype)
                frames.read(1, 4, into)
                np.testing.assert_array_equal(into, twin.frames(1, 4))


@pytest.mark.parametrize("halved", [False, True])
def test_rvt_tree__equals_plain_reading(tmp_path, halved):
    tree = rvt_tree(tmp_path, {"train/a": (7, [2, 5]), "val/b": (4, [3])}, halved=halved)
    (tree / "train/notes.txt").write_text("not a sequence")
    assert [source.name for source in rvt_sources(tree)] == ["a", "b"]
    assert [source.name for source in rvt_sources(tree, "val")] == ["b"]
    assert [source.name for source in rvt_sources(tree / "val")] == ["b"]
    for source in rvt_sources(tree):
        twin = Sequence(source.path, (8, 12), halved)
        with source.open() as frames:
            into = np.empty((len(frames), *frames.metadata.shape), np.float32)
            frames.read(0, len(frames), into)
            np.testing.assert_array_equal(into, twin.frames(0, twin.n))
            for k, window in enumerate(twin.window_of.tolist()):
                assert rows_of(frames.boxes(window, window + 1)[0]) == twin.labels_of(k).tolist()
            assert np.flatnonzero(frames.labelled(0, twin.n)).tolist() == twin.window_of.tolist()
            assert frames.windows.stop_us.tolist() == [50_001 + 50_000 * k for k in range(twin.n)]
            assert frames.metadata.sensor == (8, 12) and frames.metadata.delta_t_us == 50_000


def test_sequential__takes_a_tree(tmp_path):
    tree = rvt_tree(tmp_path, {"train/a": (7, [2, 5]), "train/b": (4, [3]), "val/c": (9, [1])})
    loader = SequentialLoader(tree, array_dim=(2,), split="train", batch_size=2, num_workers=2)
    batches = list(loader)
    assert len(batches) == len(loader) == 4
    labelled = np.concatenate([batch["frame_is_labeled"][:, 0] for batch in batches])
    assert np.flatnonzero(labelled).tolist() == [2, 5]


def damaged_labels(sequence):
    path = sequence / "labels_v2/labels.npz"
    path.write_bytes(path.read_bytes()[:100])


def other_windows(sequence):
    np.save(next(sequence.glob("event*/*")) / "timestamps_us.npy", np.arange(3))


def later_labelled(sequence):
    np.save(next(sequence.glob("event*/*")) / "objframe_idx_2_repr_idx.npy", np.array([5, 99]))


def fewer_labelled(sequence):
    np.save(next(sequence.glob("event*/*")) / "objframe_idx_2_repr_idx.npy", np.array([5]))


def turned_windows(sequence):
    path = next(sequence.glob("event*/*")) / "timestamps_us.npy"
    np.save(path, np.load(path)[::-1])


def other_first_boxes(sequence):
    path = sequence / "labels_v2/labels.npz"
    with np.load(path) as read:
        labels = read["labels"]
    np.savez(path, labels=labels, objframe_idx_2_label_idx=np.array([0, 99]))


def no_labels(sequence):
    (sequence / "labels_v2/labels.npz").unlink()


def cut_frames(sequence):
    path = next(sequence.glob("event*/*/*.h5"))
    path.write_bytes(path.read_bytes()[:-3000])


def flipped_frames(sequence):
    path = next(sequence.glob("event*/*/*.h5"))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"\x28\xb5\x2f\xfd")  # a frame of Zstandard
    data[at : at + 4] = bytes(4)
    path.write_bytes(data)


def no_folder(sequence):
    (sequence / "event_representations_v2").rename(sequence / "elsewhere")


def no_frames(sequence):
    next(sequence.glob("event*/*/*.h5")).unlink()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (damaged_labels, "labels.npz: cannot be read"),
        (other_windows, "objframe_idx_2_repr_idx.npy: its labelled frames are not"),
        (later_labelled, "objframe_idx_2_repr_idx.npy: its labelled frames are not"),
        (fewer_labelled, "labels.npz: its 4 boxes are of 2 labelled frames; 1 are expected"),
        (turned_windows, "timestamps_us.npy: its windows are not in the order of time"),
        (other_first_boxes, "labels.npz: its objframe_idx_2_label_idx does not go up from 0 to 4"),
        (no_labels, "labels.npz: cannot be read"),
        (cut_frames, "event_representations.h5"),
        (flipped_frames, "event_representations.h5: window 6: cannot be decompressed"),
        (no_folder, "event_representations_v2: has neither event_representations.h5 nor"),
        (no_frames, "has neither event_representations.h5 nor"),
    ],
)
def test_rvt_tree__names_what_is_damaged(tmp_path, damage, named):
    tree = rvt_tree(tmp_path, {"train/a": (7, [2, 5]), "train/b": (4, [3])})
    damage(tree / "train/a")
    common = {"array_dim": (2,), "batch_size": 1, "num_workers": 0}
    with pytest.raises(EvreelError, match=named.replace(".", r"\.")) as found:
        list(SequentialLoader(tree, **common))
    assert "\n" not in str(found.value)
    loader = SequentialLoader(tree, on_damage="skip", **common)
    assert len(list(loader)) >= 2
    assert loader.counts.get("skipped_recordings", 0) + loader.counts.get("skipped_frames", 0)


def test_rvt_tree__of_several_frames_or_none__says_what_to_do(tmp_path):
    tree = rvt_tree(tmp_path / "tree", {"train/a": (3, [2])})
    folder = tree / "train/a/event_representations_v2"
    (folder / "other").mkdir()
    with pytest.raises(UsageError, match=r"which of its frames.*other.*Give feature="):
        rvt_sources(tree)
    with rvt_sources(tree, feature="stacked_histogram_dt=50_nbins=1")[0].open() as frames:
        assert len(frames) == 3
    with pytest.raises(LayoutError, match="has neither"):
        rvt_sources(tree, feature="other")[0].open()
    with pytest.raises(UsageError, match="no sequence of RVT's layout in split 'val'"):
        rvt_sources(tree, "val")
    with pytest.raises(UsageError, match="nothing is computed live"):
        SequentialLoader(rvt_sources(tree, feature="other"), 50_000, "histogram")


def test_rvt_tree__of_another_duration_than_asked_for_is_refused(tmp_path):
    tree = rvt_tree(tmp_path, {"train/a": (3, [2])})
    assert len(SequentialLoader(tree, 50_000)) == 3
    with pytest.raises(UsageError, match="its windows are of 50000 µs; 10000 µs are asked for"):
        SequentialLoader(tree, 10_000)


def test_rvt_tree__is_found_from_within_a_split(tmp_path, monkeypatch):
    tree = rvt_tree(tmp_path, {"train/a": (3, [2]), "val/b": (3, [2])})
    monkeypatch.chdir(tree / "train")
    for split in (None, "train"):
        assert [source.name for source in rvt_sources(".", split)] == ["a"]
