"""Read a RAW file in EVT 3.0 with evt3: ``evt3_read.py FILE OUT.npz``.

A process of its own, to be run with a timeout: evt3's decoder is native code.
"""

import sys

import evt3
import numpy as np


def main(path: str, out: str) -> None:
    events, triggers = evt3.decode_file_with_triggers(path)
    np.savez(
        out,
        t=events.t.astype(np.int64),
        x=events.x.astype(np.int64),
        y=events.y.astype(np.int64),
        p=events.p.astype(np.int64),
        trigger_t=np.asarray(triggers.timestamp, np.int64),
        trigger_id=np.asarray(triggers.id, np.int64),
        trigger_edge=np.asarray(triggers.value, np.int64),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
