"""What tells who made a data set: names, paths, hosts, e-mail addresses, serial numbers of cameras.

Some of it is known beforehand, such as the user's name: these are words. The rest states itself,
such as ``% serial_number 00001621`` in a recording's header: these are statements.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

MOST_HEADER_BYTES = 1 << 20
"""Of the beginning of a recording that is read for what its header states."""
LEAST_CHARACTERS = 3
"""A shorter word is in too many texts to tell who made them."""
LEAST_SERIAL = 4
"""A shorter serial number cannot be told from any other number."""

SERIAL, DATE, PATH, PERSON, HOST, EMAIL = (
    *("serial number", "date", "path", "name", "host name", "e-mail address"),
)
"""What statements are about, as messages and counts name it."""

# Accounts that many machines have.
_OF_NOBODY = re.compile(
    r"(?i)admin(istrator)?|anonymous|builder|ci|codespace|conda|debian|docker|guest|jenkins|jovyan|"
    r"localhost|mambauser|nobody|none|null|root|runner|test(er)?|ubuntu|unknown|user|vagrant|vscode|"
    r"worker"
)
_IS_NOTHING = re.compile(r"(?i)(true|false|null|none|unknown|localhost|127\.0\.0\.1|0+)?\s*")


class Word(NamedTuple):
    """A text that tells who made a data set.

    Parameters
    ----------
    text : the text, in any case of letters.
    what : what it is, such as ``the user's name``.
    """

    text: str
    what: str


class Statement(NamedTuple):
    """A part of a text that says by itself that it identifies somebody, or a camera.

    Parameters
    ----------
    what : `SERIAL`, `DATE`, `PATH`, `PERSON`, `HOST` or `EMAIL`.
    start, stop : where its value is in the text.
    """

    what: str
    start: int
    stop: int


_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
)
_HOME = re.compile(
    r"(?:(?<![\w.:/-])|(?<=file://)|(?<=file:))/(?:home|Users)/[\w.-][^\s\"'<>|;,]*"
    r"|\b[A-Za-z]:[\\/]{1,2}(?:Users|Documents and Settings)[\\/][^\"'<>|\r\n]*"
)
_HOMES = ("/home/", "Users", "Documents and Settings")
"""What a text has that `_HOME` finds anything in; to look for it is faster."""
_ABSOLUTE = re.compile(
    r"(?<![\w./:-])/(?:home|Users|Volumes|cluster|data|export|gpfs|lustre|media|mnt|net|nfs|opt|"
    r"private|root|run|scratch|srv|storage|tmp|usr|var|work|workspace)/[^\"'<>|;,\r\n]*"
    r"|\b[A-Za-z]:[\\/]{1,2}(?=[^\s\\/\"'<>|])[^\"'<>|\r\n]*"
    r"|\\\\[\w.-]+\\[^\"'<>|\r\n]*"
    r"|\bfile:/[^\s\"'<>|]*"
)
_USER_OF_HOME = re.compile(r"(?:home|Users|Documents and Settings)[\\/]+([^\\/]+)")
_SERIAL = re.compile(
    r"(?i)serial[ _-]?(?:number|num|no|nr|id)?\b[\"']?(?:[ \t]+type=\"\w*\"|[ \t]+value(?==))?"
    r"[ \t]*[:=> \t][ \t]*[\"'#]?(?P<value>[a-z_-]*[0-9][a-z0-9_.-]*)"
)
_CREATED = re.compile(r"Created on: (?P<value>[^\r\n]*\d)")
_CAMERA = re.compile(
    r"(?i)\b(?:davis|dvx|dvs|dvl|edvs|evk|silky|genx|speck|samsung|camera)\w*?[_ -]"
    r"(?:fx\d |cx\d |usb ?\d? |#)?(?P<value>[a-z]{0,4}\d{5,})(?![a-z0-9])"
)
_LINES = re.compile(rb"(?:[%#][^\x00-\x08\x0a-\x1f]*\r?\n)+")
_CONFIGURATION = re.compile(rb"<dv[ >].*?</dv>", re.DOTALL)
# A line of a header, and what a configuration in XML gives by name.
_KEYED = (
    re.compile(
        r"^[ \t]*[%#]+[ \t]*(?P<key>[A-Za-z][\w.-]{0,60}?)(?:[ \t]*[:=][ \t]*|[ \t]+)"
        r"(?P<value>\S.*?)[ \t\r]*$",
        re.MULTILINE,
    ),
    re.compile(r"key=\"(?P<key>[^\"<>]+)\"[^<>]*>(?P<value>[^<>]+)</"),
    re.compile(r"key=\"(?P<key>[^\"<>]+)\"[^<>]*?value=\"(?P<value>[^\"<>]+)\""),
    re.compile(r"<(?P<key>[A-Za-z][\w.-]*)>(?P<value>[^<>]+)</(?P=key)>"),
)
_DATES = re.compile(
    r"created|creation(date|time)?|datetime|(last)?modified|(recording|start)time|.*date"
)
_PEOPLE = re.compile(
    r".*(author|contact|creator|email|experimenter|mail|operator|owner|username)|user|"
    r"recorded(by)?"
)
_HOSTS = re.compile(r".*(host|hostname|ipaddress|computername|machinename)")
_IDS = re.compile(r".*(serial|systemid|deviceid|cameraid|macaddress|uuid|guid).*|sn")
_PLACES = re.compile(r".*(dir|directory|file|filename|filepath|folder|path|uri|url)")
_OF_CAMERAS = re.compile(r"(camera|device)(name)?|hardwareinterface|source")
_KEYS = ((SERIAL, _IDS), (DATE, _DATES), (PERSON, _PEOPLE), (HOST, _HOSTS), (PATH, _PLACES))
_LAST_NUMBER = re.compile(r"[\s_#\[(-]+([A-Za-z]{0,4}\d{4,})\W*$")


def statements(text: str, *, of_header: bool = False) -> Iterator[Statement]:
    r"""Find what a text states. Spans may overlap.

    Parameters
    ----------
    text
        The text.
    of_header
        Whether it is the header of a recording: then also what its keys say, dates, and any
        absolute path. In other texts, only what can hardly be anything else: e-mail addresses,
        paths in somebody's home, and serial numbers that are called so.

    Examples
    --------
    >>> header = "% Date 2024-05-01 10:00:00\n% geometry 640x480\n% serial_number 00001621\n"
    >>> found = sorted(set(statements(header, of_header=True)))
    >>> [(one.what, header[one.start : one.stop]) for one in found]
    [('date', '2024-05-01 10:00:00'), ('serial number', '00001621')]
    """
    if "@" in text:
        for match in _EMAIL.finditer(text):
            yield Statement(EMAIL, *match.span())
    if of_header or any(each in text for each in _HOMES):
        for match in (_ABSOLUTE if of_header else _HOME).finditer(text):
            yield Statement(PATH, *match.span())
    has_serials = of_header or "serial" in text.lower()
    for pattern in (_SERIAL, _CAMERA)[: has_serials + of_header]:
        for match in pattern.finditer(text):
            if of_header or len(match["value"]) >= LEAST_SERIAL:
                yield Statement(SERIAL, *match.span("value"))
    for match in _CREATED.finditer(text) if of_header else ():
        yield Statement(DATE, *match.span("value"))
    for pattern in _KEYED if of_header else ():
        for match in pattern.finditer(text):
            start, stop = match.span("value")
            what, value = kind_of_key(match["key"]), match["value"]
            if what == "" and (number := _number_of(match["key"], value)):
                yield Statement(SERIAL, start + number.start(1), start + number.end(1))
            elif what == "" or _IS_NOTHING.fullmatch(value):
                continue
            elif what != PATH or re.search(r"[\\/]", value):
                yield Statement(what, start, stop)


def kind_of_key(key: str) -> str:
    """Return what a key of a header is about; empty if its value may stay."""
    joined = _joined(key)
    return next((what for what, keys in _KEYS if keys.fullmatch(joined)), "")


def _joined(key: str) -> str:
    """Return a key without what is between its words."""
    return re.sub(r"[^a-z0-9]", "", key.lower())


def _number_of(key: str, value: str) -> re.Match[str] | None:
    """Return the serial number at the end of a camera's name, as ``DVXplorer_DXB00010`` has one."""
    return _LAST_NUMBER.search(value) if _OF_CAMERAS.fullmatch(_joined(key)) else None


def words_stated(text: str) -> set[Word]:
    """Return what the header of a recording states, so that it is looked for elsewhere too."""
    found = set()
    for what, start, stop in statements(text, of_header=True):
        value = text[start:stop].strip(" \t\"'")
        if what == SERIAL and (len(value) < LEAST_SERIAL or not re.search(r"\d", value)):
            continue
        if what != DATE:
            found.add(Word(value, f"the {what} in a recording's header"))
        if what == PATH and (home := _USER_OF_HOME.search(value)):
            found.add(Word(home[1], "the name of a user in a recording's header"))
    return worth(found)


def words_of_recording(path: Path) -> set[Word]:
    """Return what the header of a recording states; nothing where it has no header of text."""
    with path.open("rb") as file:
        start = file.read(MOST_HEADER_BYTES)
    header = _CONFIGURATION.search(start) or _LINES.match(start)
    return words_stated(header[0].decode("utf-8", "replace")) if header else set()


def words_of_machine() -> set[Word]:
    """Return what tells whose machine this is: user, home, host, and the working directory."""
    found = set()
    for name in (_user(), os.environ.get("USER", ""), os.environ.get("LOGNAME", "")):
        found.add(Word(name, "the user's name"))
    found.add(Word(_full_name(), "the user's name"))
    host = socket.gethostname()
    found |= {Word(name, "this machine's name") for name in (host, host.partition(".")[0])}
    found.add(Word(_folder(Path.home()), "the user's home"))
    found |= words_of_folder(Path.cwd())
    return worth(found)


def words_of_folder(folder: Path) -> set[Word]:
    """Return the words of a folder that has files of the data set."""
    found = {folder.absolute(), Path(os.path.realpath(folder))}
    return worth(Word(_folder(each), "the path of the data set") for each in found)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without an entry
        return ""


def _full_name() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_gecos.split(",")[0]
    except (ImportError, KeyError):
        return ""


def _folder(path: Path) -> str:
    """Return a folder as a word; the root is nobody's, and what is right below it often a name."""
    return {1: "", 2: f"{path}/"}.get(len(path.parts), str(path))


def words_of_dataset(about: Mapping[str, Any]) -> set[Word]:
    """Return what a config's `dataset` tells of its authors: each text of what is left out.

    Names are also in the forms in which people write them: ``Ada Lovelace`` as ``A. Lovelace``,
    ``Lovelace, Ada``, ``ada_lovelace``.

    Examples
    --------
    >>> found = words_of_dataset({"creators": ["Ada Lovelace <https://orcid.org/0000-0001>"]})
    >>> {"0000-0001", "Ada Lovelace", "A. Lovelace", "Lovelace, Ada"} <= {one.text for one in found}
    True
    """
    found = set()
    for key, value in about.items():
        if key in TELLS_NOBODY:
            continue
        for text in _texts(value):
            found.add(Word(text, f"dataset/{key}"))
            found |= {Word(part, f"dataset/{key}") for part in _parts_of(text)}
            names = {name for each in _AUTHORS.findall(text) for name in _AND.split(each)}
            if key == "creators":
                names.add(_ADDRESS.sub("", text))
            for name in names:
                found |= words_of_name(name, "an author")
    return worth(found)


_AUTHORS = re.compile(r"author\s*=\s*[{\"]([^}\"]+)")
_AND = re.compile(r"\s+and\s+")
_ADDRESS = re.compile(r"\s*<[^<>]*>\s*$")
_WEB = re.compile(r"https?://(?:www\.)?([^\s<>\"'{},;]*[^\s<>\"'{},;./])", re.IGNORECASE)
_OF_EVERYBODY = re.compile(
    r"(?:.*\.)?(?:(?:arxiv|doi|creativecommons|orcid|ror|zenodo|wikidata|wikipedia)\.org|"
    r"(?:figshare|github|gitlab|google|kaggle|youtube)\.com|huggingface\.co|osf\.io)",
    re.IGNORECASE,
)
"""Hosts that many people's pages have."""
_ORCID = re.compile(r"orcid\.org/([\dX-]+)", re.IGNORECASE)


def _parts_of(text: str) -> Iterator[str]:
    """Yield what identifies by itself in a text of several parts, such as ``Name <address>``."""
    yield _ADDRESS.sub("", text)
    yield from (match[0] for match in _EMAIL.finditer(text))
    for address in _WEB.findall(text):
        yield address
        host = address.partition("/")[0]
        if not _OF_EVERYBODY.fullmatch(host):
            yield host
    yield from _ORCID.findall(text)


def words_of_name(name: str, what: str) -> set[Word]:
    """Return a person's name in the forms in which people write it, also without accents."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return {Word(form, what) for each in (name, plain) for form in _forms_of_name(each)}


def _forms_of_name(name: str) -> Iterator[str]:
    """Yield a name in another order, with initials, as an account."""
    last, comma, first = (part.strip() for part in name.strip().partition(","))
    words = [*first.split(), last] if comma else name.split()
    if len(words) < 2:
        yield name.strip()
        return
    *given, family = words
    initials = [f"{each[0]}." for each in given]
    # An initial without its point would make "a long" of Ada Long.
    for firsts in (given, given[:1], initials, initials[:1]):
        first = " ".join(firsts)
        yield from (f"{first} {family}", f"{family}, {first}", f"{family} {first}")
    yield f"{family} et al"
    for between in ("_", "-", ".", ""):
        account = (given[0].lower(), family.lower())
        yield from (between.join(account), between.join(reversed(account)))


TELLS_NOBODY = ("title", "description", "keywords", "languages", "rai", "size_bytes", "tasks")
"""Keys of a config's `dataset` that an anonymous release keeps; all others are left out."""


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield " ".join(value.split())
    elif isinstance(value, Mapping):
        for below in value.values():
            yield from _texts(below)
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _texts(below)


def worth(words: Iterable[Word]) -> set[Word]:
    """Return the words that tell anything."""
    return {
        word
        for word in words
        if len(word.text) >= LEAST_CHARACTERS and not _OF_NOBODY.fullmatch(word.text)
    }
