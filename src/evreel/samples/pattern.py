"""Patterns that read class and group from the names of an archive's members."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import NamedTuple

from evreel.errors import UsageError
from evreel.text import nfc

_FIELDS = {
    "*": r"[^/]*",
    "?": r"[^/]",
    "{label}": r"(?P<label>[^/]+)",
    "{group}": r"(?P<group>[^/]+)",
}


_TOKEN = re.compile(r"\{[^{}]*\}|[*?]")


class Named(NamedTuple):
    """What a member's name says: class and group, each empty if it says nothing."""

    label: str
    group: str


@dataclass(frozen=True)
class Pattern:
    """Which members of an archive are samples, and what their names say.

    Parameters
    ----------
    text
        A name in which ``*`` stands for anything within a folder or file name, ``?`` for one
        character of it, ``{label}`` for the class and ``{group}`` for the group. None of them
        matches a dot at the beginning of a name: such files are hidden.

    Raises
    ------
    UsageError
        If it has another word in braces, one of these twice, or text that is not UTF-8.

    Examples
    --------
    >>> Pattern("Train/{label}/*.bin").of("Train/7/00002.bin")
    Named(label='7', group='')
    >>> Pattern("Train/{label}/*.bin").of("Train/7/more/00002.bin") is None
    True
    """

    text: str

    def __post_init__(self) -> None:
        if any("\ud800" <= character <= "\udfff" for character in self.text):
            raise UsageError(
                f"pattern {self.text!r} is not UTF-8",
                hint="Write ? for each such character.",
            )
        parts, at = [], 0
        text = nfc(self.text)
        for token in _TOKEN.finditer(text):
            word = token[0]
            if word not in _FIELDS:
                raise UsageError(
                    f"pattern {self.text!r} has {word} in it; "
                    "only {label} and {group} are allowed"
                )
            if word[0] == "{" and self.text.count(word) > 1:
                raise UsageError(f"pattern {self.text!r} has {word} in it twice")
            parts.append(re.escape(text[at : token.start()]))
            hidden = token.start() == 0 or text[token.start() - 1] == "/"
            parts.append((r"(?!\.)" if hidden else "") + _FIELDS[word])
            at = token.end()
        parts.append(re.escape(text[at:]))
        object.__setattr__(self, "_pattern", re.compile("".join(parts), re.DOTALL))

    def of(self, name: str) -> Named | None:
        """Return what a member's name says; None if it does not fit."""
        pattern: re.Pattern[str] = self._pattern  # type: ignore[attr-defined]
        found = pattern.fullmatch(nfc(name))
        if found is None:
            return None
        said = found.groupdict()
        return Named(said.get("label", ""), said.get("group", ""))

    @functools.cached_property
    def stated(self) -> tuple[str | None, ...]:
        """The names of folders and file that all names have, None where they differ."""
        parts = nfc(self.text).split("/")
        return tuple(None if _TOKEN.search(part) else part for part in parts)

    def excludes(self, other: Pattern) -> bool:
        """Return whether it is certain that no name fits both.

        That is so if names of the one have more folders than those of the other, or if both
        state a folder or file name at the same place, and not the same one.

        Examples
        --------
        >>> Pattern("Lip/train/{label}/*.npy").excludes(Pattern("Lip/test/{label}/*.npy"))
        True
        >>> Pattern("Lip/train/{label}/*.npy").excludes(Pattern("Lip/*/accused/*.npy"))
        False
        """
        if len(self.stated) != len(other.stated):
            return True
        pairs = zip(self.stated, other.stated, strict=True)
        return any(ours != theirs for ours, theirs in pairs if None not in (ours, theirs))
