"""``vboxkit destroy``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from vboxkit.cli import completing, output

if TYPE_CHECKING:
    from vboxkit.cli.state import State

_EPILOG = """\b
Examples:
  vboxkit destroy tiny-1a2b3c
  vboxkit destroy web --user --yes
"""


@click.command(epilog=_EPILOG)
@click.argument("names", nargs=-1, required=True, shell_complete=completing.machines)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@output.user_option
@click.pass_obj
def destroy(state: State, *, names: tuple[str, ...], yes: bool, of_user: bool) -> None:
    """
    Remove machines with their disks, snapshots and folders.

    Asks before, in a terminal; elsewhere --yes is needed for machines of your own
    VirtualBox.
    """
    from vboxkit.cli.live import showing

    machines = [state.machine(name, of_user=of_user) for name in names]
    told = ", ".join(machine.name for machine in machines)
    if not yes and sys.stdin.isatty():
        click.confirm(f"Remove {told} with all disks and snapshots?", abort=True, err=True)
    elif not yes and of_user:
        raise click.UsageError(f"{told}: of your own VirtualBox, and not asked for: add --yes")
    for machine in machines:
        with showing(keep=False, plain=False):
            machine.destroy()
        output.out().print(f"removed {machine.name}", soft_wrap=True)
