"""Events that are exported for other tools, as evlib and aedat read them."""

from __future__ import annotations

import pytest

from support import random_events, shared_file
from support.event_layouts import assert_as, by, exported
from support.stores import store_of

T_OFFSET = 1_234_567_890


@pytest.mark.parametrize(
    ("oracle", "layout", "t_offset"),
    [
        ("aedat", "aedat4", T_OFFSET),
        ("evlib", "aedat4", T_OFFSET),
        ("evlib", "metavision", T_OFFSET),
        ("evlib", "dsec", 0),  # it reads times as they are, without t_offset
    ],
)
def test_export__is_what_other_libraries_read(oracle, layout, t_offset, tmp_path):
    events = random_events(100_000, (480, 640), 2_000_000)
    path = exported(store_of(tmp_path / "park.h5", events, T_OFFSET), tmp_path, layout)
    assert_as(by(oracle, path, tmp_path / "o.npz"), events, t_offset)


def test_export__of_a_camera_is_what_evlib_reads_in_metavisions_compression(tmp_path):
    source = shared_file("recordings/faery_evt2.raw")
    path = exported(source, tmp_path, "metavision", sensor="640x480")
    expected = by("faery", source, tmp_path / "faery.npz")
    found = by("evlib", path, tmp_path / "evlib.npz")
    for name in "txyp":
        assert (found[name] == expected[name]).all()
