"""HTML from Python, in which no text can become markup by mistake."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_VOID = ("meta", "link", "img", "br", "input")
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def clean(text: str) -> str:
    r"""Return text without what no page can have: control characters and halves of characters.

    Examples
    --------
    >>> clean("a\x00b\ud800")
    'a\ufffdb\ufffd'
    """
    return _UNSEEN.sub("\ufffd", text)


def escaped(text: str) -> Markup:
    """Return text as markup that shows it; markup stays as it is.

    Examples
    --------
    >>> escaped("a < 'b'"), escaped(Markup("<br>"))
    ('a &lt; &#x27;b&#x27;', '<br>')
    """
    return text if isinstance(text, Markup) else Markup(html.escape(clean(text)))


def joined(parts: Iterable[str]) -> Markup:
    """Return parts one after the other."""
    return Markup("".join(escaped(part) for part in parts))


def tag(name: str, /, *inside: str, **attributes: str | int | float | bool | None) -> Markup:
    """Return an element.

    Parameters
    ----------
    name
        Of the element.
    inside
        What it holds; texts are escaped.
    attributes
        ``class_`` is ``class``, and ``aria_label`` is ``aria-label``. True has no value; None and
        False are left out.

    Examples
    --------
    >>> tag("p", "a & ", tag("b", "c"), class_="x", hidden=True, id=None)
    '<p class="x" hidden>a &amp; <b>c</b></p>'
    """
    given = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{_value(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    end = "" if name in _VOID else f"{joined(inside)}</{name}>"
    return Markup(f"<{name}{given}>{end}")


def _value(value: str | int | float) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return escaped(str(value))


def name(text: str) -> Markup:
    """Return a name that somebody gave: letters that run from right to left stay within it."""
    return tag("bdi", text or "none")


def table(
    head: Iterable[str],
    rows: Iterable[Iterable[str]],
    *,
    caption: str,
    foot: Iterable[str] = (),
    is_text: bool = False,
) -> Markup:
    """Return a table whose first column names its rows, and whose others are numbers, or texts.

    It scrolls by itself where the screen is narrower.
    """

    def row(cells: Iterable[str]) -> Markup:
        first, *others = cells
        return tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in others))

    last = list(foot)
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption, class_="unseen"),
            tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head))),
            tag("tbody", *map(row, rows)),
            *([tag("tfoot", row(last))] if last else []),
            class_="texts" if is_text else None,
        ),
        class_="scrolls",
        tabindex=0,
        role="region",
        aria_label=caption,
    )
