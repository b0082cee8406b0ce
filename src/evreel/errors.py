"""One base class, few children; each message says what, where and what to do."""

from __future__ import annotations

import contextlib
import difflib
import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

LONGEST = 1000
"""Characters of a text from outside; servers say any number of them."""
LONGEST_PART = 6000
"""Characters of a problem, a place or a hint."""

_TERMINAL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, links
    r"|[PX^_][^\x1b]*\x1b\\"
    r"|[ -/]*[0-~])"
)
_LOOK_ALIKE = str.maketrans(
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0455\u0501\u04bb\u051b\u03bf\u03b1\u03bd\u03c1\u0131",
    "aceopxyijsdhqoavpi",
)
"""Lower-case Cyrillic and Greek letters, and the one that each is taken for."""
_BREAK = re.compile(r"[\t-\r\x1c-\x1e\x85\u2028\u2029]+")


def one_line(text: str, longest: int = LONGEST) -> str:
    r"""Return a text from outside as one line that a terminal shows as it is.

    Line breaks and tabs become a space, commands to the terminal are left out, and other characters
    that do not show, or that turn the direction of text, become escapes. What is too
    long ends with ``…``.

    Examples
    --------
    >>> print(one_line("Not\r\n found: \x1b[31mred\x1b[0m \a"), one_line("much", 3))
    Not found: red \x07 mu…
    """
    # Cut twice: an escape of a terminal has no bound, and those that are written get longer.
    text = without_commands(text[: 4 * longest])
    text = " ".join(part for line in _BREAK.split(text) if (part := line.strip(" ")))
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def without_commands(text: str) -> str:
    """Return a text without what a terminal takes for commands: colours, titles, links."""
    return _TERMINAL.sub("", text)


def did_you_mean(value: object, known: Iterable[str]) -> str:
    r"""Return a guess at what a misspelt value was meant to be; empty if nothing is close.

    Examples
    --------
    >>> did_you_mean("widow_us", ["window_us", "count"]), did_you_mean("colour", ["count"])
    ("did you mean 'window_us'?", '')
    >>> print(did_you_mean("\u0441ar", ["car"]))
    did you mean 'car'? Here it is '\u0441ar', which only looks like it.
    """
    text = str(value)
    near = nearest(text, known)
    if near is None:
        return ""
    only_looks = _looks(text) == _looks(near) and _plain(text) != _plain(near)
    more = f" Here it is {text!a}, which only looks like it." if only_looks else ""
    return f"did you mean {near!r}?{more}"


def hint_of(value: object, known: Iterable[str]) -> str | None:
    """Return the same guess as a sentence, None if nothing is close.

    Examples
    --------
    >>> hint_of("widow_us", ["window_us", "count"]), hint_of("colour", ["count"])
    ("Did you mean 'window_us'?", None)
    """
    guess = did_you_mean(value, known)
    return guess[0].upper() + guess[1:] if guess else None


def meant_label(label: str, labels: Iterable[str]) -> str:
    """Return what is probably misspelt where a label is not listed: it, or the list; else empty.

    Examples
    --------
    >>> meant_label("right", ["left", "rigth"]), meant_label("right", ["up", "down"])
    ("; did you mean 'rigth'? Or correct labels in config.yaml", '')
    """
    meant = did_you_mean(label, labels)
    return f"; {meant} Or correct labels in config.yaml" if meant else ""


def nearest(text: str, known: Iterable[str]) -> str | None:
    """Return what looks most like a text, None if nothing is close."""
    names, looks = list(known), _looks(text)
    alike = (name for name in names if _looks(name) == looks)
    close = iter(difflib.get_close_matches(text, names, n=1))
    return next(alike, None) or next(close, None)


def _plain(text: str) -> str:
    """Return a text without differences of case, blanks and Unicode forms."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _looks(text: str) -> str:
    """Return what a text looks like at a glance."""
    plain = _plain(text)
    if plain.isascii():
        return plain
    return "".join(c for c in plain.translate(_LOOK_ALIKE) if unicodedata.category(c) != "Cf")


WARNING = "warning: "
"""How a warning begins in the log of a job."""


class OneLineFormatter(logging.Formatter):
    """Shows each message of a log as one line; only a traceback has several.

    Parameters
    ----------
    marked
        Whether warnings begin with `WARNING`.
    """

    def __init__(self, *, marked: bool = False) -> None:
        super().__init__()
        self._marked = marked

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the line of a message."""
        line = one_line(super().formatMessage(record), 4 * LONGEST_PART)
        is_marked = not self._marked or line.startswith(WARNING)
        return line if is_marked or record.levelno != logging.WARNING else WARNING + line


def words_of(error: BaseException) -> str:
    r"""Return what an error says, in one line.

    Examples
    --------
    >>> words_of(ValueError("no number:\n12x")), words_of(KeyError())
    ('no number: 12x', 'KeyError')
    """
    return one_line(str(error) or type(error).__name__, 200)


@contextlib.contextmanager
def foreign(make: Callable[[str], Exception]) -> Iterator[None]:
    """Turn whatever a library raises on somebody's bytes into the error that `make` returns.

    Libraries raise more than they document: numpy's reader of headers alone a dozen kinds. So the
    block should be the call of the library, and nothing else. Errors of evreel pass, and so does
    `MemoryError`, which says nothing of the bytes.

    Parameters
    ----------
    make
        Function of what the library said, in one line.

    Examples
    --------
    >>> with foreign(lambda why: EvreelError(f"is not a number: {why}", path="a.txt")):
    ...     int("x")
    Traceback (most recent call last):
    evreel.errors.EvreelError: a.txt: is not a number: invalid literal for int() with base 10: 'x'
    """
    try:
        yield
    except (EvreelError, MemoryError):
        raise
    except Exception as error:
        raise make(words_of(error)) from error


class EvreelError(Exception):
    """Something about the input is wrong, and the user can fix it.

    Parameters
    ----------
    problem
        What was found and what was expected, without a full stop.
    path
        The file at fault; the message begins with its name.
    place
        Where in the file: ``"byte 1234"``, ``"line 7"``, ``"track 7 ('car'), frame 412"``.
    hint
        What to do about it, as a sentence.

    The message is one line, whatever was read from a file or came from a server.

    Examples
    --------
    >>> print(EvreelError("box is empty", path="a/park.xml", place="track 7", hint="Redraw it."))
    park.xml: track 7: box is empty. Redraw it.
    """

    exit_code = 1

    def __init__(
        self,
        problem: str,
        *,
        path: str | Path | None = None,
        place: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.problem = one_line(problem, LONGEST_PART)
        self.path = None if path is None else Path(path)
        self.place = None if place is None else one_line(place, LONGEST_PART)
        self.hint = None if hint is None else one_line(hint, LONGEST_PART)
        name = None if self.path is None else one_line(self.path.name or str(self.path))
        message = ": ".join(part for part in (name, self.place, self.problem) if part)
        end = "" if message.endswith(("?", ".", "…")) else "."
        super().__init__(f"{message}{end} {self.hint}" if self.hint else message)

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is otherwise made again from its message, as if that were the problem.
        return _unpickled, (type(self), self.args, self.__dict__)


def _unpickled(kind: type[EvreelError], args: tuple[Any, ...], said: dict[str, Any]) -> EvreelError:
    """Return an error as it was before it was pickled, to come from a worker process."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(said)
    return error


class UsageError(EvreelError):
    """The call itself is wrong: an option that does not exist, two that exclude each other."""

    exit_code = 2


class MistakesError(UsageError):
    """Several mistakes that are told at once: the message has a line for each."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        lines = [one_line(mistake, LONGEST_PART) for mistake in mistakes]
        super().__init__("; ".join(lines))
        self.args = ("\n".join(lines),)


class RecordingError(EvreelError):
    """A recording's bytes do not follow its format. `offset` is the byte where this shows."""

    def __init__(
        self,
        problem: str,
        *,
        path: str | Path | None = None,
        offset: int | None = None,
        place: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.offset = offset
        if offset is not None:
            place = f"byte {offset}" if place is None else f"byte {offset} ({place})"
        super().__init__(problem, path=path, place=place, hint=hint)


class UnknownFormatError(RecordingError):
    """A file whose content is not in any recording format that can be read here."""


class CodingError(UnknownFormatError):
    """A recording of a known format, whole, but coded in a way that cannot be read here.

    An unsupported compression, a polarity that is not ON or OFF, times that are not whole µs.
    Nothing is wrong with its bytes, so it is never salvaged: the part before the first value that
    cannot be read is not what is left of it.
    """


class JumpError(RecordingError):
    """A recording whose clock jumps: it is set to another time, or some events are far off it."""


class EventsError(EvreelError):
    """Columns of events that break a rule of `evreel.events.Events`."""


class ClockError(EvreelError):
    """A frame clock whose rows are out of order, overlap, or are malformed."""


class AnnotationError(EvreelError):
    """An annotation that cannot be read, or that does not fit the recording it is for."""


class LayoutError(EvreelError):
    """An HDF5 file that does not have the layout it is read as."""


class ParameterError(UsageError):
    """A setting, or a parameter of a representation or a window, that is out of its range."""


class RepresentationError(EvreelError):
    """A user's own representation that fails on a window, or whose frames are not alike."""


class SourceError(EvreelError):
    """A source that is not available, or whose bytes are not the ones promised."""


class ReleaseError(EvreelError):
    """A release that cannot be built, or that does not match its manifest."""
