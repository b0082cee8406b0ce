"""What the package takes for granted of the system: little, so that its pure parts work elsewhere.

Nothing here is run on macOS or Windows; docs/platforms.md says what is known of them.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from evreel.annotations.open import read_annotations
from evreel.dataset.documents import read_document
from evreel.dataset.table import read_rows
from evreel.files.clock import read_clock
from evreel.files.instants import read_times
from evreel.release.manifest import read_plan
from evreel.samples.intervals import Columns, read_intervals
from evreel.system import CLOSED_IN_OTHERS, fill_at, keep_memory, lock, read_at, write_at
from evreel.text import read_list
from support import ROOT, run_python

POSIX_ONLY = ("fcntl", "grp", "posix", "pwd", "pty", "resource", "syslog", "termios", "tty")
"""Modules that Windows has not."""

SOURCES = [
    *sorted((ROOT / "src" / "evreel").rglob("*.py")),
    *sorted((ROOT / "scripts").glob("*.py")),
]
MODES = re.compile(r"[rwxab+t]{1,3}")

# As far as Windows can be played here: without its missing modules and functions, and with texts in
# another encoding and with other line ends where the code does not say which.
WITHOUT_POSIX = """
import builtins, functools, io, os, signal, subprocess, sys, tempfile
for name in sys.argv[1].split():
    sys.modules[name] = None
for name in (
    "O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK chown fchmod fchown fork geteuid getgid "
    "getloadavg getpgid getuid killpg lchown lockf mkfifo nice posix_fadvise "
    "posix_fallocate pread preadv pwrite pwritev register_at_fork sched_getaffinity setsid "
    "statvfs sysconf writev"
).split():
    delattr(os, name)
for name in ("SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGXCPU"):
    delattr(signal, name)
posix_open = io.open
def windows_open(
    file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *others, **more
):
    if "b" not in mode:
        encoding = "cp1252" if encoding in (None, "locale") else encoding
        newline = "\\r\\n" if newline is None and not mode.startswith("r") else newline
    return posix_open(file, mode, buffering, encoding, errors, newline, *others, **more)
io.open = builtins.open = windows_open
"""
ALL_MODULES = """
import importlib, pkgutil
import evreel
for found in pkgutil.walk_packages(evreel.__path__, "evreel."):
    if not found.name.startswith(("evreel.cvat.sdk", "evreel.loaders.torch.", "evreel.cli.__")):
        importlib.import_module(found.name)
"""
A_CHAIN = """
from pathlib import Path
from unittest.mock import Mock
from evreel import open_release, read
from evreel.cli import main
from evreel.recordings.aedat4 import Aedat4Writer
from support import random_events
os.chdir(sys.argv[2])
events = random_events(2_000, seed=3)
with Aedat4Writer("park.aedat4", events.sensor) as writer:
    writer.write(events)
Path("release.tsv").write_text(
    "path\\tsource\\tkind\\tid\\tsplit\\ntrain/events/park.h5\\tpark.h5\\tevents\\tpark\\ttrain\\n"
)
histogram = ["--representation", "histogram", "--window-us", "50000"]
for command in (
    ["info", "park.aedat4"],
    ["events", "park.aedat4", "-o", "park.h5"],
    ["features", "park.h5", "-o", "f", *histogram],
    ["release", "--manifest", "release.tsv", "-o", "parks"],
    ["verify", "parks"],
):
    assert main(command) == 0, command
assert (read("park.h5").t == events.t).all()
with open_release("parks") as release:
    assert [each.id for each in release.splits["train"]] == ["park"]
texts = [p for p in Path("parks").rglob("*") if p.suffix in (".json", ".md", ".txt", ".html", "")]
texts = [path for path in texts if path.is_file()]
assert len(texts) > 3, texts
assert [path for path in texts if b"\\r" in path.read_bytes()] == []
"""


def test_package__is_imported_and_makes_the_same_release_without_what_only_posix_has(tmp_path):
    run_python(
        WITHOUT_POSIX + ALL_MODULES + A_CHAIN,
        " ".join({*POSIX_ONLY} - {"posix"}),  # without it, Python's own `os` is another one
        tmp_path,
        env={"NUMBA_DISABLE_JIT": "1"},
    )


@functools.cache
def calls(path: Path) -> list[ast.Call]:
    """Return the calls in a source file that opens or writes any file as text."""
    text = path.read_text(encoding="utf-8")
    if not re.search(r"open\(|write_text\(|read_text\(|TextIOWrapper\(", text):
        return []
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]


def name_of(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def mode_of(call: ast.Call) -> str | None:
    """Return the mode that a call of `open` states: after the path, unless that is what has it."""
    place = 1 if isinstance(call.func, ast.Name) else 0
    given = [
        *call.args[place : place + 1],
        *(word.value for word in call.keywords if word.arg == "mode"),
    ]
    texts = [str(node.value) for node in given if isinstance(node, ast.Constant)]
    return next((text for text in texts if MODES.fullmatch(text)), None)


def missing(wanted: set[str], is_meant) -> list[str]:
    """Return the calls that state not all that is wanted, of those that are meant."""
    return [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in SOURCES
        for call in calls(path)
        if is_meant(call) and wanted - {word.arg for word in call.keywords}
    ]


def test_texts__are_written_in_utf_8_and_with_line_feeds_on_every_system():
    def is_written(call):
        if name_of(call) != "open":
            return name_of(call) in ("write_text", "TextIOWrapper")
        mode = mode_of(call) or "r"
        return "b" not in mode and bool(set(mode) & set("wax+"))

    assert missing({"encoding", "newline"}, is_written) == []


def test_texts__are_read_in_utf_8_on_every_system():
    def is_read(call):
        if name_of(call) == "open":
            mode = mode_of(call)
            return mode is not None and "b" not in mode
        if name_of(call) != "read_text":
            return False
        return isinstance(call.func, ast.Attribute) and not call.args  # not evreel.text's

    assert missing({"encoding"}, is_read) == []


def test_modules_of_posix__are_imported_by_functions_alone():
    found = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in SOURCES
        for line in re.findall(
            rf"^(?:import|from) (?:{'|'.join(POSIX_ONLY)})\b.*",
            path.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    ]
    assert found == []


def test_paths__become_text_with_slashes_on_every_system():
    """A path below another is a name in tables, manifests and archives."""
    glued = re.compile(r"str\([\w.]+\.relative_to\(|os\.rename\(")
    pure = "PurePosixPath"  # has slashes anyway
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in SOURCES
        if pure not in (text := path.read_text(encoding="utf-8"))
        for line in text.splitlines()
        if glued.search(line)
    ]
    assert found == []


@pytest.fixture(params=[True, False], ids=["places", "no places"])
def places(request, monkeypatch):
    monkeypatch.setattr("evreel.system.HAS_PLACES", request.param)


def test_bytes_at_a_place__are_read_and_written_wherever_the_file_is(places, tmp_path):
    path = tmp_path / "ten"
    path.write_bytes(b"0123456789")
    with path.open("rb+", buffering=0) as file:
        file.seek(4)
        assert read_at(file.fileno(), 3, 1) == b"123"
        assert read_at(file.fileno(), 9, 8) == b"89"
        assert read_at(file.fileno(), 9, 20) == b""
        buffer = bytearray(b"....")
        assert fill_at(file.fileno(), memoryview(buffer), 7) == 3
        assert buffer == b"789."
        assert write_at(file.fileno(), memoryview(b"ab"), 9) == 2
        assert file.tell() == 4
    assert path.read_bytes() == b"012345678ab"
    assert CLOSED_IN_OTHERS


def test_freed_memory__is_kept_by_glibc_alone(monkeypatch):
    class C:
        def __init__(self, name):
            self.set = []
            self.mallopt = lambda *setting: self.set.append(setting)

    libraries = []
    monkeypatch.setattr("ctypes.CDLL", lambda name: libraries.append(C(name)) or libraries[-1])
    keep_memory.__wrapped__()
    assert libraries[0].set == [(-1, 128 << 20), (-3, 32 << 20)]
    for missing in (OSError, AttributeError, TypeError):  # as of musl, macOS, and Windows
        monkeypatch.setattr("ctypes.CDLL", Mock(side_effect=missing))
        keep_memory.__wrapped__()


def test_lock__is_not_there_where_the_system_has_none(tmp_path, monkeypatch):
    with (tmp_path / "lock").open("ab") as one, (tmp_path / "lock").open("ab") as other:
        assert lock(one)
        with pytest.raises(BlockingIOError):
            lock(other)
        monkeypatch.setitem(sys.modules, "fcntl", None)
        assert not lock(other)


CONFIG = {
    "recordings": "recordings.tsv",
    "labels": ["Käfer", "car"],
    "release": {"name": "parks", "version": "1.0", "licence": "CC-BY-4.0"},
    "features": {"counts": {"representation": "histogram", "window_us": 50_000}},
}
XML = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><size>3</size><original_size><width>64</width><height>48</height></original_size>
  <labels><label><name>Käfer</name></label></labels></task></meta>
  <track id="0" label="Käfer" source="manual">
    <box frame="0" outside="0" occluded="0" keyframe="1"
      xtl="1.0" ytl="2.0" xbr="9.0" ybr="8.0" z_order="0"/>
    <box frame="1" outside="1" occluded="0" keyframe="1"
      xtl="1.0" ytl="2.0" xbr="9.0" ybr="8.0" z_order="0"/>
  </track>
</annotations>
"""
COCO = {
    "images": [{"id": 1, "file_name": "frame_000000.png", "width": 64, "height": 48}],
    "categories": [{"id": 1, "name": "Käfer"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 6]}],
}


def annotated(path):
    return re.sub(r" at 0x\w+", "", repr(read_annotations(path)))


TEXTS = {
    "recordings.tsv": ("id\tsource\tgroup\none\ta.aedat4\tKäfer\n\ntwo\tb.aedat4\t\n", read_rows),
    "config.yaml": (
        json.dumps(CONFIG, indent=1, ensure_ascii=False),
        lambda path: read_document(path)[0],
    ),
    "one.clock.tsv": (
        "# source\texternal\n# sensor\t48x64\nframe\tstart_us\tstop_us\n0\t0\t10\n1\t20\t30\n",
        lambda path: [str(each) for each in read_clock(path)],
    ),
    "list.txt": ("# Käfer\nKäfer\n\nb\n", read_list),
    "times.txt": ("# µs\n1\n\n20\n", lambda path: read_times(path).tolist()),
    "plan.tsv": ("path\tsource\ntrain/Käfer.txt\ta.txt\n", read_plan),
    "intervals.csv": (
        "label,start,stop\nKäfer,1,20\nb,30,40\n",
        lambda path: read_intervals(path, Columns(label="label", start="start", stop="stop")),
    ),
    "rois.xml": (XML, annotated),
    "coco.json": (json.dumps(COCO, ensure_ascii=False), annotated),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_of_a_windows_editor__says_the_same(tmp_path, name):
    """Lines end with CR LF, and the file begins with a byte order mark."""
    text, read = TEXTS[name]
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="\n")
    expected = read(path)
    assert "Käfer" in str(expected) or "Käfer" not in text
    path.write_text(text, encoding="utf-8-sig", newline="\r\n")
    assert read(path) == expected
