"""Names of any kind on their way through Snakemake, and a download that has no usable one."""

from __future__ import annotations

import hashlib
import http.server
import threading

import pytest

from evreel.files.hdf5 import open_hdf5
from evreel.recordings import open_recording, read_events
from support.dataset import CONFIG, build, make_data_set, planned, write_config, write_table
from support.writers.aer40 import aer40

WORDS = aer40([(5, 0, 33, 1), (9, 1, 2, 0)])
RESULTS = "re sults #%s é [1] 'x' $HOME *"


class Figshare(http.server.BaseHTTPRequestHandler):
    """Sends a file under a url that ends in a number, and says another name."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:  # noqa: N802 (http.server's name)
        self.send_response(200)
        self.send_header("Content-Length", str(len(WORDS)))
        self.send_header("Content-Disposition", 'attachment; filename="../../00001.npz"')
        self.end_headers()
        self.wfile.write(WORDS)


@pytest.fixture
def url():
    """The url of a file that a server calls by another name."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Figshare) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/files/12345678"
        server.shutdown()


def test_names__of_any_kind_pass_through_snakemake(tmp_path, url):
    folder = make_data_set(tmp_path / "data {x} <y>", ("one",))
    config = CONFIG | {"labels": ["car", "sign", "busy", "{id}", "<results>", "a {1} b", "%s"]}
    write_config(folder, config | {"features": {}, "results": RESULTS})
    for suffix in ("aedat4", "rois.xml", "tags.xml"):
        (folder / f"raw/one.{suffix}").rename(folder / f"raw/{{}} é*?~#%s '$x`\"\\ a{{ b.{suffix}")
    head = ("id", "source", "md5", "split", "sensor", "format", "rois", "tags")
    local = "raw/{} é*?~#%s '$x`\"\\ a{ b."
    md5s = [
        hashlib.md5(content).hexdigest()
        for content in ((folder / f"{local}aedat4").read_bytes(), WORDS)
    ]
    rows = [
        ("one", f"{local}aedat4", md5s[0], "train", "", "", f"{local}rois.xml", f"{local}tags.xml"),
        ("two", url, md5s[1], "test", "34x34", "aer40", "", ""),
    ]
    write_table(folder, [head, *rows])
    assert planned(folder).count("annotate") == 2
    build(folder, "--cores", "2", f"{RESULTS}/events/two.h5", f"{RESULTS}/recordings/one.aedat4")

    results = folder / RESULTS
    assert sorted(path.name for path in (results / "recordings").iterdir()) == [
        "one.aedat4",
        "two.recording",
    ]
    with open_recording(results / "recordings/one.aedat4") as recording:
        assert recording.format == "aedat4"
    assert read_events(results / "events/two.h5").t.tolist() == [0, 4]
    with open_hdf5(results / "events/two.h5") as store:
        assert '"format": "aer40"' in store.attrs["parameters"]
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
