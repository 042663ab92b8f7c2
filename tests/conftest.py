"""Where the tests' machines live: in a home apart from the user's disposable machines."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from vboxkit.settings import Settings, cache_dir, environment

# Who is started in the background of a shell inherits that Ctrl-C is ignored, and hands it on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# A worker of xdist is told how wide the terminal is; what it starts writes to no terminal.
os.environ.pop("COLUMNS", None)


@pytest.fixture(scope="session")
def vm_settings(vm_settings: Settings) -> Settings:
    """
    Give runs of these tests one home, so that images are built once.

    Each worker of xdist has its own: tests look whether anything is left in it.
    """
    if vm_settings.home != Settings().home:
        return vm_settings  # asked for by an option or a variable
    worker = environment().get("PYTEST_XDIST_WORKER")
    return replace(vm_settings, home=cache_dir() / f"test-home{f'-{worker}' if worker else ''}")
