"""``croissant.json``: what a data set is, as Croissant 1.1 with the terms of Croissant RAI 1.0.

The formats: http://mlcommons.org/croissant/1.1 and http://mlcommons.org/croissant/RAI/1.0. The
context is written out, so that nothing has to be fetched to read the file. Tables are files with
their SHA-256, and have records; files of recordings are sets, whose digests stand in the tables.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from evreel import __version__
from evreel.cards.index import Column, Table
from evreel.cards.told import Told
from evreel.release.manifest import kind_of

CROISSANT = "croissant.json"
CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")

REQUIRED = {
    "description": ("description",),
    "creator": ("creators", "organizations"),
    "url": ("page",),
    "datePublished": ("date_published",),
    "prov:wasDerivedFrom": ("derived_from",),
}
"""Property that the format or venues require → keys of the group `dataset` that state it."""

REQUIRED_RAI = (
    "data_limitations",
    "data_biases",
    "personal_sensitive_information",
    "data_use_cases",
    "data_social_impact",
    "has_synthetic_data",
)
"""Keys of the group `dataset/rai` that NeurIPS's track for data sets requires."""

_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

_MEDIA_TYPES = {
    ".h5": "application/x-hdf5",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".mp4": "video/mp4",
    ".npy": "application/x-npy",
    ".parquet": "application/x-parquet",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".xml": "application/xml",
    ".zip": "application/zip",
}


def croissant(told: Told) -> dict[str, bytes]:
    """Return ``croissant.json``; of equal facts always the same bytes."""
    stated = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": told.name,
        "version": told.version,
        "license": licence_url(told.licence),
        **_about(told),
        **_responsible(told),
        "distribution": [*_tables_of(told), *_sets(told)],
        "recordSet": [*map(_record_set, told.tables), *_labels(told)],
    }
    value = {key: one for key, one in stated.items() if one not in (None, [], "")}
    return {CROISSANT: (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()}


def unstated(dataset: Mapping[str, Any], licence: str) -> list[str]:
    """Return the keys of the config that hosts and venues ask for and that say nothing.

    Where one of several keys suffices, they are joined by ``or``.

    Parameters
    ----------
    dataset, licence
        As `Told` has them.
    """
    found = [
        " or ".join(f"dataset/{key}" for key in keys)
        for keys in REQUIRED.values()
        if all(dataset.get(key) is None for key in keys)
    ]
    rai = dataset.get("rai") or {}
    found += [f"dataset/rai/{key}" for key in REQUIRED_RAI if rai.get(key) is None]
    return found + ["release/licence"] * (licence_url(licence) is None)


def unstated_notice(dataset: Mapping[str, Any], licence: str) -> str | None:
    """Return what to warn of in one line, None where nothing is missing."""
    keys = unstated(dataset, licence)
    if not keys:
        return None
    return (
        f"{CROISSANT} lacks what venues ask for; the config does not state {', '.join(keys)}. "
        "docs/publishing.md says what to write."
    )


def licence_url(licence: str) -> str | None:
    """Return the address of a licence at SPDX; its name where it has none there; None if unstated.

    Examples
    --------
    >>> licence_url("CC-BY-4.0"), licence_url("LicenseRef-ours"), licence_url("NOASSERTION")
    ('https://spdx.org/licenses/CC-BY-4.0', 'LicenseRef-ours', None)
    """
    if licence in ("", "NOASSERTION", "NONE"):
        return None
    if licence.startswith("LicenseRef-") or not re.fullmatch("[A-Za-z0-9][A-Za-z0-9.+-]*", licence):
        return licence
    return f"https://spdx.org/licenses/{licence}"


def term(key: str) -> str:
    """Return the term of Croissant RAI that a key of `dataset/rai` states.

    Examples
    --------
    >>> term("data_release_maintenance_plan")
    'rai:dataReleaseMaintenancePlan'
    """
    first, *more = key.split("_")
    return "rai:" + first + "".join(word.capitalize() for word in more)


def named(text: str) -> tuple[str, str | None]:
    """Return the name and the address in a text like ``Name <https://…>``.

    Examples
    --------
    >>> named("Ada Lovelace <https://orcid.org/1>"), named("Ada Lovelace")
    (('Ada Lovelace', 'https://orcid.org/1'), ('Ada Lovelace', None))
    """
    found = re.fullmatch(r"(.*?)\s*<([^<>\s]+)>", text)
    return (found[1] or found[2], found[2]) if found else (text, None)


def _about(told: Told) -> dict[str, Any]:
    of = told.dataset
    creators = [_agent("sc:Person", text) for text in of.get("creators") or ()]
    creators += [_agent("sc:Organization", text) for text in of.get("organizations") or ()]
    return {
        "alternateName": of.get("title"),
        "description": of.get("description"),
        "url": of.get("page"),
        "creator": creators,
        "keywords": list(dict.fromkeys([*KEYWORDS, *(of.get("keywords") or ())])),
        "citeAs": of.get("citation"),
        "datePublished": of.get("date_published"),
    }


KEYWORDS = ("event camera", "neuromorphic")


def _agent(type_: str, text: str) -> dict[str, str]:
    name, address = named(text)
    found = {"@type": type_, "name": name}
    if address and "@" in address and ":" not in address:
        return found | {"email": address}
    return found | ({"url": address} if address else {})


def _responsible(told: Told) -> dict[str, Any]:
    """Return what is stated in the terms of RAI, and where the data come from."""
    rai = told.dataset.get("rai") or {}
    sources = told.dataset.get("derived_from")
    derived: list[Any] = [_source(text) for text in sources or ()]
    if sources is not None and not sources:
        derived = ["No other data set."]
    activities = [
        ("Collection", rai.get("data_collection")),
        ("Annotation", rai.get("data_annotation_protocol")),
        (
            "Processing",
            f"Recordings were decoded and the release built with evreel {__version__}; "
            "config.json has the settings, versions.json the software.",
        ),
    ]
    if told.lacks:
        said = rai.get("data_collection_missing_data") or ""
        lacks = f"This release lacks {told.lacks}."
        rai = {**rai, "data_collection_missing_data": f"{said}\n{lacks}".strip()}
    terms = {term(key): rai[key] for key in sorted(rai) if rai[key] is not None}
    if "rai:dataCollectionTimeframe" in terms:
        # The specification spells it in both ways, and mlcroissant reads this one.
        terms["rai:dataCollectionTimeFrame"] = terms["rai:dataCollectionTimeframe"]
    return {
        **terms,
        "prov:wasDerivedFrom": derived,
        "prov:wasGeneratedBy": [
            {"@type": "prov:Activity", "prov:label": label, "description": text}
            for label, text in activities
            if text
        ],
    }


def _source(text: str) -> dict[str, str]:
    name, address = named(text)
    if address is None and re.match("https?://", text):
        address = text
    return {"@type": "sc:Dataset", "name": name} | ({"url": address} if address else {})


def _tables_of(told: Told) -> Iterator[dict[str, Any]]:
    """Yield the tables, each a file with its SHA-256."""
    written = {table.path: table.parquet for table in told.tables}
    digests = {
        path: (len(data), hashlib.sha256(data).hexdigest()) for path, data in written.items()
    }
    planned = {file.path: (file.size, file.sha256) for file in told.files if not file.id}
    for path, (size, digest) in sorted((digests | planned).items()):
        yield {
            "@type": "cr:FileObject",
            "@id": quote(path),
            "name": path,
            "contentUrl": path,
            "contentSize": f"{size} B",
            "encodingFormat": _media_type(path),
            "sha256": digest,
        }


_SETS = {
    "events": "All events of each recording.",
    "slices": "Annotated slices: events with the object that they are in.",
    "samples": "Which events make each sample, its class and split.",
    "features": "Frames computed from events",
    "boxes": "Boxes of objects: records of EventBbox.",
    "video": "What annotators saw, and the times of its frames.",
    "annotations": "What annotators made.",
    "sidecars": "What is known of the camera.",
    "previews": "A short labelled video and a picture of each recording.",
}


def _sets(told: Told) -> Iterator[dict[str, Any]]:
    """Yield the files of recordings as sets, by folder and form."""
    found: dict[tuple[str, str], str] = {}
    for file in told.files:
        if file.id:
            path = PurePosixPath(file.path)
            suffix = "_bbox.npy" if kind_of(file) == "boxes" else path.suffix
            found.setdefault((str(path.parent), suffix), kind_of(file) or file.kind)
    for (folder, suffix), kind in sorted(found.items()):
        pattern = f"{_as_glob(folder)}/*{_as_glob(suffix)}" if folder != "." else f"*{suffix}"
        yield {
            "@type": "cr:FileSet",
            "@id": quote(f"{folder}/*{suffix}"),
            "name": f"{folder}/*{suffix}",
            "description": _SETS.get(kind, kind or "Files of recordings."),
            "encodingFormat": _media_type(suffix),
            "includes": pattern,
        }


def _as_glob(text: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", text)


def _media_type(path: str) -> str:
    suffix = PurePosixPath(path).suffix or PurePosixPath("x" + path).suffix
    return _MEDIA_TYPES.get(suffix, "application/octet-stream")


_DATA_TYPES = {"text": "sc:Text", "texts": "sc:Text", "whole number": "sc:Integer"}


def _record_set(table: Table) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": table.meaning,
        "key": [{"@id": f"{table.name}/{name}"} for name in table.key],
        "field": [_field(table, column) for column in table.columns],
    }


def _field(table: Table, column: Column) -> dict[str, Any]:
    type_: Any = _DATA_TYPES[column.type]
    if column.name in ("split", "label"):
        type_ = [type_, f"cr:{column.name.capitalize()}"]
    array = {"isArray": True, "arrayShape": "-1"} if column.type == "texts" else {}
    return {
        "@type": "cr:Field",
        "@id": f"{table.name}/{quote(column.name)}",
        "name": column.name,
        "description": column.meaning,
        "dataType": type_,
        **array,
        "source": {"fileObject": {"@id": table.path}, "extract": {"column": column.name}},
    }


def _labels(told: Told) -> Iterator[dict[str, Any]]:
    """Yield the classes and their numbers, as records that stand here."""
    if not told.labels:
        return
    yield {
        "@type": "cr:RecordSet",
        "@id": "labels",
        "name": "labels",
        "description": "Classes, and their numbers in boxes, slices and samples.",
        "dataType": "sc:Enumeration",
        "key": {"@id": "labels/number"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"labels/{name}",
                "name": name,
                "description": meaning,
                "dataType": type_,
            }
            for name, meaning, type_ in (
                ("number", "Number of the class.", "sc:Integer"),
                ("name", "Its name.", "sc:Text"),
            )
        ],
        "data": [
            {"labels/number": number, "labels/name": told.labels[number]}
            for number in sorted(told.labels)
        ],
    }
