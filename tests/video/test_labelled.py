"""Pictures of what is labelled: text, fonts, colours, outlines, names, true colours."""

from __future__ import annotations

import string
import subprocess

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import ParameterError, UsageError
from evreel.events import Events, Sensor
from evreel.kernels.pictures import colour_events, to_yuv420
from evreel.video import ffmpeg
from evreel.video import text as text_module
from evreel.video.canvas import Canvas
from evreel.video.labelled import (
    LabelledPictures,
    Moment,
    Outline,
    Showing,
    colour_of,
    magnification,
)
from evreel.video.mp4 import write_mp4
from evreel.video.png import png_bytes
from evreel.video.text import BUILT_IN, HEIGHT_PX, Font, shortened, text_mask, warn_lacking, wrapped
from support import random_events
from support.fonts import DEJAVU

BLACK, RED = (0, 0, 0), (255, 0, 0)
SENSOR = Sensor(20, 30)
SQUARE = np.array([[4.0, 5.0], [14.0, 5.0], [14.0, 15.0], [4.0, 15.0]])


def pictures(**more) -> LabelledPictures:
    """Pictures of two labels, with a track of each."""
    look = Showing(**{"magnify": 4, **more})
    return LabelledPictures(SENSOR, ("car", "車"), np.array([0, 1]), np.array([3, -1]), (), look)


def one_event(x: int, y: int, p: int = 1) -> Events:
    return Events([0], [x], [y], [p], SENSOR)


def drawn(outlines=(), pieces=(), labelled=True, tags=(), **more):
    made = pictures(**more)
    return made.draw(pieces, Moment("frame 1 of 2", 0, 10, outlines, tags, labelled))


def has(image, colour) -> np.ndarray:
    return (image == np.array(colour)).all(axis=2)


def text_of(letters, font, scale=1):
    return text_mask(letters, font, scale).tolist()


def test_text__is_drawn_in_the_built_in_font_where_none_is_named():
    assert Font.read(None) is BUILT_IN
    for letter in string.ascii_letters + string.digits + string.punctuation + "…·":
        assert text_mask(letter).any()
        assert not BUILT_IN.lacking([letter])
    assert len({bytes(text_mask(letter)) for letter in string.ascii_letters}) == 52
    assert text_mask("van").shape[0] == HEIGHT_PX
    assert text_mask("van", scale=2).shape[0] == 2 * HEIGHT_PX
    assert abs(text_mask("van", scale=2).shape[1] - 2 * text_mask("van").shape[1]) <= 6


def test_text__of_letters_that_no_font_has_shows_their_code_points():
    boxes = {bytes(text_mask(letter)) for letter in "車両é\U0001f697\U0010ffff"}
    assert len(boxes) == 5
    box = text_mask("車")
    assert (box[0, :-1] == 255).all()
    assert (box[:15, 0] == 255).all()
    assert not box[:, -1].any(), "it does not touch the next one"
    # 8ECA, in two rows
    digits = ["".join(" #"[bit] for bit in row) for row in (box[2:13, 2:9] // 255).tolist()]
    assert digits == [
        *("### ###", "# # #  ", "### ###", "# # #  ", "### ###"),
        "       ",
        *("### ###", "#   # #", "#   ###", "#   # #", "### # #"),
    ]
    assert text_mask("é").shape == box.shape, "00E9 has four digits too"
    assert text_mask("\U0001f697").shape[1] == box.shape[1] + 4
    assert text_mask("車", scale=2).tolist() == box.repeat(2, 0).repeat(2, 1).tolist()


@pytest.mark.parametrize("text", ["car", "Süd", "Собака", "Ω≠µ", "שלום", "Ǻg"])
def test_text__has_the_letters_of_the_font_that_is_named(text):
    font = Font.read(DEJAVU)
    assert not font.lacking([text])
    assert text_mask(text, font).any()
    assert text_of(text, font) != text_of(text, BUILT_IN)
    whole = text_mask(text, font, 4)
    assert not whole[0].any(), "nothing is cut off"
    assert not whole[-1].any(), "nothing is cut off"


def test_text__takes_what_a_font_lacks_from_the_built_in_one(monkeypatch):
    font = Font.read(DEJAVU)
    has = text_module._has
    lacks_latin = lambda one, letter: (one == BUILT_IN or letter > "z") and has(one, letter)  # noqa: E731
    monkeypatch.setattr(text_module, "_has", lacks_latin)
    text_mask.cache_clear()
    assert text_of("van", font) == text_of("van", BUILT_IN)
    assert text_of("Ж", font) != text_of("Ж", BUILT_IN)
    monkeypatch.undo()
    text_mask.cache_clear()


def test_text__puts_marks_onto_their_letters_and_turns_round_what_runs_to_the_left():
    font = Font.read(DEJAVU)
    assert text_of("e\u0301x", font) == text_of("éx", font)
    assert text_mask("x\u0331", font).shape == text_mask("x", font).shape
    parts = [text_mask(letter, font) for letter in "םולש"]  # as they are seen, from left to right
    assert np.array_equal(text_mask("שלום", font), np.concatenate(parts, axis=1))
    one, three = text_mask("a", font), text_mask("3", font)
    assert np.array_equal(text_mask("a שב 3", font)[:, : one.shape[1]], one)
    assert np.array_equal(text_mask("a שב 3", font)[:, -three.shape[1] :], three)
    assert text_of("a\nb\u200d\u00a0", font) == text_of("a b ", font)
    base = text_mask("x")
    assert np.array_equal(text_mask("x\u0331")[:, : base.shape[1]], base), "its mark has a box"


def test_font__that_is_none_or_damaged_is_one_error(tmp_path):
    whole = DEJAVU.read_bytes()
    files = {"text.ttf": b"no font", "empty.ttf": b"", "cut.ttf": whole[: len(whole) // 2]}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for name in (*files, "none.ttf", "", "a\0b"):
        with pytest.raises(UsageError, match=r"font .*\(qa/font, --font\)") as raised:
            Font.read(tmp_path / name)
        assert "\n" not in str(raised.value)


def test_font__of_any_damage_is_an_error_or_draws_some_line():
    whole = DEJAVU.read_bytes()
    rng = np.random.default_rng(0)
    for n in (10, 100, 1000, 10_000) * 4:
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(0, len(whole), n)] = rng.integers(0, 256, n)
        assert text_mask("van Ж é", Font(damaged.tobytes())).shape[0] == HEIGHT_PX


def test_labels__with_letters_that_the_font_lacks_are_named_in_one_line_of_the_log(caplog):
    pictures()
    (told,) = caplog.messages
    assert told == (
        "the font lacks letters of '車'; their code points are drawn. Name a font that has them: "
        "qa/font, --font"
    )
    caplog.clear()
    many = [f"車{k}" for k in range(8)]
    warn_lacking([*many, *many, "van"], BUILT_IN)
    assert "'車4' and 3 more; " in caplog.messages[0]
    caplog.clear()
    warn_lacking(["Süd", "van"], Font.read(DEJAVU))
    assert not caplog.messages


def test_text__is_wrapped_and_shortened_to_a_width():
    text = "rain, night, " + "x" * 40
    lines = wrapped(text, 100)
    assert max(text_mask(line).shape[1] for line in lines) <= 100
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert shortened("ab" * 10_000, 80).endswith("…")
    assert text_mask(shortened("ab" * 10_000, 80)).shape[1] <= 80


def test_canvas__cuts_off_what_lies_outside():
    canvas = Canvas.filled((10, 12), BLACK)
    canvas.rectangle(-5, -5, 2, 1, RED)
    assert has(canvas.pixels, RED).sum() == 2
    for left, top in ((-100, 0), (0, -100), (100, 0), (0, 100), (-4, -9), (9, 7)):
        canvas.text(left, top, "車x", RED, scale=2)
    canvas.line(np.array([[-1e30, -1e30], [1e30, 1e30]]), RED, width=3)
    canvas.line(np.array([[-50.0, 3.0], [50.0, 3.0]]), RED)
    assert has(canvas.pixels, RED)[3].all()


def test_line__goes_through_the_pixels_that_hold_its_points_and_is_dashed_on_request():
    canvas = Canvas.filled((30, 30), BLACK)
    canvas.line(SQUARE, RED, closed=True)
    expected = np.zeros((30, 30), dtype=bool)
    expected[5, 4:15] = expected[15, 4:15] = expected[5:16, 4] = expected[5:16, 14] = True
    assert np.array_equal(has(canvas.pixels, RED), expected)
    dashed = Canvas.filled((30, 30), BLACK)
    dashed.line(SQUARE, RED, closed=True, dashed=True)
    shown = has(dashed.pixels, RED)
    assert (shown <= expected).all()
    assert 0.3 < shown.sum() / expected.sum() < 0.8
    for points in (SQUARE[:1], SQUARE[:0]):
        canvas.line(points, BLACK)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_colour_events__is_what_its_slow_twin_draws(n, seed):
    rng = np.random.default_rng(seed)
    events = random_events(n, (3, 4), seed=seed % 1000)
    roi = rng.integers(-1, 2, n).astype(np.int32)
    colours = rng.integers(0, 256, (3, 2, 3), dtype=np.uint8)
    picture, slow = np.zeros((2, 3, 4, 3), dtype=np.uint8)
    colour_events(events.x, events.y, events.p, roi, colours, picture)
    for x, y, p, region in zip(events.x, events.y, events.p, roi, strict=True):
        slow[y, x] = colours[region + 1, p]
    assert np.array_equal(picture, slow)


def test_to_yuv420__is_bt709_to_half_a_level_and_grey_has_no_colour():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture[:2] = [[[0], [255], [77], [1], [2], [128], [254], [3]]] * 2
    picture[:2, :, 1:] = picture[:2, :, :1]
    planes = np.empty(6 * 8 * 3 // 2, dtype=np.uint8)
    to_yuv420(picture, planes)
    r, g, b = np.moveaxis(picture.astype(float), 2, 0)
    luma = 0.2126 * r + 0.7152 * g + 0.0722 * b
    assert np.abs(planes[:48].reshape(6, 8) - (16 + luma * 219 / 255)).max() <= 0.51
    for plane, colour, share in ((planes[48:60], b, 1.8556), (planes[60:], r, 1.5748)):
        chroma = 128 + (colour - luma) / share * 224 / 255
        squares = chroma.reshape(3, 2, 4, 2).mean(axis=(1, 3))
        assert np.abs(plane.reshape(3, 4) - squares).max() <= 0.51
        assert (plane[:4] == 128).all()


def test_colours__of_labels_and_of_neighbouring_tracks_differ_in_both_themes():
    for theme in ("dark", "light"):
        labels = {colour_of(label, -1, theme) for label in range(60)}
        assert len(labels) == 60
        assert len({colour_of(0, track, theme) for track in range(3)}) == 3
        assert colour_of(4, 5, theme) == colour_of(4, 5, theme)
    assert colour_of(2, 10**12) == colour_of(2, 10**12 % 3)


def test_picture__shows_events_in_the_colour_of_their_region_and_polarity():
    pieces = [
        (one_event(2, 18), np.array([-1], np.int32)),
        (one_event(7, 7), np.array([0], np.int32)),
        (one_event(8, 7, 0), np.array([0], np.int32)),
        (one_event(25, 3), np.array([1], np.int32)),
    ]
    image = drawn(pieces=pieces)
    assert (image[28:32, 28:32] == colour_of(0, 3)).all()
    assert (image[12:16, 100:104] == colour_of(1, -1)).all()
    off, none = image[28, 32].astype(int), image[72, 8].astype(int)
    assert 0.4 < off.sum() / sum(colour_of(0, 3)) < 0.8, "OFF is darker"
    assert np.ptp(none) < 10, "no region is grey"
    for colour in (colour_of(0, 3), colour_of(1, -1)):
        assert np.abs(np.array(colour) - none).max() > 60


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_picture__draws_outlines_and_names_that_stay_on_the_sensor(theme):
    colour = colour_of(0, 3, theme)
    for move in ((0, 0), (-3, -4), (14, 4), (0, 8)):
        image = drawn([Outline(0, SQUARE + move, "box")], theme=theme)
        assert has(image[:80, :120], colour).sum() > 400
        assert not has(image[80:], colour).any()
        assert not has(image[:, 120:], colour).any()
    beyond = drawn([Outline(0, SQUARE + 100, "box")], theme=theme)
    assert not has(beyond, colour).any(), "no name of what cannot be seen"


def test_picture__puts_names_beside_each_other():
    outlines = [Outline(0, SQUARE), Outline(1, SQUARE)]
    one, two = drawn(outlines[:1]), drawn(outlines)
    chip = has(one, colour_of(0, 3)).sum()
    assert has(two, colour_of(0, 3)).sum() > chip / 2, "its name is not covered"
    assert has(two, colour_of(1, -1)).sum() > 16 * 16, "nor is the other's"


def test_picture__of_a_crowd_is_drawn_too():
    n = 3_000
    crowd = np.zeros(n, int), np.arange(n)
    made = LabelledPictures(SENSOR, ("car",), *crowd, (), Showing(magnify=1))
    places = np.random.default_rng(0).uniform(-5, 30, (n, 2))
    image = made.draw([], Moment("", 0, 1, [Outline(k, SQUARE / 2 + places[k]) for k in range(n)]))
    assert image.shape[:2] == made.shape


def test_picture__marks_points_and_leaves_lines_open():
    line = drawn([Outline(0, SQUARE, "polyline")])
    closed = drawn([Outline(0, SQUARE, "polygon")])
    assert not has(line, colour_of(0, 3))[40, 16]
    assert has(closed, colour_of(0, 3))[40, 16]
    mask = has(drawn([Outline(0, SQUARE, "mask")]), colour_of(0, 3))
    assert mask[24, 16]
    assert mask[60, 17]
    assert not mask[40, 16], "its corners alone"
    points = drawn([Outline(0, SQUARE, "points")])
    assert has(points, colour_of(0, 3))[24, 16]
    assert not has(points, colour_of(0, 3))[20, 36], "nothing joins them"


def test_picture__says_in_text_what_it_shows_and_grows_with_its_tags():
    plain = drawn()
    assert (drawn(labelled=False) != plain).any(), "that nobody annotated it"
    tags = [["busy", "x" * 300]]
    made = LabelledPictures(SENSOR, (), np.array([], int), np.array([], int), tags, Showing())
    image = made.draw([], Moment("frame 0", 0, 10, (), tags[0]))
    assert image.shape[:2] == made.shape
    assert made.shape[0] > pictures().shape[0] - 80 + 20 * magnification(SENSOR)
    assert image.shape[0] % 2 == image.shape[1] % 2 == 0
    assert plain.shape[1] >= 480, "room for the text beside a small sensor"


def test_picture__of_a_size_that_no_video_has_is_an_error():
    with pytest.raises(ParameterError, match="smaller magnification"):
        LabelledPictures((720, 1280), (), np.array([]), np.array([]), (), Showing(magnify=64))


def test_mp4__plays_in_the_colours_that_were_drawn(tmp_path):
    colours = np.array([colour_of(k, -1) for k in range(8)], dtype=np.uint8)
    image = colours.reshape(2, 4, 3).repeat(16, axis=0).repeat(16, axis=1)
    path = tmp_path / "v.mp4"
    assert write_mp4(path, [image] * 3, (32, 64), crf=1, colour=True) == 3
    with av.open(path) as file:
        frame = next(file.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (1, 1), "BT.709, studio range"
        shown = frame.to_ndarray(format="rgb24", src_colorspace="ITU709", dst_colorspace="ITU709")
    inner = shown[8::16, 8::16].reshape(-1, 3).astype(int)
    assert np.abs(inner - colours).max() <= 6
    with pytest.raises(ParameterError, match=r"uint8 of \(32, 64, 3\) is expected"):
        write_mp4(path, [image[:30]], (32, 64), colour=True)


def test_png__holds_the_picture_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (21, 33, 3), dtype=np.uint8)
    command = [str(ffmpeg.executable()), "-loglevel", "error", "-i", "pipe:0"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]
    raw = subprocess.run(command, input=png_bytes(image), capture_output=True, check=True).stdout
    assert np.array_equal(np.frombuffer(raw, np.uint8).reshape(image.shape), image)


def test_text__is_as_high_as_it_says():
    assert text_mask("Äg").shape[0] == HEIGHT_PX
