"""Frames as chunks that Blosc's filter reads, with the same bytes for any number of threads."""

from __future__ import annotations

import h5py
import hdf5plugin  # noqa: F401 (Blosc's filter)
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import LayoutError
from evreel.files.filters import BLOSC
from evreel.files.frame_chunks import FrameChunks, blosc_chunk, blosc_options
from evreel.recordings.hdf5 import chunks

SHAPE = (2, 5, 7)


def frames_of(n, seed=0):
    """Return frames of noise, which cannot be compressed, of zeros, and of few counts."""
    rng = np.random.default_rng(seed)
    kinds = [
        rng.integers(0, 256, (n, *SHAPE)),
        np.zeros((n, *SHAPE)),
        rng.poisson(0.1, (n, *SHAPE)),
    ]
    return np.stack([kinds[k % 3][k] for k in range(n)]).astype(np.uint8)


def written(path, frames, n=None, threads=2, compressed=()):
    """Write frames; those whose numbers are `compressed` as whoever makes them compresses them."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "data",
            shape=(len(frames) if n is None else n, *SHAPE),
            dtype=frames.dtype,
            chunks=(1, *SHAPE),
            maxshape=(None, *SHAPE),
            track_times=False,
            **blosc_options(),
        )
        with FrameChunks(data, "blosc", threads) as out:
            for k, frame in enumerate(frames):
                held = frame.copy()
                out.write(out.compressed(held) if k in compressed else held)
                held.fill(9)  # it may be used again at once
    return path


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_frames__are_read_back_by_the_blosc_filter_and_by_our_reader(tmp_path, dtype):
    frames = frames_of(7).view(dtype)
    with h5py.File(written(tmp_path / "f.h5", frames)) as file:
        data = file["data"]
        assert data.chunks == (1, *SHAPE)
        assert (data[:] == frames).all()
        filters = data.id.get_create_plist()
        number, _, values, name = filters.get_filter(0)
        size = int(np.prod(SHAPE))
        # Format and version, size of an element and of a chunk, level, shuffle, Zstandard.
        assert (number, values, name) == (BLOSC, (2, 2, 1, size, 1, 1, 5), b"blosc")
        for k, frame in enumerate(frames):
            _, chunk = data.id.read_direct_chunk((k, 0, 0, 0))
            raw = chunks.decompressed(chunk, [(number, list(values))], 0, size, 1)
            assert raw == frame.tobytes()


@settings(deadline=None, max_examples=40)
@given(st.binary(min_size=1, max_size=300), st.binary(min_size=1, max_size=300))
def test_chunk__is_never_longer_than_its_bytes_and_a_header(raw, compressed):
    chunk = blosc_chunk(raw, compressed)
    assert len(chunk) == 16 + min(len(raw), 8 + len(compressed))
    assert int.from_bytes(chunk[12:16], "little") == len(chunk)
    assert int.from_bytes(chunk[4:8], "little") == len(raw)


def test_bytes__do_not_depend_on_the_number_of_threads(tmp_path):
    frames = frames_of(30)
    one, four = (written(tmp_path / f"{n}.h5", frames, threads=n) for n in (1, 4))
    assert one.read_bytes() == four.read_bytes()
    mixed = written(tmp_path / "mixed.h5", frames, threads=3, compressed={0, 4, 5, 29})
    assert mixed.read_bytes() == one.read_bytes()


def test_frames__that_are_too_few_too_many_or_of_another_kind_are_errors(tmp_path):
    frames = frames_of(3)
    with pytest.raises(LayoutError, match="only 3 of 4 windows"):
        written(tmp_path / "few.h5", frames, n=4)
    with pytest.raises(LayoutError, match="follows the last of 2"):
        written(tmp_path / "many.h5", frames, n=2)
    with (
        h5py.File(written(tmp_path / "f.h5", frames), "a") as file,
        pytest.raises(LayoutError, match=r"int8 .* is expected"),
        FrameChunks(file["data"], "blosc") as out,
    ):
        out.write(frames[0].view(np.int8))


def test_flipped_bits__of_a_frame_are_an_error_and_no_other_values(tmp_path):
    frame = frames_of(3)[2:]
    path = written(tmp_path / "f.h5", frame)
    with h5py.File(path, "a") as file:
        data = file["data"]
        _, chunk = data.id.read_direct_chunk((0, 0, 0, 0))
        for at in range(28, len(chunk)):
            broken = bytearray(chunk)
            broken[at] ^= 1
            data.id.write_direct_chunk((0, 0, 0, 0), bytes(broken))
            try:
                read = data[0]
            except OSError:
                continue
            assert (read == frame[0]).all(), at
