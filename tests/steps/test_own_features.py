"""Feature files of a user's own functions, and of values stored in other types."""

from __future__ import annotations

import hashlib
import json
import textwrap

import h5py
import numpy as np
import pytest

from evreel import steps
from evreel.cli.main import main
from evreel.errors import LayoutError, ParameterError, RepresentationError
from evreel.files.events_store import EventsStore
from evreel.files.features import FeaturesFile
from evreel.representations import tensor
from support import random_events
from support.hdf5 import edited
from support.stores import store_of

EVENTS = random_events(3_000)

OWN = """
    import numpy as np

    def counts(events, H, W, *, gain: float = 1.0):
        frame = np.zeros((2, H, W), dtype=np.float32)
        np.add.at(frame, (events["p"], events["y"], events["x"]), gain)
        return frame

    def late(events, H, W):
        return np.zeros((H, W)) / (len(events["t"]) < 5 or None)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with a store and a file of functions."""
    monkeypatch.chdir(tmp_path)
    store_of(tmp_path / "park.h5", EVENTS)
    (tmp_path / "mine.py").write_text(textwrap.dedent(OWN))
    return tmp_path


def made(here, representation="mine.py:counts", output="out/park.h5", **more):
    """Compute a feature; return its file, and its repairs."""
    settings = steps.FeatureSettings(representation=representation, window_us=10_000, **more)
    repairs = steps.features("park.h5", output, settings)
    return here / output, repairs, settings.feature()


def live(here, feature):
    """Return the frames of a feature as they are computed from events."""
    with EventsStore(here / "park.h5") as store:
        windows = store.windows(
            steps.FeatureSettings(representation="histogram", window_us=10_000).division()
        )
        return tensor(feature, store.read(), windows)


def test_own_function__makes_the_file_that_is_computed_live_and_names_its_source(here):
    path, _, feature = made(here, parameters={"gain": 2})
    digest = f"sha256:{hashlib.sha256((here / 'mine.py').read_bytes()).hexdigest()}"
    with FeaturesFile(path) as file:
        assert file[:].tobytes() == live(here, feature).tobytes()
        assert file.representation == "mine.py:counts"
        assert file.parameters == {"gain": 2.0}
        assert file.sources == {"representation": digest}
    with h5py.File(path) as file:
        assert json.loads(file.attrs["parameters"])["sources"] == {"representation": digest}
        assert file["data"].attrs["events_to_tensor"] == b"mine.py:counts"
        assert str(here) not in str(dict(file.attrs)) + str(dict(file["data"].attrs))
    steps.features(
        "park.h5",
        here / "again.h5",
        steps.FeatureSettings(
            representation=f"{here}/mine.py:counts", window_us=10_000, parameters={"gain": 2}
        ),
    )
    assert (here / "again.h5").read_bytes() == path.read_bytes(), "wherever the file is"


def test_edited_function__is_computed_again_and_the_same_one_is_kept(here, caplog):
    caplog.set_level("INFO")
    path, _, _ = made(here)
    inode = path.stat().st_ino
    made(here)
    assert path.stat().st_ino == inode, "kept"
    text = (here / "mine.py").read_text()
    (here / "mine.py").write_text(text.replace('"y"], events["x"]), gain', '"y"], events["x"]), 3'))
    made(here)
    assert path.stat().st_ino != inode
    with FeaturesFile(path) as file:
        assert file[:].max() % 3 == 0
        assert file[:].sum() == 3 * len(EVENTS)


def test_error_in_a_function__is_one_message_and_leaves_no_file(here, capsys):
    with pytest.raises(RepresentationError) as caught:
        made(here, "mine.py:late")
    said = "mine.py: out/park.h5: line 10: window 0: TypeError: unsupported operand type(s) for /:"
    assert str(caught.value).startswith(said)
    arguments = ["--representation", "mine.py:late", "--window-us", "10000", "-o", "out"]
    assert main(["features", "park.h5", *arguments]) == 1
    assert "RepresentationError: mine.py: out/park.h5: line 10: window 0" in capsys.readouterr().err
    arguments[1] = "mine.py:lost"
    assert main(["features", "park.h5", *arguments]) == 2
    assert "mine.py: has no function or class 'lost'" in capsys.readouterr().err
    assert not list((here / "out").glob("*"))


@pytest.mark.parametrize(
    ("store", "scale", "attributes"),
    [
        ("uint8", None, {"store_scale": 1 / 255, "store_as_uint8": True}),
        ("uint8", 0.25, {"store_scale": 0.25}),
        ("float16", None, {}),
        ("float32", None, {}),
    ],
)
def test_stored_values__are_those_computed_live_and_say_what_they_stand_for(
    here, store, scale, attributes
):
    given = {"parameters": {"gain": 0.6}, "store": store}
    path, repairs, feature = made(here, **given, **({} if scale is None else {"scale": scale}))
    with FeaturesFile(path) as file, h5py.File(path, locking=False) as h5:
        assert file[:].tobytes() == live(here, feature).tobytes()
        assert file.dtype == store
        said = dict(h5["data"].attrs)
        assert said.pop("computed_dtype") == "float32"
        assert {k: v for k, v in said.items() if k.startswith("store")} == attributes
        exact = live(here, feature.representation)
        values = np.stack([file.values(k) for k in range(len(file))])
        assert values.dtype == np.float32
        step = (scale or 1 / 255) if store == "uint8" else 0
        most = 255 * step if step else np.inf
        assert np.abs(values - np.minimum(exact, most)).max() <= max(step / 2 + 1e-6, 1e-3)
        assert repairs["stored_saturated"] == int((exact > most + step / 2).sum())
        assert (repairs["stored_saturated"] > 0) == (store == "uint8" and scale is None)


def test_stored_whole_numbers__are_kept(here):
    path, repairs, _ = made(here, "histogram", store="uint8")
    with FeaturesFile(path) as file:
        assert file.dtype == np.uint8
        assert file[:].sum() == len(EVENTS)
        assert file.values(0).sum() == file.read(0).sum()
    assert repairs == {"stored_saturated": 0}


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_compression__is_part_of_what_a_file_is_known_by(here, compression):
    zstd, _, _ = made(here, "histogram")
    before = zstd.read_bytes()
    path, _, _ = made(here, "histogram", compression=compression)
    with FeaturesFile(path) as file, h5py.File(path, locking=False) as h5:
        assert h5["data"].compression == (None if compression == "none" else "gzip")
        assert file[:].sum() == len(EVENTS)
    made(here, "histogram")
    assert zstd.read_bytes() == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scale": 0.5}, r"scale=0\.5 does not go without store: uint8"),
        ({"scale": 0.5, "store": "float16"}, r"scale=0\.5 does not go with store: float16"),
        ({"scale": 0, "store": "uint8"}, "scale: 0 is not more than 0"),
        ({"store": "int8"}, "store: 'int8' is not one of float32, float16, uint8"),
        ({"compression": "lzf"}, "compression: 'lzf' is not one of zstd, gzip, none"),
    ],
)
def test_settings__that_do_not_go_together_are_refused(given, message):
    with pytest.raises(ParameterError, match=message):
        steps.FeatureSettings(representation="voxel_grid", window_us=10, **given)


def test_parameter__with_the_name_of_an_attribute_is_refused_at_once(here):
    (here / "mine.py").write_text("def f(events, H, W, *, mode: str = 'a'): pass\n")
    with pytest.raises(ParameterError, match=r"mine\.py:f: parameter 'mode' has the name of an"):
        steps.FeatureSettings(representation="mine.py:f", window_us=10)


def test_scale__that_does_not_go_with_the_values_is_refused(here):
    path, _, _ = made(here, "histogram")
    with edited(path) as file:
        file["data"].attrs["store_scale"] = 0.5
    with pytest.raises(LayoutError, match=r"store_scale 0\.5 does not go with values of uint16"):
        FeaturesFile(path)


def test_nan__cannot_be_stored_in_steps_and_its_window_is_named(here):
    (here / "mine.py").write_text(
        "import numpy as np\n"
        "def f(events, H, W):\n"
        "    return np.full((H, W), np.nan if events['t'].size and events['t'][0] > 5 else 0.0)\n"
    )
    with pytest.raises(ParameterError, match=r"window \d+: 3072 values are NaN, which uint8"):
        made(here, "mine.py:f", store="uint8")
