"""Read a file of events, of any format that it knows, with evlib: ``evlib_read.py FILE OUT.npz``.

A process of its own, to be run with a timeout: importing evlib takes seconds.
"""

import sys

import evlib
import numpy as np


def main(path: str, out: str) -> None:
    events = evlib.load_events(path).collect()
    columns = {name: events[name].to_numpy().astype(np.int64) for name in "xy"}
    columns["t"] = events["t"].dt.total_microseconds().to_numpy()
    columns["p"] = (events["polarity"].to_numpy() > 0).astype(np.int64)
    np.savez(out, **columns)


if __name__ == "__main__":
    main(*sys.argv[1:])
