"""Values per window are added to a features file whole, named by their source, or not at all."""

from __future__ import annotations

import hashlib

import h5py
import numpy as np
import pytest

from evreel import steps
from evreel.checks.run import check
from evreel.cli.main import main
from evreel.errors import LayoutError, UsageError
from evreel.files.features import FeaturesFile
from evreel.files.repack import needs_plugin, repack
from evreel.files.seal import is_sealed
from evreel.provenance import sha256
from support import random_events
from support.hdf5 import edited
from support.stores import store_of

N = 10


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A feature of ten windows."""
    folder = tmp_path_factory.mktemp("sound")
    store_of(folder / "store.h5", random_events(3_000))
    for name, compression in (("f", "zstd"), ("gzip", "gzip")):
        settings = steps.FeatureSettings(
            representation="histogram", window_us=10_000, compression=compression
        )
        steps.features(folder / "store.h5", folder / f"{name}.h5", settings)
    return folder


@pytest.fixture
def feature(sound, tmp_path):
    """A copy of the feature's file, to be enriched."""
    copy = tmp_path / "f.h5"
    copy.write_bytes((sound / "f.h5").read_bytes())
    return copy


def npy(folder, name, values):
    path = folder / f"{name}.npy"
    np.save(path, values)
    return path


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(0, 1, N),
        np.arange(N * 6, dtype=np.uint16).reshape(N, 2, 3),
        np.arange(N, dtype=">i4"),
        np.arange(N) % 2 == 0,
        np.ones((N, 70_000), dtype=np.float32),
        np.empty((N, 0)),
        np.asfortranarray(np.arange(N * 4.0).reshape(N, 4)),
        np.arange(N).astype(np.float16),
    ],
    ids=lambda values: f"{values.dtype}{values.shape}",
)
def test_values__come_back_as_they_were_with_the_digest_of_their_file(feature, tmp_path, values):
    array = npy(tmp_path, "confidence", values)
    assert steps.enrich(feature, {"confidence": array}) == {"confidence": values.shape}
    with FeaturesFile(feature) as file:
        assert list(file.extra) == ["confidence"]
        with pytest.raises(UsageError, match=r"has no added values 'confidnce'; did you mean"):
            file.extra["confidnce"]
        extra = file.extra["confidence"]
        assert (extra.shape, len(extra)) == (values.shape, N)
        assert extra.sha256 == sha256(array)
        assert extra.dtype == (np.uint8 if values.dtype == bool else values.dtype.newbyteorder("="))
        np.testing.assert_array_equal(extra[:], values)
        np.testing.assert_array_equal(extra[3], values[3])
        np.testing.assert_array_equal(extra[-1], values[-1])
        np.testing.assert_array_equal(np.asarray(extra), values)
        np.testing.assert_array_equal(np.concatenate([v for _, v in extra.pieces()]), values)
        with pytest.raises(IndexError):
            extra[N]


def test_frames__and_what_else_the_file_says_stay_byte_by_byte(feature, sound, tmp_path):
    steps.enrich(feature, {"a": npy(tmp_path, "a", np.arange(N))})
    assert is_sealed(feature)
    with h5py.File(feature) as new, h5py.File(sound / "f.h5") as old:
        assert dict(new.attrs) == dict(old.attrs)
        assert {
            name: kind.dtype for name, kind in new["data"].attrs.items() if hasattr(kind, "dtype")
        } == {
            name: kind.dtype for name, kind in old["data"].attrs.items() if hasattr(kind, "dtype")
        }
        for k in range(N):
            place = (k, 0, 0, 0)
            assert new["data"].id.read_direct_chunk(place) == old["data"].id.read_direct_chunk(
                place
            )
        names = []
        old.visit(names.append)
        for name in names:
            if isinstance(old[name], h5py.Dataset):
                np.testing.assert_array_equal(new[name][()], old[name][()])
                assert (
                    new[name].id.get_create_plist().get_nfilters()
                    == old[name].id.get_create_plist().get_nfilters()
                )
    with FeaturesFile(feature) as file:
        assert file.windows.stop_us[-1] >= 90_000


def test_bytes__depend_on_what_is_in_it_and_not_on_how_it_came_there(feature, sound, tmp_path):
    a, b = npy(tmp_path, "a", np.arange(N)), npy(tmp_path, "b", np.ones((N, 2)))
    steps.enrich(feature, {"a": a, "b": b})
    other = tmp_path / "other.h5"
    other.write_bytes((sound / "f.h5").read_bytes())
    steps.enrich(other, {"b": a})
    steps.enrich(other, {"a": a})
    steps.enrich(other, {"b": b}, replace=True)
    assert other.read_bytes() == feature.read_bytes()


def test_features__are_kept_with_what_was_added_and_made_anew_without_it(sound, feature, tmp_path):
    steps.enrich(feature, {"a": npy(tmp_path, "a", np.arange(N))})
    settings = {"representation": "histogram", "window_us": 10_000}
    steps.features(sound / "store.h5", feature, steps.FeatureSettings(**settings))
    with FeaturesFile(feature) as file:
        assert list(file.extra) == ["a"]
    settings["parameters"] = {"dtype": "uint32"}
    steps.features(sound / "store.h5", feature, steps.FeatureSettings(**settings))
    with FeaturesFile(feature) as file:
        assert not file.extra


def test_enriched_file__needs_no_plugin_if_it_needed_none_before(sound, feature, tmp_path):
    array = npy(tmp_path, "a", np.arange(N))
    plain = tmp_path / "plain.h5"
    plain.write_bytes((sound / "gzip.h5").read_bytes())
    steps.enrich(plain, {"a": array})
    assert not needs_plugin(plain)
    steps.enrich(feature, {"a": array})
    repack(feature, tmp_path / "released.h5")
    with FeaturesFile(tmp_path / "released.h5") as file:
        assert file.extra["a"][:].tolist() == list(range(N))
        assert file.extra["a"].sha256 == sha256(array)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "a",
            np.arange(9),
            r"a\.npy: a: has shape \(9,\); the first dimension must be 10, one row",
        ),
        ("a", np.float64(3), r"a\.npy: a: has shape \(\); the first dimension must be 10"),
        ("a", np.zeros((N, *[1] * 32)), "a: has 33 dimensions; HDF5 has up to 32"),
        ("Good", np.arange(N), "'good' and 'Good' differ only in their case"),
        ("a", np.array(["x"] * N), r"a: holds <U1; numbers are expected"),
        ("a", np.arange(N) * 1j, "a: holds complex128; numbers are expected"),
        ("a", np.zeros(N, dtype=[("x", "f4")]), "numbers are expected"),
        (
            "a",
            np.array([None] * N),
            r"a\.npy: cannot be read as an npy file: Array can't be memory-mapped",
        ),
        ("a/b", np.arange(N), "'a/b' is not a valid name: letters, digits, _ and -"),
        ("-a", np.arange(N), "'-a' is not a valid name"),
        ("", np.arange(N), "'' is not a valid name"),
        ("Data", np.arange(N), "'Data' is what a features file calls something else"),
        ("there", np.arange(N), r"f\.h5: it has 'there' already\. Choose another name, or replace"),
        (
            "There",
            np.arange(N),
            r"f\.h5: it has 'there' already\. Choose another name than 'There'",
        ),
    ],
)
def test_values__that_do_not_fit_are_refused_and_the_file_stays(
    feature, tmp_path, name, values, message
):
    steps.enrich(feature, {"there": npy(tmp_path, "there", np.arange(N))})
    before = feature.read_bytes()
    with pytest.raises(UsageError, match=message):
        steps.enrich(
            feature, {"good": npy(tmp_path, "b", np.arange(N)), name: npy(tmp_path, "a", values)}
        )
    assert feature.read_bytes() == before


def test_files__that_cannot_be_read_are_refused(feature, tmp_path):
    before = feature.read_bytes()
    for content, message in (
        (b"", "a.npy: cannot be read as an npy file"),
        (b"PK\x03\x04", "a.npy: cannot be read as an npy file"),
        ((tmp_path / "f.h5").read_bytes(), "a.npy: cannot be read as an npy file"),
        (npy(tmp_path, "whole", np.arange(N)).read_bytes()[:-1], "a.npy: cannot be read as an npy"),
    ):
        (tmp_path / "a.npy").write_bytes(content)
        with pytest.raises(UsageError, match=message):
            steps.enrich(feature, {"a": tmp_path / "a.npy"})
    with pytest.raises(UsageError, match=r"lost\.npy: cannot be read as an npy file: .*No such"):
        steps.enrich(feature, {"a": tmp_path / "lost.npy"})
    np.savez(tmp_path / "two.npz", a=np.arange(N), b=np.arange(N))
    with pytest.raises(UsageError, match=r"two\.npz: cannot be read as an npy file: the magic"):
        steps.enrich(feature, {"a": tmp_path / "two.npz"})
    with pytest.raises(LayoutError, match="cannot be opened as HDF5"):
        steps.enrich(tmp_path / "whole.npy", {"a": tmp_path / "whole.npy"})
    assert feature.read_bytes() == before
    assert not list(tmp_path.glob(".evreel-tmp"))


def test_command__adds_several_and_replaces_only_when_asked(feature, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    npy(tmp_path, "a", np.arange(N))
    npy(tmp_path, "b", np.ones((N, 2)))
    assert main(["enrich", "f.h5", "confidence=a.npy", "flow=b.npy"]) == 0
    assert "f.h5: added confidence (10,), flow (10, 2)" in capsys.readouterr().err
    assert main(["enrich", "f.h5", "confidence=b.npy"]) == 2
    assert "or replace it: --replace." in capsys.readouterr().err
    assert main(["enrich", "f.h5", "confidence=b.npy", "--replace"]) == 0
    with FeaturesFile(feature) as file:
        assert file.extra["confidence"].shape == (10, 2)
    assert main(["enrich", "f.h5", "a=a.npy", "a=b.npy"]) == 2
    assert "'a' is duplicated" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["enrich", "f.h5", "a.npy"])
    assert "'a.npy' is not NAME=VALUE" in capsys.readouterr().err


def test_check__finds_a_number_that_is_none_and_an_array_that_is_too_short(feature, tmp_path):
    values = np.ones((N, 3), dtype=np.float32)
    steps.enrich(feature, {"good": npy(tmp_path, "a", values)})
    assert not check(feature).findings
    values[[4, 7], 1] = np.nan, np.inf
    steps.enrich(feature, {"bad": npy(tmp_path, "a", values)})
    [found] = check(feature).findings
    assert (found.severity, found.check, found.place) == (
        "warning",
        "feature_extra",
        "extra/bad, window 4",
    )
    assert found.problem == "2 windows with NaN or infinity"
    with edited(feature) as file:
        del file["extra/bad"]
        file["extra/bad"] = np.arange(N - 1)
    with pytest.raises(LayoutError, match="data set extra/bad has 9 of window, but data has 10"):
        FeaturesFile(feature)
    assert check(feature).errors


def test_flipped_bits__in_added_values_are_found(feature, tmp_path):
    values = np.random.default_rng(1).random((N, 50))
    steps.enrich(feature, {"a": npy(tmp_path, "a", values)})
    with h5py.File(feature) as file:
        chunk = file["extra/a"].id.get_chunk_info(0)
    whole = bytearray(feature.read_bytes())
    whole[chunk.byte_offset + chunk.size // 2] ^= 0x10
    feature.write_bytes(whole)
    with FeaturesFile(feature) as file, pytest.raises(LayoutError, match="extra/a cannot be read"):
        file.extra["a"][:]
    [found] = check(feature).findings
    assert (found.severity, found.place) == ("error", "extra/a")


def test_array__that_is_edited_meanwhile_is_refused(feature, tmp_path, monkeypatch):
    from evreel.errors import SourceError
    from evreel.files import extra

    array = npy(tmp_path, "a", np.arange(N))
    copy_with = extra.copy_with

    def slowly(*arguments):
        copy_with(*arguments)
        npy(tmp_path, "a", np.arange(N) + 1)

    monkeypatch.setattr(extra, "copy_with", slowly)
    before = hashlib.sha256(feature.read_bytes()).digest()
    with pytest.raises(SourceError, match=r"a\.npy"):
        steps.enrich(feature, {"a": array})
    assert hashlib.sha256(feature.read_bytes()).digest() == before
