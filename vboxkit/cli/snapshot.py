"""``vboxkit snapshot``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vboxkit.cli import completing, output

if TYPE_CHECKING:
    from vboxkit.cli.state import State

_EPILOG = """\b
Examples:
  vboxkit snapshot take web fresh
  vboxkit snapshot tree web
  vboxkit snapshot restore web fresh --start
  vboxkit snapshot rm web fresh
\b
A snapshot is named by its name, or by its path from the first one where
several have the name: /base/tools/fresh.
"""


@click.group(epilog=_EPILOG)
def snapshot() -> None:
    """Take, restore, show and remove the snapshots of a machine."""


@snapshot.command(epilog="Example: vboxkit snapshot take web fresh")
@click.argument("name", shell_complete=completing.machines)
@click.argument("snapshot_name", metavar="SNAPSHOT")
@click.option("--description", default="", help="A free text.")
@click.option("--pause", is_flag=True, help="Stop a running guest meanwhile.")
@output.user_option
@click.pass_obj
def take(
    state: State, *, name: str, snapshot_name: str, description: str, pause: bool, of_user: bool
) -> None:
    """Keep what a machine is now; of a running one with its memory."""
    from vboxkit.cli.live import showing

    machine = state.machine(name, of_user=of_user)
    with showing(keep=False, plain=False):
        taken = machine.snapshots.take(snapshot_name, description=description, pause=pause)
    output.out().print(f"took {taken.path} of {machine.name}", soft_wrap=True)


@snapshot.command(epilog="Example: vboxkit snapshot restore web fresh --start")
@click.argument("name", shell_complete=completing.machines)
@click.argument("snapshot_name", metavar="SNAPSHOT", shell_complete=completing.snapshots)
@click.option("--start", is_flag=True, help="Power off if it runs, restore, and start again.")
@output.user_option
@click.pass_obj
def restore(state: State, *, name: str, snapshot_name: str, start: bool, of_user: bool) -> None:
    """Go back to a snapshot; what came after it and is in no snapshot is lost."""
    from vboxkit.cli.live import showing

    machine = state.machine(name, of_user=of_user)
    wanted = machine.snapshots[snapshot_name]
    with showing(keep=False, plain=False):
        if start:
            wanted.restore_to_running()
        else:
            wanted.restore()
    output.out().print(f"{machine.name} is as at {wanted.path}: {machine.state}", soft_wrap=True)


@snapshot.command(epilog="Example: vboxkit snapshot tree web")
@click.argument("name", shell_complete=completing.machines)
@output.user_option
@output.json_option
@click.pass_obj
def tree(state: State, *, name: str, of_user: bool, as_json: bool) -> None:
    """Draw the snapshots of a machine."""
    machine = state.machine(name, of_user=of_user)
    if as_json:
        rows = [
            {
                "path": each.path,
                "id": each.id,
                "depth": depth,
                "current": each.current,
                "online": each.online,
                "description": each.description,
                "timestamp": each.timestamp.isoformat(),
            }
            for depth, each in machine.snapshots.walk()
        ]
        output.print_json(rows)
    else:
        plain = not output.out().encoding.startswith("utf")
        output.out().print(machine.snapshots.tree(plain=plain), soft_wrap=True)


@snapshot.command(epilog="Example: vboxkit snapshot rm web fresh --children")
@click.argument("name", shell_complete=completing.machines)
@click.argument("snapshot_name", metavar="SNAPSHOT", shell_complete=completing.snapshots)
@click.option("--children", is_flag=True, help="With all that was made from it.")
@output.user_option
@click.pass_obj
def rm(state: State, *, name: str, snapshot_name: str, children: bool, of_user: bool) -> None:
    """Remove a snapshot; the machine stays as it is."""
    from vboxkit.cli.live import showing

    machine = state.machine(name, of_user=of_user)
    doomed = machine.snapshots[snapshot_name]
    path = doomed.path
    with showing(keep=False, plain=False):
        doomed.delete(children=children)
    output.out().print(f"removed {path} of {machine.name}", soft_wrap=True)
