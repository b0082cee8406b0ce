"""Read a slice with aermanager: ``aermanager_read.py FILE OUT.npz``; prints labels and tables.

A process in an environment of its own: aermanager needs numpy 1.23.
"""

import json
import sys

import numpy as np
from aermanager.cvat_dataset_generator import (
    load_annotated_slice,
    load_frame_shape,
    load_labels_lut,
    load_rois_lut,
)


def plain(value):
    return value.decode() if isinstance(value, bytes) else value


def main(path, out):
    events, labels = load_annotated_slice(path)
    columns = {name: events[name] for name in events.dtype.names}
    np.savez(out, dtype=str(events.dtype.descr), **columns)
    lut = {plain(name): int(n) for name, n in load_labels_lut(path).items()}
    rois = {int(n): plain(name) for n, name in load_rois_lut(path).items()}
    shape = [int(n) for n in load_frame_shape(path)]
    print(json.dumps([[plain(name) for name in labels], lut, rois, shape]))


if __name__ == "__main__":
    main(*sys.argv[1:])
