"""``python -m evreel.cli``."""

import sys

from evreel.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
