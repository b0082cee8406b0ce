"""Run a campaign of faults: ``python -m faults --turns N --seed N [KIND …]``."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from faults.hand import Hand
from faults.kinds import FAULTS, WHOLE, Fault, drawn
from faults.world import Undisturbed, World

INSIDE = "EVREEL_FAULTS_INSIDE"
"""Set in a process that has a file system name space of its own, in which disks can be mounted."""


def with_disks() -> bool:
    """Tell whether disks can be mounted here, where nothing outside sees them."""
    if os.environ.get(INSIDE):
        return True
    able = os.geteuid() == 0 and shutil.which("unshare") is not None
    if able and not subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        os.environ[INSIDE] = "yes"
        module = [sys.executable, "-m", "faults", *sys.argv[1:]]
        os.execvp("unshare", ["unshare", "--mount", *module])
    return False


def turn(kind: Fault, rng: random.Random, undisturbed: Undisturbed, hand: Hand, at: Path) -> str:
    """Do one fault and what is to be done about it; return how it was done."""
    if kind.by_hand:
        return kind.do(hand, rng)
    world = World(undisturbed, at, has_disks=hand.has_disks)
    try:
        how = kind.do(world, rng)
        if world.folder.exists():
            world.check()
    except BaseException:
        sys.stdout.write(world.said()[-3000:])
        raise
    finally:
        world.end()
        hand.deaths += world.deaths
    shutil.rmtree(at)
    return how


def main() -> int:
    """Run a campaign; print a line for each fault. The exit status is 1 if something broke."""
    parser = argparse.ArgumentParser(prog="python -m faults")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(FAULTS))
    parser.add_argument("--turns", type=int, default=WHOLE)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the folders of what broke")
    chosen = parser.parse_args()
    if unknown := {*chosen.kinds} - {*FAULTS}:
        parser.error(f"no such kind: {', '.join(unknown)}")
    has_disks = with_disks()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leaves no process behind
    how = "disks of their own (tmpfs)" if has_disks else "a limit of the size of files"
    print(f"seed {chosen.seed}; disks are filled by {how}", flush=True)
    kinds = tuple(chosen.kinds)
    order = drawn(chosen.turns, random.Random(chosen.seed), kinds)
    broken: Counter[str] = Counter()
    root = Path(tempfile.mkdtemp(prefix="faults-"))
    begun_s = time.monotonic()
    with contextlib.ExitStack() as stack:
        if not chosen.keep:
            stack.callback(shutil.rmtree, root, ignore_errors=True)
        undisturbed = Undisturbed(root / "undisturbed")
        hand = Hand(root / "hand", undisturbed.built, has_disks=has_disks)
        stack.callback(hand.close)
        for number, kind in enumerate(order):
            seed = f"{chosen.seed}/{number}/{kind.name}"
            try:
                told = turn(kind, random.Random(seed), undisturbed, hand, root / str(number))
            except Exception:
                broken[kind.name] += 1
                told = f"BROKEN\n{traceback.format_exc()}"
            print(f"{number + 1} {kind.name}: {told}", flush=True)
    took_s = time.monotonic() - begun_s
    print(f"{len(order)} turns, {hand.deaths} processes ended, in {took_s:.0f} s", flush=True)
    for name, n in broken.items():
        again = (
            f"make test-faults SEED={chosen.seed} FAULTS={chosen.turns} KINDS='{' '.join(kinds)}'"
        )
        print(f"{name}: {n} broken; once more: {again}")
    return min(len(broken), 1)


if __name__ == "__main__":
    sys.exit(main())
