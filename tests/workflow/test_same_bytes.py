"""A build is the same, file by file, with other cores, in another folder, on another machine."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evreel import steps
from support import PLAIN_PROCESSOR, warm
from support.dataset import CONFIG, build, make_data_set, snakemake, tree, write_config

FAKE_CLOCK = importlib.util.find_spec("libfaketime")

# What of another machine can be had on this one. Only names that each machine with a C library
# has: other locales and time zones are not installed everywhere.
OTHER_MACHINE = {
    "TZ": "<+14>-14",
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONHASHSEED": "4711",
    "OMP_NUM_THREADS": "1",
    **PLAIN_PROCESSOR,
}
if FAKE_CLOCK is not None and FAKE_CLOCK.origin is not None:
    # Of years, for all that asks the C library. Without it the builds lie some seconds apart,
    # which shows in every stamp that a file format has.
    vendored = Path(FAKE_CLOCK.origin).parent / "vendor" / "libfaketime" / "src"
    OTHER_MACHINE |= {
        "LD_PRELOAD": str(vendored / "libfaketime.so.1"),
        "FAKETIME": "+3000d",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }

# The style with an exponential in it; the others add and compare whole numbers.
DECAY = CONFIG | {"video": {"style": "decay"}}


def differences(first: Path, second: Path) -> list[str]:
    """Return a line for each file that two results folders do not have alike."""
    one, two = tree(first), tree(second)
    lines = [f"{name}: only in {first}" for name in sorted(one.keys() - two.keys())]
    lines += [f"{name}: only in {second}" for name in sorted(two.keys() - one.keys())]
    for name in sorted(one.keys() & two.keys()):
        if one[name] == two[name]:
            continue
        a, b = (folder / name for folder in (first, second))
        if a.is_symlink() or b.is_symlink():
            lines.append(f"{name}: {one[name]}, {two[name]}")
            continue
        bytes_a, bytes_b = a.read_bytes(), b.read_bytes()
        at = next(
            (k for k, (x, y) in enumerate(zip(bytes_a, bytes_b, strict=False)) if x != y),
            min(len(bytes_a), len(bytes_b)),
        )
        around = [data[max(at - 20, 0) : at + 20] for data in (bytes_a, bytes_b)]
        lines.append(f"{name}: {len(bytes_a)} and {len(bytes_b)} bytes, differ at {at}: {around}")
    return lines


def test_differences__name_each_file_that_is_not_alike(tmp_path):
    for folder, text in (("a", "one"), ("b", "own")):
        (tmp_path / folder / "benchmarks").mkdir(parents=True)
        (tmp_path / folder / "x").write_text(text)
        (tmp_path / folder / "y").write_text("same")
        (tmp_path / folder / "link").symlink_to(text)
        (tmp_path / folder / "benchmarks" / "x.tsv").write_text(text)
        (tmp_path / folder / text).touch()
    a, b = tmp_path / "a", tmp_path / "b"
    assert differences(a, b) == [
        f"one: only in {a}",
        f"own: only in {b}",
        "link: link to one, link to own",
        "x: 3 and 3 bytes, differ at 1: [b'one', b'own']",
    ]
    assert differences(a, a) == []


# More than the size of the recording asks for.
THREADS = [
    f"{rule}=2"
    for rule in ("events", "annotate", "features", "publish_events", "publish_slices")
]


def test_cores_threads_folder_clock_locale_and_processor__do_not_show_in_any_file(tmp_path):
    # The other machine's Python has no letters for the name of this folder.
    here = make_data_set(tmp_path / "hier drüben", ["one"])
    there = make_data_set(tmp_path / "an other one", ["one"])
    for folder in (here, there):
        write_config(folder, DECAY)
    for source in (there / "raw").iterdir():
        os.utime(source, (10**9, 10**9))
    build(here, "--cores", "2", "--set-threads", *THREADS)
    assert "Nothing to be done" in build(here, "-n")
    umask = os.umask(0o077)
    try:
        run = snakemake(there, "--cores", "1", machine=OTHER_MACHINE)
    finally:
        os.umask(umask)
    assert run.returncode == 0, run.stdout
    assert differences(here / "results", there / "results") == []
    assert steps.verify(there / "results" / "release" / "tiny-1.0") == []


@pytest.fixture
def on_other_machine(tmp_path):
    """What runs code as the jobs of the other machine are run, and returns what it prints."""

    def run(code: str) -> str:
        (tmp_path / "job.py").write_text(code)
        return subprocess.check_output(
            [warm.commands(fresh=True, **OTHER_MACHINE) / "job", "job.py"],
            cwd=tmp_path,
            env=os.environ | OTHER_MACHINE,
            text=True,
        ).strip()

    return run


def test_other_machine__has_neither_the_time_zone_nor_the_locale_of_this_one(on_other_machine):
    said = on_other_machine(
        "import time, locale, sys\n"
        "print(time.timezone, locale.getencoding(), sys.getfilesystemencoding())\n"
        "print(open(0).encoding, sys.stdout.encoding, hash('evreel'))"
    )
    own = "import os; print(hash('evreel'))"
    hashed = subprocess.check_output(
        [sys.executable, "-c", own], env=os.environ | OTHER_MACHINE, text=True
    )
    assert said == f"{-14 * 3600} ANSI_X3.4-1968 ascii\nANSI_X3.4-1968 ascii {hashed.strip()}"


def test_other_machine__has_a_lesser_processor(on_other_machine):
    said = on_other_machine(
        "from numpy._core._multiarray_umath import __cpu_features__ as have\n"
        "from numba.core.registry import cpu_target\n"
        "name = cpu_target.target_context.codegen().magic_tuple()[1]\n"
        "print(have['X86_V3'], have['X86_V4'], name)"
    )
    assert said == "False False generic"


def test_other_machine__is_years_ahead(on_other_machine):
    if FAKE_CLOCK is None:
        pytest.skip("libfaketime is not installed: builds lie seconds apart, not years")
    ahead = "import time; print(time.time())"
    own = float(subprocess.check_output([sys.executable, "-c", ahead]))
    assert float(on_other_machine(ahead)) - own > 2999 * 86400
