"""What annotators said of objects: attributes of shapes and tags, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evreel.annotations.carried import problem_of, summary
from evreel.annotations.cvat.elements import Element
from evreel.annotations.shapes import NO_ATTRIBUTES, Attribute

_MOST_KEPT = 4096
"""So many different sets of values are compared with those to come."""


class Values:
    """Reads attributes; equal ones share one mapping, since a long video has millions of shapes.

    Parameters
    ----------
    specs
        Label → what annotators could say of its objects.
    """

    def __init__(self, specs: Mapping[str, tuple[Attribute, ...]]) -> None:
        self._specs = {
            label: {attribute.name: attribute for attribute in of_label}
            for label, of_label in specs.items()
        }
        self._kept: dict[tuple[str, ...], Mapping[str, str]] = {}
        self._doubts: dict[str, None] = {}

    def read(self, element: Element, label: str) -> Mapping[str, str]:
        """Return the attributes of a shape or a tag, compared with what its label allows.

        Raises
        ------
        AnnotationError
            If the element has anything else in it.
        """
        attributes = read_attributes(element)
        return self.kept(label, attributes) if attributes else NO_ATTRIBUTES

    def kept(self, label: str, attributes: Mapping[str, str]) -> Mapping[str, str]:
        """Return one mapping for all that are equal."""
        key = (label, *attributes, *attributes.values())
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = found = attributes
            self._compare(label, attributes)
        return found

    def doubts(self, source: str) -> Iterator[str]:
        """Yield a sentence if values are not as the labels of the file say."""
        if self._doubts:
            yield summary(source, self._doubts)

    def _compare(self, label: str, attributes: Mapping[str, str]) -> None:
        specs = self._specs.get(label)
        if specs is None:
            return
        for name, value in attributes.items():
            spec = specs.get(name)
            problem = "which the label does not have" if spec is None else problem_of(spec, value)
            if problem:
                self._doubts[f"{name!r} of {label!r} is {value!r}, {problem}"] = None


def read_attributes(element: Element, beside: str = "") -> dict[str, str]:
    """Return the attributes in an element, which has no other elements than those and `beside`."""
    attributes: dict[str, str] = {}
    for xml in element.xml:
        if xml.tag == "attribute":
            name = xml.get("name")
            if name is None:
                element.fail("an <attribute> has no name")
            attributes[name] = xml.text or ""
        elif xml.tag != beside:
            element.fail(f"<{xml.tag}> is not expected in <{element.xml.tag}>")
    return attributes
