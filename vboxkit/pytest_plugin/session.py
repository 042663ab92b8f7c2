"""The lab of a test run: opened when the first test asks for it, left clean at the end."""

from __future__ import annotations

import signal
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from vboxkit.core.signals import Terminated, ending
from vboxkit.errors import CleanupError, EmulatedWarning, SetupError, VBoxKitError
from vboxkit.pytest_plugin import options, report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.lab.lab import Lab
    from vboxkit.settings import Settings

__all__ = ["open_lab", "say_once_that_it_is_emulated"]


def say_once_that_it_is_emulated() -> None:
    """
    Leave `EmulatedWarning` to the summary, for the rest of the running test.

    pytest gives each test filters of its own, and puts back what was before when it is over. As a
    warning it would be one per test, and an error under ``-W error``.
    """
    warnings.filterwarnings("ignore", category=EmulatedWarning)


@contextmanager
def open_lab(config: pytest.Config, settings: Settings) -> Iterator[Lab]:
    """Connect, remove what earlier runs left; at the end, remove what is left of this one."""
    from vboxkit.pytest_plugin.timeline import recording

    with ending(_terminated), recording(config):
        lab = _connect(config, settings)
        notes = config.stash[report.NOTES]
        if _emulated(settings):
            notes.lines.append("machines are emulated (no kernel driver)")
        _collect(lab, notes)
        try:
            yield lab
        finally:
            _leave(lab, notes)


def _terminated(number: int) -> Terminated:
    return Terminated(f"{signal.Signals(number).name}: asked to end")


def _connect(config: pytest.Config, settings: Settings) -> Lab:
    try:
        # What VirtualBox's and paramiko's modules warn of at import is nothing that the author
        # of a test could mend.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from vboxkit.lab.lab import Lab

            return Lab(settings)
    except SetupError as error:
        reason = f"{error.message} (try: {error.hint})" if error.hint else error.message
        reason = " ".join(reason.split())
        if options.required(config):
            pytest.fail(f"--vm-required, but {reason}", pytrace=False)
        pytest.skip(reason)


def _emulated(settings: Settings) -> bool:
    from vboxkit.com import installation

    if settings.start_mode == "auto":
        return not installation.driver_available()
    return settings.start_mode == "driverless"


def _collect(lab: Lab, notes: report.Notes) -> None:
    """Remove what runs that were killed left; a leftover that resists must not stop the tests."""
    try:
        lab.gc()
    except VBoxKitError as error:
        notes.lines.append(f"{error}")


def _leave(lab: Lab, notes: report.Notes) -> None:
    # What resists is tried once more, by what its lease says: a clean-up that was interrupted half
    # way leaves machines that are not registered any more.
    with suppress(CleanupError):
        lab.destroy_all()
    _collect_mine(lab)
    _collect(lab, notes)


def _collect_mine(lab: Lab) -> None:
    """
    Remove what is left of this process's tests, be it interrupted in the middle of a fork.

    Raises:
        CleanupError: Something could not be removed.
    """
    from vboxkit.core.processes import ProcessId
    from vboxkit.lab import leases, reaper

    me = ProcessId.current()
    left = []
    # Younger ones first: they may be forks of the others.
    for lease in reversed(leases.all_leases(lab.places.leases)):
        # Leases without a test are of machines that somebody made apart from the fixtures.
        if lease.pid != me.pid or not lease.owner_alive or lease.keep or not lease.test:
            continue
        try:
            reaper.reclaim(lab.vbox, lab.places, lease)
        except VBoxKitError as error:
            left.append(f"{lease.name}: {type(error).__name__}: {error}")
    if left:
        raise CleanupError(
            "not all machines could be removed:",
            left=left,
            hint="the next run removes them, or: vboxkit gc",
        )
