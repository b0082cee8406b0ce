"""Python imports this in each process of a run whose faults are planned."""

import os
import sys
from pathlib import Path

if "EVREEL_FAULTS" in os.environ:
    tests = str(Path(__file__).parents[2])
    sys.path.append(tests)
    from faults.dying import PLAN, Plan

    sys.path.remove(tests)
    Plan(Path(os.environ[PLAN])).arm_me()
