"""Command-line options made from settings: their names, values, help and checks."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from evreel.errors import UsageError
from evreel.settings import (
    Facts,
    Known,
    Settings,
    Type,
    guess,
    missing,
    settings_of,
    without_links,
)
from evreel.text import nfc

S = TypeVar("S", bound=Settings)


Option = Callable[[argparse.ArgumentParser], None]
"""What adds an option, or those of several settings, to the parser of a command."""


def option(*flags: str, one_of: str | None = None, **facts: Any) -> Option:
    """Return an option, or an argument, as `argparse` takes it.

    Of options with the same `one_of`, exactly one must be given.
    """

    def add(parser: argparse.ArgumentParser) -> None:
        groups: dict[str, Any] = parser.__dict__.setdefault("evreel_groups", {})
        if one_of is not None and one_of not in groups:
            groups[one_of] = parser.add_mutually_exclusive_group(required=True)
        (parser if one_of is None else groups[one_of]).add_argument(*flags, **facts)

    return add


def output(metavar: str) -> Option:
    """Return the option that names what is written."""
    return option("-o", "--output", metavar=metavar, type=Path, required=True)


def labels(text: str, *, required: bool = False) -> Option:
    """Return the option that takes names of labels."""
    return option("--labels", metavar="A,B,…", type=names, required=required, help=text)


def pairs(flag: str, metavar: str, text: str) -> Option:
    """Return an option that takes NAME=VALUE, once per name."""
    return option(flag, metavar=metavar, type=_pair, action=Pairs, default={}, help=text)


def named_files(metavar: str, text: str) -> Option:
    """Return arguments NAME=FILE, one or more, each name once."""
    return option("named", metavar=metavar, nargs="+", type=_pair, help=text)


def as_mapping(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return what `named_files` took, name → file.

    Raises
    ------
    UsageError
        If a name is duplicated.
    """
    found: dict[str, str] = {}
    for name, file in given:
        if name in found:
            raise UsageError(f"{name!r} is duplicated")
        found[name] = file
    return found


def settings(
    name: str, *, without: Collection[str] = (), defaults: Mapping[str, str] | None = None
) -> Option:
    """Return the options of a class of settings that a step takes.

    Parameters
    ----------
    name
        Of the class; it is imported only for the command that is called.
    without
        Settings that have no option.
    defaults
        What stands for required settings that are not given: name → what the help says.
    """

    def add(parser: argparse.ArgumentParser) -> None:
        from evreel import steps

        add_settings(parser, getattr(steps, name), without=without, defaults=defaults)

    return add


def columns(*wanted: str, several: bool = False) -> Option:
    """Return options for some columns of the recordings table; `several`: each may be repeated."""

    def add(parser: argparse.ArgumentParser) -> None:
        from evreel.dataset.settings import RecordingColumns

        for name in wanted:
            _add(parser, settings_of(RecordingColumns)[name], None, several=several)

    return add


def add_settings(
    parser: argparse.ArgumentParser,
    of: type[Settings],
    *,
    without: Collection[str] = (),
    defaults: Mapping[str, str] | None = None,
) -> None:
    """Add an option for each setting of a class, as `settings` describes it."""
    # argparse cannot say which of them go together: `settings_from` does.
    exclude = of.one_of and not of.together
    alternatives = parser.add_mutually_exclusive_group(required=True) if exclude else parser
    for name, one in settings_of(of).items():
        if name not in without:
            target = alternatives if name in of.one_of else parser
            _add(target, one, (defaults or {}).get(name))


def _add(parser: Any, known: Known, default: str | None, *, several: bool = False) -> None:
    kind, facts = known.type, known.facts
    if issubclass(kind.base, Settings) and facts.flag is None:
        for below in settings_of(kind.base).values():
            _add(parser, below, None)
        return
    flag = f"--{(facts.flag or known.name).replace('_', '-')}"
    options: dict[str, Any] = {"dest": known.name, "default": argparse.SUPPRESS}
    options["help"] = _help(known, default)
    if kind.base is bool:
        # What is on by default can only be turned off.
        action = argparse.BooleanOptionalAction if known.default else "store_true"
        parser.add_argument(flag, action=action, **options)
        return
    if known.choices:
        options["choices"] = known.choices
    else:
        options["metavar"] = facts.metavar or {int: "N", float: "F"}.get(kind.base, "TEXT")
        options["type"], action = _parser_of(kind, facts)
        if several:
            action = "append"
            options["help"] += " Repeat it for several."
        if action is not None:
            options["action"] = action
    parser.add_argument(flag, required=known.required and default is None, **options)


def _help(known: Known, default: str | None) -> str:
    facts = known.facts
    text = without_links(facts.help or facts.meaning)
    if facts.unit and facts.unit not in text:
        text += f" Unit: {facts.unit}."
    if default is None and not known.required and not known.optional:
        value = known.default
        if value is True:
            default = "yes"
        elif not (value is None or isinstance(value, (bool, Settings, dict, tuple))):
            default = str(value)
    return (text + (f" Default: {default}." if default else "")).replace("%", "%%")


def _parser_of(kind: Type, facts: Facts) -> tuple[Callable[[str], Any], Any]:
    """Return what reads a value of a type, and what collects several of them."""
    if issubclass(kind.base, Settings):
        return _pair_of(kind.base), Pairs
    if kind.base is dict:
        any_value = kind.item is not None and kind.item.base is object
        return (assignment if any_value else _pair), Pairs
    if kind.base is tuple and kind.item is not None:
        if kind.length is not None:
            return _numbers(kind.item.base, kind.length, facts.metavar or ""), None
        return (names, None) if "," in (facts.metavar or "") else (str, "append")
    if kind.or_name:
        return number_or_name, None
    return (str if kind.base is str else _number(kind.base)), None


def settings_from(of: type[S], options: argparse.Namespace, **others: Any) -> S:
    """Return the settings that a command's options give; `others` stand for what is not given."""
    values = {**others, **_given(of, options)}
    if of.together:
        for problem in missing(of, list(values), explain=False):
            options.parser.error(problem)
    return of(**values)


def has_any(of: type[Settings], options: argparse.Namespace) -> bool:
    """Return whether a command's options give any of these settings."""
    return bool(_given(of, options))


def _given(of: type[Settings], options: argparse.Namespace) -> dict[str, Any]:
    found = {}
    for name, known in settings_of(of).items():
        if hasattr(options, name):
            found[name] = getattr(options, name)
        elif issubclass(known.type.base, Settings) and known.facts.flag is None:
            below = _given(known.type.base, options)
            if below:
                found[name] = below
    return found


def names(text: str) -> list[str]:
    """Return names that are separated by commas."""
    found = nfc(text).split(",")
    if not all(found) or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty or a duplicated name")
    return found


def _number(base: type) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return base(text)
        except ValueError:
            number = "a whole number" if base is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {number}") from None

    return parse


def number_or_name(text: str) -> int | str:
    """Return a whole number, or a name.

    Examples
    --------
    >>> number_or_name("1"), number_or_name("/dvs/events")
    (1, '/dvs/events')
    """
    return int(text) if text.isdecimal() and text.isascii() else text


def _numbers(base: type, length: int, metavar: str) -> Callable[[str], list[Any]]:
    def parse(text: str) -> list[Any]:
        try:
            numbers = [base(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != length:
            kind = "whole numbers" if base is int else "numbers"
            raise argparse.ArgumentTypeError(f"{text!r} is not {metavar} in {kind}")
        return numbers

    return parse


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return key, value


def _pair_of(group: type[Settings]) -> Callable[[str], tuple[str, Any]]:
    """Return what reads NAME=VALUE, where the names are the settings of a group."""
    known = settings_of(group)

    def parse(text: str) -> tuple[str, Any]:
        name, value = _pair(text)
        if name not in known:
            more = guess(name, known) or f"; there are {', '.join(known)}"
            raise argparse.ArgumentTypeError(f"{name!r} is unknown{more}")
        return name, _parser_in_pair(known[name])(value)

    return parse


def _parser_in_pair(known: Known) -> Callable[[str], Any]:
    kind = known.type
    if kind.base is bool:
        return _true_or_false
    return _parser_of(kind, known.facts)[0]


def _true_or_false(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is not true or false")
    return text == "true"


def assignment(text: str) -> tuple[str, Any]:
    """Return what KEY=VALUE says; the value is JSON where it can be read as that, else a text."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    try:
        return key, json.loads(value)
    except (ValueError, RecursionError):
        return key, value


class Pairs(argparse.Action):
    """Collect what an option says of several names, each once."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add what the option says, as `argparse` calls it."""
        name, value = values
        said = getattr(namespace, self.dest, {})
        if name in said:
            raise argparse.ArgumentError(self, f"{name!r} is duplicated")
        setattr(namespace, self.dest, {**said, name: value})
