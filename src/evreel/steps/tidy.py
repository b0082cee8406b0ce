"""What the results have of recordings, features and archives that are in no config any more."""

from __future__ import annotations

import functools
import os
import shlex
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evreel.errors import MistakesError, UsageError
from evreel.text import counted, listed, size_text

if TYPE_CHECKING:
    from evreel.dataset.leftovers import Leftovers


def tidy(
    configs: Sequence[str | Path] = ("config.yaml",),
    *,
    remove: bool = False,
    only_these: bool = False,
) -> list[Leftovers]:
    """Find files of the results that no config asks for any more, and remove them if asked to.

    Releases stay, and what the workflow does not make. Of a link, the link alone is removed.

    Parameters
    ----------
    configs
        All configs that are built in these results: what none of them names is left over. Paths
        count from the working directory, which is that of the workflow.
    remove
        Whether to remove what is found. A removal that is cut off goes on the next time.
    only_these
        Remove also where other configs, beside these, name the same results.

    Returns
    -------
    What was found, in each folder of results.

    Raises
    ------
    UsageError
        If a config, or its table, has a mistake; or, before anything is removed, if other configs
        name the same results.
    EvreelError
        If a run of the workflow may be working there.
    """
    from evreel.dataset import leftovers
    from evreel.dataset.dataset import DataSet
    from evreel.dataset.documents import config_problem, read_document
    from evreel.dataset.memory import Memory
    from evreel.dataset.notes import is_archive_of

    is_verified = functools.partial(is_archive_of, memory=Memory())
    datasets: dict[str, list[DataSet]] = defaultdict(list)
    spelled: dict[str, str] = {}
    for config in configs:
        if problem := config_problem(config):
            raise MistakesError([problem])
        values, _ = read_document(config)
        dataset = DataSet.read(values, [config], is_verified=is_verified)
        real = os.path.realpath(dataset.results)
        datasets[spelled.setdefault(real, dataset.results)].append(dataset)
    others = leftovers.configs_beside(configs)
    found = [
        leftovers.leftovers(results, built, others.get(os.path.realpath(results), ()))
        for results, built in datasets.items()
    ]
    for each in found if remove else ():
        if each.files and each.others and not only_these:
            raise UsageError(
                f"nothing is removed: {listed(each.others, _MOST_NAMED)} "
                f"{'names' if len(each.others) == 1 else 'name'} the same results and "
                f"{'is' if len(each.others) == 1 else 'are'} not counted",
                path=each.results,
                hint=f"Count all: {_command([*configs, *each.others])}. To go on without: "
                "--only-these.",
            )
        leftovers.check_idle(str(each.results))
    for each in found if remove else ():
        leftovers.remove(each)
    return found


def told(
    found: Sequence[Leftovers],
    configs: Sequence[str | Path] = ("config.yaml",),
    *,
    removed: bool = False,
) -> list[str]:
    """Return what `tidy` found by these configs, as lines to read."""
    # With fewer configs, the command would remove what the others name.
    command = f"{_command(configs)} --remove"
    lines = []
    for each in found:
        lines += [
            f"{size_text(n):>9}  {path}" for path, n in zip(each.files, each.sizes, strict=True)
        ]
        said = "is tidy"
        if each.files:
            size = size_text(sum(each.sizes))
            which = "not of what is counted" if each.others else "in no config any more"
            said = f"{counted(len(each.files), 'file')}, {size}, {which}"
            if removed:
                said += "; removed"
            elif not each.others:
                said += f"; {command} removes them"
        lines.append(f"{each.results}: {said}")
        if each.others:
            lines.append(
                f"{each.results}: not counted, of the same results: "
                f"{listed(each.others, _MOST_NAMED)}; "
                f"{_command([*configs, *each.others])} counts all"
            )
        if each.unknown:
            n, named = len(each.unknown), listed(map(str, each.unknown), _MOST_NAMED)
            of = f"{counted(n, 'file')} not known to be of the workflow, left alone"
            lines.append(f"{each.results}: {of}: {named}")
    return lines


def _command(configs: Sequence[str | Path]) -> str:
    texts = [str(config) for config in configs]
    options = [] if texts == ["config.yaml"] else ["--configfile", *texts]
    return shlex.join(["evreel", "tidy", *options])


_MOST_NAMED = 5
