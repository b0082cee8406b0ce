"""A data set that another workflow builds, which has this one as a module.

One run of Snakemake then reads our Snakefile for each module, and again for each of its rules that
the other workflow changes. What all of them share is here.
"""

from __future__ import annotations

import functools
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evreel.dataset.settings import Config
from evreel.errors import UsageError
from evreel.settings import Place, settings_of

_OF_CONFIG = {"release": "release/name and release/version", "pictures": "video/container"}
"""Variables of paths that follow from a config → what of it they follow from."""


class Modules:
    """The modules of a run that build a data set: name → its folder of results."""

    def __init__(self) -> None:
        self.results: dict[str, str] = {}
        self.said: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
        """Name → variables of paths that were said to it and to all, when it was first read."""
        self.releases: list[Callable[..., str]] = []
        """Functions that keep what failed, and return what to say of the release of a module."""

    @functools.cached_property
    def run(self) -> str:
        """The name of the run, as `evreel.outputs.start_run` takes it."""
        return uuid.uuid4().hex

    def enter(self, name: str, results: str) -> bool:
        """Add a module; tell whether it was not there before.

        Raises
        ------
        UsageError
            If another module has the same folder.
        """
        for other, folder in self.results.items():
            if other != name and Path(folder).resolve() == Path(results).resolve():
                raise UsageError(
                    f"modules {other} and {name} both build in {results!r}",
                    hint="Give each its own folder: results in its config, or pathvars: results.",
                )
        is_new = name not in self.results
        self.results[name] = results
        return is_new


def check_storage(provider: str | None) -> None:
    """Raise if Snakemake is to keep all files in an object store, which evreel's cannot be in.

    Raises
    ------
    UsageError
        If there is a provider.
    """
    if provider is not None:
        raise UsageError(
            f"--default-storage-provider {provider}: results must be on a file system: "
            "they contain links, and a release appears there by one rename",
            hint="Leave the option out. A source may be in a store (s3://bucket/file), and evreel "
            "upload copies a release into one.",
        )


def place_of(values: Any, outer: Any, place: Place = ()) -> Place | None:
    """Return where in a config a group of it is, itself and not one like it; None if nowhere.

    Examples
    --------
    >>> config = {"plots": {}, "evreel": {"labels": ["car"]}}
    >>> place_of(config["evreel"], config), place_of({}, config)
    (('evreel',), None)
    """
    if values is outer:
        return place
    if isinstance(outer, Mapping):
        for key, below in outer.items():
            found = place_of(values, below, (*place, str(key)))
            if found is not None:
                return found
    return None


def with_results(
    values: Mapping[str, Any],
    module: str,
    said: Mapping[str, str],
    by_all: Mapping[str, str],
    moved: Callable[[str], str],
) -> dict[str, Any]:
    """Return the config of a module, with the folder of results that the other workflow says.

    Parameters
    ----------
    values
        The config that it gives.
    module
        Name of the module.
    said
        The variables of paths that it gives with the module, or in that config.
    by_all
        Those in its own config, which are for all that it has. They count where nothing else is
        said.
    moved
        Function of a path → where its ``prefix`` puts it.

    Raises
    ------
    UsageError
        If it gives no config, or it contradicts itself.
    """
    if not values:
        raise UsageError(
            f"module {module} is given no config",
            hint=f'Write config: config["{module}"] in it, and the config under {module}: in the '
            "config file.",
        )
    for name in said.keys() & _OF_CONFIG.keys():
        raise UsageError(
            f"module {module}: pathvars: {name}: cannot be set; it follows from "
            f"{_OF_CONFIG[name]} of the config",
            hint="Set them there.",
        )
    made = {key: value for key, value in values.items() if key != "pathvars"}
    given = said.get("results")
    in_config = made.get("results")
    if given is not None and in_config is not None and not _are_same(given, in_config):
        raise UsageError(
            f"module {module}: results is {in_config!r} in its config, {given!r} in pathvars",
            hint="Leave out one of them, or make them the same.",
        )
    results = given or in_config or by_all.get("results") or settings_of(Config)["results"].default
    if isinstance(results, str):  # else it is told with the other mistakes
        made["results"] = moved(f"{results.rstrip('/')}/").rstrip("/") or "/"
    return made


def _are_same(given: str, results: Any) -> bool:
    return isinstance(results, str) and os.path.normpath(given) == os.path.normpath(results)
