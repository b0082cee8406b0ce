"""SpikingJelly's tutorial as it is written, with PyTorch's loader and tensors."""

import runpy

import torch

from support import ROOT


def test_tutorial__runs_line_by_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    script = ROOT / "examples" / "tutorials" / "spikingjelly_neuromorphic_datasets.py"
    names = runpy.run_path(str(script), run_name="__main__")
    told = capsys.readouterr().out
    assert "x[0].shape=[T, C, H, W]=(4, 2, 128, 128)" in told
    assert "x.shape=[N, T, C, H, W]=(5, 4, 2, 128, 128)" in told
    lengths = names["x_len"]
    assert lengths.tolist() == [4, 4, 3, 3, 2]
    assert names["y"].tolist() == [0, 0, 1, 1, 2]
    assert names["mask"].t().int().tolist() == [[1] * n + [0] * (4 - n) for n in lengths.tolist()]
    assert names["x"].dtype == torch.float32
