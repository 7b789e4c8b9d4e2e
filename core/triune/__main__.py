"""`python -m triune`."""

from __future__ import annotations

import sys

from triune.cli import main

if __name__ == "__main__":
    sys.exit(main())
