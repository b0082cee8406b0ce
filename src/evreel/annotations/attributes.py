"""What annotators said about objects, as typed columns: a number, a tick, one of some texts.

A column is for one name, whatever the label: as in a table, where objects without it have none.
It has the kind that the file declares, if all labels declare the same one and all values fit;
else it is of texts, so that nothing is lost. Names may be any text: they are never paths.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from evreel.annotations.shapes import Attribute, AttributeKind
from evreel.annotations.tables import AttributeColumn, AttributeTable

_TICKS = {"true": 1, "false": 0}


class Coding:
    """Turns attributes, name → text, into columns.

    Parameters
    ----------
    specs
        Label → what annotators could say of its objects.
    used
        All that will be turned into columns, in order.

    Attributes
    ----------
    table : names, kinds and texts.
    """

    def __init__(
        self, specs: Mapping[str, tuple[Attribute, ...]], used: Iterable[Mapping[str, str]]
    ) -> None:
        kinds: dict[str, set[AttributeKind]] = {}
        texts: dict[str, dict[str, int]] = {}
        for declared in specs.values():
            for attribute in declared:
                kinds.setdefault(attribute.name, set()).add(attribute.kind)
                _number(texts.setdefault(attribute.name, {}), attribute.values)
        for said in used:
            for name, text in said.items():
                known = texts.setdefault(name, {})
                if text not in known:
                    known[text] = len(known)
        self._codes: dict[str, Mapping[str, float]] = {}
        listed: dict[str, tuple[AttributeKind, tuple[str, ...]]] = {}
        for name, known in texts.items():
            kind = _kind(kinds.get(name, set()), known)
            numbers: Mapping[str, float] = known
            if kind == "number":
                numbers = {text: float(text) for text in known}
            elif kind == "checkbox":
                numbers = _TICKS
            self._codes[name] = numbers
            listed[name] = kind, () if kind in ("number", "checkbox") else tuple(known)
        self.table = AttributeTable(
            tuple(listed),
            tuple(kind for kind, _ in listed.values()),
            tuple(values for _, values in listed.values()),
        )

    def columns(self, said: Sequence[Mapping[str, str]]) -> tuple[AttributeColumn, ...]:
        """Return one column per attribute, with a row for each of these."""
        found: list[AttributeColumn] = []
        for kind in self.table.kind:
            if kind == "number":
                found.append(np.full(len(said), np.nan))
            else:
                codes = np.full(len(said), -1, dtype=np.int32)
                found.append(codes.astype(np.int8) if kind == "checkbox" else codes)
        places = {name: k for k, name in enumerate(self.table.name)}
        for row, attributes in enumerate(said):
            for name, text in attributes.items():
                found[places[name]][row] = self._codes[name][text]
        return tuple(found)


def _number(known: dict[str, int], values: Iterable[str]) -> None:
    for text in values:
        known.setdefault(text, len(known))


def _kind(declared: set[AttributeKind], texts: Iterable[str]) -> AttributeKind:
    if len(declared) != 1:
        return "text"
    [kind] = declared
    if kind == "number" and not all(map(_is_number, texts)):
        return "text"
    return "text" if kind == "checkbox" and not _TICKS.keys() >= set(texts) else kind


def _is_number(text: str) -> bool:
    try:
        return "_" not in text and math.isfinite(float(text))
    except ValueError:
        return False
