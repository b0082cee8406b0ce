"""The lines of docs/coming-from.md that need PyTorch."""

from __future__ import annotations

from support.coming_from import make_files, names, run, sections


def test_tables_with_pytorch__have_lines_that_run(tmp_path, monkeypatch):
    make_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {}
    exec(names(), known)
    tables = [table for table in sections() if table.needs_torch]
    assert [table.name for table in tables] == ["Metavision ML"]
    for table in tables:
        run(table, known)
