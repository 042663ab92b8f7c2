"""``vboxkit resize``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vboxkit.cli import completing, output

if TYPE_CHECKING:
    from vboxkit.cli.state import State

_EPILOG = """\b
Examples:
  vboxkit resize web --memory 4096 --cpus 4
  vboxkit resize web --disk 40000
"""


@click.command(epilog=_EPILOG)
@click.argument("name", shell_complete=completing.machines)
@click.option("--memory", type=int, metavar="MB")
@click.option("--cpus", type=int, metavar="N", help="Also of a machine that runs, with hot plug.")
@click.option("--disk", type=int, metavar="MB", help="The disk's size; it only grows.")
@click.option("--which", metavar="FILE", help="Which disk, if there are several.")
@output.user_option
@click.pass_obj
def resize(
    state: State,
    *,
    name: str,
    memory: int | None,
    cpus: int | None,
    disk: int | None,
    which: str | None,
    of_user: bool,
) -> None:
    """
    Give a machine more or less memory, CPUs and disk: all of it, or nothing.

    All is checked before anything is changed.
    """
    from vboxkit.cli.live import showing

    if memory is cpus is disk is None:
        raise click.UsageError("nothing to change: give --memory, --cpus or --disk")
    machine = state.machine(name, of_user=of_user)
    with showing(keep=False, plain=False):
        machine.resize(
            memory_mb=memory, cpus=cpus, disk_mb=disk, disk=which, rollback_on_failure=True
        )
    disks = ", ".join(f"{each.size_mb} MiB" for each in machine.storage.disks)
    output.out().print(
        f"{machine.name}: {machine.memory_mb} MiB, {machine.cpus} CPUs, disks {disks or 'none'}",
        soft_wrap=True,
    )
