"""Read an AEDAT 4 file with aedat: ``aedat_read.py FILE OUT.npz``.

A process of its own, to be run with a timeout: aedat's decoder is native code.
"""

import sys

import aedat
import numpy as np


def main(path: str, out: str) -> None:
    packets = [packet["events"] for packet in aedat.Decoder(path) if "events" in packet]
    columns = {
        name: np.concatenate([packet[field] for packet in packets]).astype(np.int64)
        for name, field in (("t", "t"), ("x", "x"), ("y", "y"), ("p", "on"))
    }
    np.savez(out, **columns)


if __name__ == "__main__":
    main(*sys.argv[1:])
