"""One base class, few children; each message says what, where and what to do."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path


def did_you_mean(value: object, known: Iterable[str]) -> str:
    """Return a guess at what a misspelt value was meant to be; empty if nothing is close.

    Examples
    --------
    >>> did_you_mean("widow_us", ["window_us", "count"]), did_you_mean("colour", ["count"])
    ("did you mean 'window_us'?", '')
    """
    near = difflib.get_close_matches(str(value), list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def first_line(error: BaseException) -> str:
    r"""Return what an error says, in one line.

    Examples
    --------
    >>> first_line(ValueError("no number:\n12x")), first_line(KeyError())
    ('no number:', 'KeyError')
    """
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


@contextlib.contextmanager
def foreign(make: Callable[[str], Exception]) -> Iterator[None]:
    """Turn whatever a library raises on somebody's bytes into the error that `make` returns.

    Libraries raise more than they document: numpy's reader of headers alone a dozen kinds. So the
    block should be the call of the library, and nothing else. Errors of evreel pass.

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
    except EvreelError:
        raise
    except Exception as error:
        raise make(first_line(error)) from error


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
        self.problem = problem
        self.path = None if path is None else Path(path)
        self.place = place
        self.hint = hint
        where = [part for part in (self.path and (self.path.name or str(self.path)), place) if part]
        message = ": ".join([*where, problem])
        end = "" if message.endswith("?") else "."
        super().__init__(f"{message}{end} {hint}" if hint else message)


class UsageError(EvreelError):
    """The call itself is wrong: an option that does not exist, two that exclude each other."""

    exit_code = 2


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


class SourceError(EvreelError):
    """A source that is not available, or whose bytes are not the ones promised."""


class ReleaseError(EvreelError):
    """A release that cannot be built, or that does not match its manifest."""
