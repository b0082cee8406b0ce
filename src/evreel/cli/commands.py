"""What each command of ``evreel`` takes, and which step it calls."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evreel.errors import UsageError
from evreel.outputs import Progress, atomic

if TYPE_CHECKING:
    from evreel.checks import Report

Options = argparse.Namespace
Parser = argparse.ArgumentParser


class Command(NamedTuple):
    """A command: what it does, what adds its options to a parser, and what runs it."""

    text: str
    options: Callable[[Parser], None]
    run: Callable[[Options], int]


@contextlib.contextmanager
def _bar(options: Options, what: str, unit: str) -> Iterator[Progress]:
    """Show progress on a terminal; nothing where the output is not one."""
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


def _stream(parser: Parser) -> None:
    parser.add_argument("--stream", metavar="N", type=int, help="event stream, if several")


def _labels(parser: Parser, text: str, *, required: bool = False) -> None:
    from evreel.cli.options import names

    parser.add_argument("--labels", metavar="A,B,…", type=names, required=required, help=text)


def _json(parser: Parser, what: str) -> None:
    parser.add_argument("--json", action="store_true", help=f"print one JSON {what}")


def _no_two(paths: Sequence[Path], problem: str, hint: str) -> list[str]:
    """Return the names of files without their suffixes, which must differ."""
    names = [path.stem for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(problem.format(twice[0]), hint=hint)
    return names


# -- info


def _info_options(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path)
    _json(parser, "object")
    parser.add_argument("--sensor", metavar="WxH", help="size in px, where the file does not say")
    _stream(parser)


def _info(options: Options) -> int:
    from evreel import steps

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


# -- table


def _table_options(parser: Parser) -> None:
    from evreel.cli.options import add_output

    parser.add_argument("folder", metavar="DIR", type=Path)
    add_output(parser, "TSV")
    parser.add_argument(
        "--split",
        choices=("train", "val", "test", "mixed"),
        help="of recordings that are not in a folder with such a name",
    )
    parser.add_argument(
        "--group", metavar="PATTERN", help="of paths, with {group}, such as '*/{group}_*_td.dat'"
    )
    parser.add_argument("--sensor", metavar="WxH", help="size in px, where recordings do not say")


def _table(options: Options) -> int:
    from evreel import steps

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


# -- acquire

_SUMS = ("md5", "sha256", "size_bytes", "member_md5", "page")


def _acquire_options(parser: Parser) -> None:
    from evreel.cli.options import add_column, add_output, add_settings
    from evreel.dataset.settings import AcquireSettings, RecordingColumns

    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="path (becomes a link), http(s) url or 'url | url', or manual:PATH; !MEMBER after it "
        "where that is an archive",
    )
    add_column(parser, RecordingColumns, *_SUMS)
    add_settings(parser, AcquireSettings)
    parser.add_argument(
        "--plain", action="store_true", help="decompress a tar that is compressed as a whole"
    )
    add_output(parser, "FILE")


def _acquire(options: Options) -> int:
    from evreel import steps
    from evreel.cli.options import settings_from
    from evreel.dataset.settings import AcquireSettings

    sums = {name: getattr(options, name, None) for name in _SUMS}
    if sums["size_bytes"] is not None:
        try:
            sums["size_bytes"] = int(sums["size_bytes"])
        except ValueError:
            raise UsageError(
                f"--size-bytes: {sums['size_bytes']!r} is not a whole number"
            ) from None
    with _bar(options, "acquire", "B") as progress:
        steps.acquire(
            options.source,
            options.output,
            **sums,
            member_gib=settings_from(AcquireSettings, options).member_gib,
            plain=options.plain,
            progress=progress,
        )
    return 0


# -- events


def _events_options(parser: Parser) -> None:
    from evreel.cli.options import add_column, add_output, add_settings
    from evreel.dataset.settings import (
        AcquireSettings,
        EventsSettings,
        MemberSettings,
        RecordingColumns,
    )

    parser.add_argument("file", metavar="FILE", type=Path, help="recording, or archive of many")
    add_output(parser, "STORE")
    add_settings(parser, EventsSettings)
    add_column(parser, RecordingColumns, "sensor", "n_events")
    add_settings(parser, MemberSettings)
    add_settings(parser, AcquireSettings)


def _events(options: Options) -> int:
    from evreel import steps
    from evreel.cli.options import settings_from

    n_events = getattr(options, "n_events", None)
    if n_events is not None and not n_events.isdecimal():
        raise UsageError(f"--n-events: {n_events!r} is not a whole number")
    with _bar(options, "events", "ev") as progress:
        steps.events(
            options.file,
            options.output,
            settings_from(steps.EventsSettings, options),
            sensor=getattr(options, "sensor", None),
            n_events=None if n_events is None else int(n_events),
            archive=settings_from(steps.MemberSettings, options),
            limits=settings_from(steps.AcquireSettings, options),
            progress=progress,
        )
    return 0


# -- cut, splits, samples


def _cut_options(parser: Parser) -> None:
    from evreel.cli.options import add_output, add_settings
    from evreel.dataset.settings import CutSettings

    parser.add_argument("store", metavar="STORE", type=Path)
    add_output(parser, "TSV")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--intervals", metavar="CSV", help="table of labelled intervals")
    which.add_argument(
        "--members", metavar="PATTERN", help="as for events; {label} and {group} read a name"
    )
    parser.add_argument("--md5", metavar="HEX", help="MD5 that the table must have")
    add_settings(parser, CutSettings)
    _labels(parser, "all labels; any other is an error")
    parser.add_argument("--group", help="of samples that name none")
    parser.add_argument("--recording", help="its id in the table; default: STORE's name")


def _cut(options: Options) -> int:
    from evreel import steps
    from evreel.cli.options import settings_from

    steps.cut(
        options.store,
        options.output,
        settings_from(steps.CutSettings, options),
        intervals=options.intervals,
        intervals_md5=options.md5,
        recording=options.recording or options.store.stem,
        members=options.members,
        labels=options.labels,
        group=options.group,
    )
    return 0


def _splits_options(parser: Parser) -> None:
    from evreel.cli.options import add_output, add_pairs, add_settings
    from evreel.dataset.settings import SplitsSettings

    parser.add_argument(
        "cut", metavar="TSV", type=Path, nargs="+", help="one per recording, as `cut` writes it"
    )
    add_output(parser, "TSV")
    add_pairs(
        parser, "--fix", "RECORDING=SPLIT", "split of all samples of a recording: train, val, test"
    )
    add_pairs(parser, "--file-name", "RECORDING=NAME", "what lists call the file of a recording")
    add_settings(parser, SplitsSettings)


def _splits(options: Options) -> int:
    from evreel import steps
    from evreel.cli.options import settings_from

    names = _no_two(options.cut, "two tables would both be recording {!r}", "Rename one.")
    settings = settings_from(steps.SplitsSettings, options)
    found = steps.splits(
        dict(zip(names, options.cut, strict=True)),
        options.output,
        settings,
        fixed=options.fix,
        file_names=options.file_name,
        lists=settings.split.files.plain() if settings.split.files else None,
    )
    for split, n in found.items():
        print(f"{split}\t{n}")
    return 0


def _samples_options(parser: Parser) -> None:
    from evreel.cli.options import add_output

    parser.add_argument("store", metavar="STORE", type=Path)
    parser.add_argument("--cut", metavar="TSV", type=Path, required=True, help="as `cut` writes it")
    parser.add_argument(
        "--splits", metavar="TSV", type=Path, required=True, help="as `splits` writes it"
    )
    _labels(parser, "names in the order of their numbers", required=True)
    parser.add_argument("--recording", help="its id in the splits; default: the name of its cut")
    add_output(parser, "FILE")


def _samples(options: Options) -> int:
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


# -- video


def _video_options(parser: Parser) -> None:
    from evreel.cli.options import add_output, add_settings
    from evreel.dataset.settings import ClockSettings, VideoSettings

    parser.add_argument("file", metavar="FILE|STORE", type=Path)
    add_output(parser, "OUT.mp4|OUT.zip")
    parser.add_argument(
        "--clock", metavar="TSV", type=Path, help="an existing clock; default: write OUT.clock.tsv"
    )
    add_settings(parser, ClockSettings)
    add_settings(parser, VideoSettings)
    _stream(parser)


def _video(options: Options) -> int:
    from evreel import steps
    from evreel.cli.options import settings_from

    output = steps.checked_video_name(options.output)
    for name in ("window_us", "scale"):
        if options.clock is not None and hasattr(options, name):
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} does not go with --clock, which has it already")
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
            steps.clock(store, clock, settings_from(steps.ClockSettings, options))
        settings = settings_from(steps.VideoSettings, options)
        steps.video(store, clock, video, settings, progress=progress)
    return 0


# -- annotate, boxes


def _annotate_options(parser: Parser) -> None:
    from evreel.cli.options import add_column, add_output, add_settings
    from evreel.dataset.settings import AnnotateSettings, RecordingColumns
    from evreel.windows import RegularWindows

    parser.add_argument("store", metavar="STORE", type=Path)
    parser.add_argument("--clock", metavar="TSV", type=Path, required=True)
    add_column(parser, RecordingColumns, "rois", "tags", "rois_md5", "tags_md5")
    _labels(parser, "names in the order of their numbers; default: the order of the XML")
    add_output(parser, "SLICES")
    parser.add_argument(
        "--boxes", metavar="NPY", type=Path, help="default: SLICES' name + _bbox.npy"
    )
    add_settings(parser, RegularWindows)
    add_settings(parser, AnnotateSettings)


def _annotate(options: Options) -> int:
    from evreel import steps
    from evreel.cli.options import settings_from
    from evreel.layout import BOXES_SUFFIX

    boxes = options.boxes or options.output.with_name(options.output.stem + BOXES_SUFFIX)
    columns = ("rois", "tags", "rois_md5", "tags_md5")
    with _bar(options, "annotate", "ev") as progress:
        steps.annotate(
            options.store,
            options.clock,
            options.output,
            boxes,
            settings_from(steps.RegularWindows, options),
            settings_from(steps.AnnotateSettings, options),
            **{name: getattr(options, name, None) for name in columns},
            labels=options.labels,
            progress=progress,
        )
    return 0


def _boxes_options(parser: Parser) -> None:
    from evreel.cli.options import add_output

    parser.add_argument("store", metavar="STORE", type=Path)
    parser.add_argument("--boxes", metavar="NPY", type=Path, required=True, help="EventBbox file")
    parser.add_argument("--md5", metavar="HEX", help="MD5 that they must have")
    _labels(parser, "classes, in the order of their numbers")
    add_output(parser, "NPY")


def _boxes(options: Options) -> int:
    from evreel import steps

    steps.boxes(
        options.store, options.boxes, options.output, md5=options.md5, labels=options.labels
    )
    return 0


# -- features


def _features_options(parser: Parser) -> None:
    from evreel.cli.options import add_output, add_settings
    from evreel.dataset.settings import FeatureSettings

    parser.add_argument("file", metavar="FILE|STORE", type=Path, nargs="+")
    add_output(parser, "DIR")
    add_settings(parser, FeatureSettings)
    parser.add_argument(
        "--cut", metavar="DIR", type=Path, help="with a table of samples for each FILE, NAME.tsv"
    )
    _labels(parser, "of the samples")
    _stream(parser)


def _features(options: Options) -> int:
    from evreel import steps
    from evreel.cli.options import settings_from

    settings = settings_from(steps.FeatureSettings, options)
    names = _no_two(
        options.file, "two files would both become {}.h5", "Give them to runs of their own."
    )
    for path, name in zip(options.file, names, strict=True):
        with (
            _bar(options, name, "window") as progress,
            steps.as_store(path, beside=options.output / "x", stream=options.stream) as store,
        ):
            steps.features(
                store,
                options.output / f"{name}.h5",
                settings,
                cut=None if options.cut is None else options.cut / f"{name}.tsv",
                labels=options.labels,
                progress=progress,
            )
    return 0


# -- release, verify


def _release_options(parser: Parser) -> None:
    from evreel.cli.options import add_output, add_settings
    from evreel.dataset.settings import ReleaseSettings

    parser.add_argument("--manifest", metavar="TSV", type=Path, required=True)
    add_output(parser, "DIR")
    defaults = {"name": "DIR's name", "version": "1.0", "licence": "NOASSERTION"}
    add_settings(parser, ReleaseSettings, without=("include",), defaults=defaults)
    _labels(parser, "names in the order of their numbers")
    parser.add_argument(
        "--recordings", metavar="TSV", type=Path, help="table with what is known of each, by id"
    )


def _release(options: Options) -> int:
    from evreel import steps
    from evreel.cli.options import settings_from
    from evreel.dataset.table import read_known

    settings = settings_from(
        steps.ReleaseSettings,
        options,
        name=options.output.name,
        version="1.0",
        licence="NOASSERTION",
    )
    with _bar(options, "release", "B") as progress:
        steps.release(
            options.manifest,
            options.output,
            settings,
            labels=options.labels,
            recordings=None if options.recordings is None else read_known(options.recordings),
            progress=progress,
        )
    return 0


def _verify_options(parser: Parser) -> None:
    parser.add_argument("folder", metavar="DIR", type=Path)


def _verify(options: Options) -> int:
    from evreel import steps

    with _bar(options, "verify", "B") as progress:
        findings = steps.verify(options.folder, progress=progress)
    for finding in findings:
        print(finding)
    if findings:
        print(f"{options.folder}: {len(findings)} problem{'s' * (len(findings) > 1)}")
    else:
        print(f"{options.folder}: every file is as its manifest says")
    return 1 if findings else 0


# -- check, audit


def _check_options(parser: Parser) -> None:
    parser.add_argument("path", metavar="STORE|SLICES|DIR", type=Path)
    _json(parser, "list")


def _check(options: Options) -> int:
    from evreel import steps

    with _bar(options, "check", "B") as progress:
        report = steps.check(options.path, progress=progress)
    return _show(report, options.json)


def _audit_options(parser: Parser) -> None:
    parser.add_argument("path", metavar="PATH", type=Path)
    _json(parser, "list")
    parser.add_argument("--sensor", metavar="WxH", help="size in px, where recordings do not say")


def _audit(options: Options) -> int:
    from evreel import steps

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


# -- datasets, simulate


def _datasets_options(parser: Parser) -> None:
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        type=Path,
        nargs="?",
        help="folder of folders with a config.yaml; default: configs of the checkout",
    )
    _json(parser, "list")


def _datasets(options: Options) -> int:
    from evreel.dataset.catalogue import datasets, describe_datasets

    found = datasets(options.folder)
    if options.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        for line in describe_datasets(found):
            print(line)
    return 0


def _simulate_options(parser: Parser) -> None:
    from evreel.cli.options import add_output

    parser.add_argument("scene", metavar="SCENE", type=Path)
    add_output(parser, "DIR")


def _simulate(options: Options) -> int:
    from evreel import steps

    for path in steps.simulate(options.scene, options.output):
        print(path)
    return 0


COMMANDS = {
    "info": Command("Show contents and problems of a recording.", _info_options, _info),
    "table": Command(
        "Write a recordings table of a folder, with the MD5 of each.", _table_options, _table
    ),
    "acquire": Command("Get a recording and check its MD5 or SHA-256.", _acquire_options, _acquire),
    "events": Command("Decode a recording into an events store.", _events_options, _events),
    "cut": Command("Write where the samples of a recording are.", _cut_options, _cut),
    "splits": Command("Give each sample of a data set its split.", _splits_options, _splits),
    "samples": Command("Write the samples of a recording.", _samples_options, _samples),
    "video": Command(
        "Render pictures to annotate, and the clock of their frames.", _video_options, _video
    ),
    "annotate": Command(
        "Join events, clock and CVAT XML into annotated slices.", _annotate_options, _annotate
    ),
    "boxes": Command("Carry along boxes that come with a recording.", _boxes_options, _boxes),
    "features": Command(
        "Precompute a representation of each recording.", _features_options, _features
    ),
    "release": Command("Build a release from a table of files.", _release_options, _release),
    "verify": Command(
        "Check every file of a release against its manifest.", _verify_options, _verify
    ),
    "check": Command("Check the content of what evreel made.", _check_options, _check),
    "audit": Command("Check a data set that evreel did not make.", _audit_options, _audit),
    "datasets": Command("List data sets that are ready to run.", _datasets_options, _datasets),
    "simulate": Command(
        "Make a recording and its ground truth from a scene.", _simulate_options, _simulate
    ),
}
"""Every command by its name."""
