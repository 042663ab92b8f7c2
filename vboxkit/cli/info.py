"""``vboxkit info``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vboxkit.cli import completing, output

if TYPE_CHECKING:
    from vboxkit.cli.state import State
    from vboxkit.machines.forwards import Forward
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.medium import Medium
    from vboxkit.machines.network_adapter import NetworkAdapter

_EPILOG = """\b
Examples:
  vboxkit info tiny-1a2b3c
  vboxkit info web --user --json | jq .network
"""


@click.command(epilog=_EPILOG)
@click.argument("name", shell_complete=completing.machines)
@output.user_option
@output.json_option
@click.pass_obj
def info(state: State, *, name: str, of_user: bool, as_json: bool) -> None:
    """
    Show what a machine is: hardware, disks, network, snapshots.

    NAME is a machine's name or UUID. --json has every setting.
    """
    machine = state.machine(name, of_user=of_user)
    if as_json:
        output.print_json(_all(machine))
        return
    shown = machine.describe()
    firmware, graphics = shown["firmware"], shown["graphics"]
    rows: list[tuple[str, Any]] = [
        ("name", machine.name),
        ("UUID", machine.id),
        ("state", f"{machine.state}, since {machine.state_since.astimezone():%Y-%m-%d %H:%M:%S}"),
        ("OS", shown["os_type"]),
        ("memory", f"{machine.memory_mb} MiB"),
        ("CPUs", machine.cpus),
        ("firmware", firmware["kind"]),
        ("graphics", f"{graphics['controller']}, {graphics['vram_mb']} MiB"),
        *(("disk", _disk(disk)) for disk in machine.storage.disks),
        *((f"network {adapter.slot}", _adapter(adapter)) for adapter in _adapters(machine)),
        *(("forward", _forward(rule)) for rule in machine.network.forwards()),
        ("snapshots", machine.snapshot_count),
        ("folder", machine.folder),
    ]
    if machine.session_pid:
        rows.insert(3, ("process", machine.session_pid))
    if machine.description:
        rows.append(("description", machine.description))
    output.table("", ["", ""], rows)


def _all(machine: Machine) -> dict[str, Any]:
    return {
        "id": machine.id,
        "state": str(machine.state),
        "state_since": machine.state_since.isoformat(),
        "session_pid": machine.session_pid,
        "folder": str(machine.folder),
        "snapshots": machine.snapshots.paths(),
        **machine.describe().to_dict(),
    }


def _disk(disk: Medium) -> str:
    return f"{disk.location} ({output.size(disk.size_on_disk_bytes)} of {disk.size_mb} MiB)"


def _adapters(machine: Machine) -> list[NetworkAdapter]:
    return [adapter for adapter in machine.network if adapter.enabled]


def _adapter(adapter: NetworkAdapter) -> str:
    to = adapter.network or adapter.interface
    cable = "" if adapter.cable_connected else ", cable unplugged"
    return f"{adapter.attachment}{f' {to}' if to else ''}, {adapter.kind}, {adapter.mac}{cable}"


def _forward(rule: Forward) -> str:
    host, guest = f"{rule.host_ip}:{rule.host_port}", f"{rule.guest_ip}:{rule.guest_port}"
    return f"{rule.protocol} {host} -> guest {guest} ({rule.name})"
