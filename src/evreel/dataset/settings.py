"""Every setting of a data set: the classes of `config.yaml` and of the columns of its table.

A step takes its class; a group of the config may join the settings of several steps. Settings that
belong to one part of the package are defined there, and are bases of the classes here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from evreel.annotations.alignment import Alignment
from evreel.annotations.choices import PRIMARY, RADIUS_PX, At, Priority
from evreel.annotations.seen import Between
from evreel.errors import ParameterError, UsageError
from evreel.filters import Cropping, Orientation
from evreel.geometry import Geometry
from evreel.layout import (
    GZIP_LEVEL,
    SHAPE_KINDS,
    Compression,
    ShapeKind,
    check_feature_parameters,
)
from evreel.recordings.open import FORMAT_NAMES, Reading
from evreel.release.content import ANONYMOUS, RELEASE_NAME
from evreel.representations.stored import Store
from evreel.samples.cut import Clock, Repeats
from evreel.samples.intervals import Columns, Unit
from evreel.samples.pattern import Pattern
from evreel.samples.splits import check_shares
from evreel.settings import (
    Place,
    Settings,
    guess,
    optional,
    required,
    section,
    setting,
    settings_of,
    with_default,
)
from evreel.timebase import FARTHEST, MOST_FRAMES, ClockSource, Instant
from evreel.video.canvas import Theme
from evreel.video.labelled import Showing
from evreel.video.mp4 import Encoding, Preset
from evreel.video.render import Rendering
from evreel.windows import AnyWindows, RegularWindows

if TYPE_CHECKING:
    from evreel.representations import Feature

NAME = "[A-Za-z0-9][A-Za-z0-9_-]{0,99}"
"""Form of the names of recordings and features, from which files are named."""

RESULTS = r"[^\s{}<>]([^{}<>\x00-\x1f\x7f]*[^\s{}<>])?"
"""Form of the folder of results: without what Snakemake would replace in a path."""

MOST_PARTS = 500
"""Most jobs that share a recording; one more has all parts open, of at most 1024 files."""

Split = Literal["train", "val", "test", "mixed"]
Content = Literal[
    "events",
    "slices",
    "samples",
    "features",
    "annotations",
    "anonymous_annotations",
    "sidecars",
    "video",
    "previews",
]


@dataclass(frozen=True)
class AcquireSettings(Settings):
    """From source to recording."""

    member_gib: float = setting(
        64,
        "Size limit for a member of an archive, GiB (1024 MiB). A larger one is not unpacked, nor "
        "one of more than 1000 times its compressed size.",
        unit="GiB",
        above=0,
        maximum=1_000_000,
    )
    timeout_s: float = setting(
        60,
        "Time limit for each phase of a request to a server: the connection, its encryption, the "
        "head of the answer, the end of the answer. Also how long a download may bring nothing, or "
        "less than least_bytes_per_s.",
        unit="s",
        above=0,
        maximum=86_400,
    )
    least_bytes_per_s: float = setting(
        10_000,
        "Lowest rate of a download over timeout_s. A slower one is broken off and continued.",
        unit="bytes/s",
        minimum=0,
        maximum=1_000_000_000_000,
    )


@dataclass(frozen=True)
class EventsSettings(Cropping, Reading, Orientation):
    """From recording to events store."""

    start_us: int | None = setting(
        None,
        "Leave out events before this time, counted from the first event.",
        unit="µs",
        minimum=0,
        maximum=FARTHEST,
    )
    stop_us: int | None = setting(
        None,
        "Leave out events at or after this time, counted from the first event.",
        unit="µs",
        minimum=1,
        maximum=FARTHEST,
    )
    max_pixel_hz: float | None = setting(
        None,
        "Remove pixels with more events per second than this (hot pixels).",
        unit="Hz",
        above=0,
        maximum=1_000_000_000,
    )
    stream: int | str | None = setting(
        None,
        "Event stream, where a recording holds several: its number; in a ROS bag, the name of its "
        "topic.",
        minimum=0,
        maximum=1_000_000,
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        yield from super().contradictions()
        if self.stop_us is not None and not (self.start_us or 0) < self.stop_us:
            yield (), f"start_us={self.start_us or 0} is not before stop_us={self.stop_us}"


@dataclass(frozen=True)
class ClockSettings(Settings):
    """The clock of a video's frames, and how the sensor lies in its pictures."""

    window_us: int = setting(
        10_000,
        "Time that a frame stands for. Do not change it once you have begun to annotate: frames "
        "would stand for other times.",
        unit="µs",
        minimum=1,
        maximum=FARTHEST,
    )
    scale: int = setting(
        1, "Whole-number magnification by nearest neighbour.", minimum=1, maximum=16
    )
    clock: ClockSource | None = setting(
        None,
        "Where the times of frames come from. events: regular windows of window_us; frames: the "
        "exposures of the camera's own frames, as recorded; triggers: an edge of a trigger channel "
        "for each frame; external: the table in column clock. null: external for a recording that "
        "has such a table, else events.",
        help="Where the times of frames come from. events: regular windows of window_us; frames: "
        "the exposures of the camera's own frames; triggers: an edge of a trigger channel for each "
        "frame. Default: events.",
    )
    start_us: int = setting(
        0,
        "Where the first regular window begins, counted from the first event.",
        unit="µs",
        minimum=-FARTHEST,
        maximum=FARTHEST,
    )
    rate_hz: float | None = setting(
        None,
        "Regular windows per second of the recording, for a video that shows only a part of the "
        "time, or shows some of it twice. null: each begins where the last one ends.",
        unit="Hz",
        above=0,
        maximum=1_000_000,
    )
    n_frames: int | None = setting(
        None,
        "How many regular windows there are. null: as many as begin before the recording ends.",
        minimum=1,
        maximum=MOST_FRAMES,
    )
    exposure_us: int | None = setting(
        None,
        "Time that a frame stands for from the beginning of its exposure, or from its edge, but "
        "not beyond the next frame. null: the exposure as recorded, or until the opposite edge.",
        unit="µs",
        minimum=1,
        maximum=FARTHEST,
    )
    trigger_id: int | None = setting(
        None,
        "Channel of the triggers. null: the only one that there is.",
        minimum=-32_768,
        maximum=32_767,
    )
    trigger_edge: Literal["rising", "falling"] = setting(
        "rising", "Edge of the trigger that begins a frame."
    )

    def unused_by(self, source: ClockSource | None) -> Iterator[tuple[str, str]]:
        """Yield (setting, sources it is for) of what is set, though a clock of `source` ignores it.

        Of `window_us` nothing is said: a config sets it for all recordings.
        """
        known = settings_of(ClockSettings)
        for sources, names in (
            ((None, "events"), ("start_us", "rate_hz", "n_frames")),
            (("frames", "triggers"), ("exposure_us",)),
            (("triggers",), ("trigger_id", "trigger_edge")),
        ):
            for name in names:
                if getattr(self, name) != known[name].default and source not in sources:
                    yield name, " or ".join(each for each in sources if each)

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        for name, of in self.unused_by(self.clock):
            yield (name,), f"goes with clock: {of} only, not with {self.clock or 'null'}"


@dataclass(frozen=True)
class VideoSettings(Encoding, Rendering):
    """What the pictures to annotate look like, and how they are encoded."""


@dataclass(frozen=True)
class VideoSection(VideoSettings, ClockSettings):
    """Pictures to annotate, and the clock of their frames."""

    container: Literal["mp4", "png-zip"] = setting(
        "mp4",
        "mp4, or png-zip (a zip of PNG frames named by index and time).",
        per_recording=False,
    )


@dataclass(frozen=True)
class QaSettings(Encoding, Showing):
    """What videos that show the labels look like, and how they are encoded."""


@dataclass(frozen=True)
class PreviewSettings(Encoding):
    """How long and how large short videos of recordings are, and how they are encoded."""

    max_frames: int = setting(
        150, "Most frames: the stretch of the recording where most is labelled.", minimum=1
    )
    window_us: int = setting(
        33_333,
        "Time that a frame shows of a recording that people do not annotate; of one that they do, "
        "frames are those of its clock.",
        unit="µs",
        minimum=1000,
        maximum=600_000_000,
    )
    max_side_px: int = setting(
        720,
        "Longest side of the sensor in a picture: it is magnified, or reduced, by a whole number.",
        unit="px",
        minimum=64,
        maximum=4096,
    )
    theme: Theme = with_default("dark", Showing, "theme")
    preset: Preset = with_default("superfast", Encoding, "preset")
    crf: int = with_default(26, Encoding, "crf")


@dataclass(frozen=True)
class AnnotateSettings(Alignment):
    """Joining events and annotations."""

    at: At = setting(
        "frame",
        "Which shape of a region an event is compared with. frame: that of the frame which holds "
        "the event; event: the shape at the event's own time, between the moments of two shapes "
        "that the XML lists.",
    )
    instant: Instant = setting(
        "middle",
        "Which moment of its frame a drawn shape is of, with at: event. People draw around what "
        "the picture of a frame shows, so it is the middle.",
    )
    margin_px: float = setting(
        0.0,
        "By how much shapes grow when events are labelled, in pixels of the sensor. Boxes and the "
        "table of shapes have them as drawn.",
        unit="px",
        minimum=0,
        maximum=1000,
    )
    radius_px: float = setting(
        RADIUS_PX,
        "Of points, of the joints of skeletons, and of polylines on both sides, in pixels of the "
        "sensor.",
        unit="px",
        minimum=0,
        maximum=1000,
    )
    primary: tuple[Priority, ...] = setting(
        PRIMARY,
        "Which of several regions is an event's first: what is higher, smaller, or later in the "
        "XML, in this order. Among equals, it is the later one.",
        unique=True,
        metavar="A,B,…",
    )
    boxes_at: Literal["frames", "slices", "rate"] = setting(
        "frames",
        "When there are boxes. frames: at the end of each frame of the video; slices: at the end "
        "of each slice; rate: every boxes_us.",
    )
    boxes_us: int | None = optional(
        "From one time of boxes to the next, with boxes_at: rate.", unit="µs", minimum=1
    )
    clip: bool = setting(
        False, "Clip shapes that reach outside the picture, and count them, instead of an error."
    )
    unsupported: Literal["error", "skip"] = setting(
        "error",
        "What becomes of elements that are none of CVAT's shapes: error, or skip and count them.",
    )
    shapes: tuple[ShapeKind, ...] = setting(
        SHAPE_KINDS,
        "Kinds of shapes that are read; others are skipped and counted.",
        least=1,
        unique=True,
        metavar="KINDS",
    )
    task: str | None = setting(
        None,
        "Number or name of the task, in an export of a project. By default, the one task whose "
        "name or video is called as the recording or its file.",
        least=1,
        metavar="TASK",
    )
    link: Literal["none", "group_id", "iou"] = setting(
        "none",
        "Which masks become tracks, since CVAT has no tracks of masks. group_id: those of one "
        "label and group; iou: those of one label in successive frames that overlap most, by half "
        "or more of what they cover together; none: each is a region of its own.",
    )
    stitch: bool = setting(
        True,
        "Whether a track that ends where a job of its task ends goes on as one that begins in the "
        "next job: of the same label, in the same or the next frame, and overlapping by half or "
        "more. It is counted, as are those that do not go on.",
    )
    invalid: Literal["error", "drop"] = setting(
        "error",
        "What becomes of shapes without area or with a coordinate that is not a number, and of the "
        "second of two equal shapes of a track in one frame: error, or drop and count them.",
    )
    gaps: Literal["auto", "fill", "leave"] = setting(
        "auto",
        "Frames between two shapes of a track that the XML does not list. fill: the object moves "
        "from one to the other; leave: it is not labelled there; auto: leave them where the XML "
        "lists most frames as CVAT does, fill them where it lists key frames only.",
    )
    between: Between = setting(
        "leave",
        "Frames between those of a task with a frame filter (every 10th frame), which annotators "
        "did not see. leave: nothing is labelled there, and they do not count as labelled; "
        "interpolate: objects move from one frame of the task to the next, and they count.",
    )
    part_of_video: bool = setting(
        False,
        "Whether the XML may be of a task with only a part of the video's frames. Otherwise that "
        "is an error, unless names of pictures say which: labels of another video, with another "
        "video/window_us, would land at other times.",
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        if (self.boxes_at == "rate") != (self.boxes_us is not None):
            problem = "is needed with boxes_at: rate" if self.boxes_at == "rate" else ""
            yield ("boxes_us",), problem or f"does not go with boxes_at: {self.boxes_at}"
        yield from super().contradictions()


@dataclass(frozen=True)
class BoxesSettings(Settings):
    """Boxes that come with a recording."""

    clock: Clock = setting(
        "source",
        "What the times of boxes count from. source: what the timestamps in the recording's file "
        "count from; recording: its first event.",
    )
    outside: Literal["error", "clip", "keep"] = setting(
        "error",
        "What becomes of boxes that reach outside the sensor: error; clip them, leave out those "
        "that are all outside, and count both; or keep them as published, which "
        "release/tolerate: [box_outside] then has to allow.",
    )
    invalid: Literal["error", "drop"] = setting(
        "error",
        "What becomes of boxes without width or height, or with a number that is NaN or infinite: "
        "error, or drop and count them.",
    )


@dataclass(frozen=True)
class MemberSettings(Settings):
    """An archive or a folder of many recordings, read as one."""

    members: str | None = setting(
        None,
        "Which files of an archive or a folder are samples: a name in which * stands for anything "
        "within a folder or file name, ? for one character, {label} for the class and {group} for "
        "what stays together. They lie end to end, each from a whole millisecond on.",
        least=1,
        metavar="PATTERN",
    )
    leave_out: tuple[str, ...] = setting(
        (),
        "Patterns of members that are left out all the same, and counted.",
        unique=True,
        metavar="PATTERN",
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        patterns: list[tuple[Place, str]] = [
            (("leave_out", str(k)), text) for k, text in enumerate(self.leave_out)
        ]
        if self.members:
            patterns.insert(0, (("members",), self.members))
        for place, text in patterns:
            try:
                Pattern(text)
            except UsageError as error:
                yield place, str(error)


@dataclass(frozen=True)
class CutSettings(Settings):
    """Cutting a recording into labelled samples by a table of intervals."""

    columns: Columns = section(
        Columns,
        "What the columns of a table of intervals are called.",
        flag="column",
        metavar="WHAT=NAME",
        help="What a column of the table is called: label, start, stop, id, group or recording; "
        "may be repeated.",
    )
    unit: Unit = setting("us", "Unit of the times in a table of intervals.")
    clock: Clock = setting(
        "recording",
        "What the times in a table count from. recording: its first event; source: what the "
        "timestamps in its file count from.",
    )
    repeats: Repeats = setting(
        "keep",
        "Rows of a class that the recording has already. keep: they are samples; first: only the "
        "first row of each class is one.",
    )
    classes: Mapping[str, str] = section(
        dict,  # type: ignore[arg-type]
        "What the files call a class, and its name in labels. A class that is not here has its "
        "own name there.",
        flag="label",
        metavar="CLASS=LABEL",
    )


@dataclass(frozen=True)
class SplitFiles(Settings):
    """Lists of names, one per line: of samples, or of recordings."""

    train: str | None = optional("Names of training.", least=1)
    val: str | None = optional("Names of validation.", least=1)
    test: str | None = optional("Names of testing.", least=1)


@dataclass(frozen=True)
class SplitShares(Settings):
    """Part of all samples that goes to each split; 1 together."""

    train: float | None = optional("Of training.", above=0, maximum=1)
    val: float | None = optional("Of validation.", above=0, maximum=1)
    test: float | None = optional("Of testing.", above=0, maximum=1)

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        try:
            check_shares(self.plain())
        except UsageError as error:
            yield (), str(error)


@dataclass(frozen=True)
class SplitCounts(Settings):
    """Samples that each split must have."""

    train: int | None = optional("In training.", minimum=0)
    val: int | None = optional("In validation.", minimum=0)
    test: int | None = optional("In testing.", minimum=0)


@dataclass(frozen=True)
class SplitRule(Settings):
    """How samples come to their splits."""

    files: SplitFiles | None = optional(
        "train, val and test: a list of names, one per line, of samples (recording/sample, or the "
        "sample alone) or of recordings (id, or file name). A path; or ! and a member of the "
        "archive that all recordings are in.",
        flag="list",
        metavar="SPLIT=TXT",
    )
    seed: int | None = optional(
        "Any whole number. Classes are divided alike; what has a group stays together. Written to "
        "samples.tsv."
    )
    shares: SplitShares | None = optional(
        "Part of all samples that goes to each; 1 together.", flag="share", metavar="SPLIT=F"
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        if self.files is not None and self.seed is not None:
            yield (), "files and a seed exclude each other"
        if self.files == SplitFiles():
            yield ("files",), "names no list; give one for train, val or test"
        for one, other in (("seed", "shares"), ("shares", "seed")):
            if getattr(self, one) is not None and getattr(self, other) is None:
                yield (), f"{one} is given without {other}"

    @property
    def is_given(self) -> bool:
        """Whether they say how samples come to their splits."""
        return self.files is not None or self.seed is not None


@dataclass(frozen=True)
class SplitsSettings(Settings):
    """Giving each sample of a data set its split."""

    split: SplitRule = section(
        SplitRule,
        "How samples of recordings with split mixed come to theirs; either lists that ship with "
        "the data, or a seed and shares.",
        per_recording=False,
    )
    counts: SplitCounts = section(
        SplitCounts,
        "Samples that each split must have, as published; checked where given.",
        per_recording=False,
        flag="count",
        metavar="SPLIT=N",
    )


@dataclass(frozen=True, kw_only=True)
class SamplesSection(SplitsSettings, CutSettings, MemberSettings):
    """Cutting recordings into labelled samples, each with a class and a split."""

    by: Literal["intervals", "members", "none"] = required(
        "intervals: rows of a table say where samples lie; members: the recording is an archive "
        "or a folder, and each of its members is a sample; none: not cut."
    )
    table: str | None = setting(
        None,
        "One table of intervals for all recordings (CSV or TSV), with a column that names the "
        "recording; null takes each recording's own, column samples of the recordings table.",
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        if (self.by == "members") != (self.members is not None):
            problem = (
                f"does not go with by: {self.by}" if self.members else "is needed with by: members"
            )
            yield ("members",), problem
        if self.by == "members" and self.table is not None:
            yield ("table",), "does not go with by: members"
        yield from super().contradictions()


@dataclass(frozen=True, kw_only=True)
class FeatureSettings(AnyWindows):
    """A precomputed representation."""

    representation: str = required(
        "Name of a representation; [representations.md](representations.md) describes them. Or a "
        "function of your own: path/to/file.py:function, or package.module:function.",
        metavar="NAME",
    )
    parameters: Mapping[str, Any] = section(
        dict,  # type: ignore[arg-type]
        "Parameters of the representation; what is left out takes its default.",
        flag="set",
        metavar="KEY=VALUE",
    )
    store: Store | None = optional(
        "Type of stored values; left out: that in which the representation computes. float32 and "
        "float16 have the nearest such number; uint8 the nearest of 256 steps from 0 on. What is "
        "beyond the type's range becomes its end, and is counted.",
    )
    scale: float | None = optional(
        "With store: uint8, the value of one step. Left out: 1 for whole numbers, else 1/255, so "
        "that the steps go from 0 to 1.",
        above=0,
    )
    compression: Compression = setting(
        "zstd",
        "How frames are compressed: zstd (fast, needs hdf5plugin), gzip (every HDF5 reader has it, "
        "such as Metavision's loaders), or none.",
    )

    geometry: Geometry = section(
        Geometry,
        "Which pixels of the sensor the frames are of, and how large they are; boxes in the order "
        "of the feature's windows follow.",
        flag="geometry",
        metavar="KEY=VALUE",
        help="Which pixels of the sensor the frames are of, such as crop=X0,Y0,X1,Y1, flip_x=true, "
        "downsample=1 or resize=HEIGHT,WIDTH; may be repeated.",
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        has_compat = False
        try:
            has_compat = "compat" in settings_of(type(self.feature().representation))
        except UsageError as error:
            yield (), str(error)
        if has_compat and self.compat is not None and self.ending is None:
            yield (
                (),
                f"compat={self.compat} is of windows that end at instants (ending); that of "
                f"{self.representation} is a parameter: parameters: {{compat: {self.compat}}}, by "
                f"hand --set compat={self.compat}",
            )
            return
        yield from super().contradictions()

    @classmethod
    def about_unknown(cls, key: str, given: Mapping[Any, Any]) -> str:
        """Return that a key belongs to the parameters of the representation, if it does."""
        from evreel.representations import kind_of

        name = given.get("representation")
        try:
            known = settings_of(kind_of(name)) if isinstance(name, str) else {}
        except UsageError:
            return ""
        return f"; it is a parameter of {name}: parameters: {{{key}: …}}" if key in known else ""

    def feature(self) -> Feature:
        """Return the feature that these settings ask for.

        Raises
        ------
        ParameterError
            If there is no such representation, or a parameter is out of range.
        """
        from evreel.representations import Feature, Stored, create

        if self.store is None and self.scale is not None:
            raise ParameterError(f"scale={self.scale} does not go without store: uint8")
        stored = None if self.store is None else Stored(self.store, self.scale)
        made_of = create(self.representation, self.parameters)
        check_feature_parameters(made_of.name, made_of.parameters)
        return Feature(made_of, self.geometry, stored)


@dataclass(frozen=True)
class FeatureBoxesSettings(Settings):
    """Boxes in the order of a feature's windows."""

    boxes: Literal["none", "last", "all"] | None = optional(
        "Boxes in the order of this feature's windows, beside its files, so that a reader need "
        "not search for them. last: of each track the last box in a window; all: every box; "
        "none: no such files. Left out: all where the feature's geometry changes coordinates, else "
        "none. Recordings without boxes have none.",
        per_recording=False,
        flag="keep",
        help="Which boxes: of each track the last one in a window, or all. Default: all.",
    )


@dataclass(frozen=True, kw_only=True)
class FeatureSection(FeatureBoxesSettings, FeatureSettings):
    """A precomputed representation, and whether boxes come in the order of its windows."""

    @property
    def has_boxes(self) -> bool:
        """Whether boxes in the order of its windows are wanted.

        Boxes in the coordinates of the sensor would be wrong beside frames in others.
        """
        return self.geometry.moves if self.boxes is None else self.boxes != "none"


@dataclass(frozen=True)
class PartsSettings(Settings):
    """How many jobs share a long recording; files do not depend on it."""

    annotate: int | None = setting(
        None,
        "Jobs that find the regions of a recording's events, each of a part of them; one more "
        "joins them. null: one job for each 32 GiB, if the size is known before the run.",
        minimum=1,
        maximum=MOST_PARTS,
    )
    features: int | None = setting(
        None,
        "Jobs that make a recording's features, each of a part of the windows; one more joins "
        "them. null: as for annotate.",
        minimum=1,
        maximum=MOST_PARTS,
    )


@dataclass(frozen=True, kw_only=True)
class Named(Settings):
    """What a release is called, and its licence."""

    name: str = required(
        "Name of the release; its folder is <name>-<version>.", pattern=RELEASE_NAME
    )
    version: str = required(
        'Version of the data set, in quotes: without them, YAML reads "1.10" as a number.',
        pattern=RELEASE_NAME,
        help="Version of the data set.",
    )
    licence: str = required(
        "Licence of the data, as an SPDX identifier such as CC-BY-4.0.", least=1
    )
    licence_file: str | None = setting(
        None,
        "Text of the licence. null for Creative Commons and Open Data Commons licences, which are "
        "named with their address.",
        metavar="TXT",
        help="Text of the licence; not needed for Creative Commons and Open Data Commons licences.",
    )


@dataclass(frozen=True, kw_only=True)
class PublishSettings(Settings):
    """From a file of the results to one that others get."""

    compression: Literal["portable", "fast"] = setting(
        "portable", "portable (gzip, read without any plugin) or fast (as built; needs hdf5plugin)."
    )
    gzip_level: int = setting(
        GZIP_LEVEL,
        "How much time gzip takes for a portable release: 1 is fast; above 4, of events, files "
        "are hardly smaller, and 9 takes many times as long.",
        minimum=1,
        maximum=9,
    )


@dataclass(frozen=True, kw_only=True)
class ReleaseSettings(PublishSettings, Named):
    """The data set as others get it."""

    include: tuple[Content, ...] = setting(
        (
            *("events", "slices", "samples", "features", "annotations", "sidecars", "video"),
            "previews",
        ),
        "What the release holds. CVAT's XML names people, with their e-mail addresses: "
        "anonymous_annotations instead of annotations leaves them out.",
        unique=True,
    )
    data: Literal["all", "none"] = setting(
        "all",
        "none: a recipe, for recordings whose licence forbids copies. It has labels, splits, "
        "config, and digests of all files, and leaves it to those who have the recordings to make "
        "the others: `evreel rebuild`.",
        help="Whether the release has its data, or is a recipe.",
    )
    anonymous: bool = setting(
        False,
        "For double-blind review: leaves out authors, citation and page of the data set, sources "
        "of recordings, people and hosts in annotations, and what headers of recordings say of "
        "cameras, machines and people. Every byte is searched for what may be left, and anything "
        "found stops the release.",
    )
    anonymous_keep: tuple[str, ...] = setting(
        (),
        "Texts that an anonymous release may have, though they are somebody's or something's "
        "name: an account called like a label.",
        unique=True,
        metavar="A,B,…",
    )
    tolerate: tuple[str, ...] = setting(
        (),
        "Checks whose errors do not stop the release; [checks.md](checks.md) lists them. What "
        "they find is in the log all the same.",
        unique=True,
        metavar="A,B,…",
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        from evreel.release.licences import licence_notice

        if ANONYMOUS in self.include and "annotations" in self.include:
            yield ("include",), f"annotations or {ANONYMOUS}; both are given"
        if self.data == "none" and (self.anonymous or ANONYMOUS in self.include):
            problem = (
                "none is a recipe, which has the annotations as they are: what is made from others "
                "has other bytes. Remove people from the files themselves first, and release them "
                "as annotations, without anonymous"
            )
            yield ("data",), problem
        if self.anonymous_keep and not self.anonymous:
            yield ("anonymous_keep",), "has an effect only with anonymous: true"
        if self.tolerate:  # else the checks, and HDF5 with them, are not needed
            yield from self._unknown_checks()
        if self.licence_file is None:
            try:
                licence_notice(self.licence, None)
            except UsageError as error:
                yield ("licence",), str(error)

    def _unknown_checks(self) -> Iterator[tuple[Place, str]]:
        from evreel.checks import CHECKS

        for name in self.tolerate:
            if name not in CHECKS:
                more = guess(name, CHECKS) or f"; there are {', '.join(CHECKS)}"
                yield ("tolerate",), f"{name!r} is not the name of a check{more}"


@dataclass(frozen=True, kw_only=True)
class ReleaseSection(ReleaseSettings):
    """The data set as others get it, and whether it may lack recordings."""

    incomplete: Literal["refuse", "allow"] = setting(
        "refuse",
        "allow: after a run in which jobs of a recording failed, the next one releases the others, "
        "and says which it leaves out and why. refuse: there is no release until all its "
        "recordings are made.",
        help="Whether recordings with missing files are left out, or stop the release.",
    )


_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"


@dataclass(frozen=True)
class ResponsibleAI(Settings):
    """What people should know before they use the data; each key is a property of Croissant RAI."""

    data_collection: str | None = optional("How the data were collected.", least=1)
    data_collection_type: tuple[str, ...] | None = optional(
        "In a word or two: Experiments, Physical data collection, Direct measurement, Secondary "
        "Data analysis, …",
        least=1,
    )
    data_collection_raw_data: str | None = optional(
        "The raw data, and where they come from.", least=1
    )
    data_collection_missing_data: str | None = optional(
        "What is missing in the data, and why.", least=1
    )
    data_collection_timeframe: tuple[str, ...] | None = optional(
        "First and last day of the collection, as 2026-01-31.", least=1
    )
    data_preprocessing_protocol: tuple[str, ...] | None = optional(
        "What was done to the data before evreel read them. What evreel did is in config.json.",
        least=1,
    )
    data_imputation_protocol: str | None = optional("How missing values were filled in.", least=1)
    data_manipulation_protocol: str | None = optional("How data were altered.", least=1)
    data_annotation_protocol: str | None = optional(
        "How labels were made: by whom, with what instructions, how they were reviewed.", least=1
    )
    data_annotation_platform: tuple[str, ...] | None = optional(
        "Tools that people labelled with, such as CVAT.", least=1
    )
    data_annotation_analysis: tuple[str, ...] | None = optional(
        "How labels of several people became one; how far they agreed.", least=1
    )
    annotations_per_item: str | None = optional("How many people labelled each item.", least=1)
    annotator_demographics: tuple[str, ...] | None = optional(
        "What is known of those who labelled.", least=1
    )
    machine_annotation_tools: tuple[str, ...] | None = optional(
        "Programs that proposed or made labels.", least=1
    )
    data_use_cases: tuple[str, ...] | None = optional(
        "What the data are meant for, and what not.", least=1
    )
    data_limitations: tuple[str, ...] | None = optional(
        "Known limits: where models trained on the data cannot be expected to work.", least=1
    )
    data_biases: tuple[str, ...] | None = optional(
        "What is shown more or less often than it occurs.", least=1
    )
    personal_sensitive_information: tuple[str, ...] | None = optional(
        "What the data tell of persons; say so if it is nothing.", least=1
    )
    data_social_impact: str | None = optional("What good or harm may come of the data.", least=1)
    data_release_maintenance_plan: str | None = optional(
        "Who maintains the data set, for how long, and what becomes of older versions.", least=1
    )
    has_synthetic_data: bool | None = optional("Whether some of the data were simulated.")

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        for k, text in enumerate(self.data_collection_timeframe or ()):
            if not _is_date(text):
                yield ("data_collection_timeframe", str(k)), f"{text!r} is not a day; {_AS_DATE}"


@dataclass(frozen=True)
class Description(Settings):
    """What the data are, where they come from, and whom to cite."""

    title: str | None = optional("Name of the data set, as its authors write it.", least=1)
    description: str | None = optional("What the data set is, in a few sentences.", least=1)
    page: str | None = optional("Web page of the data set.", pattern="https?://.*")
    citation: str | None = optional("What to cite, as one text.", least=1)
    creators: tuple[str, ...] | None = optional(
        "Persons who made the data set: Ada Lovelace, or Ada Lovelace <https://orcid.org/…>.",
        least=1,
        unique=True,
    )
    organizations: tuple[str, ...] | None = optional(
        "Organizations that made it: Name, or Name <https://…>.", least=1, unique=True
    )
    keywords: tuple[str, ...] | None = optional(
        "Words to find it by, beside event camera and neuromorphic.", least=1, unique=True
    )
    date_published: str | None = optional(
        "Day of publication, as 2026-01-31. It is never taken from a clock: the same config makes "
        "the same release on any day.",
        pattern=_DATE,
    )
    derived_from: tuple[str, ...] | None = optional(
        "Data sets that it was made from: names or web addresses; [] for one that was not.",
        unique=True,
    )
    size_bytes: int | None = optional(
        "Bytes to download, as published; `evreel datasets` shows it.", unit="bytes", minimum=1
    )
    rai: ResponsibleAI | None = optional(
        "What people should know before they use the data: how they were collected and labelled, "
        "known limits, biases. Venues ask for it; [publishing.md](publishing.md) says which keys."
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        if self.date_published is not None and not _is_date(self.date_published):
            yield ("date_published",), f"{self.date_published!r} is not a day; {_AS_DATE}"


_AS_DATE = "write it as 2026-01-31"


def _is_date(text: str) -> bool:
    try:
        return re.fullmatch(_DATE, text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


@dataclass(frozen=True)
class BatchSettings(Settings):
    """How many short recordings share a job, which takes about a second before it works."""

    recordings: int | None = optional(
        "How many recordings share a job at most; 1: each has its own. Left out, it is chosen from "
        "their sizes: if 100 or more recordings have at most 4 MB each, up to 200 of them, 64 MB "
        "in all, share a job. Outputs are the same, whatever is chosen.",
        minimum=1,
        maximum=10_000,
        metavar="N",
    )


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A data set: everything that `config.yaml` says."""

    recordings: str = required(
        "Path of the recordings table (TSV), relative to the working directory."
    )
    results: str = setting(
        "results",
        "Folder for everything that is built; its path has no {, }, < or >.",
        pattern=RESULTS,
    )
    labels: tuple[str, ...] = required(
        "Label names of the whole data set; the position is the label's number in boxes and "
        "slices. A label of an annotation file that is not listed here is an error; [] is for data "
        "without labels.",
        unique=True,
        metavar="A,B,…",
    )
    dataset: Description | None = optional(
        "What the data are, where they come from and whom to cite: the release's README and its "
        "metadata for hosts and venues say it."
    )
    batches: BatchSettings = section(
        BatchSettings, "Many short recordings share jobs.", per_recording=False
    )
    acquire: AcquireSettings = section(AcquireSettings, "From source to recording.")
    events: EventsSettings = section(EventsSettings, "From recording to events store.")
    video: VideoSection = section(
        VideoSection, "Pictures to annotate, and the clock of their frames."
    )
    annotate: AnnotateSettings = section(AnnotateSettings, "Joining events and annotations.")
    qa: QaSettings = section(QaSettings, "Videos that show what is labelled.")
    preview: PreviewSettings = section(
        PreviewSettings, "Short videos of recordings, and pictures of them, for the release."
    )
    boxes: BoxesSettings = section(BoxesSettings, "Boxes that come with a recording.")
    slices: RegularWindows | None = optional(
        "How annotated events are cut; independent of the video. May be left out where all "
        "recordings are cut into samples."
    )
    samples: SamplesSection | None = optional(
        "Cutting recordings into labelled samples, each with a class and a split. Left out: no "
        "recording is cut."
    )
    features: Mapping[str, FeatureSection] = required(
        "Precomputed representations, each under a name of its own.", keys=NAME
    )
    parts: PartsSettings = section(
        PartsSettings, "How many jobs share a long recording; no file depends on it."
    )
    release: ReleaseSection = required("The data set as others get it.")

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        has_lists = self.samples is not None and self.samples.split.files is not None
        if has_lists and (self.release.data, self.release.incomplete) == ("none", "allow"):
            problem = (
                "allow does not go with data: none and samples/split/files: without all "
                "recordings, a recipe's lists name samples that nobody can make"
            )
            yield ("release", "incomplete"), problem

    @property
    def cutting(self) -> SamplesSection | None:
        """The settings of samples, None where a recording is not cut."""
        return self.samples if self.samples is not None and self.samples.by != "none" else None


_MD5, _SHA256, _CRC32 = "[0-9a-fA-F]{32}", "[0-9a-fA-F]{64}", "[0-9a-fA-F]{8}"
_MD5S = rf"{_MD5}( *\| *{_MD5})*"


@dataclass(frozen=True, kw_only=True)
class RecordingColumns(Settings):
    """The columns of the recordings table: one row per recording; empty cells count as absent."""

    id: str = required(
        "Name of the recording in every output; letters, digits, - and _.", pattern=NAME
    )
    source: str = required(
        "Path of the recording, relative to the working directory; or its http(s) url, or "
        "s3://bucket/key in an object store (pip install 'evreel[s3]'), or several of these for "
        "the same bytes, separated by |, which are tried in order; or manual:path, where a "
        "login is needed: a person puts the file there, its job fails with what to do until then, "
        "and the other recordings go on. Where the file is an archive (zip, tar, tar.gz, tar.xz, "
        "tar.bz2), ! and the name of the recording in it follow: archive.zip!folder/park.aedat4, "
        "and outer.zip!inner.zip!park.aedat4 where it is in one more. A ! that belongs to a name "
        "is written !!, or %21 in a url. Where its files are samples (samples/by: "
        "members), or one recording whose columns are declared, it may be the path of a folder; so "
        "it may for a bag of ROS 2, which is one."
    )
    md5: str | None = optional(
        "MD5 of what source says, 32 hexadecimal digits: of an archive, its own; of a folder, that "
        "of its listing by md5sum. This, sha256 or crc32 is required, except for a folder; all "
        "that are given hold.",
        pattern=_MD5,
        metavar="HEX",
    )
    sha256: str | None = optional(
        "SHA-256 instead of md5 or beside it, 64 hexadecimal digits.",
        pattern=_SHA256,
        metavar="HEX",
    )
    crc32: str | None = optional(
        "CRC-32, as zip has it, 8 hexadecimal digits, where nothing better is published. It is "
        "weak: it shows that bytes were damaged, cut or mixed up, and no file that somebody "
        "changed.",
        pattern=_CRC32,
        metavar="HEX",
    )
    size_bytes: str | None = optional(
        "Bytes that the recording, its archive or all files of its folder must have; checked where "
        "given.",
        pattern="[0-9]{1,15}",
        metavar="N",
    )
    member_md5: str | None = optional(
        "MD5 of the recording in its archive, 32 hexadecimal digits; checked where given. The "
        "archive is verified as a whole, once for all of its recordings.",
        pattern=_MD5,
        metavar="HEX",
    )
    page: str | None = optional("Web page to download a manual source from.", metavar="URL")
    sensor: str | None = optional(
        "Size as WIDTHxHEIGHT, such as 346x260, where the recording does not state it; where it "
        "does, it must be the same.",
        unit="px",
        pattern="[1-9][0-9]{0,4}x[1-9][0-9]{0,4}",
        metavar="WxH",
    )
    format: str | None = optional(
        "Format of the recording, or of all members that are samples, where neither content nor "
        "name shows it; where the content shows another, that is an error.",
        choices=FORMAT_NAMES,
    )
    columns: str | None = optional(
        "Where t, x, y and p are in the recording, and the unit of t, where it does not say so: as "
        "events/columns, which this sets.",
        metavar="COLUMNS",
    )
    split: Split = required(
        "Part of the data set that the recording belongs to, with all of its samples; mixed where "
        "its samples are of several, which samples/split in the config says."
    )
    group: str | None = optional(
        "Scene, session or person that several recordings share; all of a group are in one split."
    )
    label: str | None = optional(
        "Class of all samples of an archive or folder, where samples/members has no {label}; a "
        "name of labels, or one that samples/classes maps to it."
    )
    rois: str | None = optional(
        "Annotation with the outlines of objects: CVAT XML (for video 1.1, or for images 1.1), "
        "COCO, MOT, YOLO or EventBbox, told by content; what has several files, as a zip. Several "
        "exports of CVAT, of one task's jobs, with | between them, or a folder with them.",
        metavar="FILE",
    )
    rois_md5: str | None = optional(
        "MD5 of that file, 32 hexadecimal digits; checked where given. Of several, with | between.",
        pattern=_MD5S,
        metavar="HEX",
    )
    tags: str | None = optional(
        "CVAT XML with frame tags (CVAT for images 1.1); several as for rois.", metavar="XML"
    )
    tags_md5: str | None = optional(
        "MD5 of that XML, 32 hexadecimal digits; checked where given. Of several, with | between.",
        pattern=_MD5S,
        metavar="HEX",
    )
    clock: str | None = optional(
        "Times of the frames that were annotated, where another camera or program made them: TSV "
        "with the columns frame, start_us and stop_us.",
        metavar="TSV",
    )
    clock_md5: str | None = optional(
        "MD5 of that table, 32 hexadecimal digits; checked where given.",
        pattern=_MD5,
        metavar="HEX",
    )
    labelled: str | None = optional(
        "What annotators have finished: TSV with the columns start_us and stop_us, or start_frame "
        "and stop_frame (both included) as in CVAT's list of jobs, of which column state may say "
        "which are completed.",
        metavar="TSV",
    )
    labelled_md5: str | None = optional(
        "MD5 of that table, 32 hexadecimal digits; checked where given.",
        pattern=_MD5,
        metavar="HEX",
    )
    samples: str | None = optional(
        "Table of labelled intervals that cut the recording into samples (CSV or TSV; the config "
        "says what its columns are called). A path; or ! and the name of a member of the archive "
        "that the recording is in."
    )
    samples_md5: str | None = optional(
        "MD5 of that table, 32 hexadecimal digits; checked where given.",
        pattern=_MD5,
        metavar="HEX",
    )
    boxes: str | None = optional(
        "Boxes that come with the recording: EventBbox records (.npy) on its own clock, such as "
        "Prophesee's; they go along into the release. Not beside rois."
    )
    boxes_md5: str | None = optional(
        "MD5 of that file, 32 hexadecimal digits; checked where given.",
        pattern=_MD5,
        metavar="HEX",
    )
    times: str | None = optional(
        "Times at which windows of features end (features/<name>/ending: times), whole µs since "
        "the recording's first event, in order: a text with one per line, or an .npy file.",
        metavar="FILE",
    )
    times_md5: str | None = optional(
        "MD5 of that file, 32 hexadecimal digits; checked where given.",
        pattern=_MD5,
        metavar="HEX",
    )
    n_events: str | None = optional(
        "Events that the recording is known to have, as published; with another number it is "
        "refused.",
        pattern="[0-9]{1,18}",
        metavar="N",
    )
    biases: str | None = optional("File with the camera's biases; goes along into the release.")
    calibration: str | None = optional(
        "File with the camera's calibration; goes along into the release."
    )
    hot_pixels: str | None = optional(
        "File that lists hot pixels; goes along into the release. It removes nothing: "
        "events/max_pixel_hz does that."
    )
    time_offset_us: str | None = optional(
        "What to add to the camera's clock to get to a common one of the session; goes along into "
        "the manifest, timestamps stay as they are.",
        unit="µs",
        pattern="-?[0-9]{1,18}",
    )


NEEDED_BESIDE = {
    "rois_md5": "rois",
    "samples_md5": "samples",
    "boxes_md5": "boxes",
    "tags_md5": "tags",
    "clock_md5": "clock",
    "labelled_md5": "labelled",
    "times_md5": "times",
}
"""Columns that mean nothing without another one."""

SECTIONS = (
    *("events", "video", "annotate", "qa", "preview", "boxes", "slices", "samples", "features"),
    "parts",
)
"""Groups of the config whose settings a column may change for one recording."""

FREE_COLUMNS = {
    rf"({'|'.join(SECTIONS)})/.+": (
        "Instead of the config's value of that key, for this recording; null unsets it. A text is "
        "taken as it is. Not for video/container, features/<name>/boxes, samples/split and "
        "samples/counts."
    ),
    r"meta\.[A-Za-z0-9_.-]+": (
        "Anything else that is known of the recording; goes along into the manifest."
    ),
}
"""Form of the names of further columns → what they mean."""
