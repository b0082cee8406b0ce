"""``python -m evreel.cli``."""

import sys

from evreel.cli.main import main

sys.exit(main())
