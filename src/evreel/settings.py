"""Settings, each said once: name, type, default, unit, range and meaning.

A step's settings are a frozen data class whose fields are made by `setting`, `optional`,
`required` and `section`. Everything else is made from the class: the checks of a config file and
its JSON schema, the options of a command and their help, the pages in docs, what a rule passes to
its job, and what the step takes.

>>> @dataclasses.dataclass(frozen=True)
... class Encoding(Settings):
...     fps: int = setting(30, "Frames per second at which the video plays.", minimum=1)
>>> Encoding(fps=25).plain()
{'fps': 25}
>>> list(mistakes(Encoding, {"fps": "fast", "fsp": 3}))
[(('fsp',), "unknown key 'fsp'; did you mean 'fps'?"), (('fps',), "'fast' is not a whole number \
(Frames per second at which the video plays.)")]
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import numbers
import re
import types
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

from evreel.errors import ParameterError, did_you_mean, nearest

Place = tuple[str, ...]
"""The keys that lead to a value, such as ``("video", "fps")``."""

_FACTS = "setting"
_LONGEST_SHOWN = 80
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a setting beside its name, type and default.

    Parameters
    ----------
    meaning
        One or a few sentences.
    unit
        Of its value, such as ``µs``; empty where it has none.
    minimum, above, maximum
        Smallest value, value below all others, largest value.
    choices
        All values, where the type does not say them.
    pattern
        Regular expression that a text must match as a whole.
    least
        Fewest items of a list, or characters of a text.
    unique
        Whether the items of a list must differ.
    keys
        Regular expression that each key of a mapping must match.
    per_recording
        Whether a column of the recordings table may set it for one recording.
    flag, metavar, help
        Name of its command-line option, if that is not the setting's own; what stands for the
        value in the help; and what the help says, if that is not the meaning.
    """

    meaning: str
    unit: str = ""
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    least: int = 0
    unique: bool = False
    keys: str | None = None
    per_recording: bool = True
    flag: str | None = None
    metavar: str | None = None
    help: str | None = None


def setting(default: Any, meaning: str, **facts: Any) -> Any:
    """Return the field of a setting with a default; `facts` are those of `Facts`."""
    return dataclasses.field(default=default, metadata={_FACTS: Facts(meaning, **facts)})


def optional(meaning: str, **facts: Any) -> Any:
    """Return the field of a setting that may be left out, and is None then."""
    metadata = {_FACTS: Facts(meaning, **facts), "optional": True}
    return dataclasses.field(default=None, metadata=metadata)


def with_default(default: Any, of: type[Settings], name: str) -> Any:
    """Return the field of a setting that a base has, with another default."""
    (field,) = (field for field in dataclasses.fields(of) if field.name == name)  # type: ignore[arg-type]
    return dataclasses.field(default=default, metadata=field.metadata)


def required(meaning: str, **facts: Any) -> Any:
    """Return the field of a setting that must be given."""
    return dataclasses.field(metadata={_FACTS: Facts(meaning, **facts)})


def section(of: type[Settings], meaning: str, **facts: Any) -> Any:
    """Return the field of a group of settings, each with its default where it is left out."""
    return dataclasses.field(default_factory=of, metadata={_FACTS: Facts(meaning, **facts)})


class Type(NamedTuple):
    """The type of a setting, as its annotation says it.

    Parameters
    ----------
    base
        ``bool``, ``int``, ``float``, ``str``, ``tuple``, ``dict``, a `Settings` class, or
        ``object`` for any value.
    item
        Type of the items of a tuple, or of the values of a dict.
    length
        Of a tuple that has always as many items.
    choices
        All values of a text.
    nullable
        Whether it may be None.
    or_name
        Whether a number may be a text instead: a name.
    """

    base: type
    item: Type | None = None
    length: int | None = None
    choices: tuple[str, ...] = ()
    nullable: bool = False
    or_name: bool = False


class Known(NamedTuple):
    """A setting of a class."""

    name: str
    type: Type
    facts: Facts
    default: Any
    optional: bool

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is dataclasses.MISSING

    @property
    def choices(self) -> tuple[str, ...]:
        """All values, where they are a few words."""
        return self.type.choices or self.facts.choices


class Settings:
    """A base for frozen data classes of settings; the values are checked on construction.

    A subclass may define `contradictions`, for values that do not go together.

    Attributes
    ----------
    one_of
        Names of settings of which exactly one must be given.
    together
        Those of them that may be given together.

    Raises
    ------
    ParameterError
        Which names the setting and its value.
    """

    one_of: ClassVar[tuple[str, ...]] = ()
    together: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def __post_init__(self) -> None:
        given = {
            name: value
            for name, known in settings_of(type(self)).items()
            if (value := getattr(self, name)) is not None or not known.optional
        }
        for place, problem in mistakes(type(self), given, explain=False):
            raise ParameterError(f"{'/'.join(place)}: {problem}" if place else problem)
        self.__dict__.update(_read(type(self), given))
        for place, problem in all_contradictions(self):
            raise ParameterError(f"{'/'.join(place)}: {problem}" if place else problem)

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        return iter(())

    @classmethod
    def about_unknown(cls, key: str, given: Mapping[Any, Any]) -> str:
        """Return what to say of a key that is not a setting, such as where it belongs.

        Parameters
        ----------
        key
            The key.
        given
            The mapping that has it.
        """
        return ""

    def plain(self) -> dict[str, Any]:
        """Return the settings as JSON values; what is left out and has no default is not there."""
        return {
            name: plain(value)
            for name, known in settings_of(type(self)).items()
            if (value := getattr(self, name)) is not None or not known.optional
        }

    def part(self, of: type[S]) -> S:
        """Return those of the settings that another class has, too: a base of this one."""
        return trusted(of, {name: getattr(self, name) for name in settings_of(of)})


S = TypeVar("S", bound=Settings)


_SETTINGS: dict[Any, Mapping[str, Known]] = {}


def settings_of(of: type[Settings]) -> Mapping[str, Known]:
    """Return the settings of a class by name, in the order of their definition."""
    if of in _SETTINGS:
        return _SETTINGS[of]
    hints = typing.get_type_hints(of)
    found = {}
    for field in dataclasses.fields(of):  # type: ignore[arg-type]
        facts = field.metadata.get(_FACTS) or Facts("")
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        is_optional = field.metadata.get("optional", False)
        found[field.name] = Known(
            field.name, type_of(hints[field.name]), facts, default, is_optional
        )
    return _SETTINGS.setdefault(of, types.MappingProxyType(found))


def type_of(hint: Any) -> Type:
    """Return the type that an annotation says.

    Examples
    --------
    >>> type_of(Literal["keep", "drop"]).choices, type_of(int | None).nullable
    (('keep', 'drop'), True)
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        nullable = types.NoneType in arguments
        kinds = [argument for argument in arguments if argument is not types.NoneType]
        if kinds == [int, str]:
            return Type(int, nullable=nullable, or_name=True)
        [kind] = kinds
        return type_of(kind)._replace(nullable=nullable)
    if origin is Literal:
        return Type(str, choices=arguments)
    if origin is tuple:
        length = None if arguments[-1] is Ellipsis else len(arguments)
        return Type(tuple, type_of(arguments[0]), length)
    if origin is not None and issubclass(origin, Mapping):
        return Type(dict, type_of(arguments[1]))
    if hint in (bool, int, float, str):
        return Type(hint)
    if isinstance(hint, type) and issubclass(hint, Settings):
        return Type(hint)
    return Type(object)


def mistakes(
    of: type[Settings], value: object, place: Place = (), *, explain: bool = True
) -> Iterator[tuple[Place, str]]:
    """Yield (place, problem) for each thing in a mapping that is not a value of its setting.

    Values that each are right, and do not go together, are found by `Settings.contradictions`.

    Parameters
    ----------
    of
        The settings.
    value
        What should be a mapping of them.
    place
        Where it stands.
    explain
        Whether a problem ends with what the setting means.
    """
    if isinstance(value, of):
        return
    if value is None:
        yield place, "is empty; remove the key, or give settings below it"
        return
    if not isinstance(value, Mapping):
        yield place, f"{shown(value)} is not a mapping of keys to values"
        return
    known = settings_of(of)
    for key in value:
        if key not in known:
            moved = [found.replace("/", ": ") for found in elsewhere(of, str(key))]
            near = f"; did you mean {moved[0]}?" if len(moved) == 1 else guess(key, known)
            near = of.about_unknown(str(key), value) or near
            yield (*place, str(key)), f"unknown key {key!r}{near}"
    for name, one in known.items():
        if name in value:
            yield from wrong(one, value[name], (*place, name), explain=explain)
    meant = {nearest(str(key), known) for key in value if key not in known}
    for problem in missing(of, [name for name in known if name in {*value, *meant}], explain):
        yield place, problem


def missing(of: type[Settings], given: Collection[str], explain: bool = True) -> Iterator[str]:
    """Yield a problem for each required setting that is missing, and where not one is chosen."""
    known = settings_of(of)
    for name, one in known.items():
        if one.required and name not in given:
            meaning = without_links(one.facts.meaning)
            about = f" ({meaning})" if explain and meaning else ""
            yield f"{name} is missing{about}"
    chosen = tuple(name for name in of.one_of if name in given)
    if of.one_of and len(chosen) != 1 and chosen not in of.together:
        *most, last = (named_with_unit(known[name]) for name in of.one_of)
        both = "".join(f", or {' and '.join(names)} together" for names in of.together)
        yield (
            f"exactly one of {', '.join(most)} and {last} is needed{both}; got "
            f"{' and '.join(chosen) or 'none of them'}"
        )


def all_contradictions(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield (place, problem) of values that do not go together, in settings and all below them."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from all_contradictions(below, (*place, key))
    elif isinstance(value, Settings):
        for name, below in value.__dict__.items():
            if isinstance(below, (Settings, dict)):
                yield from all_contradictions(below, (*place, name))
        for at, problem in value.contradictions():
            yield (*place, *at), problem


def named_with_unit(known: Known) -> str:
    """Return a setting's name with its unit, for messages."""
    return f"{known.name} ({known.facts.unit})" if known.facts.unit else known.name


def wrong(
    known: Known, value: object, place: Place, *, explain: bool = True
) -> Iterator[tuple[Place, str]]:
    """Yield (place, problem) of what is wrong with the value of one setting."""
    facts = known.facts
    if value is None and known.optional and not _is_group(known.type):
        yield place, "null is not a value of this setting; to leave it out, remove the key"
        return
    about = f" ({without_links(facts.meaning)})" if explain and facts.meaning else ""
    for below, problem in _wrong(known.type, facts, value, place):
        # Inside a group, the group's meaning does not explain the value.
        yield below, problem if below != place or _is_group(known.type) else f"{problem}{about}"


def _is_group(kind: Type) -> bool:
    return issubclass(kind.base, Settings)


def _wrong(kind: Type, facts: Facts, value: object, place: Place) -> Iterator[tuple[Place, str]]:
    if value is None and kind.nullable and not _is_group(kind):
        return
    base = kind.base
    if _is_group(kind):
        yield from mistakes(base, value, place)
    elif base is dict:
        yield from _wrong_mapping(kind, facts, value, place)
    elif base is tuple:
        yield from _wrong_list(kind, facts, value, place)
    elif base is not object:
        problem = _scalar_problem(kind, facts, value)
        if problem:
            yield place, problem


def _wrong_mapping(
    kind: Type, facts: Facts, value: object, place: Place
) -> Iterator[tuple[Place, str]]:
    if not isinstance(value, Mapping):
        yield place, f"{shown(value)} is not a mapping of keys to values"
        return
    for key, below in value.items():
        if not isinstance(key, str):
            yield place, f'key {key!r} is not a text; put it in quotes: "{key}"'
        elif facts.keys and not re.fullmatch(facts.keys, key):
            yield place, f"key {key!r} is not of the form {facts.keys}"
        elif kind.item is not None:
            # The facts of a mapping are those of its values.
            yield from _wrong(kind.item, facts, below, (*place, key))


def _wrong_list(
    kind: Type, facts: Facts, value: object, place: Place
) -> Iterator[tuple[Place, str]]:
    if not isinstance(value, (list, tuple)):
        yield place, f"{shown(value)} is not a list{_as_list(kind, facts, value)}"
        return
    if kind.length is not None and len(value) != kind.length:
        yield place, f"{shown(value)} has {items_text(len(value))}; {kind.length} are needed"
        return
    if len(value) < facts.least:
        yield place, f"the list has {items_text(len(value))}; it needs at least {facts.least}"
    assert kind.item is not None
    items = _facts_of_items(kind, facts)
    for k, item in enumerate(value):
        yield from _wrong(kind.item, items, item, (*place, str(k)))
    if facts.unique:
        for k, item in enumerate(value):
            if item in value[:k]:
                yield (*place, str(k)), f"{shown(item)} is duplicated"


def _as_list(kind: Type, facts: Facts, value: object) -> str:
    """Return how to write a lone value as the list that is needed, empty if it does not fit."""
    assert kind.item is not None
    parts: list[object] = [value]
    if isinstance(value, str) and _NAMES.fullmatch(value):
        parts = [*value.split(", ")]
    items = _facts_of_items(kind, facts)
    is_one = not isinstance(value, Mapping) and value is not None
    if not is_one or kind.length not in (None, len(parts)) or len(parts) < facts.least:
        return ""
    if any(problem for part in parts for problem in _wrong(kind.item, items, part, ())):
        return ""
    return f"; write [{', '.join(map(_in_yaml, parts))}]"


_NAMES = re.compile(r"\w+(, \w+)+")
"""A text that is probably several names."""
_PLAIN = re.compile(r"(?!(?i:true|false|yes|no|on|off|null|y|n)$)[^\W\d][\w .()/-]*(?<! )")
"""A text that YAML takes for a text without quotes."""


def _in_yaml(value: object) -> str:
    """Return a value as one writes it in a list of a YAML file."""
    if not isinstance(value, str) or _PLAIN.fullmatch(value):
        text = shown(value) if not isinstance(value, str) else value
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def items_text(n: int) -> str:
    """Return how many items a list has, in words."""
    return f"{n} item" if n == 1 else f"{n} items"


def _facts_of_items(kind: Type, facts: Facts) -> Facts:
    """Return the facts of a list's items: texts in a list are not empty."""
    is_text = kind.item is not None and kind.item.base is str and not kind.item.choices
    return dataclasses.replace(facts, least=1 if is_text else 0)


_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _scalar_problem(kind: Type, facts: Facts, value: object) -> str | None:
    """Return what is wrong with a value that is not a list or a mapping, or None."""
    if kind.or_name and isinstance(value, str):
        return None if value else "the text is empty"
    if as_plain(kind.base, value) is None:
        return f"{shown(value)} is not {_WORDS[kind.base]}{' or a name' if kind.or_name else ''}"
    choices = kind.choices or facts.choices
    if choices and value not in choices:
        return f"{shown(value)} is not one of {', '.join(choices)}{guess(value, choices)}"
    if isinstance(value, str):
        if len(value) < facts.least:
            return "the text is empty"
        if facts.pattern and not re.fullmatch(facts.pattern, value):
            return f"{shown(value)} is not of the form {facts.pattern}"
        return None
    number = typing.cast("float", value)
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not finite"
    if facts.minimum is not None and number < facts.minimum:
        return f"{shown(value)} is less than {number_text(facts.minimum)}"
    if facts.above is not None and number <= facts.above:
        return f"{shown(value)} is not more than {number_text(facts.above)}"
    if facts.maximum is not None and number > facts.maximum:
        return f"{shown(value)} is more than {number_text(facts.maximum)}"
    return None


def as_plain(base: type, value: object) -> Any:
    """Return a value as a plain one of a scalar type, None where it is of another type.

    Numbers of NumPy are taken; true and false are not numbers. A whole number stays one.
    """
    kind = type(value)
    if kind is base:
        return value
    is_bool = kind.__name__ in ("bool", "bool_")
    if base is bool:
        return bool(value) if is_bool else None
    if base is int:
        return int(value) if isinstance(value, numbers.Integral) and not is_bool else None
    if base is float:
        if kind is int:
            return value
        return float(value) if isinstance(value, numbers.Real) and not is_bool else None
    return str(value) if isinstance(value, str) else None


def read(of: type[S], value: Mapping[str, Any]) -> S:
    """Return the settings that a mapping says, which has no `mistakes`."""
    return trusted(of, _read(of, value))


def _read(of: type[Settings], value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every setting, as the class has it."""
    return {
        name: typed(known.type, value[name]) if name in value else copy.copy(known.default)
        for name, known in settings_of(of).items()
    }


def typed(kind: Type, value: Any) -> Any:
    """Return a value of a config, which has no mistake, as a class of settings holds it."""
    if value is None or isinstance(value, Settings):
        return value
    if _is_group(kind):
        return read(kind.base, value)
    if kind.base is dict:
        if kind.item is None or kind.item.base is object:
            return dict(value)
        return {key: typed(kind.item, below) for key, below in value.items()}
    if kind.base is tuple:
        assert kind.item is not None
        return tuple(typed(kind.item, item) for item in value)
    if kind.base is object:
        return value
    return as_plain(str if kind.or_name and isinstance(value, str) else kind.base, value)


def unset(of: type[S]) -> S:
    """Return the settings of a group of which nothing is given; MISSING where one is required."""
    return trusted(of, {name: known.default for name, known in settings_of(of).items()})


def trusted(of: type[S], values: Mapping[str, Any]) -> S:
    """Return settings whose values are all given and known to be right, without a check."""
    made = object.__new__(of)
    made.__dict__.update(values)
    return made


def plain(value: Any) -> Any:
    """Return a value of a setting as JSON has it."""
    if isinstance(value, Settings):
        return value.plain()
    if isinstance(value, Mapping):
        return {key: plain(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def find(of: type[Settings], place: Sequence[str]) -> Known | None:
    """Return the setting at a place, such as ``("video", "fps")``; None where there is none."""
    known: Known | None = None
    kind = Type(of)
    facts = Facts("")
    for key in place:
        if _is_group(kind):
            known = settings_of(kind.base).get(key)
            if known is None:
                return None
            kind, facts = known.type, known.facts
        elif kind.base is dict and kind.item is not None:
            kind = kind.item
            known = Known(key, kind, facts, dataclasses.MISSING, False)
        else:
            return None
    return known


def schema(of: type[Settings]) -> dict[str, Any]:
    """Return the JSON schema of a class: for editors, and for other programs."""
    known = settings_of(of)
    made: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _schema_of(one) for name, one in known.items()},
    }
    needed = [name for name, one in known.items() if one.required]
    if needed:
        made["required"] = needed
    if of.one_of:
        made["oneOf"] = [
            {"required": list(names), **(_without(of, names) if of.together else {})}
            for names in (*((name,) for name in of.one_of), *of.together)
        ]
    return made


def _without(of: type[Settings], names: Collection[str]) -> dict[str, Any]:
    """Return what a JSON schema says where none but these settings of `one_of` may be given."""
    others = [{"required": [name]} for name in of.one_of if name not in names]
    return {"not": {"anyOf": others}} if others else {}


def _schema_of(known: Known) -> dict[str, Any]:
    facts = known.facts
    unit = f" Unit: {facts.unit}." if facts.unit and facts.unit not in facts.meaning else ""
    kind = known.type._replace(nullable=known.type.nullable and not known.optional)
    made = {"description": f"{facts.meaning}{unit}", **_type_schema(kind, facts)}
    if not known.required and not known.optional:
        made["default"] = plain(known.default)
    return made


_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def _type_schema(kind: Type, facts: Facts) -> dict[str, Any]:
    """Return what a JSON schema says of a type."""
    if _is_group(kind):
        return schema(kind.base)
    if kind.base is object:
        return {}
    made: dict[str, Any] = {}
    choices = kind.choices or facts.choices
    if kind.base is dict:
        made = {"type": "object"}
        if facts.keys:
            made["propertyNames"] = {"pattern": f"^(?:{facts.keys})$"}
        if kind.item is not None and kind.item.base is not object:
            made["additionalProperties"] = _type_schema(kind.item, facts)
    elif kind.base is tuple:
        assert kind.item is not None
        items = _type_schema(kind.item, _facts_of_items(kind, facts))
        made = {"type": "array", "items": items}
        least = kind.length or facts.least
        made |= {"minItems": least} if least else {}
        made |= {"maxItems": kind.length} if kind.length else {}
        made |= {"uniqueItems": True} if facts.unique else {}
    else:
        made = {"type": _JSON_TYPES[kind.base]}
        if kind.or_name:  # limits of one type leave values of the other alone
            made = {"type": [_JSON_TYPES[kind.base], _JSON_TYPES[str]], "minLength": 1}
        made |= {"enum": list(choices)} if choices else {}
        made |= {"pattern": f"^(?:{facts.pattern})$"} if facts.pattern else {}
        made |= {"minLength": facts.least} if facts.least else {}
        limits = (("minimum", facts.minimum), ("exclusiveMinimum", facts.above))
        made |= {key: limit for key, limit in limits if limit is not None}
        made |= {"maximum": facts.maximum} if facts.maximum is not None else {}
    if kind.nullable and "type" in made:
        given = made["type"]
        made["type"] = [*([given] if isinstance(given, str) else given), "null"]
        made |= {"enum": [*choices, None]} if choices else {}
    return made


def number_text(number: float) -> str:
    """Return a limit as messages and pages show it.

    Examples
    --------
    >>> number_text(1e6), number_text(0.5)
    ('1,000,000', '0.5')
    """
    return f"{int(number):,}" if number == int(number) else f"{number:g}"


def without_links(text: str) -> str:
    """Return a text of a page as a terminal shows it: links by their names."""
    return _LINK.sub(r"\1", text)


def elsewhere(of: type[Settings], key: str) -> list[str]:
    """Return the places below a class where a setting has the last name of a key.

    Examples
    --------
    >>> from evreel.dataset.settings import Config
    >>> elsewhere(Config, "boxes.outside"), elsewhere(Config, "on_reset"), elsewhere(Config, "fsp")
    (['boxes/outside'], ['events/on_reset'], [])
    """
    *above, last = re.split(r"[./]", key)
    found = [
        f"{name}/{last}"
        for name, one in settings_of(of).items()
        if _is_group(one.type) and last in settings_of(one.type.base)
    ]
    return [place for place in found if not above or place.startswith(f"{above[-1]}/")] or found


def guess(value: object, known: Sequence[str] | Mapping[str, Any]) -> str:
    """Return what a misspelt value was probably to be, as the end of a message."""
    meant = did_you_mean(value, known)
    return f"; {meant}" if meant else ""


def shown(value: object) -> str:
    """Return a value as messages show it: short, on one line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
