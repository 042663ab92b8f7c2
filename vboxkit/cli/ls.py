"""``vboxkit ls``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vboxkit.cli import output

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vboxkit.cli.state import State
    from vboxkit.lab.lab import Lab
    from vboxkit.machines.machine import Machine

_EPILOG = """\b
Examples:
  vboxkit ls
  vboxkit ls --json | jq -r '.[].name'
"""


@click.command(epilog=_EPILOG)
@output.user_option
@output.json_option
@click.pass_obj
def ls(state: State, *, of_user: bool, as_json: bool) -> None:
    """List machines."""
    if of_user:
        from vboxkit.machines.virtualbox import connect

        # Not by the sandbox: where there is no VirtualBox, the user has no machines.
        rows = [_own(machine) for machine in connect(settings=state.settings).machines]
    else:
        rows = _disposable(state.lab())
    rows.sort(key=lambda row: str(row["name"]))
    if as_json:
        output.print_json(rows)
    elif not rows:
        output.out().print("no machines")
    elif of_user:
        columns = ["name", "state", "OS", "memory>", "CPUs>", "id"]
        keys = ["name", "state", "os_type", "memory_mb", "cpus", "id"]
        output.table("", columns, [[row[key] for key in keys] for row in rows])
    else:
        _print(rows)


def _own(machine: Machine) -> dict[str, Any]:
    return {
        "name": machine.name,
        "id": machine.id,
        "state": str(machine.state),
        "os_type": machine.os_type,
        "memory_mb": machine.memory_mb,
        "cpus": machine.cpus,
    }


def _disposable(lab: Lab) -> list[dict[str, Any]]:
    from vboxkit.lab import leases

    forks = {vm.id: vm for vm in lab.vms()}
    images = {image.machine: image for image in lab.images(layers=True)}
    rows = []
    for machine in lab.vbox.machines:
        lease = leases.find(lab.places.leases, machine.name)
        image = images.get(machine.id)
        fork = forks.get(machine.id)
        ports = [f.host_port for f in fork.forwards.values() if f.guest_port == 22] if fork else []
        created = image.created if image else lease.created if lease else None
        rows.append(
            {
                "name": machine.name,
                "id": machine.id,
                "kind": "image" if image else "fork" if fork else "other",
                "state": str(machine.state),
                "image": image.name if image else fork.image.name if fork else None,
                "owner": lease.pid if lease else None,
                "owner_alive": lease.owner_alive if lease else None,
                "kept": lease.keep if lease else False,
                "ssh_port": ports[0] if ports else None,
                "created": created,
                "test": lease.test if lease else "",
            }
        )
    return rows


def _print(rows: Iterable[dict[str, Any]]) -> None:
    output.table(
        "",
        ["name", "kind", "state", "image", "owner", "SSH port>", "age>", "test"],
        [
            (
                row["name"],
                row["kind"],
                row["state"],
                row["image"] or "",
                _owner(row),
                row["ssh_port"] or "",
                output.age(row["created"]),
                row["test"],
            )
            for row in rows
        ],
    )


def _owner(row: dict[str, Any]) -> str:
    if row["owner"] is None:
        return ""
    if row["kept"]:
        return "kept"
    return f"{row['owner']}" if row["owner_alive"] else f"{row['owner']} (gone)"
