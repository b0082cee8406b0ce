"""What a look at a file has found, kept so that a release is checked without opening it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from evreel.checks.finding import Finding
from evreel.checks.inventory import File, Head
from evreel.events import Sensor
from evreel.release.origins import Said

_SAYS_NOTHING = Said()


@dataclass(frozen=True)
class Looked:
    """What is known of a file.

    Parameters
    ----------
    kind
        As `evreel.checks.inventory.kind_of` returns it.
    source
        ``sha256:…`` of the file that others are made from.
    head
        What it says of its recording.
    said
        What it says of its origin.
    drawn
        Labels of its regions and tags, if it has any.
    alone
        What checks of the file by itself find; the paths of the findings are empty.
    against
        What decides how it fits its recording (`Known.basis`) → what checks of that find.
    """

    kind: str | None
    source: str
    head: Head
    said: Said = _SAYS_NOTHING
    drawn: frozenset[str] | None = None
    alone: tuple[Finding, ...] = ()
    against: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)

    def head_of(self, file: File) -> Head:
        """Return what the file says of its recording, under the name that it has now."""
        return replace(self.head, file=file)

    @staticmethod
    def found(findings: Iterable[Finding], path: str) -> Iterator[Finding]:
        """Yield findings under the name that the file has now."""
        return (replace(finding, path=path) for finding in findings)

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON, which `read` reads."""
        head = {name: getattr(self.head, name) for name in _HEAD}
        return {
            "kind": self.kind,
            "source": self.source,
            "head": {name: dict(of) if name in _ROLES else of for name, of in head.items()},
            "said": [part if isinstance(part, str) else _plain(part) for part in self.said],
            "drawn": None if self.drawn is None else sorted(self.drawn),
            "alone": [_cells(finding) for finding in self.alone],
            "against": {of: [*map(_cells, found)] for of, found in self.against.items()},
        }

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Self:
        """Return what `plain` gave."""
        head = dict(value["head"])
        sensor = head.pop("sensor")
        nowhere = File(Path(), "", value["kind"] or "", "")
        drawn = value["drawn"]
        return cls(
            value["kind"],
            value["source"],
            Head(nowhere, None if sensor is None else Sensor(*sensor), **head),
            Said(*value["said"]),
            None if drawn is None else frozenset(drawn),
            tuple(Finding(*cells) for cells in value["alone"]),
            {of: tuple(Finding(*cells) for cells in got) for of, got in value["against"].items()},
        )


_HEAD = tuple(of.name for of in fields(Head) if of.name != "file")
_ROLES = ("inputs", "beside")


def _plain(part: Any) -> Any:
    return dict(part) if isinstance(part, Mapping) else list(part)


def _cells(finding: Finding) -> list[str]:
    return [finding.severity, finding.check, finding.path, finding.place, finding.problem]
