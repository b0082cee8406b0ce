"""Licences of data: their names, addresses, and the text that goes into a release."""

from __future__ import annotations

import importlib.resources

from evreel.errors import UsageError

_LICENCES = {
    "CC0-1.0": ("CC0 1.0 Universal", "https://creativecommons.org/publicdomain/zero/1.0/"),
    "CC-BY-4.0": (
        "Creative Commons Attribution 4.0 International",
        "https://creativecommons.org/licenses/by/4.0/",
    ),
    "CC-BY-SA-4.0": (
        "Creative Commons Attribution-ShareAlike 4.0 International",
        "https://creativecommons.org/licenses/by-sa/4.0/",
    ),
    "CC-BY-NC-4.0": (
        "Creative Commons Attribution-NonCommercial 4.0 International",
        "https://creativecommons.org/licenses/by-nc/4.0/",
    ),
    "CC-BY-NC-SA-4.0": (
        "Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International",
        "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    ),
    "PDDL-1.0": (
        "Open Data Commons Public Domain Dedication and License 1.0",
        "https://opendatacommons.org/licenses/pddl/1-0/",
    ),
    "ODC-By-1.0": (
        "Open Data Commons Attribution License 1.0",
        "https://opendatacommons.org/licenses/by/1-0/",
    ),
    "ODbL-1.0": (
        "Open Data Commons Open Database License 1.0",
        "https://opendatacommons.org/licenses/odbl/1-0/",
    ),
}
"""Licences that ask for their name and address, not for their text beside the data."""


def address_of(licence: str) -> tuple[str, str] | None:
    """Return the full name of a licence and the address of its text, None of another one.

    Examples
    --------
    >>> address_of("CC0-1.0"), address_of("ours")
    (('CC0 1.0 Universal', 'https://creativecommons.org/publicdomain/zero/1.0/'), None)
    """
    return _LICENCES.get(licence)


def licence_notice(licence: str, text: str | None) -> str:
    """Return what ``LICENSE.txt`` says of the data.

    Parameters
    ----------
    licence
        SPDX identifier; ``NOASSERTION`` if none is stated.
    text
        The licence's text, None if its name and address suffice.

    Raises
    ------
    UsageError
        If the licence needs a text and has none.
    """
    if text is not None:
        return text if text.endswith("\n") else text + "\n"
    if licence == "NOASSERTION":
        return "No licence is stated for the data in this folder.\n"
    if licence not in _LICENCES:
        raise UsageError(
            f"the text of licence {licence!r} is missing",
            hint=f"Give it as licence_file. Only these need none: {', '.join(_LICENCES)}.",
        )
    title, address = _LICENCES[licence]
    notice = f"The data in this folder are under {title} ({licence}).\nIts text: {address}\n"
    carried = importlib.resources.files("evreel") / "release" / "texts" / f"{licence}.txt"
    return notice + "\n" + carried.read_text(encoding="utf-8") if carried.is_file() else notice
