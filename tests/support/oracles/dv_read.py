"""Read an AEDAT 4 file with dv-processing: ``dv_read.py FILE OUT.npz [START STOP]``.

A process of its own, to be run with a timeout: dv-processing hangs on some damaged files.
"""

import sys
from datetime import timedelta

import dv_processing as dv
import numpy as np


def main(path: str, out: str, *limits: str) -> None:
    recording = dv.io.MonoCameraRecording(path)
    columns = {}
    if limits:
        batches = [recording.getEventsTimeRange(*map(int, limits))]
    else:
        batches = list(iter(recording.getNextEventBatch, None))
    events = [batch.numpy() for batch in batches if batch is not None]
    for name, field in (("t", "timestamp"), ("x", "x"), ("y", "y"), ("p", "polarity")):
        columns[name] = np.concatenate([[], *(batch[field] for batch in events)]).astype(np.int64)
    columns["sensor"] = np.array(recording.getEventResolution()[::-1])
    columns["range"] = np.array(recording.getTimeRange())
    if recording.isFrameStreamAvailable():
        frames = list(iter(recording.getNextFrame, None))
        start = np.array([frame.timestamp for frame in frames], dtype=np.int64)
        exposure = [frame.exposure // timedelta(microseconds=1) for frame in frames]
        columns["frame_start"] = start
        columns["frame_stop"] = start + np.array(exposure, dtype=np.int64)
    if recording.isTriggerStreamAvailable():
        triggers = [t for batch in iter(recording.getNextTriggerBatch, None) for t in batch]
        columns["trigger_t"] = np.array([t.timestamp for t in triggers], dtype=np.int64)
        columns["trigger_id"] = np.array([int(t.type) for t in triggers], dtype=np.int64)
    if recording.isImuStreamAvailable():
        samples = [s for batch in iter(recording.getNextImuBatch, None) for s in batch]
        columns["imu_t"] = np.array([s.timestamp for s in samples], dtype=np.int64)
        names = ["temperature"] + [
            f"{kind}{axis}"
            for kind in ("accelerometer", "gyroscope", "magnetometer")
            for axis in "XYZ"
        ]
        columns["imu"] = np.array([[getattr(s, name) for name in names] for s in samples])
    np.savez(out, **columns)


if __name__ == "__main__":
    main(*sys.argv[1:])
