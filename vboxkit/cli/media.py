"""``vboxkit media``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vboxkit.cli import output

if TYPE_CHECKING:
    from vboxkit.cli.state import State
    from vboxkit.machines.media_tree import MediumNode
    from vboxkit.machines.medium import Medium

_EPILOG = """\b
Examples:
  vboxkit media ls --orphans
  vboxkit media tree
  vboxkit media create data.vdi --size 10000
  vboxkit media rm data.vdi
"""


@click.group(epilog=_EPILOG)
def media() -> None:
    """List, draw, make and remove disks and images."""


@media.command(epilog="Example: vboxkit media ls --orphans --json")
@click.option("--orphans", is_flag=True, help="Only those that no machine uses.")
@output.user_option
@output.json_option
@click.pass_obj
def ls(state: State, *, orphans: bool, of_user: bool, as_json: bool) -> None:
    """List what VirtualBox knows: disks, DVDs, floppies."""
    all_of_them = state.vbox(of_user=of_user).media
    rows = [_row(each) for each in (all_of_them.orphans() if orphans else all_of_them)]
    if as_json:
        output.print_json(rows)
    elif not rows:
        output.out().print("no media")
    else:
        output.table(
            "",
            ["file", "kind", "format", "state", "size>", "on disk>", "used by"],
            [
                (
                    row["location"],
                    row["kind"],
                    row["format"],
                    row["state"],
                    output.size(row["logical_size_bytes"]),
                    output.size(row["size_on_disk_bytes"]),
                    ", ".join(row["users"]),
                )
                for row in rows
            ],
        )


def _row(medium: Medium) -> dict[str, Any]:
    return {
        "location": str(medium.location),
        "id": medium.id,
        "kind": str(medium.device_type),
        "format": medium.format,
        "state": str(medium.state),
        "logical_size_bytes": medium.logical_size_bytes,
        "size_on_disk_bytes": medium.size_on_disk_bytes,
        "users": [str(user) for user in medium.users()],
    }


@media.command(epilog="Example: vboxkit media tree --user")
@output.user_option
@output.json_option
@click.pass_obj
def tree(state: State, *, of_user: bool, as_json: bool) -> None:
    """Draw which disk stands on which, and who uses it."""
    found = state.vbox(of_user=of_user).media.tree()
    if as_json:
        output.print_json([_branch(root) for root in found.roots])
    else:
        output.out().print(str(found), soft_wrap=True)


def _branch(node: MediumNode) -> dict[str, Any]:
    return {
        "location": str(node.location),
        "format": node.format,
        "size_mb": node.size_mb,
        "users": [str(user) for user in node.users],
        "children": [_branch(child) for child in node.children],
    }


@media.command(epilog="Example: vboxkit media create data.vdi --size 10000")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--size", type=click.IntRange(1), required=True, metavar="MB")
@click.option("--format", "kind", help="VDI, VMDK, ...; by FILE's suffix if left out.")
@click.option("--variant", help="Standard, which grows, or Fixed, ...")
@output.user_option
@click.pass_obj
def create(
    state: State, *, file: str, size: int, kind: str | None, variant: str | None, of_user: bool
) -> None:
    """Make an empty disk."""
    from vboxkit.cli.live import showing

    box = state.vbox(of_user=of_user)
    with showing(keep=False, plain=False):
        made = box.media.create(file, size_mb=size, format=kind, variant=variant)
    output.out().print(f"made {made.location}: {made.size_mb} MiB", soft_wrap=True)


@media.command(epilog="Example: vboxkit media rm data.vdi")
@click.argument("file")
@click.option("--keep-file", is_flag=True, help="VirtualBox forgets it; its file stays.")
@output.user_option
@click.pass_obj
def rm(state: State, *, file: str, keep_file: bool, of_user: bool) -> None:
    """Remove a disk or image that no machine uses, with its file."""
    medium = state.vbox(of_user=of_user).media[file]
    where = medium.location
    if keep_file:
        medium.close()
    else:
        medium.delete()
    output.out().print(f"{'forgot' if keep_file else 'removed'} {where}", soft_wrap=True)
