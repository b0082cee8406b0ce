"""The libraries of hosts and users read what evreel writes; evreel itself does without them."""

import subprocess
import sys

LIBRARIES = ("datasets", "huggingface_hub", "mlcroissant", "pandas", "polars", "webdataset")


def test_evreel__imports_no_library_that_only_reads_releases():
    code = (
        "import sys, evreel.cards, evreel.steps, evreel.cli; "
        f"print([name for name in {LIBRARIES!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
