"""Recordings and releases in an S3 store: moto's server on loopback."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from evreel import cli
from evreel.acquire import Patience, fetch, s3
from evreel.errors import SourceError
from evreel.release.verify import verify
from support import ROOT
from support.dataset import CONFIG, make_data_set, write_config, write_table
from support.webserver import CONTENT, MD5, running

KEY = "monday/park 1+%20é#1?.aedat4"
SECRET = "nobody-may-read-this"


@pytest.fixture(scope="module")
def endpoint():
    """The address of a store with a bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def environment(endpoint, monkeypatch, tmp_path):
    """The settings as Snakemake's plugin takes them from the environment; none of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    given = {"ENDPOINT_URL": endpoint, "ACCESS_KEY": "lab", "SECRET_KEY": SECRET}
    for name, value in given.items():
        monkeypatch.setenv(s3.SETTINGS + name, value)
    forget()
    yield monkeypatch
    forget()


def forget():
    """Let the settings be read again."""
    s3.client.cache_clear()
    s3._session.cache_clear()


@pytest.fixture
def bucket(endpoint, environment):
    """An empty bucket."""
    store = boto3.resource(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="lab",
        aws_secret_access_key=SECRET,
    )
    made = store.Bucket("lab")
    made.create()
    made.objects.all().delete()
    return made


def got(source, tmp_path, **options):
    """Get a source; return its bytes."""
    patience = Patience(timeout_s=10, sleep=lambda seconds: None)
    fetch(source, tmp_path / "got", patience=patience, **options)
    data = (tmp_path / "got").read_bytes()
    (tmp_path / "got").unlink()
    return data


def refused(source, tmp_path, **options):
    with pytest.raises(SourceError) as caught:
        got(source, tmp_path, **options)
    assert not (tmp_path / "got").exists()
    assert SECRET not in str(caught.value)
    assert "Signature" not in str(caught.value)
    return str(caught.value)


def test_object__is_got_by_its_key_as_it_is_written(bucket, tmp_path):
    bucket.put_object(Key=KEY, Body=CONTENT)
    assert got(f"s3://lab/{KEY}", tmp_path, md5=MD5) == CONTENT
    assert got(f"s3://lab/{KEY}", tmp_path) == CONTENT
    assert "md5 is" in refused(f"s3://lab/{KEY}", tmp_path, md5="0" * 32)
    with running() as server:
        mirrors = f"{server.url}/404 | s3://lab/{KEY}"
        assert got(mirrors, tmp_path, md5=MD5) == CONTENT
        assert got(f"s3://lab/none | {server.url}/x", tmp_path, md5=MD5) == CONTENT


def test_region__is_the_one_that_the_environment_names(environment):
    assert s3.client().meta.region_name == "us-east-1"
    environment.setenv("AWS_REGION", "eu-west-1")
    forget()
    assert s3.client().meta.region_name == "eu-west-1"
    environment.setenv(s3.SETTINGS + "REGION", "eu-north-1")
    forget()
    assert s3.client().meta.region_name == "eu-north-1"


def test_archive__gives_its_member(bucket, tmp_path):
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as file:
        file.writestr("a/one.raw", b"events")
    bucket.upload_file(str(tmp_path / "many.zip"), "many.zip")
    assert got("s3://lab/many.zip!a/one.raw", tmp_path) == b"events"


def test_what_a_store_refuses__is_told_in_one_line_without_secrets(bucket, environment, tmp_path):
    assert "the bucket has no such key" in refused("s3://lab/none", tmp_path)
    assert "there is no such bucket" in refused("s3://nobody/none", tmp_path)
    bucket.put_object(Key="x", Body=b"events")
    environment.delenv(s3.SETTINGS + "ACCESS_KEY")
    forget()
    assert "is not public, and there are no credentials" in refused("s3://lab/x", tmp_path)
    bucket.Object("x").Acl().put(ACL="public-read")
    assert got("s3://lab/x", tmp_path) == b"events"


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "InvalidAccessKeyId", "the store does not know this access key"),
        (403, "SignatureDoesNotMatch", "the secret key does not fit the access key"),
        (403, "AccessDenied", "access is denied to these credentials"),
        (400, "ExpiredToken", "the session of these credentials has ended"),
        (301, "PermanentRedirect", "the bucket is in another region"),
        (307, "", "the bucket is in another region"),
        (403, "", "access is denied"),
    ],
)
def test_codes_of_a_store__are_explained(environment, status, code, said):
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>" if code else ""
    assert said in s3.refusal(status, body.encode())[0]
    assert s3.refusal(503, b"<Error><Code>SlowDown</Code></Error>") is None


def test_store_that_is_cut_or_busy__is_asked_for_the_rest(environment, tmp_path):
    with running() as server:
        environment.setenv(s3.SETTINGS + "ENDPOINT_URL", server.url)
        forget()
        server.script["lab/a.raw"] = ["503", "cut", "503"]
        assert got("s3://lab/a.raw", tmp_path, md5=MD5) == CONTENT
        assert sum(part is not None for part in server.ranges()) == 2
        server.script["lab/b.raw"] = ["503"] * 99
        assert "(5 requests)" in refused("s3://lab/b.raw", tmp_path)


def data_set(folder: Path, bucket) -> Path:
    """Two recordings, one in a store by itself and one in an archive there."""
    made = make_data_set(folder)
    rows = [line.split("\t") for line in (made / "recordings.tsv").read_text("utf-8").splitlines()]
    with zipfile.ZipFile(made / "many.zip", "w") as file:
        file.write(made / "raw" / "two.aedat4", "two.aedat4")
    md5 = hashlib.md5((made / "many.zip").read_bytes()).hexdigest()
    bucket.upload_file(str(made / "raw" / "one.aedat4"), "raw/one.aedat4")
    bucket.upload_file(str(made / "many.zip"), "many.zip")
    rows[1][1] = "s3://lab/raw/one.aedat4"
    rows[2][1:3] = "s3://lab/many.zip!two.aedat4", md5
    write_table(made, rows)
    release = CONFIG["release"] | {"include": ["events"]}
    write_config(made, CONFIG | {"features": {}, "release": release})
    for file in (made / "raw" / "one.aedat4", made / "raw" / "two.aedat4", made / "many.zip"):
        file.unlink()
    return made


def snakemake(folder, *arguments, **env):
    own = {name: value for name, value in os.environ.items() if not name.startswith(s3.SETTINGS)}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", *arguments],
        cwd=folder,
        env=own | {"PATH": path} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )


def test_workflow__reads_recordings_from_a_store_and_its_release_is_verified_from_there(
    bucket, endpoint, tmp_path, caplog
):
    folder = data_set(tmp_path / "dataset", bucket)
    options = ("--storage-s3-endpoint-url", endpoint, "--cores", "2")
    keys = {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": SECRET}
    run = snakemake(folder, *options, "release", **keys)
    assert run.returncode == 0, run.stdout
    assert SECRET not in run.stdout
    for file in folder.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file
    # What was got is not asked for again: not even whether the store is there.
    bucket.objects.all().delete()
    assert "Nothing to be done" in snakemake(folder, "--cores", "1", "release").stdout
    kept = snakemake(folder, "-n", "--default-storage-provider", "s3")
    assert kept.returncode == 1
    assert "--default-storage-provider s3: results must be on a file system" in kept.stdout
    release = folder / "results" / "release" / "tiny-1.0"
    assert cli.main(["upload", str(release), "s3://lab/all/tiny-1.0"]) == 0
    back = tmp_path / "back"
    for each in bucket.objects.all():
        (back / each.key).parent.mkdir(parents=True, exist_ok=True)
        bucket.download_file(each.key, str(back / each.key))
    assert not verify(back / "all" / "tiny-1.0")


def uploaded(capsys, *arguments):
    status = cli.main(["upload", *map(str, arguments)])
    return status, capsys.readouterr().err


def test_upload__sends_what_differs_and_refuses_what_does_not_belong(bucket, released, capsys):
    status, said = uploaded(capsys, released, "s3://lab/parks")
    n = sum(path.is_file() for path in released.rglob("*"))
    assert status == 0, said
    assert f"s3://lab/parks: {n} files, {n} of them sent now" in said
    bucket.put_object(Key="parks/README.md", Body=b"x" * (released / "README.md").stat().st_size)
    bucket.Object("parks/manifest.json").delete()
    assert f"{n} files, 2 of them sent now" in uploaded(capsys, released, "s3://lab/parks")[1]
    bucket.put_object(Key="parks/.DS_Store", Body=b"x")
    status, said = uploaded(capsys, released, "s3://lab/parks/")
    assert status == 1
    assert "1 object that the release does not have, such as '.DS_Store'" in said
    status, said = uploaded(capsys, released, "s3://nobody/parks")
    assert status == 1
    assert "there is no such bucket" in said
    status, said = uploaded(capsys, released, "s3://lab")
    assert (status, said) == (
        2,
        "UsageError: 's3://lab' does not name a folder of a store. Write s3://bucket/folder.\n",
    )


def test_upload__into_a_folder_that_a_console_made__is_as_into_none(bucket, released, capsys):
    bucket.put_object(Key="new/", Body=b"")
    bucket.put_object(Key="new/splits/", Body=b"")
    status, said = uploaded(capsys, released, "s3://lab/new")
    assert status == 0, said


@pytest.mark.parametrize(
    ("name", "value"), [("ENDPOINT_URL", "127.0.0.1:9"), ("SECRET_KEY", ""), ("REGION", "no where")]
)
def test_wrong_settings__are_told_for_upload_and_download(
    bucket, released, environment, tmp_path, capsys, name, value
):
    environment.setenv(s3.SETTINGS + name, value)
    forget()
    status, said = uploaded(capsys, released, "s3://lab/parks")
    assert status == 1
    assert said.startswith("SourceError: s3://lab/parks: the settings for S3 are wrong: ")
    assert f"{s3.SETTINGS}ENDPOINT_URL (it begins with http" in said
    assert "the settings for S3 are wrong: " in refused("s3://lab/x", tmp_path)


def test_upload__of_a_release_that_was_changed_sends_nothing(bucket, released, tmp_path, capsys):
    changed = shutil.copytree(released, tmp_path / "changed")
    (changed / "README.md").write_text("another", encoding="utf-8")
    status, said = uploaded(capsys, changed, "s3://lab/parks")
    assert status == 1
    assert "README.md" in said
    assert not list(bucket.objects.all())
