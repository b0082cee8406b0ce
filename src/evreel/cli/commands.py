"""What each command of ``evreel`` takes, and which step it calls."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evreel.cli.options import (
    Option,
    Pairs,
    as_mapping,
    assignment,
    columns,
    has_any,
    labels,
    named_files,
    number_or_name,
    option,
    output,
    pairs,
    settings,
    settings_from,
)
from evreel.errors import UsageError
from evreel.exports.layouts import EVENT_LAYOUTS, LAYOUTS
from evreel.outputs import Progress, atomic
from evreel.shares import Share
from evreel.threads import MOST_THREADS

if TYPE_CHECKING:
    from evreel.checks import Report
    from evreel.windows import Instants

Options = argparse.Namespace
Run = Callable[[Options], int]


class Command(NamedTuple):
    """A command: what it does, what adds its options to a parser, and what runs it."""

    text: str
    options: tuple[Option, ...]
    run: Run


COMMANDS: dict[str, Command] = {}
"""Every command by its name."""


def command(text: str, *options: Option) -> Callable[[Run], Run]:
    """Enter a function as the command of its name, with - for _."""

    def enter(run: Run) -> Run:
        COMMANDS[run.__name__.replace("_", "-")] = Command(text, options, run)
        return run

    return enter


@contextlib.contextmanager
def _bar(options: Options, what: str, unit: str) -> Iterator[Progress]:
    """Show progress on a terminal; nothing where the output is not one."""
    if options.quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    # A terminal that states no size would get empty lines.
    stated = os.get_terminal_size(sys.stderr.fileno())
    size = {} if stated.columns else {"ncols": 80, "nrows": 24}
    with (
        logging_redirect_tqdm([logging.getLogger("evreel")]),
        tqdm(desc=what, unit=unit, unit_scale=True, leave=False, **size) as bar,
    ):

        def progress(done: int, total: int | None) -> None:
            if total is not None and bar.total != total:
                bar.total = total
            bar.update(done - bar.n)

        yield progress


def _names(paths: Sequence[Path], problem: str, hint: str) -> list[str]:
    """Return the names of files without their suffixes, which must differ."""
    names = [path.stem for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(problem.format(twice[0]), hint=hint)
    return names


def _given(options: Options, *names: str) -> dict[str, Any]:
    """Return what options of these names give, None where one is not given."""
    return {name: getattr(options, name, None) for name in names}


def _whole(options: Options, name: str) -> int | None:
    """Return what an option of a column gives as a whole number."""
    text = getattr(options, name, None)
    if text is None or text.isdecimal():
        return None if text is None else int(text)
    raise UsageError(f"--{name.replace('_', '-')}: {text!r} is not a whole number")


def _at_least_1(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _us_of_ms(text: str) -> int:
    """Return the µs of a duration in ms."""
    with contextlib.suppress(ArithmeticError, ValueError):
        us = Decimal(text) * 1000
        if us == int(us) and us >= 1:
            return int(us)
    raise argparse.ArgumentTypeError(f"{text!r} is not a duration in ms, of whole µs")


def _share(text: str) -> Share:
    try:
        return Share.parse(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


STREAM = option(
    "--stream",
    metavar="N",
    type=number_or_name,
    help="event stream, if several: its number, or the topic's name",
)


def clock_option(more: str, **facts: Any) -> Option:
    """Return the option that says which time each frame stands for."""
    return option(
        "--clock",
        dest="times",
        metavar="TSV|KEY=N,…",
        help="table of frames' times; or frames, or triggers,id=1,exposure-us=5000; or "
        f"fps=30,window-us=10000,start-us=0 for a video made elsewhere. {more}",
        **facts,
    )


SENSOR = option("--sensor", metavar="WxH", help="size in px, where the file does not say")
THREADS = option(
    "--threads",
    metavar="N",
    type=_at_least_1,
    help="threads; what is written does not depend on it. Default: one per core, up to "
    f"{MOST_THREADS}.",
)
JSON = option("--json", action="store_true", help="print JSON")
_SUMS = ("md5", "sha256", "crc32", "member_md5", "page")


@command(
    "Show contents and problems of a recording, or of any file or folder that evreel makes.",
    option("file", metavar="PATH", type=Path),
    *(JSON, SENSOR, STREAM),
    columns("format", "columns"),
)
def info(options: Options) -> int:
    """Show what a file holds; 1 where it has problems."""
    from evreel import steps

    with _bar(options, "info", "ev") as progress:
        found = steps.info(
            options.file,
            stream=options.stream,
            sensor=options.sensor,
            **_given(options, "format", "columns"),
            progress=progress,
        )
    lines = [json.dumps(found, ensure_ascii=False)] if options.json else steps.describe(found)
    print(*lines, sep="\n")
    return 1 if found["problems"] else 0


@command(
    "Write a table of the recordings in a folder, with their MD5.",
    option("folder", metavar="DIR", type=Path),
    output("TSV"),
    option(
        "--split",
        choices=("train", "val", "test", "mixed"),
        help="split of recordings that are not in a folder named after one",
    ),
    option(
        "--group",
        metavar="PATTERN",
        help="where a path has its group: '*/{group}_*_td.dat'",
    ),
    SENSOR,
    option(
        "--files",
        metavar="PATTERN",
        help="which files are recordings, by their paths in the folder: "
        "'*/*/events/left/events.h5'; with --columns also which folders, each of many files: "
        "'*/events'; default: all files",
    ),
    option(
        "--boxes",
        metavar="PATH",
        help="where a recording's boxes are, from its folder: ../labels.npy; default: "
        "<name>_bbox.npy beside it",
    ),
    columns("columns"),
)
def table(options: Options) -> int:
    """Write a recordings table, or add to one."""
    from evreel import steps

    with _bar(options, "table", "file") as progress:
        steps.table(
            options.folder,
            options.output,
            **_given(options, "split", "group", "sensor", "files", "boxes", "columns"),
            progress=progress,
        )
    return 0


@command(
    "List or remove results of recordings and features that are in no config any more.",
    option(
        "--configfile",
        metavar="YAML",
        type=Path,
        nargs="+",
        action="extend",
        help="all configs that are built in the same results; default: config.yaml",
    ),
    option("--remove", action="store_true", help="remove what is listed"),
    option(
        "--only-these",
        action="store_true",
        help="with --remove: also where other configs, beside these, name the same results",
    ),
)
def tidy(options: Options) -> int:
    """Tidy the results."""
    from evreel import steps

    configs = options.configfile or [Path("config.yaml")]
    if options.only_these and not options.remove:
        raise UsageError("--only-these goes with --remove")
    found = steps.tidy(configs, remove=options.remove, only_these=options.only_these)
    print(f"counted: {', '.join(map(str, configs))}")
    print(*steps.told(found, configs, removed=options.remove), sep="\n")
    return 0


@command(
    "Get a recording and check its MD5 or SHA-256.",
    option(
        "source",
        metavar="SOURCE",
        help="path (becomes a link), http(s) or s3 url or 'url | url', or manual:PATH; !MEMBER "
        "after it where that is an archive",
    ),
    columns(*_SUMS, "size_bytes"),
    settings("AcquireSettings"),
    option("--plain", action="store_true", help="decompress a tar that is compressed as a whole"),
    output("FILE"),
)
def acquire(options: Options) -> int:
    """Acquire a recording."""
    from evreel import steps

    with _bar(options, "acquire", "B") as progress:
        steps.acquire(
            options.source,
            options.output,
            **_given(options, *_SUMS),
            size_bytes=_whole(options, "size_bytes"),
            **settings_from(steps.AcquireSettings, options).plain(),
            plain=options.plain,
            progress=progress,
        )
    return 0


@command(
    "Decode a recording into an events store.",
    option("file", metavar="FILE", type=Path, help="recording, or archive of many"),
    output("STORE"),
    settings("EventsSettings"),
    columns("sensor", "format", "n_events"),
    settings("MemberSettings"),
    settings("AcquireSettings", without=("timeout_s", "least_bytes_per_s")),
    THREADS,
)
def events(options: Options) -> int:
    """Decode a recording."""
    from evreel import steps

    with _bar(options, "events", "ev") as progress:
        steps.events(
            options.file,
            options.output,
            settings_from(steps.EventsSettings, options),
            **_given(options, "sensor", "format"),
            n_events=_whole(options, "n_events"),
            archive=settings_from(steps.MemberSettings, options),
            limits=settings_from(steps.AcquireSettings, options),
            threads=options.threads,
            progress=progress,
        )
    return 0


@command(
    "Write where the samples of a recording are.",
    option("store", metavar="STORE", type=Path),
    output("TSV"),
    option("--intervals", metavar="CSV", help="table of labelled intervals", one_of="source"),
    option(
        "--members",
        metavar="PATTERN",
        help="as for events; {label} and {group} read a name",
        one_of="source",
    ),
    option("--md5", metavar="HEX", help="MD5 that the table must have"),
    settings("CutSettings"),
    labels("all labels; any other is an error"),
    option("--group", help="of samples that name none"),
    option("--one-label", metavar="CLASS", help="of members that name none: {label} is not needed"),
    option("--recording", help="its id in the table; default: STORE's name"),
)
def cut(options: Options) -> int:
    """Cut a recording into samples."""
    from evreel import steps

    steps.cut(
        options.store,
        options.output,
        settings_from(steps.CutSettings, options),
        **_given(options, "intervals", "members", "labels", "group"),
        intervals_md5=options.md5,
        label=options.one_label,
        recording=options.recording or options.store.stem,
    )
    return 0


@command(
    "Give each sample of a data set its split.",
    option("cut", metavar="TSV", type=Path, nargs="+", help="one per recording, from `cut`"),
    output("TSV"),
    pairs("--fix", "RECORDING=SPLIT", "split of all samples of a recording: train, val, test"),
    pairs("--file-name", "RECORDING=NAME", "what lists call the file of a recording"),
    settings("SplitsSettings"),
)
def splits(options: Options) -> int:
    """Split samples, and print how many each split has."""
    from evreel import steps

    names = _names(options.cut, "two tables would both be recording {!r}", "Rename one.")
    given = settings_from(steps.SplitsSettings, options)
    found = steps.splits(
        dict(zip(names, options.cut, strict=True)),
        options.output,
        given,
        fixed=options.fix,
        file_names=options.file_name,
        lists=given.split.files.plain() if given.split.files else None,
    )
    for split, n in found.items():
        print(f"{split}\t{n}")
    return 0


@command(
    "Write the samples of a recording.",
    option("store", metavar="STORE", type=Path),
    option("--cut", metavar="TSV", type=Path, required=True, help="from `cut`"),
    option("--splits", metavar="TSV", type=Path, required=True, help="from `splits`"),
    labels("names in the order of their numbers", required=True),
    option("--recording", help="its id in the splits; default: the name of its cut"),
    output("FILE"),
)
def samples(options: Options) -> int:
    """Write the samples of a recording."""
    from evreel import steps

    steps.samples(
        options.store,
        options.cut,
        options.splits,
        options.output,
        recording=options.recording or options.cut.stem,
        labels=options.labels,
    )
    return 0


@command(
    "Render pictures to annotate, and the clock of their frames.",
    option("file", metavar="FILE|STORE", type=Path),
    output("OUT.mp4|OUT.zip"),
    clock_option("Default: regular windows. One that is made is written to OUT.clock.tsv."),
    settings("ClockSettings", without=("clock",)),
    settings("VideoSettings"),
    STREAM,
)
def video(options: Options) -> int:
    """Render a video, with a clock of its own unless one is given."""
    from evreel import steps

    movie = steps.checked_video_name(options.output)
    by_hand = steps.clock_by_hand(options.times or "events")
    for name in steps.ClockSettings.__dataclass_fields__:
        if hasattr(options, name) and (by_hand is None or name in by_hand):
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} does not go with --clock, which has it already")
    if by_hand is not None and by_hand["clock"] != "events" and hasattr(options, "window_us"):
        raise UsageError(
            f"--window-us is for regular windows, and does not go with --clock {options.times}"
        )
    framing = settings_from(steps.ClockSettings, options, **(by_hand or {}))
    looks = settings_from(steps.VideoSettings, options)
    with (
        _bar(options, "video", "frame") as progress,
        steps.as_store(options.file, beside=movie, stream=options.stream) as store,
        contextlib.ExitStack() as stack,
    ):
        # A clock made here and its video appear together, or neither does.
        clock, scratch = options.times, movie
        if by_hand is not None:
            finals = (movie.with_suffix(".clock.tsv"), movie)
            clock, scratch = stack.enter_context(atomic(*finals, inputs=[options.file]))
            steps.clock(store, clock, framing)
        steps.video(store, clock, scratch, looks, progress=progress)
    return 0


IN_PARTS = (
    option(
        "--part",
        metavar="K/N",
        type=_share,
        help="make only the k-th of n parts, which a command with --parts joins; -o names its file",
    ),
    option(
        "--parts",
        metavar="PART",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        help="join these: all parts, made with the same options; the files are the same",
    ),
)


def _has_parts(options: Options) -> bool:
    """Tell whether a part is to be made, or parts are to be joined."""
    if options.part is not None and options.parts:
        raise UsageError("--part makes a part, --parts joins all: give one of them")
    return options.part is not None or bool(options.parts)


@command(
    "Join events, clock and CVAT XML into annotated slices.",
    option("store", metavar="STORE", type=Path),
    clock_option("One that is made is written to SLICES' name + .clock.tsv.", required=True),
    columns("rois", "tags", several=True),
    columns("labelled", "rois_md5", "tags_md5", "labelled_md5"),
    labels("names in the order of their numbers; default: the order of the XML"),
    output("SLICES"),
    option(
        "--boxes",
        dest="npy",
        metavar="NPY",
        type=Path,
        help="where boxes are written; default: SLICES' name + _bbox.npy",
    ),
    settings("RegularWindows"),
    settings("AnnotateSettings"),
    THREADS,
    *IN_PARTS,
)
def annotate(options: Options) -> int:
    """Annotate events."""
    from evreel import steps
    from evreel.layout import BOXES_SUFFIX

    boxes = options.npy or options.output.with_name(options.output.stem + BOXES_SUFFIX)
    by_hand = steps.clock_by_hand(options.times)
    if _has_parts(options) and by_hand is not None:
        raise UsageError("parts need a clock that is there: --clock TSV")
    with (
        _bar(options, "annotate", "ev") as progress,
        steps.as_store(options.store, beside=options.output, threads=options.threads) as store,
        contextlib.ExitStack() as stack,
    ):
        read = [options.store, *_given(options, "labelled").values()]
        read += [file for name in ("rois", "tags") for file in getattr(options, name, ())]
        clock, slices = Path(options.times), options.output
        if by_hand is not None:
            finals = (slices.with_suffix(".clock.tsv"), slices, boxes)
            clock, slices, boxes = stack.enter_context(atomic(*finals, inputs=read))
            steps.clock(store, clock, steps.ClockSettings(**by_hand))
        given = {
            **_given(options, "rois", "tags", "labelled", "labels"),
            **_given(options, "rois_md5", "tags_md5", "labelled_md5"),
            "threads": options.threads,
            "progress": progress,
        }
        cut = settings_from(steps.RegularWindows, options)
        how = settings_from(steps.AnnotateSettings, options)
        if options.part is not None:
            steps.annotate_part(store, clock, slices, options.part, cut, how, **given)
            return 0
        steps.annotate(store, clock, slices, boxes, cut, how, parts=options.parts, **given)
    return 0


CLOCK = option(
    "--clock",
    metavar="TSV",
    type=Path,
    help="clock of the annotated video: the time of all frames; default: the one beside SLICES, or "
    "in the video folder of their results or release",
)


_CVAT_ONLY = {
    "push": ("project", "segment_size", "no_pre_labels", "again"),
    "pull": ("task", "deleted_frames", "overwrite"),
}
"""Options of `cvat` that go with one of its actions alone."""


@command(
    "Make CVAT tasks of videos (push), and fetch their annotations (pull).",
    option("action", choices=tuple(_CVAT_ONLY), help="what to do"),
    option(
        "ids",
        metavar="ID",
        nargs="*",
        help="recordings; default: all that are annotated, or that have a task",
    ),
    option(
        "--configfile",
        metavar="FILE",
        nargs="+",
        action="extend",
        help="config files, as Snakemake takes them; default: config.yaml",
    ),
    settings("CvatSettings"),
    option(
        "--auth",
        metavar="USER[:PASS]",
        help="account; the password may be in the variable PASS, or is asked for. Default: the "
        "access token in CVAT_ACCESS_TOKEN, or one that cvat-cli has saved",
    ),
    option("--project", metavar="N", type=_at_least_1, help="push: the CVAT project of the tasks"),
    option(
        "--segment-size",
        metavar="N",
        type=_at_least_1,
        help="push: frames of each job; default: one job per task",
    ),
    option("--no-pre-labels", action="store_true", help="push: the video alone"),
    option("--again", action="store_true", help="push: a new task also where there is one"),
    option("--task", metavar="N", type=_at_least_1, help="pull: a task that was made by hand"),
    option(
        "--deleted-frames",
        action="store_true",
        help="pull: accept deleted frames, and count them as not labelled",
    ),
    option("--overwrite", action="store_true", help="pull: replace files that were edited here"),
)
def cvat(options: Options) -> int:
    """Make tasks of videos, or bring annotations; print a line per task or file."""
    from evreel import steps
    from evreel.dataset.dataset import DataSet

    for action, names in _CVAT_ONLY.items():
        wrong = next((name for name in names if getattr(options, name)), None)
        if wrong is not None and options.action != action:
            raise UsageError(f"--{wrong.replace('_', '-')} goes with {action} alone")
    files = options.configfile or ["config.yaml"]
    dataset = DataSet.of_files(files, awaited=("rois", "tags"))
    server = settings_from(steps.CvatSettings, options)
    with _bar(options, options.action, "recording") as progress:
        if options.action == "push":
            pushed = steps.cvat_push(
                dataset,
                options.ids,
                server,
                auth=options.auth,
                project=options.project,
                segment_size=options.segment_size or 0,
                pre_labels=not options.no_pre_labels,
                again=options.again,
                progress=progress,
            )
            rows = [(p.id, str(p.task), p.url, "new" if p.is_new else "there") for p in pushed]
        else:
            pulled = steps.cvat_pull(
                dataset,
                options.ids,
                server,
                auth=options.auth,
                task=options.task,
                deleted_frames=options.deleted_frames,
                overwrite=options.overwrite,
                progress=progress,
            )
            rows = [
                (p.id, p.column, p.path, "written" if p.is_new else "unchanged") for p in pulled
            ]
    for row in rows:
        print(*row, sep="\t")
    return 0


_ENCODING = ("fps", "preset", "crf")
_PICTURE = settings("QaSettings", without=_ENCODING)


@command(
    "Render a video that shows what is labelled.",
    option("slices", metavar="SLICES", type=Path),
    option("--clock", metavar="TSV", type=Path, required=True, help="clock of the annotated video"),
    output("OUT.mp4"),
    settings("QaSettings"),
)
def qa(options: Options) -> int:
    """Render a QA video."""
    from evreel import steps

    with _bar(options, "qa", "frame") as progress:
        steps.qa(
            options.slices,
            options.clock,
            options.output,
            settings_from(steps.QaSettings, options),
            progress=progress,
        )
    return 0


@command(
    "Render a short video of a recording, and a picture that stands for it.",
    option("store", metavar="FILE|STORE", type=Path),
    option("--slices", metavar="H5", type=Path, help="its annotated slices"),
    option("--clock", metavar="TSV", type=Path, help="the clock of the annotated video"),
    option("--boxes", metavar="NPY", type=Path, help="boxes that came with it"),
    labels("classes of the boxes, in the order of their numbers"),
    option("--cut", metavar="TSV", type=Path, help="table of its samples, made by evreel cut"),
    output("OUT.mp4"),
    option("--poster", metavar="JPG", type=Path, help="the picture; default: OUT.jpg"),
    settings("PreviewSettings"),
    settings("QaSettings", without=(*_ENCODING, "magnify", "theme")),
    STREAM,
)
def preview(options: Options) -> int:
    """Render a preview."""
    from evreel import steps

    with (
        _bar(options, "preview", "frame") as progress,
        steps.as_store(options.store, beside=options.output, stream=options.stream) as store,
    ):
        steps.preview(
            store,
            options.output,
            options.poster or options.output.with_suffix(".jpg"),
            settings_from(steps.PreviewSettings, options),
            **_given(options, "slices", "clock", "boxes", "labels", "cut"),
            font=settings_from(steps.QaSettings, options).font,
            progress=progress,
        )
    return 0


@command(
    "Show what is labelled in a recording, and suspicious tracks.",
    option("slices", metavar="SLICES", type=Path),
    option("-o", "--output", metavar="TSV", type=Path, help="write the table, with counts in time"),
    option("--plot", metavar="PNG", type=Path, help="write the plot"),
    option("--page", metavar="HTML", type=Path, help="write the table as a page for a browser"),
    settings("QaSettings", without=(*_ENCODING, "magnify", "theme")),
    CLOCK,
)
def summary(options: Options) -> int:
    """Summarize slices; print the table without its longest columns."""
    from evreel import steps

    found = steps.summary(
        options.slices,
        options.output,
        options.plot,
        options.page,
        font=settings_from(steps.QaSettings, options).font,
        clock=options.clock,
    )
    for line in found.lines():
        print("\t".join(line.split("\t")[:-2]) if not line.startswith("#") else line)
    return 0


@command(
    "Draw a moment of annotated slices as PNG.",
    option("slices", metavar="SLICES", type=Path),
    option(
        "--at-us", metavar="N", type=int, one_of="moment", help="what is before this time, in µs"
    ),
    option("--frame", metavar="N", type=int, one_of="moment", help="a frame of the video"),
    option("--slice", metavar="N", type=int, one_of="moment", help="a slice"),
    option("--window-us", metavar="N", type=int, help="of --at-us, in µs; default: 10000"),
    CLOCK,
    _PICTURE,
    output("PNG"),
)
def draw(options: Options) -> int:
    """Draw a moment."""
    from evreel import steps

    steps.draw(
        options.slices,
        options.output,
        settings_from(steps.QaSettings, options),
        **_given(options, "at_us", "frame", "window_us", "clock"),
        slice_=options.slice,
    )
    return 0


@command(
    "Step through slices with a slider, in a window.",
    option("slices", metavar="SLICES", type=Path),
    option("--slice", metavar="N", type=int, default=0, help="the first to show; default: 0"),
    option("--save", metavar="PNG", type=Path, help="write its picture instead"),
    CLOCK,
    _PICTURE,
)
def show(options: Options) -> int:
    """Show slices, or write the picture of one."""
    from evreel import steps
    from evreel.viz import show as viz

    look = settings_from(steps.QaSettings, options)
    if options.save is not None:
        steps.draw(options.slices, options.save, look, slice_=options.slice, clock=options.clock)
        return 0
    viz.show(
        options.slices,
        start=options.slice,
        kind="window",
        theme=look.theme,
        magnify=look.magnify,
        font=look.font,
        clock=options.clock,
    )
    return 0


@command(
    "Estimate how far annotations are from their events, in time and space.",
    option("source", metavar="STORE|SLICES", type=Path),
    clock_option("", required=True),
    option(
        "--rois",
        metavar="XML",
        type=Path,
        action="append",
        required=True,
        help="the annotation; repeat it for several jobs of one task",
    ),
    option("-o", "--output", metavar="TSV", type=Path, help="table; default: print it"),
    option("--plot", metavar="SVG", type=Path, help="picture of the table"),
    settings("AlignSettings"),
    settings("AnnotateSettings"),
)
def align(options: Options) -> int:
    """Align annotations; nothing is changed."""
    from evreel import steps
    from evreel.files import hdf5
    from evreel.layout import SLICES

    by_hand = steps.clock_by_hand(options.times)
    if by_hand is not None and hdf5.layout_of(options.source) == SLICES.name:
        raise UsageError(
            f"--clock: {options.source.name} has slices, from which no clock can be made",
            hint="Name the table of the clock that they were made with.",
        )
    with _bar(options, "align", "ev") as progress, contextlib.ExitStack() as stack:
        clock: str | Path = options.times
        if by_hand is not None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            clock = Path(folder, options.source.stem + ".clock.tsv")
            steps.clock(options.source, clock, steps.ClockSettings(**by_hand))
        found = steps.align(
            options.source,
            clock,
            options.rois,
            settings_from(steps.AnnotateSettings, options),
            settings_from(steps.AlignSettings, options),
            output=options.output,
            plot=options.plot,
            progress=progress,
        )
    if options.output is None:
        print(steps.as_table(found.estimates), end="")
    if found.columns is not None:
        print(
            "# To apply it, put these columns into the recordings table:", found.columns, sep="\n"
        )
    return 0


@command(
    "Write slices, a release, an annotation or events in the layout of another tool.",
    option("source", metavar="SLICES|RELEASE|ANNOTATION|DIR|RECORDING", type=Path),
    option(
        "--layout",
        choices=(*LAYOUTS, *EVENT_LAYOUTS),
        required=True,
        help=f"what it is read by; {', '.join(EVENT_LAYOUTS)}: one file with the events of a "
        "recording",
    ),
    output("PATH"),
    option("--clock", metavar="TSV", type=Path, help="of the frames; an annotation needs it"),
    option("--store", metavar="STORE", type=Path, help="events to go along: dsec-det, rvt"),
    option(
        "--pictures",
        metavar="ZIP",
        type=Path,
        help="PNG frames to go along: coco, mot, yolo, dsec-det",
    ),
    labels("names in the order of their numbers; default: the source's"),
    option("--name", help="of the recording; default: SOURCE's name"),
    option("--task", help="number or name of the task, in an export of a project"),
    option("--outlines", action="store_true", help="instead of boxes: yolo"),
    option("--sized", action="store_true", help="state the sensor in a comment, first of all: csv"),
    option("--boxes", metavar="NPY", type=Path, help="of the recording SOURCE: rvt"),
    SENSOR,
    STREAM,
    columns("format"),
    settings("Reading"),
    THREADS,
    settings("RvtSettings"),
)
def export(options: Options) -> int:
    """Export annotations; what the layout cannot hold is counted."""
    from evreel import steps

    of_rvt = options.layout == "rvt" or has_any(steps.RvtSettings, options)
    unit = "event" if options.layout in EVENT_LAYOUTS else "window"
    with _bar(options, "export", unit) as progress:
        steps.export(
            options.source,
            options.output,
            options.layout,
            **_given(
                *(options, "clock", "store", "pictures", "boxes", "labels", "name", "task"),
                *("sensor", "stream", "format", "threads"),
            ),
            reading=settings_from(steps.Reading, options),
            outlines=options.outlines,
            sized=options.sized,
            rvt=settings_from(steps.RvtSettings, options) if of_rvt else None,
            progress=progress,
        )
    return 0


@command(
    "Carry along boxes that come with a recording.",
    option("store", metavar="STORE", type=Path),
    option("--boxes", metavar="NPY", type=Path, required=True, help="EventBbox file"),
    option("--md5", metavar="HEX", help="MD5 that it must have"),
    labels("classes, in the order of their numbers"),
    output("NPY"),
    settings("BoxesSettings"),
)
def boxes(options: Options) -> int:
    """Carry boxes along."""
    from evreel import steps

    steps.boxes(
        options.store,
        options.boxes,
        options.output,
        settings_from(steps.BoxesSettings, options),
        **_given(options, "md5", "labels"),
    )
    return 0


@command(
    "Precompute a representation of each recording.",
    option(
        "file",
        metavar="PATH",
        nargs="+",
        help="recordings or events stores; wildcards, also in quotes: 'day/*.raw', 'day/**/*.dat'",
    ),
    output("DIR"),
    settings("FeatureSettings"),
    option(
        "--start-us",
        metavar="N",
        type=int,
        default=0,
        help="begin there; times in the files count from it",
    ),
    option(
        "--max-duration-ms",
        metavar="MS",
        type=_us_of_ms,
        help="longest part of a recording in one file: NAME_0.h5, NAME_1.h5, …; times count from "
        "the start of each",
    ),
    option(
        "--boxes",
        metavar="NPY",
        nargs="+",
        action="extend",
        default=[],
        help="boxes of the recordings, NAME_bbox.npy each, to be carried along; wildcards as above",
    ),
    option(
        "--boxes-clock",
        choices=("source", "recording"),
        default="source",
        help="what times of boxes count from: as the timestamps in the recording's file do, or the "
        "recording's first event. Default: source.",
    ),
    settings("BoxesSettings", without=("clock",)),
    option("--cut", metavar="DIR", type=Path, help="with a table of samples per PATH, NAME.tsv"),
    option(
        "--slices",
        metavar="DIR",
        type=Path,
        help="with annotated slices per PATH, NAME.h5, for --geometry labels=A,B",
    ),
    option(
        "--ends",
        metavar="DIR",
        type=Path,
        help="with what windows end at (--ending), per PATH: NAME_bbox.npy, NAME.clock.tsv, or "
        "NAME.times",
    ),
    labels("of the samples"),
    *IN_PARTS,
    STREAM,
    SENSOR,
    option(
        *("-n", "--workers"),
        metavar="N",
        type=_at_least_1,
        default=2,
        help="recordings at a time, which share the threads. Default: 2.",
    ),
    THREADS,
)
def features(options: Options) -> int:
    """Precompute features; 1 if a recording failed, and the others are done."""
    from evreel import steps
    from evreel.layout import BOXES_SUFFIX
    from evreel.steps.many import boxes_by_name, by_name, files_of
    from evreel.steps.precompute import Wanted, precompute

    names = by_name(files_of(options.file, but=BOXES_SUFFIX))
    if _has_parts(options):
        return _features_in_parts(options, names)
    wanted = Wanted(
        folder=options.output,
        settings=settings_from(steps.FeatureSettings, options),
        start_us=options.start_us,
        max_duration_us=options.max_duration_ms,
        boxes=boxes_by_name(files_of(options.boxes), names),
        of_boxes=settings_from(steps.BoxesSettings, options, clock=options.boxes_clock),
        beside=lambda name: _beside(options, name),
        stream=options.stream,
        sensor=options.sensor,
    )
    ended = {"made": 0, "kept": 0, "failed": 0}
    with _bar(options, next(iter(names)) if len(names) == 1 else "features", "B") as progress:
        for outcome in precompute(
            *(names, wanted),
            workers=options.workers,
            threads=options.threads,
            progress=progress,
        ):
            ended[outcome.state] += 1
            if outcome.error is not None:
                if len(names) == 1:
                    raise outcome.error
                steps.LOG.error("%s: %s", type(outcome.error).__name__, outcome.error)
    if len(names) > 1:
        say = steps.LOG.error if ended["failed"] else steps.LOG.info
        counts = ", ".join(f"{n} {state}" for state, n in ended.items())
        say("%d recordings: %s", len(names), counts)
    return 1 if ended["failed"] else 0


def _beside(options: Options, name: str) -> dict[str, Any]:
    """Return what else there is of a recording, as features take it."""
    return {
        "cut": None if options.cut is None else options.cut / f"{name}.tsv",
        "slices": None if options.slices is None else options.slices / f"{name}.h5",
        "labels": options.labels,
        "ends": {} if options.ends is None else _ends(options.ends, name),
    }


def _features_in_parts(options: Options, names: Mapping[str, Path]) -> int:
    """Make a part of the features of one recording, or join all."""
    from evreel import steps
    from evreel.steps.events import is_store

    whole = options.start_us == 0 and options.max_duration_ms is None and not options.boxes
    if len(names) != 1 or not whole:
        raise UsageError(
            "--part and --parts are of one whole recording, without --start-us, --max-duration-ms "
            "and --boxes"
        )
    ((name, path),) = names.items()
    if not is_store(path, options.stream, options.sensor):
        raise UsageError(
            "is not an events store, of which parts are made",
            path=path,
            hint=f"Decode it once: evreel events {path} -o {name}.h5.",
        )
    folder = options.output if options.part is None else options.output.parent
    wanted = {folder / f"{name}.h5": settings_from(steps.FeatureSettings, options)}
    with _bar(options, name, "frame") as progress:
        beside = _beside(options, name) | {"threads": options.threads, "progress": progress}
        if options.part is None:
            steps.all_features(path, wanted, parts=options.parts, **beside)
        else:
            share = options.part
            steps.features_part(path, options.output, share, wanted, **beside)
    return 0


@command(
    "List representations: shapes, types, units and parameters.",
    option("name", metavar="NAME", nargs="?", help="all that is known of one; default: list all"),
    option(
        "--set",
        dest="parameters",
        metavar="KEY=VALUE",
        type=assignment,
        action=Pairs,
        default={},
        help="parameter of NAME, on which its shape or type depends",
    ),
    option("--sensor", metavar="WxH", help="size in px, to state shapes in numbers"),
    JSON,
)
def representations(options: Options) -> int:
    """List representations, or describe one."""
    from evreel.events import Sensor
    from evreel.representations import described

    if options.parameters and options.name is None:
        raise UsageError("--set needs the NAME of a representation")
    sensor = None if options.sensor is None else Sensor.parse(options.sensor)
    if options.name is None:
        every = described.describe_all(sensor)
        lines, plain = described.listing(every), json.dumps(every, ensure_ascii=False)
    else:
        one = described.describe(options.name, options.parameters, sensor)
        lines, plain = described.details(one), json.dumps(one, ensure_ascii=False)
    print(*([plain] if options.json else lines), sep="\n")
    return 0


@command(
    "Show a features file as a video, an animation or a picture.",
    option("features", metavar="FEATURES", type=Path, help="feature file, HDF5"),
    output("OUT.mp4|OUT.gif|OUT.png"),
    option(
        "--frames",
        metavar="A:B",
        help="frames A to B, without B, from 0; or A, or A:B:STEP; default: all. Of a PNG, several "
        "are side by side",
    ),
    settings("Playing"),
    option(
        "--boxes",
        dest="npy",
        metavar="NPY",
        type=Path,
        help="boxes to draw; default: FEATURES' name + _bbox.npy, if that is there",
    ),
    option("--no-boxes", action="store_true", help="draw none"),
)
def play(options: Options) -> int:
    """Play features."""
    from evreel import steps

    with _bar(options, "play", "frame") as progress:
        steps.play(
            options.features,
            options.output,
            settings_from(steps.Playing, options),
            frames=options.frames,
            boxes=options.npy,
            without_boxes=options.no_boxes,
            progress=progress,
        )
    return 0


@command(
    "Add values per window to a feature file.",
    option("features", metavar="FEATURES", type=Path, help="feature file, HDF5"),
    named_files("NAME=NPY", "npy file with a number, or an array of them, for each window"),
    option("--replace", action="store_true", help="replace what has such a name already"),
)
def enrich(options: Options) -> int:
    """Add values; the file is replaced as a whole."""
    from evreel import steps

    steps.enrich(options.features, as_mapping(options.named), replace=options.replace)
    return 0


def _ends(folder: Path, name: str) -> dict[Instants, Path]:
    """Return the files of a recording that say where windows end; they need not be there."""
    from evreel.files.clock import CLOCK_SUFFIX
    from evreel.layout import BOXES_SUFFIX

    return {
        "labels": folder / f"{name}{BOXES_SUFFIX}",
        "frames": folder / f"{name}{CLOCK_SUFFIX}",
        "times": folder / f"{name}.times",
    }


@command(
    "Put boxes in the order of a feature's windows.",
    option("features", metavar="FEATURES", type=Path, help="feature file, HDF5"),
    option(
        "--boxes",
        dest="npy",
        metavar="NPY",
        type=Path,
        required=True,
        help="all boxes of its recording",
    ),
    settings("FeatureBoxesSettings"),
    output("NPY"),
)
def feature_boxes(options: Options) -> int:
    """Write boxes, the first row of each window, and how they were made."""
    from evreel import steps

    steps.feature_boxes(
        options.features,
        options.npy,
        options.output,
        settings_from(steps.FeatureBoxesSettings, options, boxes="all"),
    )
    return 0


@command(
    "Build a release from a table of files.",
    option("--manifest", metavar="TSV", type=Path, required=True),
    output("DIR"),
    settings(
        "ReleaseSection",
        without=("include", "data"),
        defaults={"name": "DIR's name", "version": "1.0", "licence": "NOASSERTION"},
    ),
    labels("names in the order of their numbers"),
    option("--recordings", metavar="TSV", type=Path, help="table with what is known of each"),
)
def release(options: Options) -> int:
    """Build a release."""
    from evreel import steps
    from evreel.dataset.table import read_known
    from evreel.recordings.prefetch import default_threads

    unless_given = {"name": options.output.name, "version": "1.0", "licence": "NOASSERTION"}
    given = settings_from(steps.ReleaseSection, options, **unless_given)
    with _bar(options, "release", "B") as progress:
        steps.release(
            options.manifest,
            options.output,
            given,
            incomplete=given.incomplete,
            labels=options.labels,
            recordings=None if options.recordings is None else read_known(options.recordings),
            threads=default_threads(),
            progress=progress,
        )
    return 0


@command(
    "Check every file of a release against its manifest.",
    option("folder", metavar="DIR", type=Path),
)
def verify(options: Options) -> int:
    """Verify a release; 1 where a file differs."""
    from evreel import steps
    from evreel.release.manifest import read_manifest
    from evreel.release.recipe import to_be_made

    with _bar(options, "verify", "B") as progress:
        found = steps.verify(options.folder, progress=progress)
    problems = f"{len(found)} problem{'s' * (len(found) > 1)}"
    summary = problems if found else "every file is as its manifest says"
    if not found and (n := to_be_made(options.folder)):
        summary += f"; {n} more are to be made: evreel rebuild"
    if not found and (lacks := read_manifest(options.folder).lacks):
        summary += f"; the release is incomplete, it lacks {lacks}"
    print(*found, f"{options.folder}: {summary}", sep="\n")
    return 1 if found else 0


@command(
    "Make a whole release from a recipe: a release without its data.",
    option("folder", metavar="RECIPE", type=Path),
    output("DIR"),
    option("--recordings", metavar="DIR", type=Path, help="folder with the recordings"),
    option("--cores", metavar="N", type=_at_least_1, default=1, help="cores to use; default: 1"),
    option(
        "--work",
        metavar="DIR",
        type=Path,
        help="working folder, which is kept; default: one beside DIR, removed at the end",
    ),
    option(
        "--snakefile",
        metavar="FILE",
        type=Path,
        help="evreel's Snakefile, where this evreel is not in a checkout",
    ),
)
def rebuild(options: Options) -> int:
    """Make a release from a recipe."""
    from evreel import steps

    with _bar(options, "rebuild", "B") as progress:
        steps.rebuild(
            options.folder,
            options.output,
            **_given(options, "recordings", "cores", "work", "snakefile"),
            progress=progress,
        )
    return 0


@command(
    "Pack a release into tar files, for hosts with few files and for WebDataset.",
    option("folder", metavar="DIR", type=Path),
    output("DIR"),
    settings("ShardSettings"),
)
def shards(options: Options) -> int:
    """Pack a release."""
    from evreel import steps

    with _bar(options, "shards", "B") as progress:
        steps.shards(
            options.folder,
            options.output,
            settings_from(steps.ShardSettings, options),
            progress=progress,
        )
    return 0


@command(
    "Restore a release from its shards.",
    option("folder", metavar="DIR", type=Path),
    output("DIR"),
)
def unpack(options: Options) -> int:
    """Restore a release."""
    from evreel import steps

    with _bar(options, "unpack", "B") as progress:
        steps.unpack(options.folder, options.output, progress=progress)
    return 0


@command(
    "Copy a release into an object store.",
    option("folder", metavar="DIR", type=Path),
    option("url", metavar="s3://BUCKET/FOLDER"),
)
def upload(options: Options) -> int:
    """Upload a release."""
    from evreel import steps

    with _bar(options, "upload", "B") as progress:
        steps.upload(options.folder, options.url, progress=progress)
    return 0


@command(
    "Check the content of what evreel made.",
    option("path", metavar="STORE|SLICES|DIR", type=Path),
    JSON,
)
def check(options: Options) -> int:
    """Check what evreel made; 1 where there is an error."""
    from evreel import steps

    with _bar(options, "check", "B") as progress:
        report = steps.check(options.path, progress=progress)
    return _show(report, options.json)


@command(
    "Check a data set that evreel did not make.",
    option("path", metavar="PATH", type=Path),
    *(JSON, SENSOR),
)
def audit(options: Options) -> int:
    """Audit a data set; 1 where there is an error."""
    from evreel import steps

    with _bar(options, "audit", "B") as progress:
        report = steps.audit(options.path, sensor=options.sensor, progress=progress)
    return _show(report, options.json)


def _show(report: Report, as_json: bool) -> int:
    found = [
        {name: value for name, value in asdict(finding).items() if name != "copies" or value}
        for finding in report.findings
    ]
    print(*([json.dumps(found, ensure_ascii=False)] if as_json else report.lines()), sep="\n")
    return 1 if report.errors else 0


@command(
    "List data sets that are ready to run.",
    option(
        "folder",
        metavar="FOLDER",
        type=Path,
        nargs="?",
        help="folder of folders with a config.yaml; default: configs of the checkout",
    ),
    JSON,
)
def datasets(options: Options) -> int:
    """List data sets."""
    from evreel.dataset import catalogue

    found = catalogue.datasets(options.folder)
    as_json = [json.dumps(found, ensure_ascii=False)] if options.json else None
    print(*(as_json or catalogue.describe_datasets(found)), sep="\n")
    return 0


@command(
    "Make a recording and its ground truth from a scene.",
    option("scene", metavar="SCENE", type=Path),
    output("DIR"),
    option(
        "--objects",
        action="store_true",
        help="also write which object each event is of, −1 none: NAME.objects.npy",
    ),
)
def simulate(options: Options) -> int:
    """Simulate a scene, and print the files that were written."""
    from evreel import steps

    print(*steps.simulate(options.scene, options.output, objects=options.objects), sep="\n")
    return 0
