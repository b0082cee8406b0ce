"""Where a CVAT server is, how long to wait for it, and what it is if it does not answer."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from evreel.errors import SourceError, UsageError
from evreel.settings import Settings, optional, setting


@dataclass(frozen=True)
class CvatSettings(Settings):
    """A server and its limits. Credentials are no settings: nothing keeps them."""

    server: str | None = optional(
        "Address of the server, such as https://app.cvat.ai. Default: that of the task, or else "
        "what cvat-cli would take: its default profile, its default server, or http://localhost.",
        metavar="URL",
    )
    profile: str | None = optional(
        "Profile that cvat-cli has saved: a server with an access token.", metavar="NAME"
    )
    org: str | None = optional(
        "Short name of the organization that tasks are made in. Default: your own space.",
        metavar="SLUG",
    )
    insecure: bool = setting(False, "Do not check the server's certificate.")
    timeout_s: int = setting(120, "Longest wait for one answer.", unit="s", minimum=1)
    wait_s: int = setting(
        3600, "Longest wait until a task is made, or exported.", unit="s", minimum=1
    )

    def __post_init__(self) -> None:
        if self.server is not None:
            object.__setattr__(self, "server", plain_address(self.server))
        if self.server is not None and self.profile is not None:
            raise UsageError("--server and --profile both say which server; give one of them")


class UnreachableError(SourceError):
    """A server that does not answer: whatever is asked next would fail alike."""


def plain_address(address: str) -> str:
    """Return a server's address with its scheme, and without a slash at the end.

    Raises
    ------
    UsageError
        If it is not one, or has credentials in it.

    Examples
    --------
    >>> plain_address("app.cvat.ai/"), plain_address("http://localhost:8080")
    ('https://app.cvat.ai', 'http://localhost:8080')
    """
    whole = address if "://" in address else f"https://{address}"
    try:
        parts = urlsplit(whole)
        is_whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        raise UsageError("the server's address cannot be read") from None
    if "@" in parts.netloc:
        raise UsageError(
            "the server's address has a user or a password in it",
            hint="Leave them out, and set CVAT_ACCESS_TOKEN, or give --auth USER.",
        )
    if parts.scheme not in ("http", "https") or not is_whole or parts.query or parts.fragment:
        raise UsageError(f"{address!r} is not the address of a server, such as https://app.cvat.ai")
    return whole.rstrip("/")
