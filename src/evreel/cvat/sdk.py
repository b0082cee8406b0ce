"""What is asked of a CVAT server, by cvat-sdk. No other file imports it."""

from __future__ import annotations

import contextlib
import getpass
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self

import urllib3
from cvat_sdk.api_client import exceptions
from cvat_sdk.api_client.rest import RESTClientObject
from cvat_sdk.core.auth import (
    CVAT_ACCESS_TOKEN_ENV_VAR,
    DEFAULT_SERVER,
    AuthStore,
    get_auth_factory,
)
from cvat_sdk.core.client import AccessTokenCredentials, Client, Config, Credentials
from cvat_sdk.core.exceptions import AuthStoreError, BackgroundRequestException
from cvat_sdk.core.helpers import get_paginated_collection, make_request_headers
from cvat_sdk.core.proxies.types import Location

from evreel.cvat.labelled_data import KnownLabel
from evreel.cvat.settings import CvatSettings, UnreachableError, plain_address
from evreel.errors import EvreelError, SourceError, UsageError, one_line

RETRIES = 3
"""So often a question is asked again that the server fails to answer."""
PAUSE_S = 0.5
"""Seconds before the second of these; each later pause is twice as long."""
_CONNECT_S = 15
_FIRST_LOOK_S, _LAST_LOOK_S = 0.1, 5.0
"""Seconds between two looks at work that the server does; they get longer."""
_PASSING = (429, 500, 502, 503, 504)
"""Answers that another attempt may not get."""
_LONGEST_DETAIL = 300
_HIDDEN = "…"

_QUIET = logging.getLogger("evreel.cvat.sdk")
"""Where cvat-sdk tells what it does; nothing shows it."""
_QUIET.propagate = False
_QUIET.addHandler(logging.NullHandler())
logging.getLogger("urllib3").addHandler(logging.NullHandler())


class Task(NamedTuple):
    """What a server says of a task.

    Parameters
    ----------
    id, name : as the server has them.
    created, updated : when, as texts.
    size : its number of frames.
    pictures : names of its pictures; of a video, the name of that alone.
    of_images : whether it was made of pictures and not of a video.
    picture_shape : (height, width) of its pictures; None if it has none.
    deleted : frames that were deleted in CVAT.
    """

    id: int
    name: str
    created: str
    updated: str
    size: int
    pictures: tuple[str, ...]
    of_images: bool
    picture_shape: tuple[int, int] | None
    deleted: tuple[int, ...]


def log_in(settings: CvatSettings, *, auth: str | None, known: str | None) -> Server:
    """Return a server that has taken the credentials; see `evreel.cvat.open_server`."""
    address, credentials = _whom_to_ask(settings, auth, known)
    client = Client(
        address,
        logger=_QUIET,
        config=Config(verify_ssl=not settings.insecure),
        check_server_version=False,
    )
    return Server(client, credentials, settings)


def _whom_to_ask(
    settings: CvatSettings, auth: str | None, known: str | None
) -> tuple[str, Credentials]:
    """Return address and credentials, found where cvat-cli finds them.

    A saved token is only for its own server; that of the environment is for the one that is named.
    """
    token = os.environ.get(CVAT_ACCESS_TOKEN_ENV_VAR) or None
    try:
        store = AuthStore()
        profiles = store.list_profiles()
        if settings.profile is not None:
            if settings.profile not in profiles:
                there = ", ".join(sorted(profiles)) or "none"
                raise UsageError(
                    f"cvat-cli has saved no profile {settings.profile!r}; there are: {there}"
                )
            profile = profiles[settings.profile]
            if known is not None and plain_address(profile.server) != known:
                raise UsageError(
                    f"profile {settings.profile!r} is of {profile.server}; the task is on {known}"
                )
            return plain_address(profile.server), AccessTokenCredentials(profile.token)
        address = settings.server or known
        if address is None and auth is None and token is None:
            default = store.get_default_profile()
            if default is not None:
                return plain_address(default[1].server), AccessTokenCredentials(default[1].token)
        if address is None:
            address = plain_address(store.get_default_server() or DEFAULT_SERVER)
    except AuthStoreError as error:
        raise UsageError(one_line(str(error))) from error
    if auth is not None:
        return address, _by_password(auth, address)
    if token is not None:
        return address, AccessTokenCredentials(token)
    for profile in profiles.values():
        if plain_address(profile.server) == address:
            return address, AccessTokenCredentials(profile.token)
    return address, _by_password(getpass.getuser(), address)


def _by_password(auth: str, address: str) -> Credentials:
    _, _, password = auth.partition(":")
    if password or os.environ.get("PASS") or sys.stdin.isatty():
        with contextlib.suppress(EOFError):  # nothing was typed
            made: Credentials = get_auth_factory(auth)(address)
            return made
    raise UsageError(
        f"there are no credentials for {address}",
        hint=f"Set {CVAT_ACCESS_TOKEN_ENV_VAR} to an access token of yours; or save a profile, "
        "`cvat-cli profile`; or give --auth USER, with the password in PASS.",
    )


class Server:
    """A CVAT server, logged in.

    Parameters
    ----------
    client
        cvat-sdk's.
    credentials
        What to log in with.
    settings
        How long to wait.

    Attributes
    ----------
    address : of the server, without credentials.
    user : name of the account.
    """

    def __init__(self, client: Any, credentials: Credentials, settings: CvatSettings) -> None:
        self._client = client
        self._api = client.api_client
        self._settings = settings
        said = (getattr(credentials, name, "") for name in ("token", "password"))
        self._secrets = [text for text in said if text]
        self.address: str = client.api_map.host
        self._api.configuration.retries = urllib3.Retry(
            total=RETRIES,
            backoff_factor=PAUSE_S,
            status_forcelist=_PASSING,
            respect_retry_after_header=False,
            raise_on_status=False,
        )
        self._api.rest_client = RESTClientObject(self._api.configuration)
        self._bound_answers()
        client.wait_for_completion = self._wait
        with self._asking("log in"):
            client.login(credentials)
            # As plain JSON: the model of an account differs between versions of the server.
            _, answer = self._api.users_api.retrieve_self(_parse_response=False)
            self.user = str(json.loads(answer.data)["username"])
        if settings.org is not None:
            client.organization_slug = settings.org

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(Exception):  # a session that stays is no loss
            self._client.logout()
        self._api.rest_client.pool_manager.clear()

    # -- tasks

    def url(self, task: int) -> str:
        """Return the address of a task's page."""
        return f"{self.address}/tasks/{task}"

    def own_tasks(self, name: str) -> list[int]:
        """Return the numbers of the account's own tasks with a name."""
        with self._asking("list tasks"):
            found = get_paginated_collection(self._api.tasks_api.list_endpoint, name=name)
            return [
                int(task.id)
                for task in found
                if task.name == name and task.owner and task.owner.username == self.user
            ]

    def create(
        self,
        name: str,
        labels: Sequence[Mapping[str, Any]],
        *,
        project: int | None = None,
        segment_size: int = 0,
    ) -> int:
        """Make a task without pictures; of a project, it has that one's labels."""
        spec: dict[str, Any] = {"name": name}
        if segment_size:
            spec |= {"segment_size": segment_size, "overlap": 0}
        spec |= {"labels": list(labels)} if project is None else {"project_id": project}
        with self._asking("make a task"):
            return int(self._client.tasks.create(spec).id)

    def upload(self, task: int, path: Path) -> None:
        """Give a task its video, or its zip of pictures, and wait until its frames are known.

        Pictures are shown as they are (`image_quality` 100), and frames of a video are cut out of
        it exactly, each as a picture of its own (`use_zip_chunks`).
        """
        params = {"image_quality": 100, "use_zip_chunks": True, "use_cache": True}
        with self._asking(f"take {path.name}"):
            self._client.tasks.retrieve(task).upload_data([path], params=params)

    def labels(self, task: int) -> dict[str, KnownLabel]:
        """Return the labels of a task by name."""
        with self._asking("list labels"):
            found = self._client.tasks.retrieve(task).get_labels()
            return {str(label.name): _known(label) for label in found}

    def annotate(self, task: int, data: Mapping[str, Any]) -> None:
        """Set the annotations of a task."""
        endpoint = self._api.tasks_api.update_annotations_endpoint
        url = self._client.api_map.make_endpoint_url(endpoint.path, kwsub={"id": task})
        with self._asking("take annotations"):
            self._api.rest_client.PUT(url, headers=make_request_headers(self._api), body=data)

    def rename(self, task: int, name: str) -> None:
        """Give a task another name."""
        with self._asking("rename a task"):
            self._client.tasks.retrieve(task).update({"name": name})

    def task(self, task: int) -> Task:
        """Return what the server says of a task."""
        with self._asking(f"show task {task}"):
            found = self._client.tasks.retrieve(task)
            meta = found.get_meta()
            frames = list(meta.frames or ())
            return Task(
                id=int(found.id),
                name=str(found.name),
                created=str(found.created_date),
                updated=str(found.updated_date),
                size=int(meta.size),
                pictures=tuple(str(frame.name) for frame in frames),
                of_images=str(found.mode) == "annotation",
                picture_shape=(int(frames[0].height), int(frames[0].width)) if frames else None,
                deleted=tuple(sorted(map(int, meta.deleted_frames))),
            )

    def export(self, task: int, form: str, path: Path) -> None:
        """Write the annotations of a task as the zip that CVAT makes of them.

        Parameters
        ----------
        form
            What CVAT calls the form, such as ``CVAT for video 1.1``.
        path
            File to write.
        """
        with self._asking(f"export task {task} as {form}"):
            found = self._client.tasks.retrieve(task)
            for left in reversed(range(1 + RETRIES)):
                try:
                    found.export_dataset(form, path, include_images=False, location=Location.LOCAL)
                    return
                except urllib3.exceptions.HTTPError:  # the file was cut short
                    if not left:
                        raise

    def remove(self, task: int) -> None:
        """Delete a task; it is no error if there is none."""
        with self._asking(f"delete task {task}"), contextlib.suppress(exceptions.NotFoundException):
            self._client.tasks.retrieve(task).remove()

    # -- how it is asked

    def _bound_answers(self) -> None:
        """Let no question wait for ever: cvat-sdk sets no limit to most."""
        rest, limits = self._api.rest_client, (_CONNECT_S, self._settings.timeout_s)
        ask = rest.request

        def bounded(*args: Any, _request_timeout: Any = None, **more: Any) -> Any:
            return ask(*args, _request_timeout=limits, **more)

        rest.request = bounded

    def _wait(
        self, rq_id: str, *, status_check_period: float | None = None, log_prefix: str | None = None
    ) -> tuple[Any, Any]:
        """Wait for work that the server does, as `Client.wait_for_completion`, but not for ever."""
        end, pause = time.monotonic() + self._settings.wait_s, _FIRST_LOOK_S
        while True:
            request, response = self._api.requests_api.retrieve(rq_id)
            status = request.status.value
            if status == "finished":
                return request, response
            if status == "failed":
                raise BackgroundRequestException(request.message)
            if time.monotonic() + pause > end:
                raise SourceError(
                    f"has not finished after {self._settings.wait_s} s; it is {status}",
                    place=self.address,
                    hint="Is its queue long? Try again later, or give it longer with --wait-s.",
                )
            time.sleep(pause)
            pause = min(1.5 * pause, _LAST_LOOK_S)

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Turn what cvat-sdk raises into an error that says what the server did not do."""
        try:
            yield
        except (EvreelError, MemoryError):
            raise
        except OSError as error:
            if not isinstance(error, urllib3.exceptions.HTTPError):
                raise
            self._fail(what, error)
        except Exception as error:  # models of the SDK raise more kinds than it documents
            self._fail(what, error)

    def _fail(self, what: str, error: Exception) -> NoReturn:
        problem, hint = _said(what, error, self.user if hasattr(self, "user") else "")
        for secret in self._secrets:
            problem = problem.replace(secret, _HIDDEN)
        kind = UnreachableError if isinstance(error, urllib3.exceptions.HTTPError) else SourceError
        raise kind(problem, place=self.address, hint=hint) from None


def _said(what: str, error: Exception, user: str) -> tuple[str, str]:
    """Return what went wrong, and what to do."""
    status = getattr(error, "status", None)
    if isinstance(error, exceptions.ApiException) and status:
        detail = _detail(error)
        failed = f"did not {what}: {status} {detail}".rstrip()
        if status == 401:
            return failed, (
                f"Its credentials are not valid. Set {CVAT_ACCESS_TOKEN_ENV_VAR} to an access "
                "token of this server, or log in with --auth USER."
            )
        if status == 403:
            return failed, (
                f"Account {user!r} may not do that. Is it of an organization? Name that with --org."
            )
        if status == 404:
            return failed, (
                "Was it deleted, or is it of another account or server? A new task: evreel cvat "
                "push --again."
            )
        if status >= 500 or status == 429:
            return failed, "The server has a fault, or is too busy. Try again later."
        return failed, "Look at what it says; nothing was changed here."
    if isinstance(error, BackgroundRequestException):
        return f"did not {what}: {one_line(str(error), _LONGEST_DETAIL)}", (
            "What it says comes from the server."
        )
    if isinstance(error, urllib3.exceptions.HTTPError) or status == 0:
        reason = one_line(str(getattr(error, "reason", None) or error), _LONGEST_DETAIL)
        is_of_certificate = "certificate" in reason.lower()
        return f"could not be asked to {what}: {reason}", (
            "This machine does not trust its certificate. Install the one of your organization; "
            "--insecure does without."
            if is_of_certificate
            else "Is the address right, and the server up? Try again."
        )
    name = type(error).__name__
    return f"did not {what}: its answer is not as expected ({name}: {_first(error)})", (
        "Is this a CVAT server, of about the version of cvat-sdk?"
    )


def _detail(error: Any) -> str:
    """Return the server's own words, from an answer that is text or JSON."""
    body = error.body
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    with contextlib.suppress(ValueError):
        value = json.loads(text)
        text = str(value.get("detail", value)) if isinstance(value, dict) else str(value)
    if text.lstrip().startswith("<"):  # a page for people
        text = str(error.reason or "")
    return one_line(text or str(error.reason or ""), _LONGEST_DETAIL)


def _first(error: Exception) -> str:
    return one_line(str(error).split("\n")[0], 120)


def _known(label: Any) -> KnownLabel:
    points = {str(point.name): _known(point) for point in label.get("sublabels") or ()}
    return KnownLabel(
        int(label.id),
        {
            str(each.name): (int(each.id), bool(each.mutable))
            for each in label.get("attributes") or ()
        },
        points,
    )
