"""A CVAT server: tasks of videos, and their annotations, there and back.

`evreel.cvat.sdk` alone imports cvat-sdk, and is imported when a server is opened: the
extra ``cvat`` is needed for that and for nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evreel.cvat.settings import CvatSettings
from evreel.errors import UsageError

if TYPE_CHECKING:
    from evreel.cvat.sdk import Server

__all__ = ["CvatSettings", "open_server"]


def open_server(
    settings: CvatSettings, *, auth: str | None = None, known: str | None = None
) -> Server:
    """Log in to a CVAT server; the result is closed at the end of its ``with`` block.

    Parameters
    ----------
    settings
        Where it is, and how long to wait for it.
    auth
        ``USER`` or ``USER:PASS``; None takes the credentials that cvat-sdk finds.
    known
        Address of the server that a task is on; None if the settings decide.

    Raises
    ------
    UsageError
        If cvat-sdk is not installed, or there are no credentials for the server.
    SourceError
        If the server cannot be reached, or refuses them.
    """
    try:
        from evreel.cvat.sdk import log_in
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("cvat_sdk"):
            raise
        raise UsageError(
            "a CVAT server needs cvat-sdk, which is not installed",
            hint="Install it in a checkout of evreel: pip install -e '.[cvat]'.",
        ) from error
    return log_in(settings, auth=auth, known=known)
