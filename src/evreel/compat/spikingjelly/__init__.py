"""SpikingJelly's data sets, by its names and with its arguments.

Made anew, not copied. Scripts that import from ``spikingjelly.datasets`` can import from here. The
publisher's files lie in ``root/download``, as there; they are verified, decoded and cut by evreel's
steps, and what is made is kept by content below ``root/evreel``.

What differs, on purpose:

- Nothing is unpacked to stay. What is made is verified at each start, and made again if it has
  changed; a preparation that was interrupted is resumed. Of several processes, one works.
- Missing archives of N-MNIST and N-Caltech101 are downloaded, too; downloads are resumed.
- Class k of DVS128 Gesture is gesture k + 1, and classes have names. SpikingJelly sorts folders
  named 0 to 10 as texts, so that its class 2 is folder 10.
- All classes count, also those of which there is no sample.
- Frames are float32 from the beginning, and kept by the code of a function, not by its name.
- An empty time bin, or more frames than events, makes empty frames. An event outside the sensor is
  an error. Timestamps that go beyond a word of N-MNIST's files are continued.
- Files that only accompany an archive may be missing.
"""

from evreel.compat.spikingjelly import (
    asl_dvs,
    cifar10_dvs,
    dvs128_gesture,
    n_caltech101,
    n_mnist,
    utils,
)
from evreel.compat.spikingjelly.asl_dvs import ASLDVS
from evreel.compat.spikingjelly.cifar10_dvs import CIFAR10DVS
from evreel.compat.spikingjelly.dvs128_gesture import DVS128Gesture
from evreel.compat.spikingjelly.folder import NeuromorphicDatasetFolder
from evreel.compat.spikingjelly.n_caltech101 import NCaltech101
from evreel.compat.spikingjelly.n_mnist import NMNIST
from evreel.compat.spikingjelly.utils import (
    cal_fixed_frames_number_segment_index,
    integrate_events_by_fixed_duration,
    integrate_events_by_fixed_frames_number,
    integrate_events_segment_to_frame,
    pad_sequence_collate,
    padded_sequence_mask,
    play_frame,
    split_to_train_test_set,
)
from evreel.loaders.collate import RandomTemporalDelete

__all__ = [
    "ASLDVS",
    "CIFAR10DVS",
    "NMNIST",
    "DVS128Gesture",
    "NCaltech101",
    "NeuromorphicDatasetFolder",
    "RandomTemporalDelete",
    "asl_dvs",
    "cal_fixed_frames_number_segment_index",
    "cifar10_dvs",
    "dvs128_gesture",
    "integrate_events_by_fixed_duration",
    "integrate_events_by_fixed_frames_number",
    "integrate_events_segment_to_frame",
    "n_caltech101",
    "n_mnist",
    "pad_sequence_collate",
    "padded_sequence_mask",
    "play_frame",
    "split_to_train_test_set",
    "utils",
]
