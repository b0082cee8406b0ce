"""What may go wrong: each kind of fault, how it is done, and what to do about it."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faults.dying import Death
from faults.hand import Hand
from faults.world import LONGEST_S, PLENTY, World, disk, hold, until
from support import unprivileged

SIGKILL, SIGTERM, SIGINT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
RULES = (
    *("acquire", "events", "clock", "video", "annotate", "qa", "summary", "preview", "cut"),
    *("splits", "samples", "features", "feature_boxes", "publish_events", "publish_slices"),
    *("publish_samples", "publish_features", "recipe", "release_plan", "release"),
)
"""Rules that a run has jobs of, two of some."""
REFUSING = ("export", "unpack")
"""Commands that write no folder over another."""
SAME = "Run the same command again."
UNLOCK = "Run the same command again; if it says that the directory is locked, `--unlock` first."
AS_EVER = "The bytes of an undisturbed run, and no other files."


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Parameters
    ----------
    name
        What it is called.
    happens, cure, outcome
        What may happen, what to do, what one gets: a row of docs/faults.md.
    turns
        How often it is done in a campaign of `WHOLE` turns.
    do
        Does it, and what is to be done about it; returns how it was done. It is given a person's
        folder where it is a matter of single commands, and a data set where it is one of runs.
    by_hand
        Whether it is a matter of single commands.
    """

    name: str
    happens: str
    cure: str
    outcome: str
    turns: int
    do: Callable[..., str]
    by_hand: bool = False


FAULTS: dict[str, Fault] = {}


def fault(
    name: str, happens: str, cure: str, outcome: str = AS_EVER, *, turns: int, by_hand: bool = False
) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Enter a function as a kind of fault."""

    def enter(do: Callable[..., str]) -> Callable[..., str]:
        FAULTS[name] = Fault(name, happens, cure, outcome, turns, do, by_hand)
        return do

    return enter


def begun(world: World, rng: random.Random) -> str:
    """Fill the world at random: nothing built yet, or built and then edited."""
    state = rng.choice(["new", "edited"])
    world.fill(state)
    return state


def a_while(rng: random.Random, longest_s: float = 5.0) -> float:
    """Sleep for a random time; return it, seconds."""
    duration_s = longest_s * rng.random()
    time.sleep(duration_s)
    return duration_s


@fault(
    "killed-command",
    "A command of evreel is killed, or ends with the terminal",
    SAME,
    "Its outputs, and nothing that the first one left. Until then, what was there before is. "
    "`export` and `unpack` refuse a folder that is there: it is whole, and yours to remove.",
    turns=340,
    by_hand=True,
)
def killed_command(hand: Hand, rng: random.Random) -> str:
    """End any command."""
    return end_command(hand, rng.choice([*hand.commands]), rng)


def end_command(hand: Hand, name: str, rng: random.Random) -> str:
    """End a command at random, with an older output in its place or without; run it again."""
    signals = (SIGKILL, SIGKILL, SIGKILL, SIGTERM, SIGINT, signal.SIGHUP)
    death = Death.drawn(rng, *signals, most=20, longest_s=0.3)
    hand.prepare(name)
    replaces = name not in REFUSING and rng.random() < 0.3
    hand.clear(name if replaces else None)
    ended = hand.run(name, death)
    hand.check_whole(name)
    run_again(hand, name)
    hand.deaths += ended != 0
    return f"{name}: {death} → {ended}"


def run_again(hand: Hand, name: str) -> None:
    """Run a command again; where it refuses a folder that it has made, remove that first."""
    status = hand.run(name)
    if name in REFUSING and status == 2:
        hand.check_whole(name, all_of_it=True)
        hand.remove_outputs()
        status = hand.run(name)
    hold(status == 0, f"{name}: the same command ends with {status}: {hand.said()}")
    hand.check_done(name)


@fault(
    "full-disk-command",
    "The disk is full while a command of evreel writes",
    "Make room, run the same command again.",
    "Its outputs. The command that failed said so and left nothing.",
    turns=40,
    by_hand=True,
)
def full_disk_command(hand: Hand, rng: random.Random) -> str:
    """Give a command less room than it needs, on a disk of its own or by a limit of each file."""
    name = rng.choice([name for name in hand.commands if name not in ("acquire", "simulate")])
    hand.prepare(name)
    hand.clear()
    needed = sum(path.stat().st_size for path in hand.out_of(name) if path.is_file())
    room = round(rng.random() * (needed + 8192))
    with disk(hand.out, room) if hand.has_disks else contextlib.nullcontext() as change:
        ended = hand.run(name, most_bytes=None if change else room)
        said = hand.said()
        hand.check_whole(name)
        if change:
            change(f"size={PLENTY}")
        run_again(hand, name)
    if ended:
        hold(ended == 1, f"{name}: a full disk ends it with {ended}: {said}")
        hold("Make room" in said, f"{name}: says of the full disk: {said}")
        hold("Traceback" not in said, f"{name}: says of the full disk: {said}")
    return f"{name}: room for {room} of {needed} bytes → {ended}"


@fault(
    "killed-jobs",
    "Jobs are killed, out of memory for example",
    SAME,
    turns=6,
)
def killed_jobs(world: World, rng: random.Random) -> str:
    """Let most jobs of two runs die at random."""
    state = begun(world, rng)
    for _ in range(2):
        deaths = {rule: [Death.drawn(rng) if rng.random() < 0.8 else None] * 2 for rule in RULES}
        world.disturbed(deaths)
    world.cure()
    return f"{state}, {world.deaths} jobs"


@fault(
    "ended-jobs",
    "Jobs are ended from outside (SIGTERM, SIGINT, SIGHUP), as a cluster does",
    SAME,
    turns=2,
)
def ended_jobs(world: World, rng: random.Random) -> str:
    """Let most jobs of two runs be ended by signals that can be handled."""
    state = begun(world, rng)
    signals = (SIGTERM, SIGINT, signal.SIGHUP)
    for _ in range(2):
        deaths = {
            rule: [Death.drawn(rng, *signals) if rng.random() < 0.8 else None] * 2 for rule in RULES
        }
        world.disturbed(deaths)
    world.cure()
    return f"{state}, {world.deaths} jobs"


@fault(
    "killed-snakemake",
    "Snakemake is killed; its jobs go on",
    UNLOCK,
    f"{AS_EVER} Jobs that outlive their run drop what they made.",
    turns=8,
)
def killed_snakemake(world: World, rng: random.Random) -> str:
    """Kill Snakemake at random, up to three times."""
    state, done = begun(world, rng), []
    for _ in range(rng.randint(1, 3)):
        death = Death.drawn(rng, most=2_000, longest_s=8)
        done.append(str(death))
        world.disturbed({"snakemake": [death]})
        if rng.random() < 0.5 and "cannot be locked" in world.said():
            world.run("--unlock")
    world.cure()
    return f"{state}, {'; '.join(done)}"


@fault(
    "killed-all",
    "The machine goes down: Snakemake and all jobs at once",
    UNLOCK,
    turns=5,
)
def killed_all(world: World, rng: random.Random) -> str:
    """Kill everything at random."""
    state = begun(world, rng)
    process = world.start(cold=rng.random() < 0.3)
    slept_s = a_while(rng, 8)
    for pid in world.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, SIGKILL)
            world.deaths += 1
    process.wait(timeout=30)
    world.cure()
    return f"{state}, after {slept_s:.2f} s"


@fault(
    "interrupted",
    "The run is interrupted (Ctrl-C), or Snakemake is asked to end (SIGTERM)",
    SAME,
    turns=3,
)
def interrupted(world: World, rng: random.Random) -> str:
    """Interrupt a run as a terminal does, or as a system does that shuts down."""
    state, number = begun(world, rng), rng.choice([SIGINT, SIGTERM])
    process = world.start(cold=True)
    slept_s = a_while(rng, 10)
    with contextlib.suppress(ProcessLookupError):
        if number == SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
    process.wait(timeout=LONGEST_S)
    world.deaths += 1
    world.cure()
    hold("--unlock" not in world.said(), f"a lock stays:\n{world.said()}")
    return f"{state}, {number.name} after {slept_s:.2f} s"


@fault(
    "hung-up",
    "The terminal is closed, or the connection is lost (SIGHUP)",
    SAME,
    turns=2,
)
def hung_up(world: World, rng: random.Random) -> str:
    """Hang up on a run as a terminal does that is closed."""
    state = begun(world, rng)
    process = world.start(cold=True)
    slept_s = a_while(rng, 10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGHUP)
    process.wait(timeout=LONGEST_S)
    world.deaths += 1
    world.cure()
    return f"{state}, after {slept_s:.2f} s"


@fault(
    "killed-ffmpeg",
    "ffmpeg is killed, or crashes",
    SAME,
    turns=2,
)
def killed_ffmpeg(world: World, rng: random.Random) -> str:
    """Kill each ffmpeg of a run."""
    state = begun(world, rng)
    numbers = (SIGKILL, SIGTERM, signal.SIGSEGV)
    deaths = {
        rule: [Death(rng.choice(numbers), delay_s=0.05 * rng.random(), of="ffmpeg")] * 2
        for rule in ("video", "qa", "preview")
    }
    world.disturbed(deaths)
    world.cure()
    return f"{state}, {world.deaths} of them"


@fault(
    "hung-ffmpeg",
    "ffmpeg hangs, and the job or the run is ended",
    UNLOCK,
    f"{AS_EVER} The ffmpeg that hung has ended.",
    turns=2,
)
def hung_ffmpeg(world: World, rng: random.Random) -> str:
    """Stop an ffmpeg, then kill its job, or interrupt the run."""
    state, how = begun(world, rng), rng.choice(["SIGKILL", "SIGTERM", "SIGINT", "all"])
    world.plan.write(
        {rule: [Death(signal.SIGSTOP, of="ffmpeg")] * 2 for rule in ("video", "qa", "preview")}
    )
    process = world.start(cold=True)
    until(lambda: world.plan.died() or process.poll() is not None, "an ffmpeg hangs")
    time.sleep(0.2)
    hung = [pid for pid, line in world.processes().items() if "ffmpeg-" in line]
    hold(hung, "no ffmpeg hangs")
    while process.poll() is None:
        found = world.processes()
        if how == "SIGINT":
            os.killpg(process.pid, SIGINT)
        for pid, line in found.items():
            is_job = ".snakemake/scripts/" in line
            if is_job if how != "all" else "ffmpeg-" not in line:
                with contextlib.suppress(ProcessLookupError):
                    if how == "all" or _hangs(pid):
                        os.kill(pid, SIGKILL if how == "all" else signal.Signals[how])
        time.sleep(0.5)
    world.count()
    until(lambda: not world.processes(), f"all ends; left: {world.processes()}", 30)
    world.cure()
    return f"{state}, then {how}"


def _hangs(job: int) -> bool:
    """Tell whether a job waits for an ffmpeg that is stopped."""
    for path in Path(f"/proc/{job}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in path.read_text().split():
                state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
                if state == "T":
                    return True
    return False


@fault(
    "full-disk",
    "The disk is full during a run, also for Snakemake's own records",
    "Make room, run the same command again; if it says that the directory is locked, `--unlock` "
    "first.",
    turns=5,
)
def full_disk(world: World, rng: random.Random) -> str:
    """Give a run less room than it needs: on a disk of its own, or in each file."""
    needed = sum(path.stat().st_size for path in world.undisturbed.built.rglob("*"))
    with world.on_disk() as change:
        state = begun(world, rng)
        room = round(rng.random() * (1.5 * needed if change else 50_000)) + 4096
        if change:
            change(f"size={world.used_bytes() + room}")
        limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (room, -1))
        for _ in range(rng.randint(1, 2)):
            since = len(world.said())
            status = world.run(cold=not change, preexec_fn=None if change else limit)
            said = world.said()[since:]
            told = [text for text in ("No space left", "File too large", "locked") if text in said]
            hold(status == 0 or told, f"a full disk is not told:\n{said}")
        if change:
            change(f"size={PLENTY}")
        world.cure()
        world.check()
    return f"{state}, room for {room} more bytes"


@fault(
    "read-only-results",
    "The results, or all of the folder, cannot be written",
    "Make the folder writable, run the same command again.",
    turns=2,
)
def read_only_results(world: World, rng: random.Random) -> str:
    """Make a disk read-only, during a run or before; or take away the right to write."""
    with world.on_disk() as change:
        state = begun(world, rng)
        after_s = rng.choice([0.0, 6 * rng.random()])
        process = world.start() if after_s else None
        time.sleep(after_s)
        if change:
            while process is None or process.poll() is None:
                with contextlib.suppress(subprocess.CalledProcessError):  # a file is being written
                    change("ro")
                    break
                time.sleep(0.002)
        else:
            seal(world.folder, 0o555)
        if process is not None:
            process.wait(timeout=LONGEST_S)
        since = len(world.said())
        status = world.run(cold=True, before=[] if change else unprivileged())
        hold("Traceback" not in world.said()[since:], world.said()[since:])
        if change:
            change("rw")
        else:
            seal(world.folder, 0o755)
        world.cure()
        world.check()
    return f"{state}, after {after_s:.2f} s → {status}"


def seal(folder: Path, mode: int) -> None:
    """Give all folders below a folder, and itself, a mode."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(mode)


@fault(
    "edited-inputs",
    "Config or annotation are edited during a run",
    SAME,
    "The bytes of a run that had the new files from the start.",
    turns=2,
)
def edited_inputs(world: World, rng: random.Random) -> str:
    """Edit config and annotation while a run is under way."""
    world.fill("new")
    process = world.start()
    slept_s = a_while(rng, 8)
    world.edit()
    process.wait(timeout=LONGEST_S)
    world.cure()
    return f"after {slept_s:.2f} s"


@fault(
    "damaged-input",
    "A recording, an annotation or the table is truncated, removed or replaced during a run",
    "Put the file back, run the same command again.",
    turns=4,
)
def damaged_input(world: World, rng: random.Random) -> str:
    """Damage an input while a run is under way, and put it back."""
    state = begun(world, rng)
    name = rng.choice(
        ["raw/one.aedat4", "raw/many.zip", "raw/one.rois.xml", "recordings.tsv", "config.yaml"]
    )
    path, how = world.folder / name, rng.choice(["truncated", "removed", "replaced"])
    content = path.read_bytes()
    process = world.start()
    slept_s = a_while(rng, 6)
    if how == "removed":
        path.unlink()
    elif how == "truncated":
        os.truncate(path, rng.randrange(len(content)))
    else:
        path.with_name("new").write_bytes(content[::-1])
        path.with_name("new").replace(path)
    process.wait(timeout=LONGEST_S)
    world.run()
    path.write_bytes(content)
    world.cure()
    return f"{state}, {name} {how} after {slept_s:.2f} s"


@fault(
    "two-at-once",
    "The same run is started twice in one folder",
    "Wait for the first one. If both have ended: run the same command again.",
    turns=3,
)
def two_at_once(world: World, rng: random.Random) -> str:
    """Start two runs, at once or one after the other."""
    state = begun(world, rng)
    after_s = rng.choice([0.0, 0.3 * rng.random(), 5 * rng.random()])
    one = world.start()
    time.sleep(after_s)
    other = world.start()
    ends = [process.wait(timeout=LONGEST_S) for process in (one, other)]
    hold(0 in ends, f"both runs fail, {ends}:\n{world.said()}")
    world.cure()
    return f"{state}, {after_s:.2f} s apart → {ends}"


@fault(
    "common-source",
    "Two data sets are built at once from the same recordings",
    "Nothing: neither concerns the other.",
    "Each is as if it were alone.",
    turns=1,
)
def common_source(world: World, rng: random.Random) -> str:
    """Build two data sets whose recordings are in one folder, side by side."""
    world.fill("new")
    other = World(world.undisturbed, world.root / "other")
    other.fill("new")
    shutil.rmtree(other.folder / "raw")
    (other.folder / "raw").symlink_to(world.folder / "raw")
    runs = [world.start(), other.start()]
    try:
        hold([run.wait(timeout=LONGEST_S) for run in runs] == [0, 0], world.said() + other.said())
        other.check()
    finally:
        other.end()
    return "both at once"


@fault(
    "jumping-clock",
    "The clock of the machine jumps, or its time zone changes, or files have times in the future",
    "Set the clock right; `find . -newermt now -exec touch {} +`; run the same command again.",
    turns=2,
)
def jumping_clock(world: World, rng: random.Random) -> str:
    """Run under other clocks, one after the other, with inputs of any time."""
    state, shifts = begun(world, rng), []
    if rng.random() < 0.5:
        for path in (world.folder / "raw").iterdir():
            at = time.time() + rng.uniform(-1, 1) * 10**8
            os.utime(path, (at, at))
    for _ in range(2):
        shifts.append(rng.choice([0, rng.randint(-4000, 4000)]))
        death = Death.drawn(rng, most=2_000, longest_s=8) if rng.random() < 0.5 else None
        zone = rng.choice(["UTC", "<+14>-14", "<-11>11"])
        world.disturbed({"snakemake": [death]}, env=clock(shifts[-1], TZ=zone), cold=True)
        if "cannot be locked" in world.said():
            world.run("--unlock")
    command = ["find", ".", "-newermt", "now", "-exec", "touch", "{}", "+"]
    subprocess.run(command, cwd=world.folder, check=True)
    world.cure()
    return f"{state}, days {shifts}"


def clock(days: int, **more: str) -> dict[str, str]:
    """Return the environment of a machine whose clock is some days off."""
    import libfaketime

    folder = Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src"
    return {
        "LD_PRELOAD": str(folder / "libfaketime.so.1"),
        "FAKETIME": f"{days:+d}d",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        **more,
    }


@fault(
    "lost-records",
    "The folder `.snakemake` is lost",
    "Run the same command again; with `--forceall` if the config was edited since the last run.",
    turns=2,
)
def lost_records(world: World, rng: random.Random) -> str:
    """Remove Snakemake's records after a run that was cut off, or that had ended."""
    state, death = begun(world, rng), "whole"
    if rng.random() < 0.7:
        drawn = Death.drawn(rng, most=2_000, longest_s=8)
        world.disturbed({"snakemake": [drawn]})
        death = str(drawn)
        until(lambda: not world.processes(), "all jobs end")
    else:
        world.run()
    shutil.rmtree(world.folder / ".snakemake")
    world.cure(*(["--forceall"] if state == "edited" else []))
    return f"{state}, {death}"


@fault(
    "circular-link",
    "A link in the results, or to a recording, leads in a circle",
    "Remove the link or put the file back, run the same command again.",
    turns=2,
)
def circular_link(world: World, rng: random.Random) -> str:
    """Put a link to itself in the place of a folder of results, or of a recording."""
    state = begun(world, rng)
    name = rng.choice(["results", "results/events", "raw/one.aedat4", "raw/one.rois.xml"])
    path = world.folder / name
    aside = world.root / "aside"
    if path.exists():
        path.rename(aside)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(path.name)
    hold(world.run() != 0, "a circular link is no error")
    hold("Traceback" not in world.said(), world.said())
    path.unlink()
    if aside.exists():
        aside.rename(path)
    world.cure()
    return f"{state}, {name}"


@fault(
    "closed-output",
    "What reads the messages of a run ends, as `head` does",
    UNLOCK,
    turns=2,
)
def closed_output(world: World, rng: random.Random) -> str:
    """Close the pipe into which a run writes after some of its lines."""
    state = begun(world, rng)
    process = world.start(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = rng.randint(0, 60)
    with process.stdout as pipe:
        for _ in range(lines):
            pipe.readline()
    status = process.wait(timeout=LONGEST_S)
    world.cure()
    return f"{state}, after {lines} lines → {status}"


WHOLE = sum(kind.turns for kind in FAULTS.values())
"""Turns of a whole campaign."""


def drawn(turns: int, rng: random.Random, only: tuple[str, ...] = ()) -> list[Fault]:
    """Return so many faults in a random order, each kind as often as its share."""
    kinds = [FAULTS[name] for name in only] or [*FAULTS.values()]
    every = [kind for kind in kinds for _ in range(kind.turns)]
    chosen = functools.reduce(lambda got, _: got + every, range(-(-turns // len(every))), [])
    rng.shuffle(chosen)
    return chosen[:turns]


def table() -> str:
    """Return the rows of the table in docs/faults.md."""
    return "".join(f"| {one.happens} | {one.cure} | {one.outcome} |\n" for one in FAULTS.values())
