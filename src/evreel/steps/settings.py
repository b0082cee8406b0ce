"""Settings that each are of their kind, and do not go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evreel.errors import EvreelError, UsageError, did_you_mean
from evreel.steps.check import check_tolerated

_FOLDERS = ("events", "slices", "samples")
"""Folders of a split in a release that are no feature's."""


def check_settings(config: Mapping[str, Any]) -> None:
    """Raise where a data set's settings do not go together, before any step runs.

    Parameters
    ----------
    config
        The settings by step, each of its kind: any of ``events``, ``video``, ``features`` (by
        name) and ``release``, with the keywords of the steps.

    Raises
    ------
    UsageError
        Which names the setting.
    """
    from evreel.release.licences import licence_notice
    from evreel.representations import create
    from evreel.windows import division

    leave_out = config.get("events", {})
    crop = leave_out.get("crop")
    if crop is not None and not (crop[0] < crop[2] and crop[1] < crop[3]):
        raise UsageError(f"events/crop: {crop} is empty; give [x0, y0, x1, y1]")
    start_us, stop_us = leave_out.get("start_us") or 0, leave_out.get("stop_us")
    if stop_us is not None and not start_us < stop_us:
        raise UsageError(f"events: start_us={start_us} is not before stop_us={stop_us}")
    video = config.get("video", {})
    if video.get("style") == "decay" and video.get("accumulate_us") is not None:
        raise UsageError("video: accumulate_us does not go with style decay; use tau_us")
    for name, feature in config.get("features", {}).items():
        if name in _FOLDERS:
            raise UsageError(f"features/{name}: a release has a folder of this name already")
        kinds = ("window_us", "count", "stride_us", "stride", "tail", "number", "by")
        try:
            create(feature["representation"], feature["parameters"])
            division(**{kind: feature[kind] for kind in kinds if kind in feature})
        except EvreelError as error:
            raise UsageError(f"features/{name}: {error}") from error
    cutting = config.get("samples")
    if cutting is not None:
        _check_cutting(cutting, config.get("labels"))
    released = config.get("release")
    if released is not None:
        try:
            if released["licence_file"] is None:
                licence_notice(released["licence"], None)
        except UsageError as error:
            raise UsageError(f"release/licence: {error}") from error
        try:
            check_tolerated(released["tolerate"])
        except UsageError as error:
            raise UsageError(f"release/tolerate: {error}") from error


def _check_cutting(cutting: Mapping[str, Any], labels: Sequence[str] | None) -> None:
    """Raise `UsageError` for what of the settings of samples does not go together."""
    from evreel.samples.pattern import Pattern
    from evreel.samples.splits import check_shares

    by, pattern = cutting["by"], cutting["members"]
    if (by == "members") != (pattern is not None):
        problem = "is needed with by: members" if pattern is None else f"does not go with by: {by}"
        raise UsageError(f"samples/members: {problem}")
    if by == "members" and cutting["table"] is not None:
        raise UsageError("samples/table: does not go with by: members")
    try:
        for text in [*([pattern] if pattern else []), *cutting["leave_out"]]:
            Pattern(text)
    except UsageError as error:
        raise UsageError(f"samples/members: {error}") from error
    for called, label in cutting["classes"].items():
        if labels is not None and label not in labels:
            guess = did_you_mean(label, labels)
            raise UsageError(
                f"samples/classes: {called!r} is {label!r}, which labels does not list"
                + (f"; {guess}" if guess else "")
            )
    split = cutting["split"]
    if "files" in split and "seed" in split:
        raise UsageError("samples/split: files and a seed exclude each other")
    try:
        if "shares" in split:
            check_shares(split["shares"])
    except UsageError as error:
        raise UsageError(f"samples/split/shares: {error}") from error
