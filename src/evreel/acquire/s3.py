"""Objects of S3 stores: which web address one has at the moment, and what a refusal means.

Such an address holds a signature made with the user's credentials and is valid for an hour. It is
made for each request, and is never shown or kept.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import mimetypes
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from evreel.errors import SourceError, UsageError, foreign, words_of

SCHEME = "s3:"
_OBJECT = re.compile(
    r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,254})/([^\x00-\x1f\x7f]*[^\x00-\x1f\x7f/])"
)
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,100})</Code>")
_VALID_S = 3600
_IN_ONE_BYTES = 1_000_000_000
_REGION_OF_AWS = "us-east-1"
SETTINGS = "SNAKEMAKE_STORAGE_S3_"
"""How the names of environment variables begin that Snakemake's plugin for S3 reads."""
INSTALL = "Run pip install 'evreel[s3]'."

_CREDENTIALS = (
    "Check them: SNAKEMAKE_STORAGE_S3_ACCESS_KEY and SNAKEMAKE_STORAGE_S3_SECRET_KEY, or those of "
    "AWS (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, ~/.aws)."
)
_SETTINGS = (
    f"Check {SETTINGS}ENDPOINT_URL (it begins with http:// or https://), …_REGION, …_ACCESS_KEY "
    "and …_SECRET_KEY, or those of AWS (AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE, ~/.aws)."
)
_REGION = "Set SNAKEMAKE_STORAGE_S3_REGION or AWS_REGION to the bucket's."
_REFUSALS = {
    "NoSuchBucket": (
        "there is no such bucket",
        "Check its name, and which store is asked: SNAKEMAKE_STORAGE_S3_ENDPOINT_URL or "
        "AWS_ENDPOINT_URL; AWS itself if neither is set.",
    ),
    "NoSuchKey": (
        "the bucket has no such key",
        "Check its spelling: capital letters count, and a key has no %20 for a space.",
    ),
    "AccessDenied": ("access is denied to these credentials", _CREDENTIALS),
    "InvalidAccessKeyId": ("the store does not know this access key", _CREDENTIALS),
    "SignatureDoesNotMatch": ("the secret key does not fit the access key", _CREDENTIALS),
    "ExpiredToken": ("the session of these credentials has ended", "Log in again."),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "Set it, and run again."),
    "InvalidObjectState": (
        "the object is in an archive class, where nothing can be read",
        "Restore it first.",
    ),
    "PermanentRedirect": ("the bucket is in another region", _REGION),
    "TemporaryRedirect": ("the bucket is in another region", _REGION),
    "AuthorizationHeaderMalformed": ("the bucket is in another region", _REGION),
    "AuthorizationQueryParametersError": ("the bucket is in another region", _REGION),
}
"""Code of an error → what it means, and what to do."""
_OF_STATUS = {301: "PermanentRedirect", 307: "TemporaryRedirect", 403: "AccessDenied"}
_ANONYMOUS = "it is not public, and there are no credentials"


class Object(NamedTuple):
    """An object of a store."""

    bucket: str
    key: str


def is_s3(url: str) -> bool:
    """Tell whether an address is one of an object."""
    return url[: len(SCHEME)].lower() == SCHEME


def object_at(url: str) -> Object:
    """Return which object an address means. Its key is written as it is, without %20 or the like.

    Raises
    ------
    UsageError
        If it means none.

    Examples
    --------
    >>> object_at("s3://lab/monday/park 1.aedat4")
    Object(bucket='lab', key='monday/park 1.aedat4')
    """
    found = _OBJECT.fullmatch(SCHEME + url[len(SCHEME) :]) if is_s3(url) else None
    if found is None:
        raise UsageError(f"{url!r} does not name an object", hint="Write s3://bucket/folder/name.")
    return Object(*found.groups())


def signed(url: str) -> str:
    """Return the web address where an object can be read now.

    Raises
    ------
    SourceError
        If boto3 is not installed, or the settings are wrong.
    """
    name = object_at(url)
    with _settings_for(url):
        address: str = client().generate_presigned_url(
            "get_object", Params={"Bucket": name.bucket, "Key": name.key}, ExpiresIn=_VALID_S
        )
    return address


def has_credentials() -> bool:
    """Tell whether there are credentials; without any, only what is public can be read."""
    return _setting("access_key") is not None or _session().get_credentials() is not None


def _settings_for(place: str) -> contextlib.AbstractContextManager[None]:
    """Let boto3 read the settings, and tell of wrong ones."""

    def wrong(why: str) -> SourceError:
        return SourceError(f"the settings for S3 are wrong: {why}", place=place, hint=_SETTINGS)

    return foreign(wrong)


@functools.cache
def client() -> Any:
    """Return boto3's client of the store that the settings name.

    Raises
    ------
    SourceError
        If boto3 is not installed.
    """
    session = _session()
    from botocore import UNSIGNED
    from botocore.config import Config

    endpoint = _setting("endpoint_url")
    is_own = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return session.client(
        "s3",
        endpoint_url=endpoint,
        region_name=_region() or session.region_name or _REGION_OF_AWS,
        aws_access_key_id=_setting("access_key"),
        aws_secret_access_key=_setting("secret_key"),
        aws_session_token=_setting("token"),
        config=Config(
            signature_version="s3v4" if has_credentials() else UNSIGNED,
            # A store of one's own seldom has a host name for each bucket.
            s3={"addressing_style": "path" if is_own else "auto"},
            # Others than AWS do not take the checksums that boto3 adds by itself.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@functools.cache
def _session() -> Any:
    try:
        import boto3
    except ImportError as error:
        raise SourceError(
            "s3 addresses need boto3, which is not installed", hint=INSTALL
        ) from error
    return boto3.session.Session()


def _setting(name: str) -> str | None:
    """Return a setting of Snakemake's plugin for S3, None where it is not set."""
    return os.environ.get(SETTINGS + name.upper()) or None


def _region() -> str | None:
    """Return the region that the environment names; boto3 itself does not read the second."""
    return _setting("region") or os.environ.get("AWS_REGION") or None


def take_settings(values: Mapping[str, Any]) -> None:
    """Let jobs find the settings that Snakemake's plugin for S3 was given on the command line.

    Parameters
    ----------
    values
        Name of a setting → value; None and the default region say nothing.
    """
    for name in ("endpoint_url", "region", "access_key", "secret_key", "token"):
        value = values.get(name)
        if value and not (name == "region" and value == _REGION_OF_AWS):
            os.environ[SETTINGS + name.upper()] = str(value)


def refusal(status: int, body: bytes) -> tuple[str, str] | None:
    """Return what an answer means that is not the object, and what to do; None if not known.

    Parameters
    ----------
    status
        Of the answer.
    body
        How it begins.
    """
    found = _CODE.search(body)
    code = found[1].decode() if found else _OF_STATUS.get(status, "")
    if code in ("AccessDenied", "") and status in (401, 403) and not has_credentials():
        return _ANONYMOUS, _CREDENTIALS.replace("Check them", "Give them")
    return _REFUSALS.get(code)


class Folder:
    """What a store has below an address, which takes files.

    Parameters
    ----------
    url
        Such as ``s3://lab/releases/parks-1.0``.

    Raises
    ------
    UsageError
        If it is not such an address.
    SourceError
        If boto3 is not installed, or the settings are wrong.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            self._at = object_at(self.url)
        except UsageError as error:
            raise UsageError(
                f"{url!r} does not name a folder of a store", hint="Write s3://bucket/folder."
            ) from error
        with _settings_for(self.url):
            self._client = client()

    def sizes(self) -> dict[str, int]:
        """Return what is there: path → size, bytes.

        Empty objects whose keys end with a slash are not among them: consoles of stores show
        folders by these, and who copies them back gets folders.
        """
        start = f"{self._at.key}/"
        with self._refusals(self.url):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._at.bucket, Prefix=start
            )
            return {
                each["Key"].removeprefix(start): each["Size"]
                for page in pages
                for each in page.get("Contents", [])
                if each["Size"] or not each["Key"].endswith("/")
            }

    def sha256(self, path: str) -> str | None:
        """Return the SHA-256 that a file was put there with; None if it was put there otherwise."""
        with self._refusals(f"{self.url}/{path}"):
            head = self._client.head_object(Bucket=self._at.bucket, Key=self._key(path))
            sha256: str | None = head["Metadata"].get("sha256")
        return sha256

    def put(self, path: str, file: Path, md5: str, sha256: str) -> None:
        """Put a file there; the store refuses other bytes than those with this MD5.

        One of more than 1 GB goes in parts, and then its size alone is compared.
        """
        known: dict[str, Any] = {"Metadata": {"sha256": sha256}}
        kind = mimetypes.guess_type(path)[0]
        if kind:
            known["ContentType"] = kind
        with self._refusals(f"{self.url}/{path}"):
            if file.stat().st_size > _IN_ONE_BYTES:
                self._client.upload_file(
                    str(file), self._at.bucket, self._key(path), ExtraArgs=known
                )
                return
            with file.open("rb") as opened:
                self._client.put_object(
                    Bucket=self._at.bucket,
                    Key=self._key(path),
                    Body=opened,
                    ContentMD5=base64.b64encode(bytes.fromhex(md5)).decode(),
                    **known,
                )

    def _key(self, path: str) -> str:
        return f"{self._at.key}/{path}"

    @contextlib.contextmanager
    def _refusals(self, place: str) -> Iterator[None]:
        """Turn what a store refuses into an error that says why."""
        import boto3.exceptions
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            known = refusal(status, f"<Code>{code}</Code>".encode())
            problem, hint = known or (f"the store answers {code}", "Try again later.")
            raise SourceError(problem, place=place, hint=hint) from error
        except (BotoCoreError, boto3.exceptions.Boto3Error) as error:
            raise SourceError(
                f"the store cannot be used: {words_of(error)}",
                place=place,
                hint="Check the settings, and whether this machine is online.",
            ) from error
