"""Files of pictures: CVAT's checks on the mp4, the zip without loss, the clock to the letter."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import get_args

import av
import imageio.v3 as imageio
import imageio_ffmpeg
import numpy as np
import pytest
from av.video.frame import PictureType
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evreel.errors import ClockError, EvreelError, ParameterError
from evreel.events import Events, Sensor
from evreel.files.clock import read_clock, write_clock
from evreel.timebase import FrameClock
from evreel.video import ffmpeg
from evreel.video.gif import write_gif
from evreel.video.mp4 import Preset, write_mp4
from evreel.video.picture import Picture
from evreel.video.png_zip import write_png_zip
from evreel.video.render import render
from support import random_events, run_python
from support.video import write_both

SENSOR = Sensor(45, 61)  # odd, so that it must be padded
PICTURE = Picture.for_video(SENSOR)
N = 95


def moving_edge() -> Events:
    """Events of a bar that crosses the sensor, ON before and OFF behind it, among noise."""
    noise = random_events(4_000, SENSOR, stop_us=N * 10_000)
    t = np.arange(0, N * 10_000, 50)
    rng = np.random.default_rng(1)
    p = rng.integers(0, 2, len(t))
    x = (t // 20_000 + 2 * p) % SENSOR.width
    y = rng.integers(5, 40, len(t))
    order = np.argsort(np.concatenate([noise.t, t]), kind="stable")
    columns = (noise.t, t), (noise.x, x), (noise.y, y), (noise.p, p)
    return Events(*(np.concatenate(pair)[order] for pair in columns), SENSOR)


def clock() -> FrameClock:
    return FrameClock.regular(N * 10_000, 10_000)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return list(render([moving_edge()], clock(), SENSOR, picture=PICTURE))


def noise_images(n: int = 8, shape: tuple[int, int] = (46, 62)) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(n)]


def bytes_of_both(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("both")
    write_both(folder)
    return bytes_of_both(folder)


@pytest.fixture
def processes(monkeypatch) -> list[subprocess.Popen]:
    """Every process that is started while the test runs."""
    ffmpeg._ending_with_us()  # asks the system once
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(ffmpeg.subprocess, "Popen", Recorded)
    return started


def assert_ended_and_reaped(process: subprocess.Popen) -> None:
    assert process.returncode is not None
    with pytest.raises(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)


@pytest.mark.parametrize("preset", ["ultrafast", "medium"])
def test_mp4__passes_the_checks_of_a_video_manifest(tmp_path, images, preset):
    path = tmp_path / "v.mp4"
    assert write_mp4(path, iter(images), PICTURE.shape, preset=preset) == N
    with av.open(str(path)) as container:
        (stream,) = container.streams
        context = stream.codec_context
        assert (context.height, context.width) == PICTURE.shape == (46, 62)
        assert context.pix_fmt == "yuv420p"
        assert context.profile in ("Constrained Baseline", "Baseline", "Main", "High")
        assert stream.average_rate == stream.base_rate == 30
        assert stream.frames == N
        packets = [packet for packet in container.demux(stream) if packet.dts is not None]
    for stamps in ([p.dts for p in packets], [p.pts for p in packets]):
        assert (np.diff(stamps) > 0).all()
        assert len(set(np.diff(stamps))) == 1, "the rate is not constant"
    assert packets[0].is_keyframe
    keys = [packet.pts for packet in packets if packet.is_keyframe]
    assert np.diff([*keys, packets[-1].pts]).max() <= 30 * (packets[1].pts - packets[0].pts)

    with av.open(str(path)) as container:
        linear = list(container.decode(video=0))
        assert len(linear) == N == len(clock())
        assert linear[0].key_frame
        assert [frame.pts for frame in linear] == [packet.pts for packet in packets]
        assert not any(frame.pict_type == PictureType.B for frame in linear)
        assert len({frame.pts for frame in linear if frame.key_frame}) >= 4
        by_pts = {frame.pts: frame.to_ndarray() for frame in linear}
        for pts in keys:
            container.seek(pts, stream=container.streams.video[0])
            frame = next(container.decode(video=0))
            assert frame.key_frame
            assert frame.pts == pts
            assert np.array_equal(frame.to_ndarray(), by_pts[pts])


@pytest.mark.parametrize("preset", ["ultrafast", "veryfast"])
def test_mp4__shows_what_was_rendered(tmp_path, images, preset):
    path = tmp_path / "v.mp4"
    write_mp4(path, images, PICTURE.shape, preset=preset)
    with av.open(str(path)) as container:
        decoded = np.array([f.to_ndarray(format="gray") for f in container.decode(video=0)])
    wrong = decoded.astype(int) - np.array(images)
    assert np.abs(wrong).mean() < 4
    strong = np.abs(np.array(images).astype(int) - 128) > 120
    assert strong.sum() > 1_000
    agrees = np.sign(decoded.astype(int) - 128) == np.sign(np.array(images).astype(int) - 128)
    assert agrees[strong].mean() > 0.999


def test_mp4__has_no_colour_and_keeps_the_order_of_grey_levels(tmp_path):
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 16, axis=0)
    write_mp4(tmp_path / "v.mp4", [ramp], ramp.shape, crf=1)
    with av.open(str(tmp_path / "v.mp4")) as container:
        (frame,) = container.decode(video=0)
    assert np.abs(frame.to_ndarray(format="gray").astype(int) - ramp).max() <= 3
    chroma = frame.to_ndarray()[16:]
    assert (chroma == 128).all()


def test_mp4__holds_its_metadata(tmp_path):
    given_tags = {
        "frames": "8",
        "origin_x_px": "0",
        "clock": "sha256:" + "0f" * 32,
        "camera name": "a=b; two\nlines, µs",
    }
    write_mp4(tmp_path / "v.mp4", noise_images(), (46, 62), metadata=given_tags)
    with av.open(str(tmp_path / "v.mp4")) as container:
        got = container.metadata
    assert {name: got.get(name) for name in given_tags} == given_tags
    assert "creation_time" not in got


def test_mp4__can_be_played_before_it_is_read_to_the_end(tmp_path):
    write_mp4(tmp_path / "v.mp4", noise_images(), (46, 62))
    content = (tmp_path / "v.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("shape", [(2, 2), (4, 62), (46, 2), (262, 346)])
def test_mp4__may_have_any_even_size(tmp_path, shape):
    write_mp4(tmp_path / "v.mp4", noise_images(3, shape), shape, fps=25)
    with av.open(str(tmp_path / "v.mp4")) as container:
        assert container.streams.video[0].average_rate == 25
        assert [(f.height, f.width) for f in container.decode(video=0)] == [shape] * 3


def test_mp4_and_zip__are_the_same_bytes_on_one_processor_in_another_folder(tmp_path, both):
    script = (
        "import os, pathlib, sys, support.video\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "support.video.write_both(pathlib.Path(sys.argv[1]))\n"
    )
    (tmp_path / "elsewhere").mkdir()
    run_python(script, tmp_path / "elsewhere", env={"TZ": "Asia/Tokyo", "LC_ALL": "C"})
    assert bytes_of_both(tmp_path / "elsewhere") == both


@pytest.mark.parametrize(("extensions", "asm"), [("0", "0"), ("sse2", "SSE2"), ("avx", "AVX")])
def test_mp4_and_zip__are_the_same_bytes_on_an_older_processor(
    tmp_path, monkeypatch, both, extensions, asm
):
    class Masked(subprocess.Popen):
        def __init__(self, command, **kwargs):
            for k, word in enumerate(command):
                if word == "libx264":
                    command[k : k + 1] = [word, "-x264opts", f"asm={asm}"]
            own = command.index(str(ffmpeg.executable())) + 1
            command = [*command[:own], "-cpuflags", extensions, *command[own:]]
            super().__init__(command, **kwargs)

    monkeypatch.setattr(ffmpeg.subprocess, "Popen", Masked)
    write_both(tmp_path)
    assert bytes_of_both(tmp_path) == both


def test_ffmpeg__is_the_bundled_one_whatever_the_environment_names(tmp_path, monkeypatch, both):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/bin/false")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ffmpeg.executable().is_relative_to(Path(imageio_ffmpeg.__file__).parent)
    write_both(tmp_path)
    assert bytes_of_both(tmp_path) == both


def test_ffmpeg__missing_from_the_package_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(imageio_ffmpeg, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(EvreelError, match="has no ffmpeg of its own"):
        write_mp4(tmp_path / "v.mp4", noise_images(), (46, 62))


def test_writers__say_nothing_and_leave_no_process(tmp_path, capfd, processes):
    write_both(tmp_path)
    assert capfd.readouterr() == ("", "")
    assert len(processes) == 7
    for process in processes:
        assert_ended_and_reaped(process)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        *("colour.gif", "colour.jpg", "colour.mp4", "colour.png"),
        *("png.zip", "ultrafast.mp4", "veryfast.mp4"),
    ]


@pytest.mark.parametrize("when", [3, 59])
def test_killed_ffmpeg__is_one_error_and_no_zombie(tmp_path, processes, capfd, when):
    def frames():
        for k, image in enumerate(noise_images(60, (260, 346))):
            if k == when:
                processes[0].kill()
            yield image

    with pytest.raises(EvreelError, match=r"v\.mp4: ffmpeg was killed by SIGKILL after \d+ pict"):
        write_mp4(tmp_path / "v.mp4", frames(), (260, 346))
    assert_ended_and_reaped(processes[0])
    assert capfd.readouterr() == ("", "")


HUNG = """
import os, signal, sys, time
import numpy as np
from pathlib import Path
from evreel.video import ffmpeg
from evreel.video.mp4 import write_mp4

def frames():
    yield np.zeros((46, 62), np.uint8)
    [child] = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    while "ffmpeg" not in Path(f"/proc/{child}/comm").read_text():
        time.sleep(0.01)
    print(child, *ffmpeg._ending_with_us())
    sys.stdout.flush()
    os.kill(int(child), signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGKILL)

write_mp4(Path(sys.argv[1]), frames(), (46, 62))
"""


def test_hung_ffmpeg__ends_with_the_process_that_started_it(tmp_path):
    child, *before = run_python(HUNG, tmp_path / "v.mp4", check=False).stdout.split()
    if not before:
        os.kill(int(child), signal.SIGKILL)
        pytest.skip("nothing here tells the system to end one process with another")
    deadline = time.monotonic() + 30
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < deadline, "ffmpeg is still there"
        time.sleep(0.01)


def test_failing_ffmpeg__is_an_error_with_its_last_message(tmp_path, processes):
    with pytest.raises(EvreelError, match=r"v\.mp4: ffmpeg failed .*: No such file or directory"):
        write_mp4(tmp_path / "nowhere" / "v.mp4", noise_images(), (46, 62))
    assert_ended_and_reaped(processes[0])


def test_full_disk__is_told_with_what_to_do(tmp_path):
    arguments = ["-f", "rawvideo", "/dev/full"]
    says = r"v: ffmpeg failed after \d+ pictures: .*No space left on device. Make room on the disk"
    with pytest.raises(EvreelError, match=says):
        ffmpeg.encode(tmp_path / "v", noise_images(60, (260, 346)), (260, 346), arguments)


def test_ffmpeg__that_stops_reading_content_is_an_error_too(tmp_path):
    arguments = ["-frames:v", "1", "-c:v", "png", "-f", "image2pipe", "pipe:1"]
    with pytest.raises(EvreelError, match=r"v: ffmpeg failed after \d+ pictures: it said nothing"):
        ffmpeg.encode(tmp_path / "v", noise_images(60, (260, 346)), (260, 346), arguments)


@pytest.mark.parametrize("writer", ["mp4", "zip"])
def test_pictures_that_raise__end_ffmpeg(tmp_path, processes, writer):
    def frames():
        yield from noise_images(5)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        if writer == "mp4":
            write_mp4(tmp_path / "v.mp4", frames(), (46, 62))
        else:
            write_png_zip(tmp_path / "v.zip", frames(), (46, 62), FrameClock.regular(50, 10))
    assert_ended_and_reaped(processes[0])
    assert not (tmp_path / "v.zip").exists()


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((45, 62), {}, r"v\.mp4: pictures of 62x45 cannot be stored .* Pad them to even sizes"),
        ((46, 62), {"preset": "quick"}, "preset: 'quick' is not one of ultrafast"),
        ((46, 62), {"crf": 0}, "crf: 0 is less than 1"),
        ((46, 62), {"fps": 0}, "fps: 0 is less than 1"),
        ((46, 62), {"metadata": {"a=b": "c"}}, "metadata 'a=b'='c' cannot be stored"),
        ((46, 62), {"metadata": {"a": ""}}, "metadata 'a'='' cannot be stored"),
        ((48, 62), {}, r"picture 0: is uint8 of \(46, 62\); uint8 of \(48, 62\) is expected"),
    ],
)
def test_mp4__refuses_what_it_cannot_write(tmp_path, shape, options, message):
    with pytest.raises(ParameterError, match=message):
        write_mp4(tmp_path / "v.mp4", noise_images(), shape, **options)


def coloured(n_colours: int, seed: int = 0, shape: tuple[int, int] = (30, 40)) -> np.ndarray:
    """Return a picture of exactly some colours."""
    rng = np.random.default_rng(seed)
    palette = rng.choice(2**24, n_colours, replace=False)
    pixels = np.resize(np.arange(n_colours), shape[0] * shape[1])
    packed = palette[rng.permutation(pixels)].reshape(shape)
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=2).astype(np.uint8)


def test_gif__has_the_exact_colours_of_pictures_of_up_to_256(tmp_path):
    pictures = [coloured(n, seed) for seed, n in enumerate((1, 2, 256, 255, 7))]
    assert write_gif(tmp_path / "v.gif", iter(pictures), (30, 40), fps=10) == 5
    assert (imageio.imread(tmp_path / "v.gif", index=None) == np.stack(pictures)).all()


def test_gif__of_more_colours_has_near_ones(tmp_path):
    ramp = np.indices((30, 40)).transpose(1, 2, 0) * 6
    smooth = np.dstack([ramp, ramp[:, :, :1]]).astype(np.uint8)
    write_gif(tmp_path / "v.gif", [smooth, coloured(3)], (30, 40), fps=10)
    found = imageio.imread(tmp_path / "v.gif", index=None)
    assert len(np.unique(found[0].reshape(-1, 3), axis=0)) <= 256
    assert np.abs(found[0].astype(int) - smooth).max() < 24
    assert (found[1] == coloured(3)).all()


def test_gif__keeps_time_where_delays_are_no_multiple_of_10_ms(tmp_path):
    pictures = [coloured(2, seed) for seed in range(30)]
    write_gif(tmp_path / "v.gif", pictures, (30, 40), fps=Fraction(1000, 33))
    with Image.open(tmp_path / "v.gif") as opened:
        delays = [opened.seek(k) or opened.info["duration"] for k in range(30)]
    assert set(delays) == {30, 40}
    assert abs(sum(delays) - 990) <= 10


@pytest.mark.parametrize(
    ("pictures", "fps", "message"),
    [
        ([coloured(2)], 51, "fps=51 is not within 0 to 50"),
        ([coloured(2)], 0, "fps=0 is not within"),
        ([], 10, "there are no pictures"),
        ([coloured(2), coloured(2)[:20]], 10, r"picture 1: is uint8 of \(20, 40, 3\)"),
        ([coloured(2).astype(float)], 10, "picture 0: is float64"),
    ],
)
def test_gif__refuses_what_it_cannot_write(tmp_path, pictures, fps, message):
    with pytest.raises(ParameterError, match=message):
        write_gif(tmp_path / "v.gif", pictures, (30, 40), fps=fps)


def test_mp4__plays_at_a_rate_that_is_no_whole_number(tmp_path):
    for rate in (Fraction(1000, 33), Fraction(1, 3)):
        write_mp4(tmp_path / "v.mp4", noise_images(), (46, 62), fps=rate)
        with av.open(tmp_path / "v.mp4") as container:
            assert container.streams.video[0].average_rate == rate
    with pytest.raises(ParameterError, match="fps: 241 is more than 240"):
        write_mp4(tmp_path / "v.mp4", noise_images(), (46, 62), fps=Fraction(481, 2))


def test_mp4__refuses_a_picture_of_another_type_and_no_pictures_at_all(tmp_path, processes):
    wide = noise_images()[0].astype(np.uint16)
    with pytest.raises(ParameterError, match=r"picture 1: is uint16 of \(46, 62\)"):
        write_mp4(tmp_path / "v.mp4", [noise_images()[0], wide], (46, 62))
    assert_ended_and_reaped(processes.pop())
    for write in (
        lambda: write_mp4(tmp_path / "w.mp4", [], (46, 62)),
        lambda: write_png_zip(tmp_path / "w.zip", [], (46, 62), FrameClock([], [])),
    ):
        with pytest.raises(ParameterError, match=r"w\.(mp4|zip): there are no pictures to write"):
            write()
    assert not processes


def test_presets__are_all_known_to_x264(tmp_path):
    for preset in get_args(Preset):
        assert write_mp4(tmp_path / "v.mp4", noise_images(2), (46, 62), preset=preset) == 2


def test_pictures__may_be_views_of_any_order(tmp_path):
    pictures = noise_images()
    write_mp4(tmp_path / "a.mp4", pictures, (46, 62))
    write_mp4(tmp_path / "b.mp4", [np.asfortranarray(image) for image in pictures], (46, 62))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_png_zip__holds_every_picture_exactly_under_its_index_and_time(tmp_path):
    sensor = Sensor(7, 9)  # odd sizes need no padding here
    events = random_events(5_000, sensor, stop_us=30_000)
    table = FrameClock([-40, 0, 10_000, 25_000], [-20, 10_000, 20_000, 30_000], "frames")
    pictures = list(render([events], table, sensor))
    assert write_png_zip(tmp_path / "v.zip", iter(pictures), sensor, table) == 4
    with zipfile.ZipFile(tmp_path / "v.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            *("000000_-40.png", "000001_0.png", "000002_10000.png", "000003_25000.png")
        ]
        for entry, expected in zip(archive.infolist(), pictures, strict=True):
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert entry.compress_type == zipfile.ZIP_STORED
            with archive.open(entry) as file, Image.open(file) as image:
                assert image.format == "PNG"
                assert image.mode == "L"
                assert np.array_equal(np.asarray(image), expected)


def test_png_zip__refuses_more_or_fewer_pictures_than_rows(tmp_path):
    for n in (7, 9):
        with pytest.raises(ClockError, match=f"v.zip: there are {n} pictures for the clock's 8 r"):
            write_png_zip(tmp_path / "v.zip", noise_images(n), (46, 62), FrameClock.regular(80, 10))
    assert not list(tmp_path.iterdir())


WRITTEN = """\
# source\tframes
# sensor_height_px\t45
# sensor_width_px\t61
# scale\t2
# pad_bottom_px\t0
# pad_right_px\t4
# frames\t2
# origin_x_px\t7
# window_us\t33 µs or so
frame\tstart_us\tstop_us
0\t-20\t0
1\t5000000000\t5000000010
"""


def test_clock_table__is_this_text(tmp_path):
    table = FrameClock([-20, 5_000_000_000], [0, 5_000_000_010], "frames")
    picture = Picture((45, 61), 2, pad_right=4)
    extra = {"window_us": "33 µs or so", "origin_x_px": "7"}
    write_clock(tmp_path / "c.tsv", table, picture, extra)
    assert (tmp_path / "c.tsv").read_bytes() == WRITTEN.encode()
    assert read_clock(tmp_path / "c.tsv") == (table, picture, extra)


NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**33), st.integers(1, 2**33)), max_size=6),
    st.integers(-(2**33), 2**33),
    st.sampled_from(["events", "frames", "triggers", "external"]),
    st.builds(
        Picture,
        st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
        *(st.integers(1, 4), st.integers(0, 20), st.integers(0, 20)),
    ),
    st.dictionaries(NAMES, NAMES, max_size=3),
)
def test_clock_table__is_read_as_it_was_written(rows, at, source, picture, extra):
    edges = at + np.cumsum(np.array(rows, dtype=np.int64).reshape(-1, 2).ravel())
    table = FrameClock(edges[0::2], edges[1::2], source)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.tsv"
        write_clock(path, table, picture, extra)
        assert read_clock(path) == (table, picture, extra)


def test_clock_table__written_by_hand_needs_no_comments(tmp_path):
    path = tmp_path / "c.tsv"
    path.write_bytes(b"frame\tstart_us\tstop_us\n0\t0\t40\n1\t50\t90\n")
    assert read_clock(path) == (FrameClock([0, 50], [40, 90], "external"), None, {})


def test_clock_table__may_come_from_a_spreadsheet_with_some_comments(tmp_path):
    path = tmp_path / "c.tsv"
    text = "#camera\tleft\r\n# sensor_width_px\t61\r\n#sensor_height_px\t45\r\n"
    text += "frame\tstart_us\tstop_us\r\n0\t0\t40\r\n"
    path.write_bytes(text.encode("utf-8-sig"))
    expected = FrameClock([0], [40], "external"), Picture((45, 61)), {"camera": "left"}
    assert read_clock(path) == expected


def test_clock_table__cut_short_anywhere_is_refused(tmp_path):
    path = tmp_path / "cut.tsv"
    whole = WRITTEN.encode()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ClockError, match=r"^cut\.tsv: (line|byte) \d+"):
            read_clock(path)


HEAD = "frame\tstart_us\tstop_us\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the file ends before its header row"),
        ("frame,start_us,stop_us\n", "line 1: header row is 'frame,start_us,stop_us'; expected"),
        ("# source\tevents\n0\t0\t10\n", r"line 2: header row is '0\\t0\\t10'"),
        (HEAD + "0\t0\t10\n1\t10\t2x\n", "line 3: stop_us is '2x'; expected a whole number"),
        (HEAD + "0\t0\t10.5\n", "line 2: stop_us is '10.5'"),
        (HEAD + "0\t0\t1_0\n", "line 2: stop_us is '1_0'"),
        (HEAD + "0\t0\t9999999999999999999\n", "line 2: stop_us is '9+'; .* at most 18 digits"),
        (HEAD + "1\t0\t10\n", "line 2: frame is 1; expected 0, one more per row"),
        (HEAD + "0\t0\t10\n0\t10\t20\n", "line 3: frame is 0; expected 1"),
        (HEAD + "0\t0\t10\n2\t10\t20\n", "line 3: frame is 2; expected 1"),
        (HEAD + "0\t0\t10\n1\t9\t20\n", "line 3: start_us=9; expected 10 or more"),
        (HEAD + "0\t10\t10\n", "line 2: stop_us=10; expected a stop after start_us=10"),
        (HEAD + "0\t0\n", r"line 2: '0\\t0' has 2 column\(s\); expected 3"),
        (HEAD + "0\t0\t10\n\n", r"line 3: '' has 1 column\(s\)"),
        (HEAD + "0\t0\t10\n1\t10\t2", "line 3: the last line does not end with a line feed"),
        ("# scale 2\n" + HEAD, "line 1: '# scale 2' is not a comment of this table"),
        ("# a\tb\n# a\tc\n" + HEAD, "line 2: comment 'a' is duplicated"),
        ("# source\tcamera\n" + HEAD, "line 1: source is 'camera'; expected one of events"),
        ("# a\tb\n# scale\t2\n" + HEAD, "line 2: comment 'sensor_height_px' is missing"),
        (
            "# sensor_height_px\t4\n# sensor_width_px\t4\n# scale\t0\n" + HEAD,
            "line 1 and below: scale=0 is not at least 1",
        ),
        ("# frames\t2\n" + HEAD + "0\t0\t10\n", "line 3: ends after 1 rows; expected 2 frames"),
        ("# \xff".encode("latin-1"), "byte 2: is not UTF-8 text. Save it as UTF-8"),
    ],
)
def test_clock_table__with_a_fault_is_refused_with_its_line(tmp_path, text, message):
    path = tmp_path / "bad.tsv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ClockError, match=r"^bad\.tsv: " + message):
        read_clock(path)


def test_clock_table__that_is_missing_is_an_error(tmp_path):
    with pytest.raises(ClockError, match=r"none\.tsv: cannot be read: No such file"):
        read_clock(tmp_path / "none.tsv")


@pytest.mark.parametrize(
    "extra", [{"a\tb": "c"}, {"a": "b\nc"}, {"": "a"}, {"a": ""}, {"a": " b"}, {"scale": "2"}]
)
def test_clock_table__refuses_a_comment_that_could_not_be_read_back(tmp_path, extra):
    with pytest.raises(ClockError, match="comment"):
        write_clock(tmp_path / "c.tsv", FrameClock([0], [1]), Picture((4, 4)), extra)
    assert not (tmp_path / "c.tsv").exists()
