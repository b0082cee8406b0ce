"""``evreel …``: every step by hand, without Snakemake.

Parsing imports nothing heavy; each command imports what it needs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evreel import __version__, steps
from evreel.errors import EvreelError, UsageError, did_you_mean
from evreel.outputs import Progress, atomic

if TYPE_CHECKING:
    from evreel.checks import Report


_MEMBER_GIB = "the most of an archive's member, 2**30 bytes; default: 64"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 1 bad data or a difference, 2 usage."""
    options = _parser().parse_args(arguments)
    handler = logging.StreamHandler(sys.stderr)
    steps.LOG.addHandler(handler)
    steps.LOG.setLevel(logging.WARNING if options.quiet else logging.INFO)
    try:
        code: int = options.run(options)
    except EvreelError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output has gone, as `evreel info … | head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        print(steps.os_error(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        steps.LOG.removeHandler(handler)
    return code


@contextlib.contextmanager
def _bar(options: argparse.Namespace, what: str, unit: str) -> Iterator[Progress]:
    """Show progress on a terminal; nothing where the output is no terminal."""
    if options.quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from tqdm import tqdm

    with tqdm(desc=what, unit=unit, unit_scale=True, leave=False) as bar:

        def progress(done: int, total: int | None) -> None:
            if total is not None and bar.total != total:
                bar.total = total
            bar.update(done - bar.n)

        yield progress


def _info(options: argparse.Namespace) -> int:
    with _bar(options, "info", "ev") as progress:
        found = steps.info(
            options.file, stream=options.stream, sensor=options.sensor, progress=progress
        )
    if options.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        for line in steps.describe(found):
            print(line)
    return 1 if found["problems"] else 0


def _table(options: argparse.Namespace) -> int:
    with _bar(options, "table", "file") as progress:
        steps.table(
            options.folder,
            options.output,
            split=options.split,
            group=options.group,
            sensor=options.sensor,
            progress=progress,
        )
    return 0


def _acquire(options: argparse.Namespace) -> int:
    with _bar(options, "acquire", "B") as progress:
        steps.acquire(
            options.source,
            options.output,
            md5=options.md5,
            sha256=options.sha256,
            size_bytes=options.size_bytes,
            member_md5=options.member_md5,
            member_gib=options.member_gib,
            page=options.page,
            plain=options.plain,
            progress=progress,
        )
    return 0


def _events(options: argparse.Namespace) -> int:
    with _bar(options, "events", "ev") as progress:
        steps.events(
            options.file,
            options.output,
            crop=options.crop,
            start_us=options.start_us,
            stop_us=options.stop_us,
            max_pixel_hz=options.max_pixel_hz,
            stream=options.stream,
            sensor=options.sensor,
            swap_xy=options.swap_xy,
            flip_x=options.flip_x,
            flip_y=options.flip_y,
            invert_polarity=options.invert_polarity,
            on_disorder=options.on_disorder,
            on_out_of_bounds=options.on_out_of_bounds,
            on_damage=options.on_damage,
            n_events=options.n_events,
            members=options.members,
            leave_out=options.leave_out,
            member_gib=options.member_gib,
            progress=progress,
        )
    return 0


def _cut(options: argparse.Namespace) -> int:
    steps.cut(
        options.store,
        options.output,
        intervals=options.intervals,
        intervals_md5=options.md5,
        columns=options.column,
        recording=options.recording or options.store.stem,
        unit=options.unit,
        clock=options.clock,
        repeats=options.repeats,
        members=options.members,
        classes=options.label,
        labels=options.labels,
        group=options.group,
    )
    return 0


def _splits(options: argparse.Namespace) -> int:
    names = [path.stem for path in options.cut]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"two tables would both be recording {twice[0]!r}", hint="Rename one.")
    found = steps.splits(
        {path.stem: path for path in options.cut},
        options.output,
        fixed=options.fix,
        file_names=options.file_name,
        lists=options.list,
        seed=options.seed,
        shares=options.share,
        counts=options.count,
    )
    for split, n in found.items():
        print(f"{split}\t{n}")
    return 0


def _samples(options: argparse.Namespace) -> int:
    recording = options.recording or options.cut.stem
    steps.samples(
        options.store,
        options.cut,
        options.splits,
        options.output,
        recording=recording,
        labels=options.labels,
    )
    return 0


def _video(options: argparse.Namespace) -> int:
    output = steps.checked_video_name(options.output)
    with (
        _bar(options, "video", "frame") as progress,
        steps.as_store(options.file, beside=output, stream=options.stream) as store,
        contextlib.ExitStack() as stack,
    ):
        # A clock made here and its video appear together, or neither does.
        clock, video = options.clock, output
        if clock is None:
            finals = (output.with_suffix(".clock.tsv"), output)
            clock, video = stack.enter_context(atomic(*finals, inputs=[options.file]))
            steps.clock(store, clock, window_us=options.window_us, scale=options.scale)
        steps.video(
            store,
            clock,
            video,
            style=options.style,
            accumulate_us=options.accumulate_us,
            contrast=options.contrast,
            tau_us=options.tau_us,
            fps=options.fps,
            preset=options.preset,
            crf=options.crf,
            progress=progress,
        )
    return 0


def _annotate(options: argparse.Namespace) -> int:
    from evreel.layout import BOXES_SUFFIX

    boxes = options.boxes or options.output.with_name(options.output.stem + BOXES_SUFFIX)
    with _bar(options, "annotate", "ev") as progress:
        steps.annotate(
            options.store,
            options.clock,
            options.output,
            boxes,
            rois=options.rois,
            tags=options.tags,
            rois_md5=options.rois_md5,
            tags_md5=options.tags_md5,
            labels=options.labels,
            window_us=options.window_us,
            count=options.count,
            tail=options.tail,
            clip=options.clip,
            unsupported=options.unsupported,
            part_of_video=options.part_of_video,
            progress=progress,
        )
    return 0


def _boxes(options: argparse.Namespace) -> int:
    steps.boxes(
        options.store, options.boxes, options.output, md5=options.md5, labels=options.labels
    )
    return 0


def _features(options: argparse.Namespace) -> int:
    names = [path.stem for path in options.file]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"two files would both become {twice[0]}.h5", hint="Give them to runs of their own."
        )
    for path, name in zip(options.file, names, strict=True):
        with (
            _bar(options, name, "window") as progress,
            steps.as_store(path, beside=options.output / "x", stream=options.stream) as store,
        ):
            steps.features(
                store,
                options.output / f"{name}.h5",
                representation=options.representation,
                parameters=dict(options.set),
                window_us=options.window_us,
                count=options.count,
                stride_us=options.stride_us,
                stride=options.stride,
                tail=options.tail,
                number=options.number,
                by=options.by,
                cut=None if options.cut is None else options.cut / f"{name}.tsv",
                labels=options.labels,
                progress=progress,
            )
    return 0


def _release(options: argparse.Namespace) -> int:
    from evreel.release.manifest import read_recordings

    with _bar(options, "release", "B") as progress:
        steps.release(
            options.manifest,
            options.output,
            name=options.name or options.output.name,
            version=options.version,
            licence=options.licence,
            licence_file=options.licence_file,
            compression=options.compression,
            labels=options.labels,
            tolerate=options.tolerate,
            recordings=None if options.recordings is None else read_recordings(options.recordings),
            progress=progress,
        )
    return 0


def _verify(options: argparse.Namespace) -> int:
    with _bar(options, "verify", "B") as progress:
        findings = steps.verify(options.folder, progress=progress)
    for finding in findings:
        print(finding)
    if findings:
        print(f"{options.folder}: {len(findings)} problem{'s' * (len(findings) > 1)}")
    else:
        print(f"{options.folder}: every file is what its manifest says")
    return 1 if findings else 0


def _check(options: argparse.Namespace) -> int:
    with _bar(options, "check", "B") as progress:
        report = steps.check(options.path, progress=progress)
    return _show(report, options.json)


def _audit(options: argparse.Namespace) -> int:
    with _bar(options, "audit", "B") as progress:
        report = steps.audit(options.path, sensor=options.sensor, progress=progress)
    return _show(report, options.json)


def _show(report: Report, as_json: bool) -> int:
    if as_json:
        print(json.dumps([asdict(finding) for finding in report.findings], ensure_ascii=False))
    else:
        for line in report.lines():
            print(line)
    return 1 if report.errors else 0


def _simulate(options: argparse.Namespace) -> int:
    for path in steps.simulate(options.scene, options.output):
        print(path)
    return 0


def _datasets(options: argparse.Namespace) -> int:
    found = steps.datasets(options.folder)
    if options.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        for line in steps.describe_datasets(found):
            print(line)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evreel", description="Event-camera data set releases, step by step."
    )
    parser.add_argument("--version", action="version", version=f"evreel {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
        sub.set_defaults(run=run)
        return sub

    sub = command("info", _info, "Say what a recording or an events store holds, and what ails it.")
    sub.add_argument("file", metavar="FILE", type=Path)
    sub.add_argument("--json", action="store_true", help="print one JSON object")
    sub.add_argument("--sensor", metavar="WxH", help="size in px, where the file can't say")
    _add_stream(sub)

    sub = command("table", _table, "Write a recordings table of a folder, with the MD5 of each.")
    sub.add_argument("folder", metavar="DIR", type=Path)
    _add_output(sub, "TSV")
    sub.add_argument(
        "--split",
        choices=("train", "val", "test", "mixed"),
        help="of recordings that lie in no folder of such a name",
    )
    sub.add_argument(
        "--group", metavar="PATTERN", help="of paths, with {group}, such as '*/{group}_*_td.dat'"
    )
    sub.add_argument("--sensor", metavar="WxH", help="size in px, where recordings can't say")

    sub = command("acquire", _acquire, "Get a recording and check its MD5 or SHA-256.")
    sub.add_argument(
        "source",
        metavar="SOURCE",
        help="path (becomes a link), http(s) url or 'url | url', or manual:PATH; !MEMBER behind it "
        "where that is an archive",
    )
    sub.add_argument("--md5", metavar="HEX", help="32 hexadecimal digits, of the archive if it is")
    sub.add_argument("--sha256", metavar="HEX", help="64 hexadecimal digits, likewise")
    sub.add_argument("--size-bytes", metavar="N", type=int, help="likewise")
    sub.add_argument("--member-md5", metavar="HEX", help="that of the archive's member")
    sub.add_argument("--member-gib", metavar="F", type=float, help=_MEMBER_GIB)
    sub.add_argument("--page", metavar="URL", help="where a manual source is to be had")
    sub.add_argument(
        "--plain", action="store_true", help="decompress a tar that is compressed as a whole"
    )
    _add_output(sub, "FILE")

    sub = command("events", _events, "Decode a recording into an events store.")
    sub.add_argument("file", metavar="FILE", type=Path)
    _add_output(sub, "STORE")
    sub.add_argument(
        "--crop", metavar="X0,Y0,X1,Y1", type=_crop, help="keep columns X0..X1-1, rows Y0..Y1-1"
    )
    sub.add_argument("--start-us", metavar="N", type=int, help="µs since the first event")
    sub.add_argument("--stop-us", metavar="N", type=int, help="µs since the first event, not in it")
    sub.add_argument(
        "--max-pixel-hz", metavar="F", type=float, help="remove pixels with more events a second"
    )
    sub.add_argument(
        "--sensor", metavar="WxH", help="size in px, where the file can't say; else it is checked"
    )
    sub.add_argument("--n-events", metavar="N", type=int, help="events that it must have")
    for name, text in (
        ("swap-xy", "columns become rows, before all else"),
        ("flip-x", "column x becomes width - 1 - x"),
        ("flip-y", "row y becomes height - 1 - y"),
        ("invert-polarity", "ON becomes OFF and the other way round"),
    ):
        sub.add_argument(f"--{name}", action="store_true", help=text)
    for name, repair, text in (
        ("on-disorder", "sort", "events whose stamp goes back"),
        ("on-out-of-bounds", "drop", "events outside the sensor"),
        ("on-damage", "salvage", "a file that is cut or damaged: every whole packet before it"),
    ):
        sub.add_argument(f"--{name}", choices=("fail", repair), default="fail", help=text)
    sub.add_argument(
        "--members",
        metavar="PATTERN",
        help="FILE is an archive of many: which of its files; * for anything within a name",
    )
    sub.add_argument(
        "--leave-out",
        metavar="PATTERN",
        action="append",
        default=[],
        help="members that are left out all the same; may be given more than once",
    )
    sub.add_argument("--member-gib", metavar="F", type=float, help=_MEMBER_GIB)
    _add_stream(sub)

    sub = command("cut", _cut, "Write where the samples of a recording lie, and of which class.")
    sub.add_argument("store", metavar="STORE", type=Path)
    _add_output(sub, "TSV")
    which = sub.add_mutually_exclusive_group(required=True)
    which.add_argument("--intervals", metavar="CSV", help="table of labelled intervals")
    which.add_argument(
        "--members", metavar="PATTERN", help="as for events; {label} and {group} read a name"
    )
    sub.add_argument("--md5", metavar="HEX", help="32 hexadecimal digits, of that table")
    sub.add_argument(
        "--column",
        metavar="WHAT=NAME",
        type=_column,
        action=_Pairs,
        default={},
        help="what a column of the table is called: label, start, stop, id, group, recording",
    )
    sub.add_argument("--unit", choices=("us", "ms", "s"), default="us", help="of its times")
    sub.add_argument(
        "--clock",
        choices=("recording", "source"),
        default="recording",
        help="what they count from: the first event, or what the file's own stamps count from",
    )
    sub.add_argument(
        "--repeats",
        choices=("keep", "first"),
        default="keep",
        help="rows of a class that is there already",
    )
    sub.add_argument(
        "--label",
        metavar="CLASS=LABEL",
        type=_pair,
        action=_Pairs,
        default={},
        help="what the table or archive calls a class, and its label",
    )
    sub.add_argument("--labels", metavar="A,B,…", type=_labels, help="all labels; others fail")
    sub.add_argument("--group", help="of samples that name none")
    sub.add_argument("--recording", help="its id in the table; default: STORE's name")

    sub = command("splits", _splits, "Give each sample of a data set its split, and write it out.")
    sub.add_argument("cut", metavar="TSV", type=Path, nargs="+", help="one a recording, by `cut`")
    _add_output(sub, "TSV")
    sub.add_argument(
        "--fix",
        metavar="RECORDING=SPLIT",
        type=_pair,
        action=_Pairs,
        default={},
        help="all samples of a recording: train, val or test",
    )
    sub.add_argument(
        "--list",
        metavar="SPLIT=TXT",
        type=_pair,
        action=_Pairs,
        default={},
        help="names of its samples or recordings, one a line",
    )
    sub.add_argument(
        "--file-name",
        metavar="RECORDING=NAME",
        type=_pair,
        action=_Pairs,
        default={},
        help="what lists call the file of a recording",
    )
    sub.add_argument("--seed", metavar="N", type=int, help="draw the others, alike in every class")
    sub.add_argument(
        "--share",
        metavar="SPLIT=F",
        type=_share,
        action=_Pairs,
        default={},
        help="part of all samples that goes to a split; 1 together",
    )
    sub.add_argument(
        "--count",
        metavar="SPLIT=N",
        type=_count,
        action=_Pairs,
        default={},
        help="samples that a split must have, as published",
    )

    sub = command("samples", _samples, "Write rows, class and split of a recording's samples.")
    sub.add_argument("store", metavar="STORE", type=Path)
    sub.add_argument("--cut", metavar="TSV", type=Path, required=True, help="as `cut` writes it")
    sub.add_argument(
        "--splits", metavar="TSV", type=Path, required=True, help="as `splits` writes it"
    )
    sub.add_argument("--labels", metavar="A,B,…", type=_labels, required=True)
    sub.add_argument("--recording", help="its id in the splits; default: the name of its cut")
    _add_output(sub, "FILE")

    sub = command("video", _video, "Render pictures to annotate, and the clock of their frames.")
    sub.add_argument("file", metavar="FILE|STORE", type=Path)
    _add_output(sub, "OUT.mp4|OUT.zip")
    frames = sub.add_mutually_exclusive_group(required=True)
    frames.add_argument(
        "--window-us", metavar="N", type=int, help="time a frame stands for; makes OUT.clock.tsv"
    )
    frames.add_argument("--clock", metavar="TSV", type=Path, help="a clock that exists already")
    sub.add_argument("--accumulate-us", metavar="N", type=int, help="time a picture shows")
    sub.add_argument("--style", choices=("polarity", "grey", "decay"), default="polarity")
    sub.add_argument("--contrast", metavar="F", type=float, help="events that make full contrast")
    sub.add_argument("--tau-us", metavar="N", type=int, default=30_000, help="decay time constant")
    sub.add_argument("--scale", metavar="N", type=int, default=1, help="magnification")
    sub.add_argument("--fps", metavar="N", type=int, default=30, help="playing speed of an mp4")
    sub.add_argument("--preset", default="ultrafast", help="of x264")
    sub.add_argument("--crf", metavar="N", type=int, default=23, help="of x264")
    _add_stream(sub)

    sub = command("annotate", _annotate, "Join events, clock and CVAT XML into annotated slices.")
    sub.add_argument("store", metavar="STORE", type=Path)
    sub.add_argument("--clock", metavar="TSV", type=Path, required=True)
    sub.add_argument("--rois", metavar="XML", type=Path, help="boxes and polygons")
    sub.add_argument("--tags", metavar="XML", type=Path, help="frame tags (CVAT for images)")
    sub.add_argument("--rois-md5", metavar="HEX", help="MD5 that the XML must have")
    sub.add_argument("--tags-md5", metavar="HEX", help="MD5 that the XML must have")
    sub.add_argument(
        "--labels",
        metavar="A,B,…",
        type=_labels,
        help="names in the order of their numbers; default: the order of the XML",
    )
    _add_output(sub, "SLICES")
    sub.add_argument("--boxes", metavar="NPY", type=Path, help="default: SLICES' name + _bbox.npy")
    _add_division(sub, strides=False)
    sub.add_argument("--clip", action="store_true", help="clip shapes to the picture, and count")
    sub.add_argument(
        "--unsupported",
        choices=("error", "skip"),
        default="error",
        help="what becomes of shapes that are no boxes or polygons",
    )
    sub.add_argument(
        "--part-of-video", action="store_true", help="the XML's task may have a part of its frames"
    )

    sub = command("boxes", _boxes, "Carry along boxes that come with a recording.")
    sub.add_argument("store", metavar="STORE", type=Path)
    sub.add_argument("--boxes", metavar="NPY", type=Path, required=True, help="EventBbox records")
    sub.add_argument("--md5", metavar="HEX", help="MD5 that they must have")
    sub.add_argument("--labels", metavar="A,B,…", type=_labels, help="classes, by their numbers")
    _add_output(sub, "NPY")

    sub = command("features", _features, "Precompute a representation of each recording.")
    sub.add_argument("file", metavar="FILE|STORE", type=Path, nargs="+")
    _add_output(sub, "DIR")
    sub.add_argument("--representation", metavar="NAME", required=True)
    _add_division(sub, strides=True)
    sub.add_argument(
        "--set",
        metavar="KEY=VALUE",
        type=_assignment,
        action="append",
        default=[],
        help="a parameter of the representation; the value is JSON or text",
    )
    sub.add_argument(
        "--cut", metavar="DIR", type=Path, help="with a table of samples for each FILE, NAME.tsv"
    )
    sub.add_argument("--labels", metavar="A,B,…", type=_labels, help="of the samples")
    _add_stream(sub)

    sub = command("release", _release, "Build a release from a table of files.")
    sub.add_argument("--manifest", metavar="TSV", type=Path, required=True)
    _add_output(sub, "DIR")
    sub.add_argument("--name", help="default: DIR's name")
    sub.add_argument("--version", default="1.0", help="of the data set")
    sub.add_argument("--licence", default="NOASSERTION", help="of the data, as SPDX names it")
    sub.add_argument(
        "--licence-file", metavar="TXT", type=Path, help="its text; not for the usual data licences"
    )
    sub.add_argument("--compression", choices=("portable", "fast"), default="portable")
    sub.add_argument("--labels", metavar="A,B,…", type=_labels)
    sub.add_argument(
        "--tolerate",
        metavar="A,B,…",
        type=_labels,
        default=[],
        help="checks whose errors do not stop it; docs/checks.md lists them",
    )
    sub.add_argument(
        "--recordings", metavar="TSV", type=Path, help="table with what is known of each, by id"
    )

    sub = command("verify", _verify, "Check every file of a release against its manifest.")
    sub.add_argument("folder", metavar="DIR", type=Path)

    sub = command("check", _check, "Check the content of what evreel made: events, labels, splits.")
    sub.add_argument("path", metavar="STORE|SLICES|DIR", type=Path)
    sub.add_argument("--json", action="store_true", help="print one JSON list")

    sub = command("audit", _audit, "Check a recording or data set that evreel did not make.")
    sub.add_argument("path", metavar="PATH", type=Path)
    sub.add_argument("--json", action="store_true", help="print one JSON list")
    sub.add_argument("--sensor", metavar="WxH", help="size in px, where recordings can't say")

    sub = command("datasets", _datasets, "List data sets that are ready to run.")
    sub.add_argument(
        "folder",
        metavar="FOLDER",
        type=Path,
        nargs="?",
        help="folder of folders with a config.yaml; default: configs of the checkout",
    )
    sub.add_argument("--json", action="store_true", help="print one JSON list")

    sub = command("simulate", _simulate, "Make a recording and its ground truth from a scene.")
    sub.add_argument("scene", metavar="SCENE", type=Path)
    _add_output(sub, "DIR")
    return parser


def _add_output(sub: argparse.ArgumentParser, metavar: str) -> None:
    sub.add_argument("-o", "--output", metavar=metavar, type=Path, required=True)


def _add_stream(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--stream", metavar="N", type=int, help="which event stream, if several")


def _add_division(sub: argparse.ArgumentParser, strides: bool) -> None:
    which = sub.add_mutually_exclusive_group(required=True)
    which.add_argument("--window-us", metavar="N", type=int, help="duration of a window")
    which.add_argument("--count", metavar="N", type=int, help="events a window")
    if strides:
        which.add_argument("--number", metavar="N", type=int, help="windows a recording or sample")
        sub.add_argument(
            "--by", choices=("time", "count"), help="what is equal in a number of them"
        )
        sub.add_argument("--stride-us", metavar="N", type=int, help="default: the duration")
        sub.add_argument("--stride", metavar="N", type=int, help="default: the count")
    sub.add_argument(
        "--tail", choices=("keep", "drop"), default="keep", help="the last, incomplete window"
    )


def _crop(text: str) -> list[int]:
    try:
        x0, y0, x1, y1 = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X0,Y0,X1,Y1 in pixels") from None
    return [x0, y0, x1, y1]


def _labels(text: str) -> list[str]:
    names = text.split(",")
    if not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty or a doubled name")
    return names


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return key, value


def _column(text: str) -> tuple[str, str]:
    from evreel.samples.intervals import Columns

    what, name = _pair(text)
    known = [field.name for field in fields(Columns)]
    if what not in known:
        guess = did_you_mean(what, known) or f"there are {', '.join(known)}"
        raise argparse.ArgumentTypeError(f"{what!r} is no column; {guess}")
    return what, name


def _share(text: str) -> tuple[str, float]:
    split, share = _pair(text)
    try:
        return split, float(share)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not SPLIT=F with a number F") from None


def _count(text: str) -> tuple[str, int]:
    split, count = _pair(text)
    try:
        return split, int(count)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not SPLIT=N, a whole number N") from None


class _Pairs(argparse.Action):
    """Collect what an option says of several names, each once."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        name, value = values
        said = getattr(namespace, self.dest)
        if name in said:
            raise argparse.ArgumentError(self, f"{name!r} is there twice")
        setattr(namespace, self.dest, {**said, name: value})


def _assignment(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


if __name__ == "__main__":
    sys.exit(main())
