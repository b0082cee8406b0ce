"""The demo's recordings, annotations and truth are what its scenes make, to the byte."""

from __future__ import annotations

from support.simulate import DEMO, FOLDERS, make_demo


def test_demo__is_what_its_scenes_make(tmp_path):
    made_again = {path.name: path for paths in make_demo(tmp_path).values() for path in paths}
    committed = {path.name: path for name in FOLDERS.values() for path in (DEMO / name).iterdir()}
    assert sorted(committed) == sorted(made_again)
    for name, path in committed.items():
        assert path.parent.name == FOLDERS[path.suffix]
        assert path.read_bytes() == made_again[name].read_bytes(), name
