"""Read a file of events, of any format that it knows, with faery: ``faery_read.py FILE OUT.npz``.

A process of its own, to be run with a timeout: faery's decoder is native code.
"""

import sys

import faery
import numpy as np


def main(path: str, out: str) -> None:
    packets = list(faery.events_stream_from_file(path))
    columns = {
        name: np.concatenate([[], *(packet[field] for packet in packets)]).astype(np.int64)
        for name, field in (("t", "t"), ("x", "x"), ("y", "y"), ("p", "on"))
    }
    np.savez(out, **columns)


if __name__ == "__main__":
    main(*sys.argv[1:])
