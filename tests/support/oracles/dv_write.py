"""Write an AEDAT 4 file with dv-processing: ``dv_write.py FILE COMPRESSION IN.npz``.

The archive holds events as t, x, y, p and the sensor's (height, width); triggers, IMU samples and
frames as `dv_read.py` names them, where there are any.
"""

import sys

import dv_processing as dv
import numpy as np


def main(path: str, compression: str, given: str) -> None:
    columns = dict(np.load(given))
    height, width = columns["sensor"].tolist()
    config = dv.io.MonoCameraWriter.Config("test")
    config.compression = getattr(dv.CompressionType, compression)
    config.addEventStream((width, height))
    config.addFrameStream((width, height))
    config.addImuStream()
    config.addTriggerStream()
    writer = dv.io.MonoCameraWriter(path, config)

    events = dv.EventStore()
    for t, x, y, p in zip(*(columns[name].tolist() for name in "txyp"), strict=True):
        events.push_back(t, x, y, bool(p))
    writer.writeEvents(events)
    for start, stop in zip(
        columns["frame_start"].tolist(), columns["frame_stop"].tolist(), strict=True
    ):
        image = np.zeros((height, width), dtype=np.uint8)
        source = dv.FrameSource.SENSOR
        writer.writeFrame(dv.Frame(start, stop - start, 0, 0, image, source))
    for t, kind in zip(columns["trigger_t"].tolist(), columns["trigger_id"].tolist(), strict=True):
        writer.writeTrigger(dv.Trigger(t, dv.TriggerType(kind)))
    for t, values in zip(columns["imu_t"].tolist(), columns["imu"].tolist(), strict=True):
        writer.writeImu(dv.IMU(t, *values))


if __name__ == "__main__":
    main(*sys.argv[1:])
