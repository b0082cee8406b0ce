"""What setting up leaves in the environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from support import ROOT

# Makes an environment as uv does, without pip; its Python tells what it is asked for.
UV = """#!/bin/sh
echo "uv $*" >> asked
mkdir -p .venv/bin
cat > .venv/bin/python <<'END'
#!/bin/sh
echo "python $*" >> asked
touch .venv/bin/pip; chmod +x .venv/bin/pip
END
chmod +x .venv/bin/python
if [ "$1" = pip ]; then {pip}; fi
"""
PIP = {
    "a network": "touch .venv/bin/pip; chmod +x .venv/bin/pip",
    "no network": "echo no route to host >&2; exit 1",
}


@pytest.mark.parametrize("there_is", PIP)
def test_setup__brings_a_pip_into_the_environment_once(tmp_path, there_is):
    (tmp_path / "tools").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "tools" / "setup.sh", tmp_path / "tools")
    uv = tmp_path / "bin" / "uv"
    uv.write_text(UV.format(pip=PIP[there_is]), encoding="utf-8")
    uv.chmod(0o755)
    path = f"{uv.parent}{os.pathsep}{os.environ['PATH']}"
    asked = []
    for _ in range(2):
        run = subprocess.run(
            [tmp_path / "tools" / "setup.sh", "--all-groups"],
            env={**os.environ, "PATH": path, "PYTHON": sys.executable},
            capture_output=True,
            text=True,
            check=True,
        )
        assert (run.stdout, run.stderr) == ("", "")
        asked.append((tmp_path / "asked").read_text(encoding="utf-8").splitlines())
        (tmp_path / "asked").unlink()
    sync, pip, *more = asked[0]
    assert sync.startswith("uv sync ")
    assert pip == "uv pip install --quiet --python .venv/bin/python pip"
    assert more == (["python -m ensurepip --default-pip"] if there_is == "no network" else [])
    assert asked[1] == [sync], "it is installed again"
