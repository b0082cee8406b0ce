"""Messages: one line each, whatever was read from a file or came from a server."""

from __future__ import annotations

import pickle

import pytest

from evreel.errors import LONGEST_PART, EvreelError, MistakesError, RecordingError, one_line

FOREIGN = {
    "lines": ("the server loops.\r\nThe last answer was:\n\n  302 Found", "302 Found"),
    "tab": ("line\tagain", "line again"),
    "other breaks": ("a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g", "a b c d e f g"),
    "colour": ("\x1b[1;31mred\x1b[0m", "red"),
    "title": ("\x1b]0;owned\x07gone", "gone"),
    "link": ("\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", "text"),
    "command without an end": ("\x1b]0;still told", "0;still told"),
    "bell and nul": ("a\x07b\0c", r"a\x07b\x00c"),
    "surrogate": ("raw/\udcff.npz", r"raw/\udcff.npz"),
    "turned text": ("a\u202egnp.exe\u2066", r"a\u202egnp.exe\u2066"),
    "blank that looks like one": ("car\u00a0", r"car\xa0"),
}


@pytest.mark.parametrize("text, shown", FOREIGN.values(), ids=FOREIGN)
def test_foreign_text__is_one_line_that_a_terminal_shows_as_it_is(text, shown):
    error = EvreelError(text, path=f"a/{text.replace('/', '')}", place=text, hint=text)
    for part in (error.problem, error.place, error.hint, str(error)):
        assert part is not None
        assert part.isprintable()
        assert shown in part


def test_overlong_text__ends_with_an_ellipsis_and_leaves_the_hint():
    text = str(EvreelError("x" * 10**7, path="y" * 10**7, place="\0" * 10**6, hint="Ask them."))
    assert len(text) < 3 * LONGEST_PART + 100
    assert text.count("…") == 3
    assert text.endswith(" Ask them.")


def test_other_scripts__are_left_as_they_are():
    text = "Straße 3/日本/قياس/e\u0301 👩 · 5 µs × 2"
    assert one_line(text) == text


def test_error__that_is_raised_again_from_its_parts_says_the_same():
    first = RecordingError("is\ncut", place="a\tb", offset=3, hint="Get\nit again.")
    again = RecordingError(first.problem, place=first.place, hint=first.hint)
    assert str(again) == str(first) == "byte 3 (a b): is cut. Get it again."


def test_mistakes__have_a_line_each_though_they_quote_lines():
    error = MistakesError(
        ["config.yaml: line 1: 'a\nb' is odd", "config.yaml: line 2: so is\u2028it"]
    )
    assert str(error).split("\n") == [
        "config.yaml: line 1: 'a b' is odd",
        "config.yaml: line 2: so is it",
    ]
    assert error.problem.isprintable()


@pytest.mark.parametrize(
    "error",
    [
        EvreelError("is empty", path="a/park.xml", place="track 7", hint="Redraw it."),
        RecordingError("is cut short", path="park.raw", offset=12, place="header"),
        MistakesError(["one is wrong", "two is missing"]),
    ],
)
def test_error__comes_out_of_another_process_as_it_was(error):
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is type(error) and str(found) == str(error)
    assert vars(found) == vars(error) and found.args == error.args
