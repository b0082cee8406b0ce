"""Streams with worker processes deliver what the NumPy loader does, as tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evreel.errors import RecordingError
from evreel.loaders import streaming
from evreel.loaders.torch import StreamLoader
from evreel.recordings.aedat4 import Aedat4Writer
from support import random_events
from support.frames import boxes_at


@pytest.fixture
def files(tmp_path):
    paths = []
    for k, n in enumerate((5, 1, 3)):
        path = tmp_path / f"r{k}.aedat4"
        events = random_events(100 * n, (6, 8), n * 10_000, seed=k)
        with Aedat4Writer(path, events.sensor, events_per_packet=50) as writer:
            writer.write(events)
        np.save(tmp_path / f"r{k}_bbox.npy", boxes_at([1, 9_000], k))
        paths.append(path)
    return paths


@pytest.mark.parametrize(("workers", "padding_mode"), [(0, "data"), (2, "data"), (3, "zeros")])
def test_torch_streams__are_those_of_the_numpy_loader(files, workers, padding_mode):
    arguments = {"n_events": 70, "representation": "diff", "num_tbins": 2, "batch_size": 3}
    arguments["padding_mode"] = padding_mode
    arrays = streaming.StreamLoader(files, "n_events", num_workers=0, **arguments)
    loader = StreamLoader(
        files, "n_events", num_workers=workers, multiprocessing_context="fork", **arguments
    )
    n = 0
    for one, other in zip(loader, arrays, strict=True):
        n += 1
        assert isinstance(one["inputs"], torch.Tensor)
        for name in ("inputs", "mask_keep_memory", "frame_is_labeled", "frame_is_padded"):
            np.testing.assert_array_equal(one[name].numpy(), other[name])
        assert one["video_infos"] == other["video_infos"]
        for mine, theirs in zip(one["labels"], other["labels"], strict=True):
            assert all(map(np.array_equal, mine, theirs))
    assert n == 4 and loader.counts == arrays.counts
    loader.close()


def test_error_of_a_worker__comes_after_the_frames_before_it(files):
    whole = bytearray(files[0].read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 400] = b"\xff" * 400
    files[0].write_bytes(whole)
    arguments = {"delta_t": 10_000, "representation": "diff", "batch_size": 1}
    with pytest.raises(RecordingError, match=r"r0.aedat4: .*byte") as expected:
        list(streaming.StreamLoader(files, num_workers=0, **arguments))
    with pytest.raises(RecordingError) as found:
        list(StreamLoader(files, num_workers=1, multiprocessing_context="fork", **arguments))
    assert str(found.value) == str(expected.value)
