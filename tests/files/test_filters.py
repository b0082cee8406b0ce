"""Chunks of Zstandard, decompressed into memory that is there."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard

from evreel.files.filters import decompress_into

N = 300_000  # several blocks


def plain() -> bytes:
    rng = np.random.default_rng(0)
    return (rng.integers(0, 4, N) * (rng.random(N) < 0.02)).astype(np.uint8).tobytes()


def compressed(raw: bytes, **options) -> bytes:
    return zstandard.ZstdCompressor(level=1, **options).compress(raw)


def decompressed(chunk: bytes, size: int = N) -> bytes:
    to = np.empty(size, dtype=np.uint8)
    decompress_into(chunk, to)
    return to.tobytes()


@pytest.mark.parametrize("write_checksum", [True, False])
@pytest.mark.parametrize("raw", [plain(), bytes(N), b"a", b""], ids=len)
def test_decompress_into__returns_what_was_compressed(raw, write_checksum):
    chunk = compressed(raw, write_checksum=write_checksum)
    assert decompressed(chunk, len(raw)) == raw


def test_decompress_into__sees_every_flipped_bit_that_changes_a_value():
    raw = plain()
    chunk = compressed(raw, write_checksum=True)
    rng = np.random.default_rng(1)
    places = {*range(40), *range(len(chunk) - 20, len(chunk)), *rng.integers(0, len(chunk), 200)}
    for at in places:
        damaged = bytearray(chunk)
        damaged[at] ^= 1 << int(rng.integers(8))
        try:
            read = decompressed(bytes(damaged))
        except (ValueError, zstandard.ZstdError):
            continue
        assert read == raw


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 100, 1_000])
def test_decompress_into__refuses_a_chunk_that_is_cut_or_longer(cut):
    chunk = compressed(plain(), write_checksum=True)
    for other in (chunk[:-cut], chunk + bytes(cut)):
        with pytest.raises(ValueError, match=r"cut short|ends at byte"):
            decompressed(other)
    with pytest.raises(ValueError, match="bytes are announced"):
        decompressed(chunk, N - cut)
