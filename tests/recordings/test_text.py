"""Texts: which column is what, exact times, lines of errors, packed or not."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zipfile
from decimal import Decimal
from fractions import Fraction
from io import BytesIO

import numpy as np
import pytest
import zstandard

from evreel.errors import CodingError, RecordingError, UnknownFormatError, UsageError
from evreel.events import Sensor
from evreel.kernels import text as lines
from evreel.recordings import open_recording, read_events
from evreel.recordings import text as reader
from evreel.recordings.open import Reading
from evreel.timebase import FARTHEST
from recordings.rows import read
from recordings.rows import refused as refused_file

SENSOR = Sensor(180, 240)
ROWS = [(1_000, 33, 39, 1), (1_000, 158, 145, 0), (1_011, 88, 143, 1), (3_600_000_001, 0, 0, 0)]
EPOCH_US = 1_468_941_032_229_165


def written(folder, content, name="events.txt"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows_of(path, columns=None, sensor=SENSOR):
    return read(path, sensor=sensor, reading=Reading(columns=columns))[0]


def refused(path, columns=None, kind=RecordingError, sensor=SENSOR):
    return refused_file(path, kind, sensor=sensor, reading=Reading(columns=columns))


def rpg(rows, decimals=9):
    return "".join(f"{Decimal(t) / 10**6:.{decimals}f} {x} {y} {p}\n" for t, x, y, p in rows)


def text_of(rows, order, separator=","):
    index = ["txyp".index(role) for role in order]
    return "".join(separator.join(str(row[k]) for k in index) + "\n" for row in rows)


# What is recognised


@pytest.mark.parametrize("decimals", [6, 9, 12])
def test_rpg__is_recognised_by_decimals_of_seconds(tmp_path, decimals):
    path = written(tmp_path, rpg(ROWS, decimals))
    assert rows_of(path) == rows_of(path, "rpg") == ROWS
    with open_recording(path, sensor=SENSOR) as recording:
        assert (recording.format, recording.t_offset) == ("text", 1_000)
    with pytest.raises(RecordingError, match="does not state the sensor's size"):
        open_recording(path)


@pytest.mark.parametrize("order", ["txyp", "xypt", "xytp"])
@pytest.mark.parametrize("separator", [",", " ", "\t", ";", ", "])
@pytest.mark.parametrize("off", [0, -1])
def test_order__of_four_columns_is_recognised_by_what_makes_sense(tmp_path, order, separator, off):
    rows = [(t, x, y, p or off) for t, x, y, p in ROWS]
    path = written(tmp_path, text_of(rows, order, separator), "events.csv")
    assert rows_of(path) == ROWS


@pytest.mark.parametrize(
    "header",
    [
        "t,x,y,p",
        "timestamp,X,Y,polarity",
        "t_us,x,y,pol",
        "Timestamp [us],x,y,p",
        '"time (µs)","x","y","p"',
        "# t x y p",
        "t x y p",
    ],
)
def test_header__says_what_columns_are_and_the_unit(tmp_path, header):
    mixed = [(10_000, 1, 1, 1), (20_000, 0, 1, 0)]  # which alone would be unclear
    path = written(tmp_path, f"% made by hand\n\n{header}\n" + text_of(mixed, "txyp"))
    assert rows_of(path) == mixed


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("t_s", ["0.5", "0.75"]),
        ("t[s]", ["5e-1", "+7.5E-1"]),
        ("time(ms)", ["500", "750.0"]),
        ("timestamp_ns", ["500000999", "750000000"]),
        ("ts_usec", ["500000", "750000"]),
        ("time_seconds", [".5", "0.7500004"]),
    ],
)
def test_header__may_give_any_unit(tmp_path, name, times):
    content = f"x,y,frame,{name},p\n" + "".join(f"1,2,a b,{t},True\n" for t in times)
    assert rows_of(written(tmp_path, content)) == [(500_000, 1, 2, 1), (750_000, 1, 2, 1)]


def test_unit__of_whole_numbers_is_microseconds_or_nanoseconds_of_the_epoch(tmp_path):
    rows = [(t + EPOCH_US, x, y, p) for t, x, y, p in ROWS]
    assert rows_of(written(tmp_path, text_of(rows, "txyp"))) == rows
    in_ns = [(t * 1000 + 999, x, y, p) for t, x, y, p in rows]
    assert rows_of(written(tmp_path, text_of(in_ns, "txyp"))) == rows


def test_seconds_of_the_epoch__keep_their_microseconds(tmp_path):
    rows = [(t + EPOCH_US, x, y, p) for t, x, y, p in ROWS]
    assert rows_of(written(tmp_path, rpg(rows))) == rows
    buffer = BytesIO()
    np.savetxt(buffer, np.array([[t / 1e6, x, y, p] for t, x, y, p in rows]))
    assert rows_of(written(tmp_path, buffer.getvalue())) == rows, "numpy's own way of writing"


def test_first_line__of_two_numbers_is_the_size_of_the_sensor(tmp_path):
    path = written(tmp_path, "240 180\n" + rpg(ROWS))
    assert rows_of(path, sensor=None) == ROWS
    with open_recording(path) as recording:
        assert recording.sensor == SENSOR
    assert "states a sensor of 240x180 px" in refused(path, sensor=Sensor(180, 250))
    path = written(tmp_path, "t,x@240,y@180,on\n" + text_of(ROWS, "txyp"))
    with open_recording(path) as recording:
        assert recording.sensor == SENSOR, "as faery writes it"
    assert rows_of(path) == ROWS
    assert "states a sensor of 0x0 px" in refused(
        written(tmp_path, "0 0\n0.1234 1 2 1\n"), sensor=None
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lines__may_end_and_begin_as_programs_write_them(tmp_path, end, last):
    plain = [" 0.001000000\t33  39 1 ", "", "// a note", '"0.001001",34,40,"0",', "#", "2.5;1;2;-0"]
    content = "\ufeff" + end.join(plain) + (end if last else "")
    expected = [(1_000, 33, 39, 1), (1_001, 34, 40, 0), (2_500_000, 1, 2, 0)]
    assert rows_of(written(tmp_path, content)) == expected


def test_comment__with_the_size_of_the_sensor_counts_before_all_events(tmp_path):
    content = text_of(ROWS, "txyp")
    for first in ("# sensor 240x180\n", "# a\r\n# sensor 240x180\r\nt,x,y,p\r\n"):
        with open_recording(written(tmp_path, first + content)) as recording:
            assert recording.sensor == SENSOR
    for other in ("# sensor 240 x 180\n", "# sensors 240x180\n", "# sensor 240x180 px\n"):
        assert "does not state the sensor's size" in refused(
            written(tmp_path, other + content), sensor=None
        )
    later = written(tmp_path, content + "# sensor 2x2\n" + content.splitlines()[-1])
    assert len(rows_of(later)) == len(ROWS) + 1
    for size in ("0x180", "240x99999"):
        said = refused(written(tmp_path, f"# a\n# sensor {size}\n{content}"), sensor=None)
        assert f"line 2 states a sensor of {size} px: " in said


# Packed


def test_gzip_and_zip__hold_what_the_text_does(tmp_path):
    content = rpg(ROWS).encode()
    two = gzip.compress(content[:30]) + gzip.compress(content[30:])
    for packed in (gzip.compress(content), two):
        assert rows_of(written(tmp_path, packed, "events.txt.gz")) == ROWS
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path = tmp_path / "shapes.zip"
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("shapes/events.txt", content)
            archive.writestr("shapes/images.txt", "0.1 images/frame.png\n")
            archive.writestr("__MACOSX/shapes/events.txt", "?")
        assert rows_of(path) == ROWS
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", content)
        archive.writestr("b.csv", content)
    assert "2 texts: a.csv, b.csv" in refused(path)
    assert "shapes.zip!NAME" in refused(path)


def test_damaged_gzip__is_an_error_and_salvaged_up_to_it(tmp_path):
    rows = [(t, t % 240, t % 180, t % 2) for t in range(90_000)]
    packed = bytearray(gzip.compress(rpg(rows).encode()))
    cut = written(tmp_path, bytes(packed[: len(packed) // 2]), "e.txt.gz")
    assert "compression (gzip)" in refused(cut)
    kept, repairs = read(cut, sensor=SENSOR, reading=Reading(on_damage="salvage"))
    assert 0 < len(kept) < len(rows) and kept == rows[: len(kept)]
    assert repairs["damaged_bytes"] > 0
    packed[-8] ^= 1
    assert "CRC" in refused(written(tmp_path, bytes(packed), "e.txt.gz"))


def test_zstandard__holds_what_the_text_does(tmp_path):
    content = rpg(ROWS).encode()
    skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc"  # a frame of something else
    several = zstandard.compress(content[:30]) + skipped + zstandard.compress(content[30:])
    for packed in (zstandard.compress(content), several, zstandard.compress(b"") + several):
        for name in ("events.txt.zst", "events.csv.zstd", "events.zst", "12345678"):
            assert rows_of(written(tmp_path, packed, name)) == ROWS
    path = written(tmp_path, zstandard.compress(b"9000 5 1 1\n"), "e.zst")
    assert rows_of(path, "t[s], x, y, p") == [(9_000_000_000, 5, 1, 1)]
    with open_recording(path, sensor=SENSOR, format="text") as recording:
        assert recording.format == "text"
    binary = written(tmp_path, zstandard.compress(b"5\0 1 1 1\n"), "e.txt.zst")
    assert "it has a byte 0" in refused(binary, kind=UnknownFormatError)


def test_zstandard__of_a_text_is_no_bag_whatever_is_stated(tmp_path):
    path = written(tmp_path, zstandard.compress(b"5 1 1 1\n"), "e.zst")
    reading = Reading(columns="t[us], x, y, p")
    assert open_recording(path, sensor=Sensor(9, 9), format="text", reading=reading).close() is None
    with pytest.raises(RecordingError, match=r"is text, but its format is stated to be rosbag\."):
        open_recording(path, sensor=Sensor(9, 9), format="rosbag", reading=reading)
    empty = written(tmp_path, zstandard.compress(b""), "n.zst")
    assert "has no bytes" in refused(empty)
    with open_recording(empty, sensor=Sensor(9, 9), reading=reading) as recording:
        assert recording.format == "text"


def test_damaged_zstandard__is_an_error_and_salvaged_up_to_it(tmp_path):
    rows = [(t, t % 240, t % 180, t % 2) for t in range(90_000)]
    checked = zstandard.ZstdCompressor(write_checksum=True)
    packed = bytearray(checked.compress(rpg(rows).encode()))
    for size in (len(packed) // 2, len(packed) - 1, len(packed) - 5):
        cut = written(tmp_path, bytes(packed[:size]), "e.txt.zst")
        assert "compression (Zstandard): it ends in the middle of a frame" in refused(cut)
        kept, repairs = read(cut, sensor=SENSOR, reading=Reading(on_damage="salvage"))
        assert kept and kept == rows[: len(kept)]
        assert "damaged_bytes" in repairs
    packed[-2] ^= 1
    assert "checksum" in refused(written(tmp_path, bytes(packed), "e.txt.zst"))
    more = written(tmp_path, zstandard.compress(b"5 1 1 1\n") + b"more", "e.txt.zst")
    assert "compression (Zstandard)" in refused(more)


def test_zstandard__of_very_many_bytes_takes_bounded_memory(tmp_path):
    comments = (b"#" * (1 << 15) + b"\n") * (1 << 11)
    packed = zstandard.compress(rpg(ROWS).encode() + comments)
    path = written(tmp_path, packed, "e.txt.zst")
    tracemalloc.start()
    try:
        assert rows_of(path) == ROWS
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(packed) < len(comments) / 5_000 and peak < len(comments) / 2
    far = zstandard.ZstdCompressionParameters.from_level(1, window_log=28)
    wide = zstandard.ZstdCompressor(compression_params=far).compressobj()
    content = wide.compress(b"5 1 1 1\n") + wide.flush()
    assert "memory" in refused(written(tmp_path, content, "e.txt.zst"))


# Numbers


def exactly(field, scale, shift, rounding):
    """Return what the kernel should make of a number; None where it is an error."""
    value = Fraction(Decimal(field))
    scaled = value * scale
    below = scaled.numerator // scaled.denominator
    if scaled.denominator == 1 or rounding == lines.BELOW:
        return below + shift
    if rounding == lines.NONE:
        return None
    if value.denominator == 1:
        return below + shift
    half = Fraction(1, 2) if scaled > 0 else -Fraction(1, 2)
    return int(scaled + half) + shift  # which cuts towards 0


def how(power=0, up=1, down=1, shift=0, rounding=0, most=FARTHEST):
    return [power, up, down, shift, rounding, most]


def parsed(content, order="txyp", separator=" ", **of_t):
    data = np.frombuffer(content.encode(), np.uint8)
    n = content.count("\n")
    out = [np.zeros(n, np.int64) for _ in "txy"]
    p, tally = np.zeros(n, np.int8), np.zeros(4, np.int64)
    roles = np.array(["txyp".find(role) for role in order], np.int8)
    hows = np.array([how(**of_t), how(most=1 << 31), how(most=1 << 31), how(most=1)], np.int64)
    n = lines.parse(data, roles, hows, ord(separator), *out, p, tally)
    return [column[:n].tolist() for column in (*out, p)], tally.tolist()


@pytest.mark.parametrize("power", [6, 3, 0, -3])
@pytest.mark.parametrize("factor", [(1, 1, 0), (1, 32, -7), (3, 7, 5)])
@pytest.mark.parametrize("rounding", [lines.NONE, lines.NEAREST, lines.BELOW])
def test_kernel__reads_numbers_as_exact_fractions_do(power, factor, rounding):
    up, down, shift = factor
    scale = Fraction(10) ** power * up / down
    source = random.Random(power * 10 + up + rounding)
    fields = ["0", "-0", "+7", "0.5", "1.5", "-1.5", "2.4999999", "00012.50", ".5", "5.", "1e3"]
    fields += ["999999999999.999999", "0.0000005", "0.00000049999999999999999999", "1E-2", "-7e-1"]
    fields += ["9007199254.740992", "9007199254.740993", "123456789012345678901234567890e-20"]
    fields += [
        "1468941032229165123",
        "1468941032229165500",
        "285141617841855744.5",
        "-6647552306.0",
    ]
    for _ in range(150):
        whole = str(source.randrange(10 ** source.randrange(1, 14)))
        point = "." + "".join(source.choices("0123456789", k=source.randrange(1, 12)))
        sign = source.choice(["", "", "-", "+"])
        exponent = source.choice(["", "", f"e{source.randrange(-9, 3)}"])
        fields.append(sign + whole + source.choice(["", point]) + exponent)
    of_t = {"power": power, "up": up, "down": down, "shift": shift, "rounding": rounding}
    for field in fields:
        expected = exactly(field, scale, shift, rounding)
        ((t, _, _, _), tally) = parsed(f"{field} 1 2 1\n", **of_t)
        if tally[1] == lines.TOO_LONG:
            digits = len(field.lstrip("+-0").partition("e")[0].replace(".", ""))
            assert up * down > 1 and digits > 9, field
        elif expected is None:
            assert not t and tally[1] in (lines.FRACTION, lines.TOO_FAR), field
        elif max(abs(expected), abs(expected - shift)) > FARTHEST:
            assert (t, tally[1]) == ([], lines.TOO_FAR), field
        else:
            assert (t, tally[1]) == ([expected], 0), field


def test_blocks__of_any_size_make_the_same_rows(tmp_path, monkeypatch):
    rows = [(t * 7, t % 240, t % 180, t % 2) for t in range(500)]
    content = "# a\n\n" + rpg(rows).replace("\n", "\n#\n", 7)
    for name, data in (("e.txt", content.encode()), ("e.txt.gz", gzip.compress(content.encode()))):
        for size in (31, 64, 1_000, 1 << 20):
            monkeypatch.setattr(reader, "BLOCK_BYTES", size)
            assert rows_of(written(tmp_path, data, name)) == rows


def test_memory__is_bounded_by_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "BLOCK_BYTES", 1 << 16)
    content = rpg([(t, t % 240, t % 180, t % 2) for t in range(60_000)])
    path = written(tmp_path, gzip.compress(content.encode(), 1), "e.txt.gz")
    rows_of(path)
    tracemalloc.start()
    with open_recording(path, sensor=SENSOR) as recording:
        n = sum(map(len, recording))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n == 60_000 and peak < 1_500_000, f"{peak:,} bytes for {len(content):,} of text"


def test_time_range__is_that_of_the_first_event(tmp_path):
    with open_recording(written(tmp_path, rpg(ROWS)), sensor=SENSOR) as recording:
        events = read_events(recording, 5, 1_000_000)
    assert events.t.tolist() == [11] and events.x.tolist() == [88]


# Declared


def test_declared__columns_are_read_whatever_would_be_recognised(tmp_path):
    path = written(tmp_path, "7 1 1 1\n8 0 1 0\n")
    assert rows_of(path, "t[ms], x, y, p") == [(7_000, 1, 1, 1), (8_000, 0, 1, 0)]
    named = written(tmp_path, "when;col;row;on;who\n1.5;2;4;TRUE;me\n")
    columns = "t[s] = when, x = col / 2, y = row - 1, p = on"
    assert rows_of(named, columns) == [(1_500_000, 1, 3, 1)]
    assert rows_of(named, "t[s], x, y, p, -") == [(1_500_000, 2, 4, 1)]
    assert rows_of(named, "t[s] = 0, x = 1, y = 2, p = 3") == [(1_500_000, 2, 4, 1)]
    assert "has no column wen among when, col" in refused(
        named, "t = wen, x = col, y = row, p = on", UnknownFormatError
    )
    shifted = written(tmp_path, "1 2 3 1\n")
    assert rows_of(shifted, "t[s] = 0 + 5, x = 1, y = 2, p = 3") == [(6_000_000, 2, 3, 1)]
    assert "nothing like start" in refused(
        shifted, "t[s] = 0 + start, x = 1, y = 2, p = 3", UnknownFormatError
    )
    assert "nothing like [1]" in refused(
        shifted, "t[s] = 0[1], x = 1, y = 2, p = 3", UnknownFormatError
    )
    assert "x can be shifted by whole" in refused(
        shifted, "t[s] = 0, x = 1 / 2 + 0.5, y = 2, p = 3", UnknownFormatError
    )
    assert "both t and x" in refused(shifted, "t = 0, x = 0, y = 2, p = 3", UnknownFormatError)


def test_declared__scales_are_those_that_are_declared(tmp_path):
    path = written(tmp_path, "7,65,2,1\n1007,66,2,255\n", "e.csv")
    columns = "t[us] = 0 * 1000, x = 1 / 32, y = 2 + 3, p = 3 - 1"
    assert rows_of(written(tmp_path, "7,65,2,1\n8,96,2,2\n"), columns) == [
        (7_000, 2, 5, 0),
        (8_000, 3, 5, 1),
    ]
    assert [
        row[0]
        for row in rows_of(
            written(tmp_path, "7,1,2,1\n1009,1,2,0\n"), "t[ms] = 0 / 2, x = 1, y = 2, p = 3"
        )
    ] == [3_500, 504_500]
    assert rows_of(
        written(tmp_path, "t_ns,x,y,p\n1000000,2,3,1\n"), "t = t_ns, x = x, y = y, p = p"
    ) == [(1_000, 2, 3, 1)]
    assert "p is '255'" in refused(path, "t, x, y, p")


def test_eventaid_and_metavision__are_read_by_their_presets(tmp_path):
    path = written(tmp_path, "4775805 131 64 0\n4775806 131 64 1\n")
    assert rows_of(path, "eventaid")[0] == (4_775_805, 131, 64, 0)
    path = written(tmp_path, "131,64,0,4775805\n")
    assert rows_of(path, "metavision-csv") == [(4_775_805, 131, 64, 0)]


# What is wrong


@pytest.mark.parametrize(
    ("content", "problem", "line"),
    [
        (
            "1 1 1 1\n2 1 0 1\n",
            "it is not clear what they are; it begins: 1 1 1 1",
            "t[us], x, y, p",
        ),
        ("0.5 1 2 1\n0.75 1 2 1\n", "times with 2 decimals", "t[ms], x, y, p"),
        ("".join(f"{t}000 9 8 1\n" for t in range(99)), "all whole thousands", "t[ns], x, y, p"),
        ("1 2 3 1 9\n", "has 5 columns", "x, y, p, -"),
        ("a,b,c,d\n1,2,3,1\n", "has no column t among a, b, c, d", "t[us], x, y, p"),
        ("9 5 5 1\n5 6 6 0\n7 1 2 1\n", "it is not clear", "t[us]"),
        ("hello\n", "no column t among hello", "t[us]"),
        ("# only a comment\n", "without a line of numbers", "t[us]"),
    ],
)
def test_unclear_text__is_refused_with_the_lines_and_what_to_declare(
    tmp_path, content, problem, line
):
    message = refused(written(tmp_path, content), kind=UnknownFormatError)
    assert problem in message and line in message and "--columns" in message


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("0.1 2 3", "has 3 columns, but 4 are expected"),
        ("0.1 2 3 1 0", "has 5 columns, but 4 are expected"),
        ("0.1 a 3 1", "x is 'a', which is not a number"),
        ("0.1 2 3 2", "p is '2', which is none of 1, 0 and −1"),
        ("0.1 2 3 nan", "p is 'nan', which is not a number"),
        ("nan 2 3 1", "t is 'nan', which is not a number"),
        ("0.1 2.5 3 1", "x is '2.5', which has a fraction"),
        ("1e99 2 3 1", "t is '1e99', which is too far from 0"),
        ("0.1,,3,1", "x is '', which is not a number"),
        ("0.1 2x 3 1", "x is '2x', which is not a number"),
        ("- 2 3 1", "t is '-', which is not a number"),
        ("0.1 99999999999 3 1", "x is '99999999999', which is too far from 0"),
        ("0.1 2 3 1e", "p is '1e', which is not a number"),
    ],
)
def test_wrong_line__is_named_with_its_number_and_salvaged_up_to_it(tmp_path, wrong, problem):
    begin = "# a comment\n" + rpg([(t, 1, 2, 1) for t in range(3_000)]) + "\n"
    path = written(tmp_path, begin + wrong + "\n" + rpg(ROWS[:1]))
    assert f"byte {len(begin)}: line 3003: {problem}" in refused(path)
    kept, repairs = read(path, sensor=SENSOR, reading=Reading(on_damage="salvage"))
    assert len(kept) == 3_000
    assert repairs["damaged_bytes"] == path.stat().st_size - len(begin)


def test_text_cut_short__is_an_error_in_its_last_line(tmp_path):
    content = rpg([(t, 1, 2, 1) for t in range(100)])
    assert "line 100: has 3 columns" in refused(written(tmp_path, content[:-3]))
    assert len(rows_of(written(tmp_path, content[:-1]))) == 100


def test_microseconds__with_a_fraction_later_on_ask_for_the_unit(tmp_path):
    path = written(
        tmp_path, text_of([(t, 1, 2, 1) for t in range(2_000)], "txyp") + "2000.5,1,2,1\n"
    )
    message = refused(path)
    assert (
        "line 2001: t is '2000.5', which has a fraction" in message and "t[s], x, y, p" in message
    )
    assert "has a fraction" in refused(path, "t[us], x, y, p")
    rounding = "t[ns] = 0 * 1000, x = 1, y = 2, p = 3"
    assert rows_of(path, rounding)[-1][0] == 2_001


def test_events__out_of_order_or_outside_are_named_by_their_lines(tmp_path):
    begin = "#\n" + rpg([(t, 1, 2, 1) for t in range(3_000)])
    assert "x=240, y=2, in line 3002, is outside" in refused(
        written(tmp_path, begin + "0.1 240 2 1\n")
    )
    assert "t=5 µs, in line 3002, is before" in refused(
        written(tmp_path, begin + "0.000005 1 2 1\n")
    )


def test_another_coding__is_not_salvaged(tmp_path):
    rows = [(t, 1, 2, 1) for t in range(2_000)]
    for odd, said in (("1 2 255", "p is '255'"), ("1.25 2 1", "x is '1.25'")):
        lines_of_it = "".join(f"0.1 {odd}\n" for _ in range(8_000))
        path = written(tmp_path, rpg(rows) + lines_of_it)
        with pytest.raises(CodingError, match=rf"line 2001: {said}.*8,000 of 10,000 lines"):
            read(path, sensor=SENSOR, reading=Reading(on_damage="salvage"))


@pytest.mark.parametrize(
    "first", ["0.00O1 1 2 1", "nan 1 2 1", "0.000100 1 2 1 x", "0,000123 12 34 1"]
)
def test_damaged_first_line__is_not_taken_for_a_header(tmp_path, first):
    path = written(tmp_path, first + "\n" + rpg(ROWS))
    assert "line 1: " in refused(path, "rpg") and "line 1" not in refused(path).split("begins")[0]


@pytest.mark.parametrize(
    "comment", ["# recorded by John Doe", "# 1 2 3 4", "# a\n" * 9_000, "% t x\n# of the camera"]
)
def test_comments__that_are_no_header_are_left_out(tmp_path, comment):
    assert rows_of(written(tmp_path, f"{comment}\n{rpg(ROWS)}")) == ROWS


def test_odd_lines__do_not_crash_what_recognises_them(tmp_path):
    for line in ("0.0002 1e30 2 1", "0.0002 " + "9" * 40 + " 2 1", "9" * 5000 + " 180", "t " * 4):
        refused(written(tmp_path, f"{line}\n{rpg(ROWS)}"))
    assert "line 2: has 5 columns" in refused(written(tmp_path, "0.0001 1 2 1\n0.0002 1 2 1 7\n"))
    assert rows_of(written(tmp_path, "1.000000 1 2 1\n2.000000 1 2 1\n"))[1][0] == 2_000_000


def test_zip_of_recordings__is_not_taken_for_a_text(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("README.txt", "see the paper")
        archive.writestr("a.aedat4", "#!AER-DAT4.0")
    assert "set.zip!NAME" in refused(path)


def test_sensor__that_is_wrong_is_said_to_be_too_small(tmp_path):
    message = refused(written(tmp_path, rpg(ROWS)), sensor=Sensor(20, 20))
    assert "x=33, y=39, in line 1, is outside the sensor of 20x20 px" in message


def test_polarity__of_two_kinds_of_off_is_an_error(tmp_path):
    path = written(tmp_path, rpg([(t, 1, 2, 0) for t in range(3_000)]) + "0.1 1 2 -1\n")
    message = refused(path)
    assert f"byte {3_000 * 18}: line 3001: polarity -1, but OFF is 0" in message
    _, repairs = read(path, sensor=SENSOR, reading=Reading(on_damage="salvage"))
    assert repairs["damaged_bytes"] == len("0.1 1 2 -1\n")
    assert "OFF is 0 in an earlier row" in refused(
        written(tmp_path, "0.1234 1 2 0\n0.2 1 2 -1\n"), "t[s], x, y, p"
    )


def test_what_is_no_text__is_refused(tmp_path, monkeypatch):
    assert "byte 0" in refused(written(tmp_path, "0.1234 1 2 1\n".encode("utf-16")))
    assert "first line of over 65,536 bytes" in refused(written(tmp_path, b"1 " * 99_999))
    monkeypatch.setattr(reader, "BLOCK_BYTES", 1 << 14)
    long = rpg(ROWS[:2]) * 4_000 + "9" * 99_999 + "\n"
    assert "a line of more than 65,536 bytes" in refused(written(tmp_path, long), "rpg")
    assert "starts with b'0.1 1" in refused(written(tmp_path, "0.1 1 2 1\n", "e.log"))
    path = written(tmp_path, rpg(ROWS), "e.log")
    with open_recording(path, sensor=SENSOR, format="text") as recording:
        assert recording.format == "text"
    assert "gzip" in refused(written(tmp_path, b"\x1f\x8b\x08" + b"?" * 99, "e.gz"))
    with pytest.raises(UsageError, match="only one stream"):
        open_recording(path, sensor=SENSOR, format="text", stream=1)


def test_header_alone__is_a_recording_without_events(tmp_path):
    assert rows_of(written(tmp_path, "t,x,y,p\n")) == []
