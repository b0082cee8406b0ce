"""The tutorials that need PyTorch do what they say."""

from __future__ import annotations

import runpy

from support import ROOT


def test_metavision_tutorial__loads_shows_trains_and_streams(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    script = ROOT / "examples" / "tutorials" / "metavision_sequential_dataloader.py"
    made = runpy.run_path(str(script))
    assert made["batch"]["inputs"].shape == (3, 2, 2, 48, 64)
    assert made["batch"]["labels"][1][0]["class_id"].tolist() == [1, 2]
    assert len(made["plain"]) == len(made["drawn"]) == 3 * len(made["seq_dataloader"]) == 21
    pairs = zip(made["plain"], made["drawn"], strict=True)
    assert all((one != other).any() for one, other in pairs)
    assert made["losses"][-1] < 0.1 * made["losses"][0]
    assert len(made["streamed"]) % 5 == 0 and made["streamed"][0].any()
    told = capsys.readouterr().out
    assert "available keys:  dict_keys(['inputs', 'labels', 'mask_keep_memory'" in told
    made["dataloader"].close()
