"""Releases in tar files; `tests/venues` reads them with WebDataset."""

import errno
import hashlib
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from evreel import steps
from evreel.errors import EvreelError, ReleaseError
from evreel.release.manifest import ListedFile, Manifest, read_manifest
from evreel.release.recipe import withhold
from evreel.release.shards import SHARDS, key_of, plan_shards, read_table
from evreel.release.verify import verify
from support.releases import files_below, labelled_release


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return labelled_release(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="module")
def packed(released, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "shards"
    steps.shards(released, folder)
    return folder


def contents(folder):
    return {path: place.read_bytes() for path, place in files_below(folder).items()}


def test_shards__have_each_file_of_a_recording_under_its_key(released, packed):
    with tarfile.open(packed / "train-000000.tar") as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}
    assert found == {
        "park.sidecars.biases.txt": b"low\n",
        **{
            name: (released / path).read_bytes()
            for name, path in (
                ("park.counts.bbox.npy", "train/counts/park_bbox.npy"),
                ("park.counts.h5", "train/counts/park.h5"),
                ("park.events.h5", "train/events/park.h5"),
                ("park.slices.bbox.npy", "train/slices/park_bbox.npy"),
                ("park.slices.h5", "train/slices/park.h5"),
                ("park.sums.h5", "train/sums/park.h5"),
            )
        },
    }


def test_shards__are_not_made_of_a_recipe(released, tmp_path):
    recipe = shutil.copytree(released, tmp_path / "recipe")
    n = sum(file.withheld for file in withhold(recipe).files)
    with pytest.raises(
        ReleaseError, match=f"recipe: is a recipe, of which {n} files are to be made"
    ):
        steps.shards(recipe, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()


def test_table__says_where_the_bytes_of_each_file_are(released, packed):
    rows = read_table(packed / SHARDS)
    files = read_manifest(released).files
    listed = {file.path: file for file in files if file.id or "/" in file.path}
    assert {row.path for row in rows} == set(listed)
    for row in rows:
        with (packed / row.shard).open("rb") as shard:
            shard.seek(row.offset)
            data = shard.read(row.size)
        assert hashlib.sha256(data).hexdigest() == row.sha256 == listed[row.path].sha256


def test_shards__have_the_same_bytes_on_each_run(released, packed, tmp_path):
    other = shutil.copytree(released, tmp_path / "elsewhere")
    for place in other.rglob("*.h5"):
        os.utime(place, (1, 1))
        place.chmod(0o600)
    steps.shards(other, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(packed)
    with tarfile.open(packed / "train-000000.tar") as tar:
        for member in tar:
            owner = (member.uid, member.gid, member.uname, member.gname)
            assert (*owner, member.mtime, member.mode) == (0, 0, "", "", 0, 0o644)


def test_unpacked_release__is_the_one_that_was_packed(released, packed, tmp_path):
    steps.unpack(packed, tmp_path / "release")
    assert contents(tmp_path / "release") == contents(released)
    assert verify(tmp_path / "release") == []


def test_host_without_folders__keeps_all(released, packed, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for place in packed.iterdir():
        if place.is_file():
            shutil.copy(place, flat)
    steps.unpack(flat, tmp_path / "release")
    assert contents(tmp_path / "release") == contents(released)


def test_sums_of_shards__are_those_of_their_files(packed):
    lines = (packed / "SHARDS.sha256").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == [
        *("mixed-000000.tar", "rest.tar", "train-000000.tar"),
    ]
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((packed / name).read_bytes()).hexdigest() == digest


def listed(path, id_, split="train", size=1_000):
    return ListedFile(path, size, "0" * 32, "0" * 64, "events", id_, split)


def manifest_of(*files, **recordings):
    return Manifest("n", "1", "CC0-1.0", files, recordings)


def test_shards__are_filled_up_to_their_size_and_divide_no_recording():
    files = [listed(f"train/{kind}/r{k}.h5", f"r{k}") for k in range(7) for kind in ("a", "b")]
    shards = plan_shards(manifest_of(*files), 10_000)
    assert [shard.name for shard in shards] == [f"train-00000{k}.tar" for k in range(4)]
    keys = [[member.name.split(".")[0] for member in shard.members] for shard in shards]
    assert keys == [
        ["r0", "r0", "r1", "r1"],
        ["r2", "r2", "r3", "r3"],
        ["r4", "r4", "r5", "r5"],
        ["r6", "r6"],
    ]
    assert all(
        1024 + sum(member.packed_bytes for member in shard.members) <= 10_000 for shard in shards
    )


def test_recording_that_is_larger_than_a_shard__has_one_of_its_own():
    sizes = {"a": 10, "b": 10**11, "c": 10}
    files = [listed(f"train/e/{id_}.h5", id_, size=size) for id_, size in sizes.items()]
    shards = plan_shards(manifest_of(*files), 10**9)
    assert [[member.file.id for member in shard.members] for shard in shards] == [
        *(["a"], ["b"]),
        ["c"],
    ]


def test_larger_recording__is_warned_of(released, tmp_path, caplog):
    steps.shards(released, tmp_path / "shards", steps.ShardSettings(size_gb=1e-6))
    told = (
        "mixed-000000.tar: larger than 1e-06 GB, because a recording is not divided; so are 2 more"
    )
    assert told in caplog.text


def test_files_without_a_split__go_with_their_recording():
    files = [
        listed("train/e/a.h5", "a"),
        listed("annotations/a.rois.xml", "a", ""),
        listed("video/b.mp4", "b", ""),
        listed("video/c.mp4", "c", ""),
    ]
    shards = plan_shards(manifest_of(*files, c={"split": "val"}), 10**9)
    assert {shard.name: [member.name for member in shard.members] for shard in shards} == {
        "train-000000.tar": ["a.annotations.rois.xml", "a.e.h5"],
        "data-000000.tar": ["b.video.mp4"],
        "val-000000.tar": ["c.video.mp4"],
    }


@pytest.mark.parametrize("id_", ["a.b", "../x", "x/y", "ü", "__a__", "a b", ".."])
def test_recording_of_any_name__has_a_key_without_dots_and_folders(id_):
    (shard,) = plan_shards(manifest_of(listed("train/e/x.h5", id_)), 10**9)
    (member,) = shard.members
    key, _, rest = member.name.partition(".")
    assert key == key_of(id_)
    assert "/" not in member.name
    assert rest == "e.x.h5" or rest == "e.h5"


def test_keys__differ_where_names_do():
    names = ["a.b", "a%2Eb", "a_b", "a/b"]
    assert len({key_of(name) for name in names}) == len(names)


def test_members__have_different_names_whatever_their_folders():
    files = [listed(f"{top}/e/A.h5", "A") for top in ("p", "q", "r")]
    (shard,) = plan_shards(manifest_of(*files, listed("p/E/A.h5", "A")), 10**9)
    names = [member.name.lower() for member in shard.members]
    assert len(set(names)) == 4


def test_long_names_and_sizes_beyond_8_gib__keep_their_place():
    long = "r" * 90
    file = listed(f"train/{'f' * 90}/{long}.h5", long, size=9 << 30)
    ((member,),) = (shard.members for shard in plan_shards(manifest_of(file), 10**12))
    info = tarfile.TarInfo.frombuf(member.header[-512:], "utf-8", "strict")
    assert len(member.header) > 512
    assert info.isreg()


def test_release_that_was_changed__is_not_packed(released, tmp_path):
    other = shutil.copytree(released, tmp_path / "other")
    path = other / "train" / "events" / "park.h5"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(ReleaseError, match=r"'train/events/park.h5': is not as the manifest says"):
        steps.shards(other, tmp_path / "shards")
    path.unlink()
    with pytest.raises(ReleaseError, match=r"'train/events/park.h5': cannot be read: No such file"):
        steps.shards(other, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()


def test_damaged_shard__is_named_and_nothing_is_unpacked(packed, tmp_path):
    for name, damage in (("flipped", lambda data: data[:600] + b"x" + data[601:]), ("short", None)):
        folder = shutil.copytree(packed, tmp_path / name)
        shard = folder / "mixed-000000.tar"
        data = shard.read_bytes()
        shard.write_bytes(damage(data) if damage else data[:5_000])
        with pytest.raises(ReleaseError, match=r"mixed-000000.tar: has other bytes of 'mixed/"):
            steps.unpack(folder, tmp_path / "release")
        shard.unlink()
        with pytest.raises(ReleaseError, match=r"shard mixed-000000.tar cannot be read"):
            steps.unpack(folder, tmp_path / "release")
        assert not (tmp_path / "release").exists()


def test_full_disk__where_a_file_beside_the_shards_is_copied_is_said(packed, tmp_path, monkeypatch):
    def full(source, target):
        Path(target).touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("evreel.release.shards.shutil.copyfile", full)
    with pytest.raises(ReleaseError, match=r"(?s)cannot be copied: No space .*Make room"):
        steps.unpack(packed, tmp_path / "release")
    assert not (tmp_path / "release").exists()


@pytest.mark.parametrize(
    ("column", "cell", "problem"),
    [
        (0, "../../x", "contains '..'"),
        (0, "/x", "is absolute"),
        (1, "../x.tar", "is not the name of a tar file"),
        (1, "x", "is not the name of a tar file"),
        (3, "-1", "offset '-1' is not a whole number"),
        (4, "9" * 30, "is not a whole number"),
    ],
)
def test_hostile_table__is_refused_with_its_line(packed, tmp_path, column, cell, problem):
    header, first, *_ = (packed / SHARDS).read_text().splitlines()
    cells = first.split("\t")
    cells[column] = cell
    path = tmp_path / SHARDS
    path.write_text("\n".join([header, "\t".join(cells)]))
    with pytest.raises(ReleaseError) as caught:
        read_table(path)
    assert problem in str(caught.value)
    assert "line 2" in str(caught.value)


def test_folder_with_other_files__is_neither_packed_nor_unpacked_into(released, packed, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    for step, source in ((steps.shards, released), (steps.unpack, packed)):
        with pytest.raises(EvreelError, match="is a folder that contains other files"):
            step(source, tmp_path / "mine")


def test_folder_inside_the_release__is_refused(released):
    for folder in (released, released / "shards"):
        with pytest.raises(EvreelError, match="is inside the release, which it would change"):
            steps.shards(released, folder)
    assert verify(released) == []


def test_older_shards__are_replaced_as_a_whole(released, tmp_path):
    folder = tmp_path / "shards"
    steps.shards(released, folder, steps.ShardSettings(size_gb=1e-6))
    (folder / "train-000007.tar").write_bytes(b"of an older run")
    steps.shards(released, folder)
    assert sorted(path.name for path in folder.glob("*.tar")) == [
        *("mixed-000000.tar", "rest.tar", "train-000000.tar"),
    ]


def test_folder_without_shards__is_named(tmp_path):
    with pytest.raises(ReleaseError, match=r"shards.tsv: cannot be read: No such file"):
        steps.unpack(tmp_path, tmp_path / "release")
