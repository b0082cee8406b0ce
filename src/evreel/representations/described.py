"""What there is to know of a representation, as plain values: for lists, pages and programs."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evreel.errors import ParameterError
from evreel.events import Sensor
from evreel.representations import REGISTRY, Representation, create
from evreel.representations.channels import legend_text
from evreel.settings import Facts, Known, number_text, plain, settings_of, without_links
from evreel.timebase import FARTHEST

Description = dict[str, Any]

_SECTION = re.compile(r"\n\n?([A-Z]\w+)\n-+\n")
_WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text"}


def describe(
    name: str, parameters: Mapping[str, Any] | None = None, sensor: Sensor | None = None
) -> Description:
    """Describe a representation, by its name as `create` takes it.

    Parameters
    ----------
    name
        Of the representation.
    parameters
        What is left out takes its default. Channels, shape and type may depend on them.
    sensor
        (height, width) that the shape is stated for; None states it by H and W.

    Returns
    -------
    ``name``, ``summary``, ``shape`` (``[channels, height, width]``), ``channels`` (what each holds,
    in words), ``dtype``, ``unit``, ``parameters`` (each with ``name``, ``type``, ``value``,
    ``default``, ``meaning``, and ``choices``, ``minimum``, ``above``, ``maximum``, ``unit`` where
    it has them), ``reference``, ``revision``, and ``text``: the rest of its description.

    Raises
    ------
    ParameterError
        If there is no such representation, or a parameter is wrong.
    """
    return _of(create(name, parameters), name, sensor)


def describe_all(sensor: Sensor | None = None) -> list[Description]:
    """Describe every registered representation, with its default parameters."""
    return [_described(name, kind, sensor) for name, kind in REGISTRY.items()]


def _described(name: str, kind: type[Representation], sensor: Sensor | None) -> Description:
    try:
        return _of(create(name), name, sensor)
    except ParameterError:  # one of its parameters has no default
        return _facts(kind, name) | {"shape": None, "channels": None, "dtype": None}


def _of(made: Representation, name: str, sensor: Sensor | None) -> Description:
    facts = _facts(type(made), name)
    for parameter in facts["parameters"]:
        parameter["value"] = made.parameters.get(parameter["name"])
    return facts | {
        "shape": list(made.shape(sensor)) if sensor else shape_by_letters(made),
        "channels": legend_text(made.legend),
        "dtype": made.dtype,
    }


def _facts(kind: type[Representation], name: str) -> Description:
    summary, text = documented(kind)
    return {
        "name": name,
        "summary": summary,
        "shape": None,
        "channels": None,
        "dtype": None,
        "unit": kind.unit,
        "parameters": [_parameter(known) for known in settings_of(kind).values()],
        "reference": kind.reference,
        "revision": kind.revision,
        "text": text,
    }


def documented(kind: type[Representation]) -> tuple[str, str]:
    """Return the first paragraph of a class's docstring, and the others up to its parameters."""
    text = inspect.getdoc(kind) or ""
    # A data class without a docstring gets one from Python: its name and fields.
    before = "" if text.startswith(f"{kind.__name__}(") else _plain(_SECTION.split(text)[0])
    summary, _, text = before.partition("\n\n")
    return " ".join(summary.split()), text.strip()


def section(kind: type[Representation], title: str) -> str:
    """Return a section of a class's docstring, such as ``Notes``, empty where it has none."""
    _, *sections = _SECTION.split(inspect.getdoc(kind) or "")
    return _plain(dict(zip(sections[::2], sections[1::2], strict=True)).get(title, ""))


def _plain(text: str) -> str:
    """Return a part of a docstring without the marks of reStructuredText."""
    return text.strip().replace("``", "`").replace("\\|", "|")


def shape_by_letters(made: Representation) -> list[int | str]:
    """Return the shape of frames with H and W for the sensor's size.

    Examples
    --------
    >>> shape_by_letters(create("histogram"))
    [2, 'H', 'W']
    """
    # A user's own function is run to learn its shape: no sensor is large as a whole.
    c, height, width = made.shape(Sensor(48, 64))
    if (height, width) == (48, 64) and made.shape(Sensor(65, 49))[1:] == (65, 49):
        return [c, "H", "W"]
    heights = [made.shape(Sensor(length, 1))[1] for length in _LENGTHS]
    widths = [made.shape(Sensor(1, length))[2] for length in _LENGTHS]
    return [c, _by_letter("H", heights), _by_letter("W", widths)]


_LENGTHS = (55_440, 65_520)
"""So large that no two factors give the same size."""


def _by_letter(letter: str, sizes: Sequence[int]) -> int | str:
    """Return how a size follows from the sensor's, at two sizes of that."""
    if tuple(sizes) == _LENGTHS:
        return letter
    if sizes[0] == sizes[1]:
        return sizes[0]
    for factor in range(2, 241):
        parts = [(length // factor, -(-length // factor)) for length in _LENGTHS]
        if all(size in part for size, part in zip(sizes, parts, strict=True)):
            return f"{letter}/{factor}"
    return f"f({letter})"


def _parameter(known: Known) -> Description:
    """Return what is known of a parameter; its meaning without what else is here."""
    facts, kind = known.facts, known.type
    found: Description = {
        "name": known.name,
        "type": _WORDS.get(kind.base, "list" if kind.base is tuple else "value"),
        "default": None if known.required else plain(known.default),
        "meaning": without_links(facts.meaning),
    }
    if kind.nullable:
        found["type"] += " or null"
    if known.required:
        found["required"] = True
    if known.choices:
        found["choices"] = list(known.choices)
    found |= {key: limit for key, limit in limits(facts).items() if abs(limit) != FARTHEST}
    return found | ({"unit": facts.unit} if facts.unit else {})


def limits(facts: Facts) -> dict[str, float]:
    """Return the limits that a setting has, by their names in `Facts`."""
    every = {"minimum": facts.minimum, "above": facts.above, "maximum": facts.maximum}
    return {name: limit for name, limit in every.items() if limit is not None}


def listing(found: Sequence[Description]) -> Iterator[str]:
    """Yield lines of text on each representation: what a frame is, and its parameters."""
    for one in found:
        yield f"{one['name']}  {_frame(one)}"
        yield from (f"  {line}" for line in [one["summary"]] if line)
        yield from (f"  {_option(parameter)}" for parameter in one["parameters"])


def details(one: Description) -> Iterator[str]:
    """Yield lines of text with all that is known of one representation."""
    yield f"{one['name']}  {_frame(one)}"
    if one["summary"]:
        yield one["summary"]
    if one["text"]:
        yield f"\n{one['text']}"
    yield f"\nchannels: {one['channels']}"
    yield f"reference: {one['reference']}"
    yield f"revision: {one['revision']}"
    if one["parameters"]:
        yield "\nparameters:"
    for parameter in one["parameters"]:
        yield f"  {_option(parameter)}"
        if parameter["meaning"]:
            yield f"    {parameter['meaning']}"


def _frame(one: Description) -> str:
    unit = f", unit: {one['unit']}" if one["unit"] else ""
    if one["shape"] is None:
        return f"depends on parameters without a default{unit}"
    return f"({', '.join(map(str, one['shape']))}) {one['dtype']}{unit}"


def _option(parameter: Description) -> str:
    value = parameter.get("value", parameter["default"])
    given = "" if parameter.get("required") and value is None else f"={_shown(value)}"
    return f"{parameter['name']}{given}  ({range_text(parameter)})"


def range_text(parameter: Description) -> str:
    """Return which values a parameter of a description takes.

    Examples
    --------
    >>> range_text({"type": "whole number", "minimum": 1, "maximum": 1000, "unit": "px"})
    'whole number, 1 to 1,000, px'
    >>> range_text({"type": "text", "choices": ["events", "window"]})
    'events, window'
    """
    if "choices" in parameter:
        return ", ".join(parameter["choices"])
    low, high = parameter.get("minimum"), parameter.get("maximum")
    parts = [parameter["type"]]
    if low is not None and high is not None:
        parts.append(f"{number_text(low)} to {number_text(high)}")
    else:
        parts += [f"at least {number_text(low)}"] if low is not None else []
        parts += [f"at most {number_text(high)}"] if high is not None else []
    if "above" in parameter:
        parts.append(f"more than {number_text(parameter['above'])}")
    return ", ".join(parts) + (f", {parameter['unit']}" if "unit" in parameter else "")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
