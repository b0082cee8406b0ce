"""Pictures of lanes as one."""

from __future__ import annotations

import numpy as np
import pytest

from evreel.errors import ParameterError
from evreel.viz.rgb import places_of
from evreel.viz.tiles import RESET, tiled


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_tiled__shows_every_lane_whole_and_in_order(n):
    lanes = np.random.default_rng(n).integers(0, 200, (n, 30, 40, 3), dtype=np.uint8)
    before = lanes.copy()
    reset = [k % 2 == 0 for k in range(n)]
    picture = tiled(lanes, reset)
    for k, (top, left) in enumerate(places_of(n, (30, 40))):
        shown = picture[top : top + 30, left : left + 40]
        marked = (shown == RESET).all(axis=2)
        assert marked[0, 0] == reset[k] and marked.sum() == (10 if reset[k] else 0)
        np.testing.assert_array_equal(shown[~marked], lanes[k][~marked])
    np.testing.assert_array_equal(lanes, before)
    assert not np.shares_memory(picture, lanes)


@pytest.mark.parametrize(
    ("shapes", "reset", "told"),
    [
        ([], None, "there is no picture"),
        ([(2, 3, 3), (3, 3, 3)], None, "pictures differ in size"),
        ([(2, 3, 3)], [True, False], "reset has 2 values for 1 pictures"),
        ([(2, 3)], None, r"a frame is uint8 \(2, 3\)"),
    ],
)
def test_tiled__refuses_pictures_that_are_no_grid(shapes, reset, told):
    with pytest.raises(ParameterError, match=told):
        tiled([np.zeros(shape, dtype=np.uint8) for shape in shapes], reset)
