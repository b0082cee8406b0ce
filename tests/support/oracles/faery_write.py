"""Write an Event Stream file with faery: ``faery_write.py IN.npz OUT.es WIDTH HEIGHT``.

A process of its own, to be run with a timeout: faery's encoder is native code.
"""

import sys

import faery
import numpy as np


def main(columns: str, out: str, width: str, height: str) -> None:
    with np.load(columns) as given:
        events = np.empty(len(given["t"]), faery.EVENTS_DTYPE)
        for name in ("t", "x", "y"):
            events[name] = given[name]
        events["on"] = given["p"]
    stream = faery.events_stream_from_array(events, (int(width), int(height)))
    stream.to_file(out, zero_t0=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
