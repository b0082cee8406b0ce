"""Every array of every HDF5 file: name, dtype, dims, unit, chunks, filter, meaning, version.

Writers, readers, checks and docs all use it. Raise a layout's version when an array is added,
removed or changes meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

from evreel.errors import ParameterError

Filter = Literal["none", "bitshuffle-lz4", "zstd", "gzip", "fletcher32"]
Compression = Literal["zstd", "gzip", "none"]
"""How the frames of a features file are compressed."""

GZIP_LEVEL = 4
"""From 1, fast, to 9: at 6, events take half as long again and 0.2 % less room."""

COLUMN_CHUNK = 65_536
"""Rows per chunk of a column: 2,000 to 10,000 chunks in a long recording, 1 ms to read one."""


@dataclass(frozen=True)
class Array:
    """One data set of a file.

    Parameters
    ----------
    name
        Path in the file.
    dtype
        numpy dtype string, or ``str`` for variable-length UTF-8.
    dims
        Names of its dimensions; empty for a scalar. Arrays that share a dimension's name share
        its length. ``…`` in the end stands for any further ones.
    unit
        Unit of a value, or an empty string.
    meaning
        One sentence.
    chunk
        Shape of a chunk; None for an array stored as a whole.
    filter
        How chunks are compressed in a working file.
    optional
        Left out if the source has no data for it.
    """

    name: str
    dtype: str
    dims: tuple[str, ...]
    unit: str
    meaning: str
    chunk: tuple[int, ...] | None = None
    filter: Filter = "none"
    optional: bool = False


@dataclass(frozen=True)
class Layout:
    """A kind of file: its name and version (root attributes), arrays and further attributes.

    A file may lack `optional` attributes.
    """

    name: str
    version: int
    meaning: str
    arrays: tuple[Array, ...]
    attributes: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Array:
        for array in self.arrays:
            if array.name == name:
                return array
        raise KeyError(name)

    def arrays_in(
        self, names: Container[str], members: Callable[[str], Iterable[str]]
    ) -> tuple[list[Array], list[str]]:
        """Return the arrays that a file has, and the names of those that it lacks but must have.

        Parameters
        ----------
        names
            Paths in the file.
        members
            Function that lists what is in a group: an array whose name ends in ``/*`` stands for
            all in that group, each of its dtype and dimensions.
        """
        found: list[Array] = []
        missing: list[str] = []
        for array in self.arrays:
            if array.name.endswith("/*"):
                group = array.name.removesuffix("/*")
                for member in members(group) if group in names else ():
                    found.append(replace(array, name=f"{group}/{member}"))
            elif array.name in names:
                found.append(array)
            elif not array.optional:
                missing.append(array.name)
        return found, missing


def _column(
    name: str, dtype: str, dim: str, unit: str, meaning: str, optional: bool = False
) -> Array:
    return Array(
        name, dtype, (dim,), unit, meaning, (COLUMN_CHUNK,), "bitshuffle-lz4", optional=optional
    )


EVENT_COLUMNS = (
    _column("events/t", "<i8", "event", "µs", "Timestamp since t_offset, non-decreasing."),
    _column("events/x", "<u2", "event", "px", "Column."),
    _column("events/y", "<u2", "event", "px", "Row."),
    _column("events/p", "u1", "event", "", "Polarity: 0 OFF (darker), 1 ON (brighter)."),
)
SENSOR_SCALARS = (
    Array("events/height", "<i8", (), "px", "Sensor height."),
    Array("events/width", "<i8", (), "px", "Sensor width."),
    Array("t_offset", "<i8", (), "µs", "First timestamp on the camera's own clock."),
)

LEFT_OUT = (
    *("out_of_bounds_events", "dropped_late_events", "stray_events", "other_clock_events"),
    *("outside_time", "outside_crop", "hot_pixel_events"),
)
"""Counts of left-out events in an events store's `repairs`; the others count something else."""

EVENTS = Layout(
    "evreel-events",
    2,
    "One recording's events, named and indexed as in DSEC, with the sizes that RVT looks for.",
    (
        *EVENT_COLUMNS,
        *SENSOR_SCALARS,
        Array(
            "ms_to_idx",
            "<u8",
            ("millisecond",),
            "",
            "Row of the first event at or after each millisecond; the last entry is the number "
            "of events.",
            (COLUMN_CHUNK,),
            "bitshuffle-lz4",
        ),
        _column("triggers/t", "<i8", "trigger", "µs", "Timestamp since t_offset.", optional=True),
        _column("triggers/edge", "i1", "trigger", "", "1 rising, 0 falling, −1 no edge.", True),
        _column("triggers/id", "<i2", "trigger", "", "Channel or type, as in the source.", True),
        _column("imu/t", "<i8", "sample", "µs", "Timestamp since t_offset.", optional=True),
        *(
            Array(
                f"imu/{name}",
                "<f4",
                ("sample", "axis"),
                unit,
                meaning,
                (COLUMN_CHUNK, 3),
                "bitshuffle-lz4",
                optional=True,
            )
            for name, unit, meaning in (
                ("accelerometer", "g", "Acceleration along x, y, z."),
                ("gyroscope", "°/s", "Rotation about x, y, z."),
                ("magnetometer", "µT", "Magnetic field along x, y, z."),
            )
        ),
        _column("imu/temperature", "<f4", "sample", "°C", "Temperature.", optional=True),
        _column("frames/exposure_start_us", "<i8", "frame", "µs", "Exposure began.", optional=True),
        _column("frames/exposure_stop_us", "<i8", "frame", "µs", "Exposure ended.", optional=True),
        Array("source_header", "str", (), "", "The recording's header, verbatim."),
        Array(
            "members/name",
            "str",
            ("member",),
            "",
            "Names, in their archive, of recordings that are end to end in here; or part 1, "
            "part 2, … of a recording whose clock was reset.",
            optional=True,
        ),
        _column("members/start_us", "<i8", "member", "µs", "First timestamp of the member.", True),
        _column("members/stop_us", "<i8", "member", "µs", "Its last timestamp + 1.", True),
        _column(
            "members/t_offset", "<i8", "member", "µs", "First timestamp on its own clock.", True
        ),
    ),
    {
        "source_format": "Format of the recording, such as aedat4.",
        "t_stop_us": "Last timestamp + 1, µs since t_offset.",
        "origin_x_px": "Column of the sensor that became column 0: more than 0 after a crop.",
        "origin_y_px": "Row of the sensor that became row 0: more than 0 after a crop.",
    },
)

ShapeKind = Literal["box", "ellipse", "polygon", "polyline", "points", "cuboid", "mask", "skeleton"]
SHAPE_KINDS: tuple[ShapeKind, ...] = get_args(ShapeKind)
"""Kinds of shapes, as `name` of their classes has them; the position is the kind's number."""

_KINDS = ", ".join(f"{number} {name}" for number, name in enumerate(SHAPE_KINDS))

SLICES = Layout(
    "evreel-slices",
    2,
    "Annotated slices of one recording.",
    (
        *EVENT_COLUMNS,
        _column("events/roi", "<i4", "event", "", "Primary region: a row of rois; −1 none."),
        *SENSOR_SCALARS,
        Array("first_row", "<i8", (), "", "Row in the events store of row 0 of events here."),
        _column("slices/start", "<i8", "slice", "", "First row of events here."),
        _column("slices/stop", "<i8", "slice", "", "One past the last row."),
        _column("slices/start_us", "<i8", "slice", "µs", "Start of the slice."),
        _column("slices/stop_us", "<i8", "slice", "µs", "Stop of the slice, not in it."),
        _column("overlaps/event", "<i8", "overlap", "", "Event row, one per additional region."),
        _column("overlaps/roi", "<i4", "overlap", "", "The additional region: a row of rois."),
        _column("rois/track", "<i8", "roi", "", "The annotation's track number; −1 a loose shape."),
        _column("rois/label", "<i4", "roi", "", "A row of labels."),
        _column(
            "rois/start_us", "<i8", "roi", "µs", "Start of the first frame it labels; −1 none."
        ),
        _column("rois/stop_us", "<i8", "roi", "µs", "Stop of the last frame it labels; −1 none."),
        _column("rois/kind", "i1", "roi", "", "Kind of its first shape, as in shapes; −1 none."),
        _column("rois/group", "<i8", "roi", "", "Group of its first shape; 0 none."),
        Array("labels/name", "str", ("label",), "", "Label names; the row is the label's number."),
        _column("shapes/frame", "<i8", "shape", "", "Video frame that shows it, ascending."),
        _column("shapes/roi", "<i4", "shape", "", "A row of rois, ascending within a frame."),
        _column("shapes/start_us", "<i8", "shape", "µs", "Start of the frame's interval."),
        _column("shapes/stop_us", "<i8", "shape", "µs", "Stop of the frame's interval."),
        _column("shapes/kind", "i1", "shape", "", f"{_KINDS}."),
        _column("shapes/x", "<f4", "shape", "px", "Left edge of what it covers, as drawn."),
        _column("shapes/y", "<f4", "shape", "px", "Top edge; it may be outside the sensor."),
        _column("shapes/w", "<f4", "shape", "px", "Width."),
        _column("shapes/h", "<f4", "shape", "px", "Height."),
        _column("shapes/keyframe", "u1", "shape", "", "1: drawn by a person; 0: interpolated."),
        _column("shapes/occluded", "u1", "shape", "", "1: marked as partly hidden."),
        _column("shapes/z_order", "<i4", "shape", "", "Higher is on top."),
        _column("shapes/group", "<i8", "shape", "", "Number of what belongs together; 0 none."),
        _column("shapes/first_vertex", "<i8", "shape", "", "First row of its outline in vertices."),
        _column("shapes/n_vertices", "<i4", "shape", "", "Rows of its outline."),
        _column(
            "shapes/attributes/*",
            "any",
            "shape",
            "",
            "Values of attribute 0, 1, …, a row of attributes: a number, NaN none; 1 or 0 of a "
            "checkbox, −1 none; else a row of attributes/value, counted from value_start, −1 none.",
            optional=True,
        ),
        _column("vertices/x", "<f4", "vertex", "px", "Outline of a shape, to draw it by: column …"),
        _column("vertices/y", "<f4", "vertex", "px", "… and row, sensor pixels."),
        Array("attributes/name", "str", ("attribute",), "", "Names of attributes."),
        Array(
            "attributes/kind",
            "str",
            ("attribute",),
            "",
            "number, checkbox, select, radio or text.",
        ),
        _column("attributes/value_start", "<i8", "attribute", "", "First row of its values."),
        _column("attributes/value_stop", "<i8", "attribute", "", "One past the last row."),
        Array("attributes/value", "str", ("value",), "", "Values of attributes that are texts."),
        _column(
            "tags/attributes/*",
            "any",
            "tag",
            "",
            "Values of attribute 0, 1, …, as in shapes/attributes.",
            optional=True,
        ),
        _column("tags/frame", "<i8", "tag", "", "Video frame that carries the tag."),
        _column("tags/label", "<i4", "tag", "", "A row of labels."),
        _column("tags/start_us", "<i8", "tag", "µs", "Start of the frame's interval."),
        _column("tags/stop_us", "<i8", "tag", "µs", "Stop of the frame's interval."),
        _column("labelled/start_us", "<i8", "span", "µs", "Annotators looked from here …"),
        _column("labelled/stop_us", "<i8", "span", "µs", "… until here."),
        Array(
            "doubts",
            "str",
            ("doubt",),
            "",
            "What the annotation files leave open, a sentence each.",
            optional=True,
        ),
    ),
    {
        "t_stop_us": "Last timestamp of the recording + 1, µs since t_offset.",
        "events_outside_slices": "How many events are in no slice; they stay in events.",
    },
)

_SAMPLE = (
    Array("samples/id", "str", ("sample",), "", "Name of the sample within the recording."),
    _column("samples/label", "<i4", "sample", "", "A row of labels; −1 none."),
    _column("samples/start_us", "<i8", "sample", "µs", "Start of the sample."),
    _column("samples/stop_us", "<i8", "sample", "µs", "Stop of the sample, not in it."),
    _column("samples/t_offset", "<i8", "sample", "µs", "Its start on its recording's own clock."),
)

SAMPLES = Layout(
    "evreel-samples",
    1,
    "Samples of one recording: labelled intervals that index its events store.",
    (
        *_SAMPLE,
        Array("samples/group", "str", ("sample",), "", "Group kept in one split; empty: unknown."),
        Array("samples/split", "str", ("sample",), "", "train, val or test."),
        _column("samples/start", "<i8", "sample", "", "First row of the events store."),
        _column("samples/stop", "<i8", "sample", "", "One past the last row."),
        Array("labels/name", "str", ("label",), "", "Label names; the row is the label's number."),
    ),
    {
        "recording": "Name of the recording.",
        "t_stop_us": "Last timestamp of the recording + 1, µs since t_offset.",
    },
)

FEATURES = Layout(
    "evreel-features",
    2,
    "One representation of one recording, one array per window. Attribute `decoding` is a digest "
    "of the recording and of how it was decoded, if the events store tells that.",
    (
        Array(
            "data",
            "any",
            ("window", "channel", "height", "width"),
            "",
            "The representation.",
            (1,),
            "zstd",
        ),
        _column("windows/start", "<i8", "window", "", "First row of the events store."),
        _column("windows/stop", "<i8", "window", "", "One past the last row."),
        _column("windows/start_us", "<i8", "window", "µs", "Start of the window."),
        _column("windows/stop_us", "<i8", "window", "µs", "Stop of the window, not in it."),
        _column(
            "last_timestamps",
            "<i8",
            "window",
            "µs",
            "Timestamp of each window's last event; only for windows of equal count.",
            optional=True,
        ),
        Array("t_offset", "<i8", (), "µs", "First timestamp on the camera's own clock."),
        *(replace(array, optional=True) for array in _SAMPLE),
        _column("samples/window_start", "<i8", "sample", "", "First window of the sample.", True),
        _column("samples/window_stop", "<i8", "sample", "", "One past its last window.", True),
        Array(
            "labels/name",
            "str",
            ("label",),
            "",
            "Label names; the row is the label's number.",
            optional=True,
        ),
        Array(
            "extra/*",
            "any",
            ("window", "…"),
            "",
            "What `evreel enrich` added under a name: a number, or an array of numbers, per "
            "window; its attribute sha256 is that of the file that was added.",
            filter="gzip",
            optional=True,
        ),
    ),
    {
        "representation": "Registered name.",
        "representation_parameters": "Every parameter by name, defaults too, as JSON.",
        "representation_revision": "Raised when the representation's values change.",
        "reference": "Where the representation is defined.",
        "unit": "Unit of a value of data.",
    },
    {
        "geometry": "Which pixels of the sensor the frames are of, as in the config, as JSON; the "
        "boxes of their windows are in the coordinates of the frames.",
    },
)

PARTS = Layout(
    "evreel-part",
    1,
    "A share of one recording's features or slices, between the jobs that make and that join them.",
    (
        Array(
            "frames/*",
            "any",
            ("…",),
            "",
            "Frames of a feature; its attributes are what distinguishes it from others, and what "
            "was changed.",
            (1,),
            "zstd",
            optional=True,
        ),
        _column("roi", "<i4", "event", "", "Primary region: a row of rois; −1 none.", True),
        _column("overlaps/event", "<i8", "overlap", "", "Row of the recording.", True),
        _column("overlaps/roi", "<i4", "overlap", "", "The additional region.", True),
    ),
    {
        "part": "Which part it is, from 1 on.",
        "parts": "How many parts there are.",
        "source": "What distinguishes the events that it is made of from others.",
    },
    {
        "identity": "What distinguishes the regions from those of another annotation.",
        "first_row": "Row of the recording that the first region is of.",
    },
)

FEATURE_DATA_ATTRIBUTES: dict[str, str] = {
    "events_to_tensor": "Registered name of the representation, as bytes.",
    "delta_t": "Duration of a window in µs, uint32: the longest if mode is mixed, 0 if it is "
    "n_events or number.",
    "n_events": "Events per window, 0 unless mode is n_events or mixed: then the most.",
    "mode": "delta_t: windows of equal duration; n_events: of equal count; mixed: whichever comes "
    "first; number: a fixed number of windows per recording or sample; ending: windows of equal "
    "duration that end at given instants.",
    "event_input_width": "Sensor width in pixels.",
    "event_input_height": "Sensor height in pixels.",
    "shape": "Channels, height and width of a window's array.",
}
"""Attributes of a features file's `data`, named as Metavision's; each parameter is one more."""

FEATURE_STORED_ATTRIBUTES: dict[str, str] = {
    "computed_dtype": "Type in which values were computed, if they are stored in another.",
    "store_scale": "Value of one step: a stored whole number times this is the value.",
    "store_as_uint8": "Metavision's: true where a value is the stored one divided by 255.",
}
"""Attributes of a features file's `data` where values are not stored as they were computed."""


def check_feature_parameters(name: str, parameters: Iterable[str]) -> None:
    """Raise `ParameterError` if a representation's parameter is called as an attribute of `data`.

    Parameters
    ----------
    name
        Of the representation.
    parameters
        Names of its parameters.
    """
    taken = {*FEATURE_DATA_ATTRIBUTES, *FEATURE_STORED_ATTRIBUTES}.intersection(parameters)
    if taken:
        raise ParameterError(
            f"parameter {min(taken)!r} has the name of an attribute of features files",
            place=name,
            hint="Choose another name.",
        )


BOXES_SUFFIX = "_bbox.npy"
"""End of the name of a file of boxes, after the recording's name."""

FIRST_SUFFIX = "_bbox_first.npy"
"""End of the name of the file beside boxes of a feature's windows: the first row of each window."""

ORIGIN_SUFFIX = "_bbox.json"
"""End of the name of the file beside boxes that says how they were made."""

OF_BOXES = (BOXES_SUFFIX, FIRST_SUFFIX, ORIGIN_SUFFIX)
"""Ends of the names of all files of boxes."""

LABEL_MAP = "label_map_dictionary.json"
"""File that names the classes of the boxes beside and below it: number → name."""

BOX_DTYPE = np.dtype(
    [
        ("t", "<i8"),
        ("x", "<f4"),
        ("y", "<f4"),
        ("w", "<f4"),
        ("h", "<f4"),
        ("class_id", "<u4"),
        ("track_id", "<u4"),
        ("class_confidence", "<f4"),
    ],
    align=True,
)
"""EventBbox record, 40 bytes: t in µs; x, y top left corner and w, h in sensor pixels."""

LAYOUTS = {layout.name: layout for layout in (EVENTS, SLICES, SAMPLES, FEATURES)}
