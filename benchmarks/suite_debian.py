"""The same for a realistic guest, stock Debian, with the twelve tests that run on any guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import suite

if TYPE_CHECKING:
    from figures import Figure

#: How many times as long a suite has to take whose machines boot.
FASTER = 20.0


def bench(runs: int) -> list[Figure]:
    """Measure, in the home that the settings say; emulated, a round takes some ten minutes."""
    tests = [suite.FOLDER / "test_any_guest.py"]
    return suite.compare("debian", tests, runs, at_least=FASTER, timeout=7200)
