"""Every line of docs/coming-from.md runs; those with PyTorch are run by `make test-torch`."""

from __future__ import annotations

from support.coming_from import make_files, names, run, sections


def test_tables__have_lines_that_run(tmp_path, monkeypatch):
    make_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {}
    exec(names(), known)
    tables = list(sections())
    assert [table.name for table in tables] == [
        *("Metavision ML", "SpikingJelly", "Tonic", "aermanager", "edflow", "RVT")
    ]
    for table in tables:
        if not table.needs_torch:
            run(table, known)
