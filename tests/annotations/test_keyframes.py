"""Few key frames: as many as tracks cannot be interpolated without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evreel.annotations import read_annotations, sparse, write_video_xml
from evreel.annotations.shapes import Track, interpolate
from support import shared_file
from support.annotations import annotated, box, moving_scene, polygon


def keys(track: Track) -> list[int]:
    return [shape.frame for shape in track.shapes if shape.keyframe]


def of_keys(track: Track) -> Track:
    """Return what a track shows by its key frames alone."""
    return interpolate(replace(track, shapes=tuple(s for s in track.shapes if s.keyframe)))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tolerance_px", [0.0, 0.5, 5.0])
def test_sparse__loses_no_more_than_it_may(seed, tolerance_px):
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.choice([0, 1, 3], 60)) + rng.normal(0, 0.3, 60)
    dense = Track(0, "car", tuple(box(k, left=v, right=v + 20) for k, v in enumerate(x)))
    (found,) = sparse(annotated(dense), tolerance_px).tracks
    assert [s.points.tolist() for s in found.shapes] == [s.points.tolist() for s in dense.shapes]
    for shape, again in zip(dense.shapes, of_keys(found).shapes, strict=True):
        assert np.abs(shape.points - again.points).max() <= tolerance_px + 1e-9
    assert len(keys(found)) < 60 or tolerance_px == 0


def test_sparse__finds_the_key_frames_of_an_interpolated_scene():
    for track in moving_scene(seed=3).tracks:
        dense = interpolate(replace(track, shapes=tuple(s for s in track.shapes if not s.outside)))
        (found,) = sparse(annotated(dense), 1e-6).tracks
        assert set(keys(found)) <= {shape.frame for shape in track.shapes}


def test_sparse__keeps_what_changes_closes_or_is_unknown():
    still = [box(k) for k in range(12)]
    still[3] = box(3, occluded=True)
    still[6] = box(6, outside=True)
    still[9] = replace(box(9), alone=True)
    (found,) = sparse(annotated(Track(0, "car", tuple(still)))).tracks
    assert keys(found) == [0, 3, 4, 5, 6, 7, 9, 10, 11]
    shapes = (box(0), polygon(1, (0, 0), (9, 0), (9, 9)), box(2))
    assert keys(sparse(annotated(Track(0, "car", shapes))).tracks[0]) == [0, 1, 2]
    assert sparse(annotated(Track(0, "car", ()))).tracks[0].shapes == ()


def test_sparse__of_a_real_export_comes_near_its_own_key_frames(tmp_path):
    real = read_annotations(shared_file("annotations/four_obj_static_video.xml"))
    own = sum(len(keys(track)) for track in real.tracks)
    listed = sum(len(track.shapes) for track in real.tracks)
    found = sparse(real, 0.05)
    ours = sum(len(keys(track)) for track in found.tracks)
    assert ours < 1.2 * own < listed
    more = {"name": "x", "n_frames": 916, "picture_shape": real.picture_shape}
    write_video_xml(tmp_path / "x.xml", found, **more)
    again = read_annotations(tmp_path / "x.xml")
    assert [keys(track) for track in again.tracks] == [keys(track) for track in found.tracks]
