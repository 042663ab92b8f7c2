"""``python -m vboxkit``: the vboxkit command."""

from __future__ import annotations

import sys

from vboxkit.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
