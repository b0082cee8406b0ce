"""A user's own function is known by its source, and its errors by file and line."""

from __future__ import annotations

import copy
import hashlib
import pickle
import sys
import textwrap

import numpy as np
import pytest

from evreel.errors import ParameterError, RepresentationError
from evreel.events import Events, Sensor
from evreel.representations import (
    Histogram,
    VoxelGrid,
    create,
    frames,
    from_function,
    kind_of,
    register,
    tensor,
)
from evreel.windows import Count, Duration
from support import random_events

SENSOR = Sensor(48, 64)
EVENTS = random_events(3_000)

COUNTS = """
    import numpy as np

    def counts(events, H, W):
        frame = np.zeros((2, H, W), dtype=np.uint16)
        np.add.at(frame, (events["p"], events["y"], events["x"]), 1)
        return frame
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Let each test run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def cut(events: Events, division: Duration | Count):
    if isinstance(division, Duration):
        return division.plan(events.t_stop_us, lambda at: np.searchsorted(events.t, at))
    return division.plan(len(events), lambda rows: events.t[rows])


def made_by(name, parameters=None, division=None, events=EVENTS, **options):
    """Return the frames of a representation."""
    windows = cut(events, division or Duration(10_000))
    source = frames(
        create(name, parameters), lambda a, b: events[a:b], windows, events.sensor, **options
    )
    return np.stack([frame.copy() for frame in source])


def refused(name, parameters=None, kind=ParameterError, **more):
    with pytest.raises(kind) as caught:
        made_by(name, parameters, **more)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("division", [Duration(7_000), Count(500), Duration(9_000, 4_000)])
@pytest.mark.parametrize("rows", [1 << 20, 100])
def test_simple_function__is_called_with_the_columns_of_a_window(here, division, rows):
    write(here / "mine.py", COUNTS)
    ours = tensor(Histogram(), EVENTS, cut(EVENTS, division))
    theirs = made_by("mine.py:counts", division=division, rows=rows)
    assert theirs.dtype == np.uint16
    np.testing.assert_array_equal(theirs, ours)


def test_simple_function__has_time_from_the_windows_start_and_numbers_that_do_not_wrap(here):
    write(
        here / "mine.py",
        """
        import numpy as np
        seen = []

        def look(events, H, W):
            assert list(events) == ["t", "x", "y", "p"] and type(H) is int and type(W) is int
            assert {column.dtype for column in events.values()} == {np.dtype(np.int64)}
            seen.append({name: column.tolist() for name, column in events.items()})
            frame = np.zeros(H * W)
            np.add.at(frame, events["y"] * W + events["x"], 2 * events["p"] - 1)
            events["t"] *= 0  # their own copy
            return frame.reshape(H, W)
        """,
    )
    sensor = Sensor(300, 400)
    events = Events([5, 12, 13, 13], [399, 1, 2, 399], [299, 0, 1, 299], [0, 1, 1, 0], sensor)
    made = made_by("mine.py:look", division=Duration(10), events=events)
    assert made.shape == (2, 1, 300, 400)
    assert made[0, 0, 299, 399] == made[1, 0, 299, 399] == -1
    assert events.t.tolist() == [5, 12, 13, 13]
    seen = sys.modules[kind_of("mine.py:look").call.function.__module__].seen
    assert seen[-1] == {"t": [2, 3, 3], "x": [1, 2, 399], "y": [0, 1, 299], "p": [1, 1, 0]}


def test_simple_function__learns_shape_and_type_from_a_call(here):
    write(
        here / "mine.py",
        """
        import numpy as np

        def plane(events, H, W):
            return np.full((H, W), len(events["t"]), dtype=">f4")

        def planes(events, H, W, *, bins: int = 3):
            return np.zeros((bins, H, W)).tolist()

        def mask(events, H, W):
            frame = np.zeros((1, H, W), dtype=bool)
            frame[0, events["y"], events["x"]] = True
            return frame

        def needs_events(events, H, W):
            return np.full((H, W), events["t"][0], dtype=np.int16)
        """,
    )
    plane = create("mine.py:plane")
    assert (plane.shape(SENSOR), plane.dtype, plane.channels) == ((1, 48, 64), "float32", 1)
    assert made_by("mine.py:plane").sum() == len(EVENTS) * 48 * 64
    planes = create("mine.py:planes", {"bins": 4})
    assert (planes.dtype, planes.channels, planes.shape(SENSOR)) == ("float64", 4, (4, 48, 64))
    assert made_by("mine.py:planes", {"bins": 4}).shape[1:] == (4, 48, 64)
    mask = made_by("mine.py:mask")
    np.testing.assert_array_equal(
        mask[:, 0], tensor(Histogram(), EVENTS, cut(EVENTS, Duration(10_000))).any(axis=1)
    )
    assert mask.dtype == np.uint8
    assert create("mine.py:needs_events").dtype == "int16"
    message = refused(
        "mine.py:needs_events",
        kind=RepresentationError,
        events=Events([0, 30], [0, 0], [0, 0], [1, 1], SENSOR),
        division=Duration(10),
    )
    assert message.startswith("mine.py: line 16: window 1: IndexError: index 0 is out of bounds")
    assert message.endswith("It has no events: return a frame for that, too.")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "return np.zeros((H, W, 2))",
            "it returns an array of (48, 64, 2); (C, 48, 64) or (48, 64) is expected. Move the",
        ),
        ("return np.zeros((W, H))", "it returns an array of (1, 64, 48); (C, 48, 64) or (48, 64)"),
        ("return np.zeros((0, H, W))", "it returns an array of (0, 48, 64)"),
        ("return np.zeros((1, 1, H, W))", "it returns an array of (1, 1, 48, 64)"),
        ("return None", "it returns object (); an array of numbers is expected"),
        ("return np.zeros((H, W), complex)", "it returns complex128 (48, 64)"),
        ("return [[1], [2, 3]]", "ValueError: setting an array element"),
    ],
)
def test_simple_function__that_returns_no_frame_is_told_what_is_expected(here, body, message):
    write(here / "mine.py", f"import numpy as np\ndef f(events, H, W):\n    {body}\n")
    said = refused("mine.py:f", kind=RepresentationError)
    assert said.startswith("mine.py: line 2: a call with four events: ")
    assert message in said


def test_function__that_needs_many_events_declares_what_its_frames_are(here):
    text = """
        import numpy as np
        def f(events, H, W):
            return np.full((H, W), 1 / (len(events["t"]) > 9))
    """
    write(here / "mine.py", text)
    said = refused("mine.py:f", kind=RepresentationError)
    assert "a call with four events: ZeroDivisionError: division by zero. This call shows" in said
    write(here / "mine.py", text + "    f.channels, f.dtype = 1, 'float32'\n")
    assert (made_by("mine.py:f") == 1).all()


def test_frames__that_are_not_alike_are_refused_with_their_window(here):
    write(
        here / "mine.py",
        """
        import numpy as np

        def none_is_less(events, H, W):
            return np.zeros((1 + (len(events["t"]) > 0), H, W))

        def late(events, H, W, *, more: bool = True):
            if len(events["t"]) < 5:
                return np.zeros((1, H, W), dtype=np.uint8)
            return np.zeros((2, H, W), np.uint8) if more else np.zeros((1, H, W), np.int64)
        """,
    )
    said = refused("mine.py:none_is_less", kind=RepresentationError)
    assert "its frames are not alike: float64 (1, 48, 64) without events and float64 (2, 48" in said
    events = Events([0, *range(10, 17)], [0] * 8, [0] * 8, [1] * 8, SENSOR)
    for more, found in ((True, r"uint8 (2, 48, 64)"), (False, "int64 (1, 48, 64)")):
        said = refused(
            "mine.py:late",
            {"more": more},
            RepresentationError,
            events=events,
            division=Duration(10),
        )
        assert f"window 1: its frame is {found}; uint8 (1, 48, 64) is expected" in said


STREAMING = """
    import numpy as np
    from evreel.representations import from_function

    def voxels(frame, events, window, *, bins: int = 5, gain: float = 1.0):
        b = (events.t - window.start_us) * bins // (window.stop_us - window.start_us)
        np.add.at(frame, (b, events.y, events.x), gain)

    voxels.channels = lambda bins, **_: bins
    voxels.dtype = "float32"
    voxels.unit = "events"
    voxels.revision = 3

    @from_function(channels=1, dtype=np.int32)
    def ones(frame, events, window):
        frame[:, events.y, events.x] += 1

    def bare(frame, events, window):
        pass

    @from_function(channels=2, dtype="float32", unit="events")
    def declared(events, H, W):
        return np.full((2, H, W), len(events["t"]))

    @from_function(channels=1, dtype="uint8")
    def wraps(events, H, W):
        return np.full((1, H, W), len(events["t"]))
"""


@pytest.mark.parametrize("rows", [1 << 20, 7])
def test_streaming_function__adds_each_piece_to_a_frame_of_declared_channels_and_type(here, rows):
    write(here / "mine.py", STREAMING)
    assert create("mine.py:voxels").shape(SENSOR) == (5, 48, 64)
    kind = kind_of("mine.py:voxels")
    assert (kind.name, kind.unit, kind.revision) == ("mine.py:voxels", "events", 3)
    made = made_by("mine.py:voxels", {"bins": 2, "gain": 3}, rows=rows)
    assert (made.shape[1:], made.dtype) == ((2, 48, 64), np.float32)
    assert made.sum() == 3 * len(EVENTS)
    halves = tensor(Histogram(), EVENTS, cut(EVENTS, Duration(5_000))).sum(axis=1)
    np.testing.assert_array_equal(made.reshape(-1, 48, 64)[: len(halves)], 3 * halves)
    assert made_by("mine.py:ones").dtype == np.int32
    assert "available: voxels, ones, bare, declared, wraps" in refused("mine.py:lost")
    said = refused("mine.py:bare")
    assert said.startswith("mine.py: bare: its channels and dtype are not declared. Decorate it")


def test_declared_type__takes_what_it_keeps(here):
    write(here / "mine.py", STREAMING)
    made = made_by("mine.py:declared")
    assert (made.dtype, made[:, 0, 0, 0].sum()) == (np.float32, len(EVENTS))
    said = refused("mine.py:wraps", kind=RepresentationError)
    assert "its frame is int64 (1, 48, 64); uint8 (1, 48, 64) is expected, as of every" in said
    write(
        here / "halves.py",
        """
        import numpy as np
        from evreel.representations import from_function

        @from_function(dtype="float16")
        def sums(events, H, W, *, of=1e3):
            return np.full((H, W), of)
        """,
    )
    assert made_by("halves.py:sums").dtype == np.float16
    said = refused("halves.py:sums", {"of": 1e6}, kind=RepresentationError)
    assert "window 0: a value of its frame is beyond the range of its float16. Declare" in said


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return frame + 1", "window 0: it returns a ndarray; nothing is expected. Add to the"),
        ("frame[5] = 1", "line 7: window 0: IndexError: index 5 is out of bounds"),
        ("events.t[0] = 1", "line 7: window 0: ValueError: assignment destination is read-only"),
        ("raise SystemExit(3)", "line 7: window 0: SystemExit: 3"),
        ("inner(frame)", "line 5: window 0: ZeroDivisionError: division by zero"),
        ("np.zeros(3)[3]", "line 7: window 0: IndexError: index 3 is out"),
        ("raise ValueError('a\\nb')", "line 7: window 0: ValueError: a b"),
        ("raise KeyError", "line 7: window 0: KeyError"),
    ],
)
def test_error_in_a_function__names_file_line_and_window(here, body, message):
    text = f"""
        import numpy as np
        def inner(frame):
            a = 1
            return a / 0
        def f(frame, events, window):
            {body}
        f.channels, f.dtype = 1, "uint8"
    """
    write(here / "mine.py", text)
    said = refused("mine.py:f", kind=RepresentationError)
    assert said.startswith("mine.py: ")
    assert message in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import numpy as np\nimport no_such_thing\n",
            "mine.py: line 2: cannot be imported: ModuleNotFoundError: No module named 'no_such",
        ),
        (
            "def f(events, H, W)\n    pass",
            "mine.py: line 1: cannot be imported: SyntaxError: expected ':'",
        ),
        (
            "a = 1\n\nb = a / 0\n",
            "mine.py: line 3: cannot be imported: ZeroDivisionError: division by zero",
        ),
        ("import sys\nsys.exit('no')", "mine.py: line 2: cannot be imported: SystemExit: no"),
        ("def g(events, H, W): pass", "mine.py: has no function or class 'f'; available: g"),
        ("def ff(events, H, W): pass", "available: ff. Did you mean 'ff'?"),
        ("f = 3", "mine.py: f is not a function"),
        ("class f: pass", "mine.py: f is a class, but no Representation"),
        ("def f(events, H): pass", "it takes (events, H); expected: (events, H, W) or (frame,"),
        ("def f(*events): pass", "it takes (*events); expected: (events, H, W) or (frame, "),
        ("def f(e, H, W, *, a): pass", "its parameter 'a' has no default, and no type"),
        ("def f(e, H, W, dtype='u1'): pass", "its parameter 'dtype' has a reserved name. Choose"),
        ("def f(e, H, W, a=print): pass", "its parameter 'a' has a default that JSON cannot hold"),
        (
            "def f(frame, events, window): pass\nf.channels, f.dtype = 1, 'text'",
            "dtype='text' is not a type of numbers",
        ),
    ],
)
def test_source__that_is_wrong_is_told_before_any_window(here, text, message):
    write(here / "mine.py", text)
    with pytest.raises(ParameterError) as caught:
        create("mine.py:f")
    said = str(caught.value)
    assert message in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "mind.py:f",
            "the source of a representation: No such file or directory. Did you mean 'mine.py'?",
        ),
        ("other/of.py:f", "No such file or directory. A path is relative to the folder in which"),
        (".:f", "'.' is not the name of a module"),
        ("mine.py", "'mine.py' is not of the form FILE.py:FUNCTION or MODULE:FUNCTION"),
        ("mine.py:f g", "is not of the form FILE.py:FUNCTION"),
        (":f", "is not of the form FILE.py:FUNCTION"),
        ("no_such.module:f", "module no_such.module cannot be imported: ModuleNotFoundError: No"),
        ("no_such_module:f", "there is no module 'no_such_module'. Install it, run in its"),
        ("sys:exit", "module sys has no file"),
    ],
)
def test_name__that_leads_nowhere_is_refused(here, name, message):
    write(here / "mine.py", COUNTS)
    with pytest.raises(ParameterError) as caught:
        create(name)
    assert message in str(caught.value)


def test_parameters__are_checked_by_the_signature(here):
    write(
        here / "mine.py",
        """
        from __future__ import annotations
        from typing import Literal
        import numpy as np

        def f(events, H, W, bins: int, tau: float = 1e3, *, mode: Literal["a", "b"] = "a",
              cap: int = None, scale=np.float32(0.5), sizes=(1, 2), either: int | str = 3,
              levels: Literal[1, 2] = 1, log=False, **more):
            return np.full((H, W), [bins, tau, len(sizes), log][bins])
        """,
    )
    made = create("mine.py:f", {"bins": 1, "tau": 5})
    assert made.parameters == {
        "bins": 1,
        "tau": 5.0,
        "mode": "a",
        "cap": None,
        "scale": 0.5,
        "sizes": [1, 2],
        "either": 3,
        "levels": 1,
        "log": False,
    }
    assert made.frame_of(dict.fromkeys("txyp", np.empty(0, int)), Sensor(1, 2), "")[0, 0, 0] == 5
    for parameters, message in (
        ({}, "mine.py:f: its parameter 'bins' has no default"),
        ({"bins": 1.5}, "mine.py:f: bins: 1.5 is not a whole number"),
        ({"bins": 1, "tau": "x"}, "tau: 'x' is not a number"),
        ({"bins": 1, "mode": "c"}, "mode: 'c' is not one of a, b"),
        ({"bins": 1, "cap": 0.5}, "cap: 0.5 is not a whole number"),
        ({"bins": 1, "scale": "x"}, "scale: 'x' is not a number"),
        ({"bins": 1, "log": 1}, "log: 1 is not true or false"),
        ({"bins": 1, "taw": 1}, "it has no parameter 'taw'; available: bins, tau, mode, cap"),
    ):
        with pytest.raises(ParameterError) as caught:
            create("mine.py:f", parameters)
        assert message in str(caught.value)


def test_edited_file__is_read_anew_and_has_another_digest(here):
    path = write(here / "mine.py", COUNTS)
    first = create("mine.py:counts")
    assert first == create("mine.py:counts"), "the same as long as it is the same"
    assert type(first) is type(create(f"{here}/mine.py:counts"))
    assert dict(first.sources) == {
        "representation": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    }
    before = made_by("mine.py:counts")
    write(here / "mine.py", COUNTS.replace("] ), 1)", "] ), 2)").replace("1)\n", "2)\n"))
    again = create("mine.py:counts")
    assert again != first
    assert again.sources != first.sources
    np.testing.assert_array_equal(made_by("mine.py:counts"), 2 * before)


def test_files_of_the_same_name__do_not_meet(here, monkeypatch):
    text = """
        import numpy as np
        from helper import value
        def f(events, H, W): return np.full((H, W), value)
    """
    for folder, value in (("a", 1), ("b", 2)):
        write(here / folder / "mine.py", text)
        write(here / folder / "helper.py", f"value = {value}")
    modules = set(sys.modules)
    path = list(sys.path)
    for name, value in (("a/mine.py:f", 1), ("b/mine.py:f", 2), ("a/mine.py:f", 1)):
        assert made_by(name)[0, 0, 0, 0] == value
    for folder, value in (("a", 1), ("b", 2)):
        monkeypatch.chdir(here / folder)
        for name in ("mine.py:f", "mine:f"):
            assert made_by(name)[0, 0, 0, 0] == value
    assert sys.path == path
    assert {name for name in set(sys.modules) - modules if "_evreel_" not in name} == set()


def test_module_beside_it__is_part_of_what_it_is_known_by(here):
    write(here / "mine.py", "from helper import f\n")
    helper = write(
        here / "helper.py", "import numpy as np\ndef f(e, H, W): return np.ones((H, W))\n"
    )
    first = create("mine.py:f")
    digest = hashlib.sha256(helper.read_bytes()).hexdigest()
    assert first.sources["representation/helper.py"] == f"sha256:{digest}"
    assert made_by("mine.py:f").max() == 1
    write(helper, "import numpy as np\ndef f(e, H, W): return np.zeros((H, W))\n")
    assert create("mine.py:f").sources != first.sources
    assert made_by("mine.py:f").max() == 0
    write(helper, "import numpy as np\n\ndef f(e, H, W): return np.zero((H, W))\n")
    said = refused("mine.py:f", kind=RepresentationError)
    assert said.startswith(
        "helper.py: line 3: a call with four events: AttributeError: module 'num"
    )


def test_module_of_a_package__is_found_with_its_relative_imports(here, monkeypatch):
    write(here / "pkg_of_reps" / "__init__.py", "from .inside import f\n")
    write(here / "pkg_of_reps" / "value.py", "VALUE = 4")
    inside = write(
        here / "pkg_of_reps" / "inside.py",
        """
        import numpy as np
        from .value import VALUE
        def f(e, H, W): return np.full((H, W), VALUE)
        """,
    )
    try:
        kind = kind_of("pkg_of_reps.inside:f")
        assert kind.name == "pkg_of_reps.inside:f"
        assert made_by("pkg_of_reps.inside:f").max() == 4
        digest = f"sha256:{hashlib.sha256(inside.read_bytes()).hexdigest()}"
        assert dict(kind.sources) == {"representation": digest}
        assert kind_of("pkg_of_reps:f").sources["representation/inside.py"] == digest
        write(inside, inside.read_text().replace("VALUE)", "VALUE + 1)"))
        assert made_by("pkg_of_reps.inside:f").max() == 5
        write(here / "b" / "pkg_of_reps" / "__init__.py", "")
        write(here / "b" / "pkg_of_reps" / "inside.py", "")
        monkeypatch.chdir(here / "b")
        with pytest.raises(ParameterError, match=r"was imported before\. Give the file instead"):
            create("pkg_of_reps.inside:f")
    finally:
        for name in [name for name in sys.modules if name.startswith("pkg_of_reps")]:
            del sys.modules[name]


CLASS = """
    from dataclasses import dataclass
    from typing import ClassVar
    from evreel.representations import Accumulator, Representation, setting

    @dataclass(frozen=True)
    class Last(Representation):
        '''Time of the last event.'''
        name: ClassVar[str] = "histogram"
        revision: ClassVar[int] = 2
        reference: ClassVar[str] = "here"
        unit: ClassVar[str] = "µs"
        fill: int = setting(-1, "Value of a pixel without events.")
        channels = 1
        dtype = "int64"

        def accumulator(self, sensor, repairs):
            return Frame(self, sensor, repairs)

    class Frame(Accumulator):
        value = -1

        def begin(self, window):
            super().begin(window)
            self.frame.fill(self.value)

        def accumulate(self, events):
            self.frame[0, events.y, events.x] = events.t

        def finish(self):
            assert self.window.number < 2, self.name
            return super().finish()

    class Incomplete(Representation):
        name = "incomplete"
"""


def test_class__is_a_representation_of_its_own_file(here):
    write(here / "mine.py", CLASS)
    kind = kind_of("mine.py:Last")
    assert (kind.name, kind.unit, kind.revision) == ("mine.py:Last", "µs", 2)
    assert kind.sources
    made = made_by("mine.py:Last", division=Count(len(EVENTS)))
    assert made.min() == -1
    assert made.max() == EVENTS.t[-1]
    said = refused("mine.py:Last", kind=RepresentationError)
    assert said.startswith("mine.py: line 31: window 2: AssertionError: mine.py:Last")
    assert "mine.py:Last: fill: 0.5 is not a whole number" in refused("mine.py:Last", {"fill": 0.5})
    assert "class Incomplete has no revision" in refused("mine.py:Incomplete")
    assert "it has no parameter" in refused("mine.py:Last", {"right": True})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("channels = property(lambda self: 1 // 0)", "line 16: channels: ZeroDivisionError: "),
        ("channels = 0", "mine.py:Mine: channels is 0; a whole number of 1 or more is expected"),
        ("dtype = 'float31'", "mine.py:Mine: dtype is 'float31'; the name of a type of numbers"),
        ("dtype = 'bool'", "mine.py:Mine: dtype is 'bool'; the name of a type of numbers is"),
        ("history = property(lambda self: self.nope)", "line 16: history: AttributeError: "),
        ("history = -1", "history is -1; a whole number of µs, or None, is expected"),
        ("shape = lambda self, sensor: tuple(sensor)", "shape is (48, 64); (channels, height, "),
        ("__post_init__ = lambda self: self.nope", "line 16: mine.py:Mine: AttributeError: "),
        ("accumulator = lambda *of: None", "accumulator is None; an Accumulator is expected"),
        ("accumulator = lambda *of: 1 // 0", "line 16: accumulator: ZeroDivisionError: "),
    ],
)
def test_class__that_fails_in_what_it_says_of_itself_is_told_with_its_place(here, body, message):
    text = textwrap.dedent(CLASS).replace("class Incomplete", "class Other")
    text += textwrap.dedent(f"""
        @dataclass(frozen=True)
        class Mine(Last):
            {body}
    """)
    line = text[: text.index(body)].count("\n") + 1
    write(here / "mine.py", text)
    said = refused("mine.py:Mine", kind=RepresentationError)
    assert said.startswith("mine.py: ")
    assert message.replace("line 16", f"line {line}") in said


@pytest.mark.parametrize("result", ["None", "self.frame[0]", "self.frame.astype('f4')"])
def test_class__whose_finished_frame_is_another_is_refused(here, result):
    write(here / "mine.py", CLASS.replace("return super().finish()", f"return {result}"))
    said = refused("mine.py:Last", kind=RepresentationError)
    assert said.startswith("mine.py:Last: its finished frame is ")
    assert said.endswith("; int64 (1, 48, 64) is expected")


def test_compiled_functions__work_in_both_forms(here):
    write(
        here / "mine.py",
        """
        import numpy as np
        import numba

        @numba.njit(cache=True)
        def add(frame, events, window, gain=1.0):
            for i in range(events.t.shape[0]):
                frame[events.p[i], events.y[i], events.x[i]] += gain
            if events.t[0] - window.start_us > 10**9:
                raise ValueError("late")

        add.channels = 2
        add.dtype = "float32"

        @numba.njit
        def inner(x, y, out):
            for i in range(x.shape[0]):
                out[y[i], x[i]] += 1

        def outer(events, H, W):
            out = np.zeros((H, W), np.int32)
            inner(events["x"], events["y"], out)
            return out
        """,
    )
    ours = tensor(Histogram(), EVENTS, cut(EVENTS, Duration(10_000)))
    np.testing.assert_array_equal(made_by("mine.py:add", {"gain": 2}), 2 * ours)
    np.testing.assert_array_equal(made_by("mine.py:outer")[:, 0], ours.sum(axis=1))


def test_compiled_simple_function__takes_the_columns_by_name(here):
    write(
        here / "mine.py",
        """
        import numba
        import numpy as np

        @numba.njit
        def f(events, H, W):
            out = np.zeros((H, W), np.int32)
            for i in range(events["t"].shape[0]):
                out[events["y"][i], events["x"][i]] += 1
            return out
        """,
    )
    ours = tensor(Histogram(), EVENTS, cut(EVENTS, Duration(10_000)))
    np.testing.assert_array_equal(made_by("mine.py:f")[:, 0], ours.sum(axis=1))


def test_representation__of_a_file_is_the_same_in_another_process(
    here, tmp_path_factory, monkeypatch
):
    write(here / "mine.py", STREAMING)
    made = create("mine.py:voxels", {"bins": 3})
    assert copy.deepcopy(made) == made
    there = pickle.dumps(made)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert pickle.loads(there) == made


def test_from_function__works_as_a_decorator_and_registers(monkeypatch):
    from evreel import representations

    monkeypatch.setattr(representations, "REGISTRY", dict(representations.REGISTRY))

    @register
    @from_function(unit="events")
    def everything(events, h, w, *, factor: int = 1):
        """Count all events in every pixel."""
        return np.full((h, w), factor * len(events["t"]))

    assert everything.name == "everything"
    assert everything.__doc__ == "Count all events in every pixel."
    made = made_by("everything", {"factor": 2})
    assert made[:, 0, 0, 0].sum() == 2 * len(EVENTS)
    assert everything().sources == VoxelGrid().sources == {}
