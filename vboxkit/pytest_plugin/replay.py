"""What is kept of a failed test's machines to be looked at again: for ``vboxkit replay``."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from vboxkit.pytest_plugin import report, shared

if TYPE_CHECKING:
    from vboxkit.lab.vm import VM

__all__ = ["command", "label", "note_failure"]

#: The tests that failed with a machine, by its UUID, each with when it did.
_FAILURES = pytest.StashKey[dict[str, dict[str, float]]]()


def note_failure(item: pytest.Item) -> None:
    """
    Keep the state of a failed test's machines, if the machines are to be kept.

    A machine that tests share is kept as it stands at its end: snapshots would be in the way of
    putting it back between tests.
    """
    now = time.time()
    own = item.stash.get(report.VMS, [])
    for vm in shared.machines_of(item):
        with suppress(Exception):  # whatever is wrong, the test's own failure is what counts
            if vm.settings.keep == "never":
                continue
            failures = item.config.stash.setdefault(_FAILURES, {})
            failures.setdefault(vm.id, {}).setdefault(item.nodeid, now)
            if vm in own:
                from vboxkit.lab import replays

                replays.freeze(vm)


def label(config: pytest.Config, vm: VM, nodeid: str) -> str:
    """
    Note with a machine that is kept for which tests it is, and keep its state if one failed.

    Returns:
        A test whose state can be replayed; nothing if none can be.
    """
    from vboxkit.errors import VBoxKitError
    from vboxkit.lab import replays

    failures = config.stash.setdefault(_FAILURES, {}).pop(vm.id, {})
    tests = failures or {nodeid or "session": time.time()}
    try:
        replays.label(vm, tests, failed=bool(failures))
        if failures:
            replays.freeze(vm)
    except VBoxKitError:
        return ""  # as a machine that was powered off before: no guest that could be forked
    return next(iter(tests))


def command(config: pytest.Config, vm: VM) -> str:
    """Return how to call vboxkit for a machine: right wherever it is typed."""
    import shlex
    import shutil
    import sys
    from pathlib import Path

    from vboxkit.host.sandbox import inside_sandbox
    from vboxkit.settings import PREFIX, Settings, environment

    program = "vboxkit"
    if shutil.which(program) is None and not inside_sandbox():
        program = f"{shlex.quote(sys.executable)} -m vboxkit"
    home = vm.settings.home
    # What the run's own environment says need not hold where the command is typed.
    chosen = {PREFIX + "HOME", PREFIX + "CACHE_DIR"} & environment().keys()
    usual = Settings.load(folder=Path(config.invocation_params.dir)).home
    if not chosen and home == usual == Settings().home:
        return program
    return f"{program} --home {shlex.quote(str(home))}"
