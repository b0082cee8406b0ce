"""The script of a release that shows how its files are read without evreel.

It needs h5py and NumPy, and has a function for each kind of files that the release has.
"""

from __future__ import annotations

from collections.abc import Iterable

from evreel.release.manifest import ListedFile, PlanEntry, kind_of

EXAMPLE = "load_example.py"
"""Its name in a release."""

_HEAD = '''\
"""How to read NAME with h5py and NumPy alone.

    python load_example.py [SPLIT]

prints what is in some recordings of a split; if none is named, of the first that has any. Copy what
you need. Times are whole microseconds since the first event of a recording; intervals are
[start, stop).
"""

IMPORTS
HERE = Path(__file__).resolve().parent
MANIFEST = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
LABELS

def splits():
    """Return split -> ids of its recordings."""
    lists = sorted(HERE.glob("splits/*.txt"))
    if not lists:  # this data set is not split
        return {"all": sorted({file["id"] for file in MANIFEST["files"]} - {""})}
    ids_of = {path.stem: path.read_text(encoding="utf-8").splitlines() for path in lists}
MIXED


def files(recording, kind):
    """Return the HDF5 files of a recording that are of a kind, such as events."""
    return [
        HERE / file["path"]
        for file in MANIFEST["files"]
        if file["id"] == recording
        and file["path"].endswith(".h5")
        and (file["kind"] or Path(file["path"]).parent.name) == kind
    ]
'''

_PLUGIN = "import hdf5plugin  # noqa: F401  HDF5 needs its filters here: pip install hdf5plugin"

_IMPORTS = (
    ("import json", "json."),
    ("import sys", "sys."),
    ("from itertools import islice", "islice("),
    ("from pathlib import Path", "Path("),
    ("", "h5py."),
    ("import h5py", "h5py."),
    (_PLUGIN, "h5py."),
    ("import numpy as np", "np."),
    ("", ""),
)
"""Lines, and what in a script needs them."""

_LABELS = '''\
LABELS = json.loads((HERE / "label_map_dictionary.json").read_text(encoding="utf-8"))
"""Number of a class, as text -> its name."""
'''

_EVENTS = '''

def rows_of(path, start_us, stop_us):
    """Return which rows of an events file are in [start_us, stop_us)."""
    with h5py.File(path) as file:
        index, t = file["ms_to_idx"], file["events/t"]  # row of the first event of each millisecond
        rows = []
        for time_us in (start_us, stop_us):
            first = min(time_us // 1000, len(index) - 1)
            low, high = index[first], index[min(first + 1, len(index) - 1)]
            rows.append(int(low + np.searchsorted(t[low:high], time_us)))
        return rows


def events(path, start, stop):
    """Return rows of an events file: column -> array; t in µs, p is 1 ON (brighter) or 0 OFF."""
    with h5py.File(path) as file:
        return {name: file["events"][name][start:stop] for name in "txyp"}
'''

_MIXED = """\
    mixed = ids_of.pop("mixed", [])  # their samples are of several splits
    own = {(row["split"], row["recording"]) for row in table()}
    return {name: ids + [id for id in mixed if (name, id) in own] for name, ids in ids_of.items()}
"""

_TABLE = '''

def table():
    """Return a dict for each sample of the data set: recording, sample, label, split and more."""
    lines = (HERE / "TABLE").read_text(encoding="utf-8").splitlines()
    head, *rows = [line.split("\\t") for line in lines]
    return [dict(zip(head, row)) for row in rows]
'''

_NO_TABLE = '''

def table():
    """Return a dict for each sample of the data set: recording and split."""
    rows = []
    for recording in sorted({file["id"] for file in MANIFEST["files"]}):
        for path in files(recording, "samples"):
            with h5py.File(path) as file:
                own = file["samples/split"].asstr()[:]
            rows += [{"recording": recording, "split": split} for split in own]
    return rows
'''

_FRAMES = '''

def frames(path):
    """Yield number, values, and start and stop of the window, of each frame of a feature.

    Values are (channels, height, width).
    """
    with h5py.File(path) as file:
        data, scale = file["data"], file["data"].attrs.get("store_scale")
        start_us, stop_us = file["windows/start_us"][:], file["windows/stop_us"][:]
        for k in range(len(data)):
            # Where values are stored as whole numbers, these count steps of a scale.
            values = data[k] if scale is None else (data[k] * scale).astype(np.float32)
            yield k, values, start_us[k], stop_us[k]
'''

_FRAMES_OF_SAMPLES = '''

def frames(path, names=None):
    """Yield number, values, and start and stop of the window, of frames of a feature.

    They are the frames of the samples of these names; of all recordings that are not cut into
    samples, all frames. Values are (channels, height, width).
    """
    with h5py.File(path) as file:
        data, scale = file["data"], file["data"].attrs.get("store_scale")
        start_us, stop_us = file["windows/start_us"][:], file["windows/stop_us"][:]
        spans = [(0, len(data))]
        if "samples" in file:
            bounds = zip(file["samples/window_start"][:], file["samples/window_stop"][:])
            ids = file["samples/id"].asstr()[:]
            spans = [span for name, span in zip(ids, bounds) if name in names]
        for k in (k for span in spans for k in range(*span)):
            # Where values are stored as whole numbers, these count steps of a scale.
            values = data[k] if scale is None else (data[k] * scale).astype(np.float32)
            yield k, values, start_us[k], stop_us[k]
'''

_BOXES = '''

def boxes_of(path):
    """Return the boxes beside a feature's file; frame k has those of rows [low[k], high[k]).

    A box has t (µs), x, y, w, h (px), class_id and track_id. It belongs to the window with
    start_us < t <= stop_us; the first window, of each sample if there are any, has t = start, too.
    """
    with h5py.File(path) as file:
        start_us, stop_us = file["windows/start_us"][:], file["windows/stop_us"][:]
        begins = file["samples/window_start"][:] if "samples" in file else np.zeros(1, dtype=int)
    beside = path.with_name(f"{path.stem}_bbox.npy")
    first = path.with_name(f"{path.stem}_bbox_first.npy")
    if not beside.exists():  # nothing is known of this recording's boxes
        none = np.zeros(len(start_us), dtype=int)
        return np.zeros(0, dtype=[("class_id", "u4")]), none, none
    boxes = np.load(beside)
    if first.exists():  # they are in the order of the windows
        rows = np.load(first)
        return boxes, rows[:-1], rows[1:]
    low = np.searchsorted(boxes["t"], start_us, side="right")
    begins = begins[begins < len(low)]
    low[begins] = np.searchsorted(boxes["t"], start_us[begins], side="left")
    return boxes, low, np.searchsorted(boxes["t"], stop_us, side="right")
'''

_BOXES_ALONE = '''

def boxes(recording):
    """Return the boxes of a recording by time, None if nothing is known of them.

    A box has t (µs), x, y, w, h (px), class_id and track_id.
    """
    for file in MANIFEST["files"]:
        if file["id"] == recording and file["path"].endswith("_bbox.npy"):
            return np.load(HERE / file["path"])
    return None
'''

_SAMPLES = '''

def samples(path, split):
    """Yield name, class, first row of events, and last row + 1, of the samples of a split."""
    with h5py.File(path) as file:
        names = [*file["labels/name"].asstr()[:], "no class"]  # of number -1
        texts = (file[f"samples/{name}"].asstr()[:] for name in ("id", "split"))
        numbers = (file[f"samples/{name}"][:] for name in ("label", "start", "stop"))
        for name, own, label, start, stop in zip(*texts, *numbers):
            if own == split:
                yield name, names[label], start, stop
'''

_SLICES = '''

def slices(path):
    """Yield start and stop of each annotated slice, its events, and the label of each, or None."""
    with h5py.File(path) as file:
        names = np.array([*file["labels/name"].asstr()[:], None], dtype=object)
        label_of = np.append(file["rois/label"][:], -1)  # of each region; events in none have -1
        columns = (file[f"slices/{name}"][:] for name in ("start", "stop", "start_us", "stop_us"))
        for start, stop, start_us, stop_us in zip(*columns):
            inside = {name: file["events"][name][start:stop] for name in "txyp"}
            yield start_us, stop_us, inside, names[label_of[file["events/roi"][start:stop]]]
'''

_MAIN = '''

def counted(items, what):
    """Return how many there are, in words."""
    return f"{len(items)} {what if len(items) == 1 else what + 's'}"


def main(split=None):
    """Print what is in some recordings of a split."""
    ids_of = splits()
COUNTED
TO_BE_MADE
    if split is None:
        filled = [name for name in ("train", *ids_of) if ids_of.get(name)]
        split = [*filled, *ids_of][0]
    if split not in ids_of:
        sys.exit(f"there is no split {split!r}; there are {', '.join(ids_of)}")
    for recording in ids_of[split][:3]:  # all: without [:3]
        print(f"{recording}:")
'''

_COUNTED = """\
    for name, ids in ids_of.items():
        print(f"{name}: {counted(ids, 'recording')}")
"""

_COUNTED_SAMPLES = """\
    rows = table()
    for name, ids in ids_of.items():
        own = [row for row in rows if row["split"] == name]
        print(f"{name}: {counted(ids, 'recording')}, {counted(own, 'sample')}")
"""

_TO_BE_MADE = """\
    withheld = [file["path"] for file in MANIFEST["files"] if file.get("withheld")]
    if not all((HERE / path).exists() for path in withheld):
        sys.exit(f"{len(withheld)} files are to be made: recipe/README.md says how")
"""

_SHOW_EVENTS = """\
        for path in files(recording, "events"):
            begin = events(path, *rows_of(path, 0, 10_000))
            print(f"  {len(begin['t'])} events in the first 10 ms")
"""

_SHOW_FRAMES = """\
        for path in files(recording, "features"):
            print(f"  {path.parent.name}:")
            for _, values, start_us, stop_us in islice(frames(path), 3):
                print(f"    {start_us} to {stop_us} µs: {values.dtype} {values.shape}")
"""

_SHOW_FRAMES_OF_SAMPLES = """\
        for path in files(recording, "features"):
            print(f"  {path.parent.name}:")
            for name, label in [*labels.items()][:3] or [("", "in no sample")]:
                for _, values, start_us, stop_us in islice(frames(path, [name]), 3):
                    shown = f"{values.dtype} {values.shape}"
                    print(f"    {start_us} to {stop_us} µs: {shown}: {label}")
"""

_SHOW_BOXES_AND_SAMPLES = """\
        for path in files(recording, "features"):
            print(f"  {path.parent.name}:")
            boxes, low, high = boxes_of(path)
            for name, label in [*labels.items()][:3] or [("", "in no sample")]:
                for k, values, start_us, stop_us in islice(frames(path, [name]), 3):
                    seen = sorted({LABELS[str(n)] for n in boxes["class_id"][low[k] : high[k]]})
                    shown = f"{values.dtype} {values.shape}: {seen}"
                    print(f"    {start_us} to {stop_us} µs: {shown}: {label}")
"""

_SHOW_BOXES = """\
        for path in files(recording, "features"):
            print(f"  {path.parent.name}:")
            boxes, low, high = boxes_of(path)
            for k, values, start_us, stop_us in islice(frames(path), 3):
                seen = sorted({LABELS[str(n)] for n in boxes["class_id"][low[k] : high[k]]})
                print(f"    {start_us} to {stop_us} µs: {values.dtype} {values.shape}: {seen}")
"""

_SHOW_SAMPLES = """\
        labels = {}
        for path in files(recording, "samples"):
            for name, label, start, stop in samples(path, split):
                print(f"  sample {name}: {label}, {stop - start} events")
                labels[name] = label
"""

_SHOW_SLICES = """\
        for path in files(recording, "slices"):
            for start_us, stop_us, inside, labels in islice(slices(path), 3):
                seen = sorted({name for name in labels if name})
                print(f"  slice {start_us} to {stop_us} µs: {len(inside['t'])} events: {seen}")
"""

_SHOW_BOXES_ALONE = """\
        found = boxes(recording)
        if found is not None:
            seen = sorted({LABELS[str(n)] for n in found["class_id"]})
            print(f"  {len(found)} boxes: {seen}")
"""

_FOOT = """

if __name__ == "__main__":
    if hasattr(sys.stdout, "reconfigure"):  # a terminal may lack a name's letters
        sys.stdout.reconfigure(errors="backslashreplace")
    main(*sys.argv[1:2])
"""


def load_example(
    title: str,
    compression: str,
    files: Iterable[ListedFile | PlanEntry],
    *,
    has_labels: bool,
    is_recipe: bool = False,
) -> str:
    """Return the script.

    Parameters
    ----------
    title
        Name and version of the data set.
    compression
        As `evreel.publish.build.build` takes it.
    files
        The files of the release; a function is left out where there are none that it reads.
    has_labels
        Whether there is a map of class numbers to names.
    is_recipe
        Whether the release may lack files that are to be made.
    """
    files = list(files)
    kinds = {kind_of(file) for file in files}
    labels = f"{_LABELS}\n" if has_labels else "\n"
    head = _HEAD.replace("NAME", title).replace("LABELS\n", labels)
    is_cut, has_boxes = "samples" in kinds, {"boxes", "features"} <= kinds and has_labels
    table = next((of.path for of in files if of.kind == "samples" and not of.id), None)
    mixed = "    return ids_of\n"
    if is_cut:
        mixed = _MIXED
        show_frames = _SHOW_BOXES_AND_SAMPLES if has_boxes else _SHOW_FRAMES_OF_SAMPLES
    else:
        show_frames = _SHOW_BOXES if has_boxes else _SHOW_FRAMES
    head = head.replace("MIXED\n", mixed)
    parts = (
        ("events", _EVENTS, _SHOW_EVENTS),
        ("samples", _SAMPLES, _SHOW_SAMPLES),
        ("features", _FRAMES_OF_SAMPLES if is_cut else _FRAMES, show_frames),
        ("slices", _SLICES, _SHOW_SLICES),
        ("boxes", _BOXES_ALONE, _SHOW_BOXES_ALONE),
    )
    if "features" in kinds or not has_labels:
        kinds.discard("boxes")  # they are shown with the frames
    there = [(read, show) for kind, read, show in parts if kind in kinds]
    reads = [read for read, _ in there] + ([_BOXES] if has_boxes else [])
    if is_cut:
        reads.insert(0, _NO_TABLE if table is None else _TABLE.replace("TABLE", table))
    begin = _MAIN.replace("COUNTED\n", _COUNTED_SAMPLES if is_cut else _COUNTED)
    begin = begin.replace("TO_BE_MADE\n", _TO_BE_MADE if is_recipe else "")
    text = "".join([head, *reads, begin, *(show for _, show in there), _FOOT])
    imports = [
        line for line, use in _IMPORTS if use in text and (line != _PLUGIN or compression == "fast")
    ]
    return text.replace("IMPORTS", "\n".join(imports), 1)
