"""`vboxkit top`: what runs is seen by its process alone, with its state from its log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.cli.__main__ import main
from vboxkit.core.waiting import wait_until
from vboxkit.host.running import cpu_percent, running_machines

if TYPE_CHECKING:
    from vboxkit import VM
    from vboxkit.host.running import RunningMachine

pytestmark = pytest.mark.vm


def seen(vm: VM) -> RunningMachine | None:
    """Return the machine as its process shows it."""
    return next((one for one in running_machines() if one.id == vm.id), None)


def test_what_runs_is_seen(vm: VM, capsys: pytest.CaptureFixture[str]) -> None:
    """Name, state, home, process, memory, owner; then paused; then gone."""
    one = seen(vm)
    assert one is not None
    assert (one.name, one.state, one.pid) == (vm.name, "Running", vm.session_pid)
    assert one.home == vm.settings.home
    assert one.folder == vm.folder
    assert one.memory_bytes > 30 << 20
    vm.ssh.run("yes | head -c 2000000 >/dev/null")
    later = seen(vm)
    assert later is not None
    assert (cpu_percent(later, [one]) or 0) > 0
    vm.pause()
    # The log is written by a thread of its own.
    wait_until(
        lambda: ((now := seen(vm)) and now.state == "Paused") or None,
        what="the log to say so",
        timeout=30,
    )
    assert main(["top", "--json"]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    (row,) = (row for row in rows if row["id"] == vm.id)
    assert row["name"] == vm.name
    assert row["disk_bytes"] > 0
    assert row["owner"]
    vm.destroy()
    assert seen(vm) is None
