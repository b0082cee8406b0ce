"""Evaluate a MOT folder against itself: ``trackeval_read.py FOLDER SEQUENCE WORK``.

Prints the number of ground-truth boxes, of tracks, and MOTA. A process in an environment of its
own: trackeval needs OpenCV and matplotlib.
"""

import json
import shutil
import sys
from pathlib import Path

import trackeval


def main(folder, sequence, work):
    found = Path(work) / "self" / "data"
    found.mkdir(parents=True)
    shutil.copyfile(Path(folder) / sequence / "gt" / "gt.txt", found / f"{sequence}.txt")
    dataset = trackeval.datasets.MotChallenge2DBox(
        {
            "GT_FOLDER": folder,
            "TRACKERS_FOLDER": work,
            "SKIP_SPLIT_FOL": True,
            "SEQ_INFO": {sequence: None},
            "TRACKERS_TO_EVAL": ["self"],
            "PRINT_CONFIG": False,
            "DO_PREPROC": False,
        }
    )
    raw = dataset.get_raw_seq_data("self", sequence)
    data = dataset.get_preprocessed_seq_data(raw, "pedestrian")
    result = trackeval.metrics.CLEAR({"PRINT_CONFIG": False}).eval_sequence(data)
    numbers = [int(data["num_gt_dets"]), int(data["num_gt_ids"]), float(result["MOTA"])]
    print(json.dumps([*numbers, int(data["num_timesteps"])]))


if __name__ == "__main__":
    main(*sys.argv[1:])
