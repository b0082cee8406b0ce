"""Small stand-ins for the public data sets of configs/: files of the same shape, made here.

A stand-in has the archives, member names, formats and tables of the real one, but two or three
recordings or classes of it, with events from the simulator. What a config then makes of it is held
against the rows that went in.
"""

from __future__ import annotations

import functools
import io
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from evreel.simulate.camera import simulate_events
from evreel.simulate.scene import parse_scene
from support.scenes import scene
from support.writers import aedat
from support.writers.aer40 import aer40
from support.writers.columns import asl, columns, dsec, in_memory, npy, npz, records, save, zipped
from support.writers.prophesee import dat

Row = tuple[int, int, int, int]
"""t in µs on the file's own clock, x, y, p: as it stands in the file."""


@dataclass(frozen=True)
class Sample:
    """A sample as it was written; `split` is empty where a seed decides."""

    label: str
    rows: list[Row]
    split: str = ""


@dataclass
class Miniature:
    """A stand-in.

    `files` holds the bytes by what the real table calls their source: a url, or the path that a
    person puts them at. `samples` is (recording, sample) → what was written; of recordings that
    are not cut, `recordings` has all rows, and `boxes` what lies beside them.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    samples: dict[tuple[str, str], Sample] = field(default_factory=dict)
    recordings: dict[str, list[Row]] = field(default_factory=dict)
    boxes: dict[str, np.ndarray] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """Return split → its samples, where the files say which split they are of."""
        return dict(Counter(sample.split for sample in self.samples.values()))


@functools.cache
def simulated(width: int, height: int) -> list[Row]:
    """Return the events of a box that moves across a sensor, with noise."""
    motion = [[0, 0.0, 2.0], [40_000, 20.0, 20.0]]
    box = {"label": "box", "box": [10, 10], "intensity": 0.9, "motion": motion}
    document = scene("box", width, duration_us=40_000, objects=[box], tags=())
    document |= {
        "sensor": {"height": height, "width": width},
        "background": {"intensity": 0.3},
        "camera": {"noise_hz": 0.5},
    }
    return [
        row
        for chunk in simulate_events(parse_scene(document))
        for row in zip(
            *(getattr(chunk, name).tolist() for name in ("t", "x", "y", "p")), strict=True
        )
    ]


def piece(width: int, height: int, number: int, first_us: int, size: int = 40) -> list[Row]:
    """Return piece `number` of the simulated events; its first stamp is `first_us`."""
    rows = simulated(width, height)
    start = number * size % (len(rows) - size)
    begin = rows[start][0]
    return [(t - begin + first_us, *rest) for t, *rest in rows[start : start + size + number % 3]]


def classes(
    made: Miniature,
    recording: Callable[[str], str],
    names: Iterable[str],
    member: str,
    each: int,
    size: tuple[int, int],
    encode: Callable[[str, list[Row]], bytes],
    first_us: int = 0,
    split: str = "",
    first: int = 0,
) -> dict[str, bytes]:
    """Return members, `each` of them a class, and note them as samples of their recordings.

    `member` is a member's name, with {label} and {k} from `first` on.
    """
    members = {}
    for name in names:
        for k in range(first, first + each):
            path = member.format(label=name, k=k)
            rows = piece(*size, len(made.samples), first_us + 7 * k)
            members[path] = encode(name, rows)
            sample = path.rpartition(".")[0]
            made.samples[recording(name), sample] = Sample(name, rows, split)
    return members


def n_mnist() -> Miniature:
    """Two zips of folders of digits, as they are at Mendeley Data."""
    made = Miniature()
    page = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/"
    for recording, folder, url in (
        ("train", "Train", page + "39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded"),
        ("test", "Test", page + "05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded"),
    ):
        members = classes(
            made,
            lambda _, recording=recording: recording,
            ("0", "7"),
            folder + "/{label}/{k:05}.bin",
            2,
            (34, 34),
            # Some files have words of overflow.
            lambda label, rows: aer40(rows, most=8_191 if label == "7" else (1 << 23) - 1),
            first_us=8_170,
            split=recording,
            first=2,
        )
        made.files[url] = zipped(members | {f"{folder}/.DS_Store": b"\0\0\0\1Bud1"})
    return made


def n_caltech101() -> Miniature:
    """One zip of folders of objects."""
    made = Miniature()
    members = classes(
        made,
        lambda _: "n_caltech101",
        ("BACKGROUND_Google", "accordion"),
        "Caltech101/{label}/image_{k:04}.bin",
        10,
        (240, 180),
        lambda _, rows: aer40(rows),
        first=1,
    )
    url = (
        "https://data.mendeley.com/public-files/datasets/cy6cvx3ryv/files/"
        "36b5c52a-b49d-4853-addb-a836a8883e49/file_downloaded"
    )
    made.files[url] = zipped(members)
    return made


def cifar10_dvs() -> Miniature:
    """A zip a class; one camera is named in the headers, the other is not."""
    made = Miniature()
    for name, number, chip in (("airplane", 7712788, aedat.DVS128), ("truck", 7712839, None)):
        members = classes(
            made,
            lambda name: name,
            (name,),
            "{label}/cifar10_{label}_{k}.aedat",
            10,
            (128, 128),
            lambda _, rows, chip=chip: (
                aedat.header2(chip) + b"".join(aedat.dvs128(*row) for row in rows)
            ),
            first_us=1_000_000,
        )
        made.files[f"https://ndownloader.figshare.com/files/{number}"] = zipped(members)
    return made


def asl_dvs() -> Miniature:
    """A zip of zips, one a letter."""
    made = Miniature()
    zips = {}
    for name in ("a", "n"):  # n is no truth value
        members = classes(
            made,
            lambda name: name,
            (name,),
            "{label}/{label}_{k:04}.mat",
            5,
            (240, 180),
            lambda _, rows: asl(rows),
            first=1,
        )
        zips[f"Yin Bi - {name}.zip"] = zipped(members)
    made.files["data/ICCV2019_DVS_dataset.zip"] = zipped(zips)
    return made


def n_cars() -> Miniature:
    """A zip of two zips, of files whose headers state no size."""
    made = Miniature()
    zips = {"readme.txt": b"N-CARS\n"}
    for split, first in (("train", 4396), ("test", 0)):
        members = classes(
            made,
            lambda _, split=split: split,
            ("background", "cars"),
            f"{split}/{{label}}/obj_{{k:06}}_td.dat",
            2,
            (120, 100),
            lambda _, rows: dat(rows, size=None),
            split=split,
            first=first,
        )
        zips[f"n-cars_{split}.zip"] = zipped(members)
    made.files["data/Prophesee_Dataset_n_cars.zip"] = zipped(zips)
    return made


HARDVS = {"t": np.int64, "x": np.int16, "y": np.int16, "p": np.uint8}
LIP = np.dtype([("t", "<i4"), ("x", "i1"), ("y", "i1"), ("p", "i1")])


def dvs_lip() -> Miniature:
    """One zip of both splits: records in one folder a word, of names that both splits have."""
    made = Miniature()
    members = {}
    for split in ("train", "test"):
        members |= classes(
            made,
            lambda _, split=split: split,
            ("accused", "young"),
            f"DVS-Lip/{split}/{{label}}/{{k}}.npy",
            2,
            (128, 128),
            lambda _, rows: npy(records(rows, LIP)),
            split=split,
        )
    made.files["data/DVS-Lip.zip"] = zipped(members)
    return made


def hardvs() -> Miniature:
    """A zip with a zip per activity, each of npz files, and lists that name them with a number."""
    made = Miniature()
    zips, lists = {}, {"train": "", "val": "", "test": ""}
    for name in ("action_001", "action_300"):
        members = classes(
            made,
            lambda name: name,
            (name,),
            "dvSave-2021_10_15_19_18_{k:02}.npz",
            5,
            (346, 260),
            lambda _, rows: npz(True, **columns(rows, HARDVS)),
            first_us=1_634_296_682_000_000,
        )
        zips[f"MINI_HARDVS_files/{name}.zip"] = zipped(members)
        for split, sample in zip(("train", "train", "train", "val", "test"), members, strict=True):
            key = name, sample.removesuffix(".npz")
            lists[split] += f"{'/'.join(key)} {int(name[-3:]) - 1}\n"
            made.samples[key] = replace(made.samples[key], split=split)
    made.files["data/hardvs/MINI_HARDVS_files.zip"] = zipped(zips)
    for split, lines in lists.items():
        made.files[f"data/hardvs/{split}_label.txt"] = lines.encode()
    return made


GESTURES = {
    1: "hand clapping",
    2: "right hand wave",
    8: "arm roll",
    9: "air drums",
    10: "air guitar",
    11: "other gestures",
}


def dvs128_gesture() -> Miniature:
    """A tar.gz of trials and their tables of gestures, which have the file's own stamps."""
    made = Miniature()
    members = {"DvsGesture/README.txt": b"DVS128 Gesture\n"}
    # Class, first and last stamp: one trial has a class twice, another two gestures that overlap.
    trials = {
        "user01_fluorescent": [
            *((2, 0, 9_000), (1, 10_000, 19_000), (8, 19_000, 26_000)),
            *((8, 26_500, 34_000), (11, 35_000, 39_000)),
        ],
        "user22_led": [(9, 1_000, 22_000), (10, 20_000, 38_000)],
        "user24_led": [(1, 0, 18_000), (2, 20_000, 36_000)],
    }
    for number, (trial, gestures) in enumerate(trials.items()):
        begin = 80_048_239 + 1_000 * number
        rows = [(t + begin, *rest) for t, *rest in simulated(128, 128)]
        half = len(rows) // 2
        members[f"DvsGesture/{trial}.aedat"] = aedat.header3("Source 1: DVS128") + b"".join(
            aedat.packet(1, [aedat.polarity(t, x, y, p) for t, x, y, p in part])
            for part in (rows[:half], rows[half:])
        )
        table = "class,startTime_usec,endTime_usec\n"
        for k, (number_of_class, start, stop) in enumerate(gestures):
            start_us, stop_us = begin + start, begin + stop
            table += f"{number_of_class},{start_us},{stop_us}\n"
            made.samples[trial, str(k)] = Sample(
                GESTURES[number_of_class],
                [row for row in rows if start_us <= row[0] < stop_us],
                "test" if trial.startswith("user24") else "train",
            )
        members[f"DvsGesture/{trial}_labels.csv"] = table.encode()
    members["DvsGesture/trials_to_train.txt"] = b"user01_fluorescent.aedat\nuser22_led.aedat\n"
    members["DvsGesture/trials_to_test.txt"] = b"user24_led.aedat\n"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    made.files["data/DvsGesture.tar.gz"] = packed.getvalue()
    return made


# An older form than that of EventBbox: other names, another order, no bytes between fields.
GEN1_BOX = np.dtype(
    [
        *(("ts", "<u8"), ("x", "<f4"), ("y", "<f4"), ("w", "<f4"), ("h", "<f4")),
        *(("class_id", "u1"), ("confidence", "<f4"), ("track_id", "<u4")),
    ]
)


def gen1() -> Miniature:
    """Pieces of drives with boxes, one of which reaches outside the picture, in three folders."""
    made = Miniature()
    for number, (split, piece_of) in enumerate(
        (
            ("train", "17-03-30_12-53-58_1037500000_1097500000"),
            ("val", "17-04-04_11-00-13_cut_15_183500000_243500000"),
            ("test", "17-04-06_09-57-37_6344500000_6404500000"),
        )
    ):
        rows = [(t + 13 * number, *rest) for t, *rest in simulated(304, 240)]
        boxes = np.array(
            [
                (10_000, 10.0, 20.0, 30.0, 40.0, 0, 1.0, 3),
                (30_000, 290.0, 100.0, 30.0, 20.0, 1, 1.0, 4),
            ],
            GEN1_BOX,
        )
        folder = f"data/gen1/{split}/{piece_of}"
        made.files[f"{folder}_td.dat"] = dat(rows, (304, 240))
        made.files[f"{folder}_bbox.npy"] = npy(boxes)
        made.recordings[f"{piece_of}_td"] = rows
        made.boxes[f"{piece_of}_td"] = boxes
    made.files["data/gen1/terms.txt"] = b"Terms of the miniature.\n"
    return made


# As Prophesee's tools write it now, with bytes between fields.
EVENT_BBOX = np.dtype(
    {
        "names": ["t", "x", "y", "w", "h", "class_id", "track_id", "class_confidence"],
        "formats": ["<i8", "<f4", "<f4", "<f4", "<f4", "<u4", "<u4", "<f4"],
        "offsets": [0, 8, 12, 16, 20, 24, 28, 32],
        "itemsize": 40,
    }
)


def one_mpx() -> Miniature:
    """Pieces of sessions with boxes of all classes; one session has two pieces."""
    made = Miniature()
    for number, (split, piece_of) in enumerate(
        (
            ("train", "moorea_2019-02-18_000_td_427500000_487500000"),
            ("train", "moorea_2019-02-18_000_td_61500000_121500000"),
            ("val", "moorea_2019-02-21_000_td_2257500000_2317500000"),
            ("test", "moorea_2019-06-26_test_02_000_976500000_1036500000"),
        )
    ):
        rows = [(t + 13 * number, *rest) for t, *rest in piece(1280, 720, number, 5, 300)]
        boxes = np.zeros(7, EVENT_BBOX)
        boxes["t"], boxes["class_id"], boxes["track_id"] = rows[40][0], range(7), range(50, 57)
        boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 1240.5, 100, 60, 30.25
        boxes["class_confidence"] = 1
        folder = f"data/1mpx/{split}/{piece_of}"
        made.files[f"{folder}_td.dat"] = dat(rows, (1280, 720))
        made.files[f"{folder}_bbox.npy"] = npy(boxes)
        made.recordings[f"{piece_of}_td"] = rows
        made.boxes[f"{piece_of}_td"] = boxes
    made.files["data/1mpx/terms.txt"] = b"Terms of the miniature.\n"
    return made


# As dsec-det's label.py has it, and with the name of a picture.
TRACKS = np.dtype(
    [
        *(("t", "<u8"), ("x", "<f8"), ("y", "<f8"), ("h", "<f8"), ("w", "<f8"), ("class_id", "u1")),
        *(("class_confidence", "<f8"), ("track_id", "<u8"), ("img_name", "<U10")),
    ]
)


def dsec_det() -> Miniature:
    """Sequences with two cameras, whose tracks are on the clock to which t_offset leads."""
    made = Miniature()
    for number, (split, sequence) in enumerate(
        (("train", "interlaken_00_c"), ("train", "zurich_city_16_a"), ("test", "thun_02_a"))
    ):
        folder = f"data/dsec/{split}/{sequence}"
        t_offset = 49_599_300_523 + number
        rows = piece(640, 480, number, 12, 300)
        for side in ("left", "right"):
            seen = rows if side == "left" else rows[:100]
            made.files[f"{folder}/events/{side}/events.h5"] = in_memory(dsec, seen, t_offset)
            with_map = in_memory(lambda path: save(path, rectify_map=np.zeros((4, 6, 2), "<f4")))
            made.files[f"{folder}/events/{side}/rectify_map.h5"] = with_map
        boxes = np.zeros(4, TRACKS)
        boxes["t"] = [rows[k][0] + t_offset for k in (60, 60, 120, 240)]
        boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 600.5, 20.25, 50.5, 30
        boxes["class_id"], boxes["track_id"], boxes["class_confidence"] = (
            (2, 7, 2, 0),
            (1, 2, 1, 5),
            0.5,
        )
        boxes["img_name"] = "000001.png"
        made.files[f"{folder}/object_detections/left/tracks.npy"] = npy(boxes)
        made.files[f"{folder}/images/timestamps.txt"] = b"49599300523\n"
        made.recordings[sequence] = [(t + t_offset, *rest) for t, *rest in rows]
        made.boxes[sequence] = boxes
    return made


ETRAM = {"t": np.int64, "x": np.uint16, "y": np.uint16, "p": np.int16}


def etram() -> Miniature:
    """HDF5 of RVT's names in three folders, each with boxes beside it."""
    made = Miniature()
    for number, name in enumerate(("train_night_0040", "val_day_011", "test_day_001")):
        rows = piece(1280, 720, number, 1_000 * number, 300)
        boxes = np.zeros(3, EVENT_BBOX)
        boxes["t"], boxes["class_id"] = sorted({rows[k][0] for k in (50, 150, 250)})[:3], (0, 1, 7)
        boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 10, 20, 30, 40
        boxes["track_id"], boxes["class_confidence"] = (1, 2, 3), 1
        folder = f"data/etram/{name.partition('_')[0]}/{name}"
        made.files[f"{folder}_td.h5"] = in_memory(dsec, rows, None, (1280, 720), ETRAM)
        made.files[f"{folder}_bbox.npy"] = npy(boxes)
        made.recordings[f"{name}_td"] = rows
        made.boxes[f"{name}_td"] = boxes
    return made


def mvsec() -> Miniature:
    """HDF5 with one array a camera, times of which are seconds since 1970 as float64."""
    made = Miniature()
    for number, (split, name) in enumerate(
        (("train", "outdoor_day2"), ("test", "indoor_flying1"), ("test", "outdoor_night1"))
    ):
        first_us = (1_504_645_177 + number) * 10**6 + 423_123
        rows = piece(346, 260, number, first_us, 300)
        arrays = {}
        for side, seen in (("left", rows), ("right", rows[:100])):
            t, x, y, p = np.array(seen).T
            events = np.stack([x, y, t / 1e6, 2 * p - 1], axis=1)
            images = np.zeros((2, 260, 346), np.uint8)
            arrays |= {f"davis/{side}/events": events, f"davis/{side}/image_raw": images}
            arrays[f"davis/{side}/image_raw_ts"] = events[:2, 2]
        folder = f"data/mvsec/{split}/{name}"
        made.files[f"{folder}_data.hdf5"] = in_memory(save, **arrays)
        depth = {"davis/left/depth_image_raw": np.zeros((1, 260, 346), np.float32)}
        made.files[f"{folder}_gt.hdf5"] = in_memory(save, **depth)
        made.recordings[f"{name}_data"] = rows
    return made


def mvsec_bags() -> Miniature:
    """ROS 1 bags with messages of both cameras, whose stamps count from 1970."""
    from support.writers import ros  # needs rosbags

    made = Miniature()
    for number, name in enumerate(("outdoor_day/outdoor_day2", "indoor_flying/indoor_flying1")):
        first_us = (1_504_645_177 + number) * 10**6 + 423_123
        rows = piece(346, 260, number, first_us, 300)
        stamped = [(t * 1000, *rest) for t, *rest in rows]
        said = [
            ros.array(part, (346, 260), topic=f"/davis/{side}/events")
            for side, parts in (
                ("right", [stamped[:50]]),
                ("left", [stamped[:150], stamped[150:]]),
            )
            for part in parts
        ]
        said.insert(2, ros.imu(stamped[20][0], topic="/davis/left/imu"))
        url = f"http://visiondata.cis.upenn.edu/mvsec/{name}_data.bag"
        made.files[url] = in_memory(ros.bag1, said)
        made.recordings[name.rpartition("/")[2]] = rows
    return made


def turned(name: str, rows) -> list[tuple[int, int, int, int]]:
    """Return rows of a file as they are to be in the store: axes and polarity as readers agree."""
    if name == "cifar10_dvs":
        return [(t, 127 - y, 127 - x, 1 - p) for t, x, y, p in rows]
    if name == "asl_dvs":
        return [(t, x, 179 - y, p) for t, x, y, p in rows]
    return list(rows)


MINIATURES: dict[str, Callable[[], Miniature]] = {
    "1mpx": one_mpx,
    "asl_dvs": asl_dvs,
    "cifar10_dvs": cifar10_dvs,
    "dsec_det": dsec_det,
    "dvs128_gesture": dvs128_gesture,
    "dvs_lip": dvs_lip,
    "etram": etram,
    "gen1": gen1,
    "hardvs": hardvs,
    "mvsec": mvsec,
    "mvsec_bags": mvsec_bags,
    "n_caltech101": n_caltech101,
    "n_cars": n_cars,
    "n_mnist": n_mnist,
}
