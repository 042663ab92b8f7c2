"""``vboxkit clone``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vboxkit.cli import completing, output

if TYPE_CHECKING:
    from vboxkit.cli.state import State

_EPILOG = """\b
Examples:
  vboxkit clone web web-copy
  vboxkit clone web web-test --linked --snapshot fresh
"""


@click.command(epilog=_EPILOG)
@click.argument("name", shell_complete=completing.machines)
@click.argument("copy")
@click.option("--linked", is_flag=True, help="Share the disks, keep only the differences.")
@click.option("--snapshot", metavar="PATH", help="The state to copy; the present one if left out.")
@click.option("--all", "whole", is_flag=True, help="With every snapshot.")
@click.option("--keep-macs", is_flag=True, help="Keep the MAC addresses.")
@click.option("--folder", type=click.Path(file_okay=False), help="Where the copy's own is made.")
@output.user_option
@output.json_option
@click.pass_obj
def clone(
    state: State,
    *,
    name: str,
    copy: str,
    linked: bool,
    snapshot: str | None,
    whole: bool,
    keep_macs: bool,
    folder: str | None,
    of_user: bool,
    as_json: bool,
) -> None:
    """Make a copy of a machine, which boots on its own; see also "vboxkit fork"."""
    from vboxkit.cli.live import showing
    from vboxkit.core.steps import moving

    machine = state.machine(name, of_user=of_user)
    octets = 0 if linked else sum(disk.size_on_disk_bytes for disk in machine.storage.disks)
    with showing(keep=False, plain=False), moving(octets or None):
        made = machine.clone(
            copy,
            linked=linked,
            snapshot=snapshot,
            mode="all" if whole else "machine",
            keep_macs=keep_macs,
            folder=folder,
        )
    if as_json:
        output.print_json({"name": made.name, "id": made.id, "folder": str(made.folder)})
    else:
        output.out().print(f"made {made.name} in {made.folder}", soft_wrap=True)
