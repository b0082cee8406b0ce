"""Time reading events from ROS bags to columns: evreel, and rosbags alone.

Events are moving edges at 1280×720, 10 million per second, in messages of 3 ms, and in the last two
bags of 300 events. *One pass* keeps none of the events, as in the step ``events``; *columns* reads
all into memory; both check them. rosbags makes an object of each event and checks nothing; it reads
a share of the messages, and is timed per event. Each round goes through all sides in turn, and the
fastest counts. *Peak* is the most resident memory (Linux's VmHWM) of a process of its own that does
one pass.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import prophesee
from rosbags.highlevel import AnyReader
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from evreel.recordings import event_chunks, open_recording, read_events

ARRAY, PACKET = "dvs_msgs/msg/EventArray", "event_camera_msgs/msg/EventPacket"
PER_MESSAGE, FEW = 30_000, 300
START_S = 1_500_000_000
_SIZED = "std_msgs/Header header\nuint32 height\nuint32 width\n"
_PACKED = np.dtype([("x", "<u2"), ("y", "<u2"), ("s", "<u4"), ("ns", "<u4"), ("p", "u1")])
# In CDR, an event takes 16 bytes, and its x is in the last two of the event before. The first one's
# x is where the others have their y, and its y after it.
_CDR = np.dtype(
    {
        "names": ["y", "first_y", "s", "ns", "p", "next_x"],
        "formats": ["<u2", "<u2", "<u4", "<u4", "u1", "<u2"],
        "offsets": [0, 2, 4, 8, 12, 14],
        "itemsize": 16,
    }
)


def types(is_ros1: bool):
    store = get_typestore(Stores.ROS1_NOETIC if is_ros1 else Stores.ROS2_HUMBLE)
    time_type = "time" if is_ros1 else "builtin_interfaces/Time"
    for text, name in (
        (f"uint16 x\nuint16 y\n{time_type} ts\nbool polarity", "dvs_msgs/msg/Event"),
        (f"{_SIZED}Event[] events", ARRAY),
        (
            f"{_SIZED}uint64 seq\nuint64 time_base\nstring encoding\nbool is_bigendian\n"
            "uint8[] events",
            PACKET,
        ),
    ):
        store.register(get_types_from_msg(text, name))
    return store


def arrays(
    columns: tuple[np.ndarray, ...], is_ros1: bool, size: int = PER_MESSAGE
) -> Iterator[bytes]:
    """Yield messages of so many events, serialized."""
    for first in range(0, len(columns[0]), size):
        t, x, y, p = (column[first : first + size] for column in columns)
        rows = np.zeros(len(t), _PACKED if is_ros1 else _CDR)
        rows["s"], rows["ns"], rows["p"] = START_S + t // 1_000_000, t % 1_000_000 * 1_000, p
        rows["y"] = y
        if is_ros1:
            rows["x"] = x
        else:
            rows["next_x"][:-1], rows["y"][0], rows["first_y"][0] = x[1:], x[0], y[0]
        sized = np.array([prophesee.HEIGHT, prophesee.WIDTH, len(t)], "<u4").tobytes()
        yield head(int(t[0]), is_ros1) + sized + rows.tobytes()[: None if is_ros1 else -3]


def packets(words: bytes, is_ros1: bool, size: int = PER_MESSAGE) -> Iterator[bytes]:
    """Yield packets of about so many events in EVT 3.0, serialized."""
    for k, first in enumerate(range(0, len(words), 4 * size)):
        part = words[first : first + 4 * size]
        sized = np.array([prophesee.HEIGHT, prophesee.WIDTH], "<u4").tobytes()
        before = head(k * size // 10, is_ros1) + sized
        before += bytes(0 if is_ros1 else -(len(before) - 4) % 8) + bytes(16)
        before += b"\4\0\0\0evt3\0" if is_ros1 else b"\5\0\0\0evt3\0\0\0\0"
        yield before + len(part).to_bytes(4, "little") + part


def head(t: int, is_ros1: bool) -> bytes:
    """Return a header, serialized, of a camera ``dvs``."""
    stamp = np.array([START_S + t // 1_000_000, t % 1_000_000 * 1_000], "<u4").tobytes()
    if is_ros1:
        return bytes(4) + stamp + b"\3\0\0\0dvs"
    return b"\0\1\0\0" + stamp + b"\4\0\0\0dvs\0"


def write_bag1(path: Path, compression: str, kind: str, messages: Iterator[bytes]) -> Path:
    writer = Writer1(path)
    if compression != "none":
        writer.set_compression(getattr(Writer1.CompressionFormat, compression.upper()))
    with writer:
        connection = writer.add_connection("/dvs/events", kind, typestore=types(True))
        for k, message in enumerate(messages):
            writer.write(connection, START_S * 10**9 + k * 3_000_000, message)
    return path


def write_bag2(
    folder: Path, storage: str, zstd: bool, kind: str, messages: Iterator[bytes]
) -> Path:
    writer = Writer2(folder, version=9, storage_plugin=getattr(StoragePlugin, storage))
    if zstd:
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection("/dvs/events", kind, typestore=types(False))
        for k, message in enumerate(messages):
            writer.write(connection, START_S * 10**9 + k * 3_000_000, message)
    (path,) = (path for path in folder.iterdir() if path.suffix != ".yaml")
    return path


def one_pass(path: Path) -> int:
    with open_recording(path) as recording:
        return sum(map(len, event_chunks(recording)))


def columns(path: Path) -> int:
    with open_recording(path) as recording:
        return len(read_events(recording, threads=1))


def by_rosbags(path: Path, most: int) -> int:
    """Return how many events rosbags has made objects of, of the first messages of a bag."""
    n = 0
    with AnyReader([path if path.suffix == ".bag" else path.parent]) as reader:
        for connection, _, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            n += len(message.events)
            if n >= most:
                break
    return n


def peak_mb(path: Path) -> int:
    """Return the peak memory of one pass, in MB."""
    code = (
        "import re, sys; from pathlib import Path; from ros import one_pass; "
        "one_pass(Path(sys.argv[1])); "
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    command = [sys.executable, "-c", code, str(path)]
    here = Path(__file__).parent
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=here)
    return round(int(done.stdout) * 1024 / 1e6)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = prophesee.edges(options.events)
        words = prophesee.evt3(*made)
        files = {
            f"ROS 1, EventArray, {packing}": write_bag1(
                folder / f"{packing}.bag", packing, ARRAY, arrays(made, True)
            )
            for packing in ("none", "lz4", "bz2")
        }
        for storage, zstd in (("MCAP", False), ("MCAP", True), ("SQLITE3", False)):
            said = f"ROS 2, EventArray, {storage.lower()}{', zstd' * zstd}"
            where = folder / f"{storage}{zstd}"
            files[said] = write_bag2(where, storage, zstd, ARRAY, arrays(made, False))
        files["ROS 1, EventPacket, evt3"] = write_bag1(
            folder / "evt3.bag", "none", PACKET, packets(words, True)
        )
        files["ROS 2, EventPacket, evt3, mcap"] = write_bag2(
            folder / "evt3", "MCAP", False, PACKET, packets(words, False)
        )
        files["ROS 1, EventArray, messages of 300"] = write_bag1(
            folder / "few.bag", "none", ARRAY, arrays(made, True, FEW)
        )
        files["ROS 1, evt3, messages of 300"] = write_bag1(
            folder / "few_evt3.bag", "none", PACKET, packets(words, True, FEW)
        )
        sys.stdout.write(f"{'million events per second':34} {'one pass':>9} {'columns':>8}")
        sys.stdout.write(f" {'rosbags':>8} {'columns / rosbags':>18}\n")
        for said, path in files.items():
            sides: list[Callable[[], int]] = [
                lambda path=path: one_pass(path),
                lambda path=path: columns(path),
            ]
            if "Array" in said:
                sides.append(lambda path=path: by_rosbags(path, options.events // 100))
            best = [0.0] * len(sides)
            for _ in range(options.rounds):
                for k, side in enumerate(sides):
                    start = time.perf_counter()
                    n = side()
                    best[k] = max(best[k], n / (time.perf_counter() - start) / 1e6)
                    assert k == 2 or n == options.events
            peer = f" {best[2]:8.2f} {best[1] / best[2]:18.0f}" if len(best) == 3 else ""
            sys.stdout.write(f"{said:34} {best[0]:9.1f} {best[1]:8.1f}{peer}\n")
            sys.stdout.flush()
        tenth = tuple(column[: options.events // 10] for column in made)
        short = write_bag1(folder / "short.bag", "none", ARRAY, arrays(tenth, True))
        for path in (short, files["ROS 1, EventArray, none"]):
            size = path.stat().st_size / 1e6
            sys.stdout.write(f"peak of one pass, {size:.0f} MB: {peak_mb(path)} MB\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
