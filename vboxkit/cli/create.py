"""``vboxkit create``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vboxkit.cli import output

if TYPE_CHECKING:
    from vboxkit.cli.state import State

_EPILOG = """\b
Examples:
  vboxkit create web --os-type Debian_64 --memory 2048 --disk 20000
  vboxkit create box --user --iso debian.iso --os-type Debian_64 --start
"""


@click.command(epilog=_EPILOG)
@click.argument("name")
@click.option("--os-type", default="Linux26_64", show_default=True, help="VirtualBox's name of it.")
@click.option("--memory", type=int, metavar="MB", help="As recommended for the OS if left out.")
@click.option("--cpus", type=int, metavar="N")
@click.option("--disk", type=int, metavar="MB", help="Its size; 0 for none.")
@click.option("--disk-format", metavar="FORMAT", help="VDI, VMDK, VHD, ...")
@click.option("--firmware", metavar="KIND", help="BIOS, EFI, ...")
@click.option("--iso", type=click.Path(exists=True, dir_okay=False), help="For the DVD drive.")
@click.option("--nic", "nics", multiple=True, metavar="TO", help="NAT, Bridged, ...; repeatable.")
@click.option("--description", default="", help="A free text.")
@click.option("--folder", type=click.Path(file_okay=False), help="Where its own folder is made.")
@click.option("--start", is_flag=True, help="Start it, too.")
@output.user_option
@output.json_option
@click.pass_obj
def create(
    state: State,
    *,
    name: str,
    os_type: str,
    memory: int | None,
    cpus: int | None,
    disk: int | None,
    disk_format: str | None,
    firmware: str | None,
    iso: str | None,
    nics: tuple[str, ...],
    description: str,
    folder: str | None,
    start: bool,
    of_user: bool,
    as_json: bool,
) -> None:
    """
    Make a new machine.

    What is left out is as VirtualBox recommends for the operating system.
    """
    from vboxkit.cli.live import showing

    vbox = state.vbox(of_user=of_user)
    with showing(keep=False, plain=False):
        machine = vbox.create(
            name,
            os_type=os_type,
            memory_mb=memory,
            cpus=cpus,
            disk_mb=disk,
            disk_format=disk_format,
            firmware=firmware,
            nics=nics or None,
            iso=iso,
            description=description,
            folder=folder,
        )
        if start:
            machine.start()
    if as_json:
        output.print_json({"name": machine.name, "id": machine.id, "folder": str(machine.folder)})
    else:
        output.out().print(f"made {machine.name} in {machine.folder}", soft_wrap=True)
