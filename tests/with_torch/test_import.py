"""PyTorch is imported where it is asked for, and nowhere else."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest
import torch

import evreel.loaders.torch


def test_evreel__imports_no_torch_of_its_own():
    code = (
        "import sys, evreel.loaders.live, evreel.steps, evreel.cli; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_torch__is_a_build_for_the_cpu():
    assert torch.ones(2).sum().item() == 2 and torch.version.cuda is None


@pytest.mark.parametrize(
    "module",
    [
        found.name
        for found in pkgutil.walk_packages(evreel.loaders.torch.__path__, "evreel.loaders.torch.")
    ],
)
def test_docstrings__say_what_happens(module):
    failed, _ = doctest.testmod(importlib.import_module(module))
    assert not failed
