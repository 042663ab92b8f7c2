"""``vboxkit export`` alias ``vboxkit ovf export``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from vboxkit.cli import completing, output

if TYPE_CHECKING:
    from vboxkit.cli.state import State
    from vboxkit.machines.export_checks import ExportFormat, MacPolicy
    from vboxkit.ovf.vmware import Adapter

__all__ = ["export"]

_EPILOG = """\b
Examples:
  vboxkit export web -o web.ova
  vboxkit export web db -o shop.ova --product Shop --vendor Example
  vboxkit export web -o web-esxi.ova --flavour vmware --hardware 20
  vboxkit ovf export web -o web.ova      # the same command
"""


@click.command(epilog=_EPILOG)
@click.argument(
    "names", nargs=-1, required=True, metavar="NAME...", shell_complete=completing.machines
)
@click.option(
    "--output",
    "-o",
    "target",
    required=True,
    type=click.Path(path_type=Path),
    help="An .ova, which is one file, or an .ovf with its files beside it.",
)
@click.option(
    "--format",
    "version",
    type=click.Choice(["ovf-0.9", "ovf-1.0", "ovf-2.0"]),
    default="ovf-1.0",
    show_default=True,
)
@click.option(
    "--flavour",
    type=click.Choice(["virtualbox", "vmware"]),
    default="virtualbox",
    show_default=True,
    help="Whose products it is described for.",
)
@click.option("--hardware", type=int, help="VMware's hardware version (default: 13, ESXi 6.5).")
@click.option(
    "--adapter",
    type=click.Choice(["E1000", "E1000e", "VmxNet3"]),
    help="VMware's network adapters (default: E1000).",
)
@click.option(
    "--macs",
    type=click.Choice(["keep", "strip", "strip-non-nat"]),
    default="keep",
    show_default=True,
    help="What becomes of the MAC addresses.",
)
@click.option("--dvd-images", is_flag=True, help="Put in the images that are in DVD drives.")
@click.option("--no-manifest", is_flag=True, help="Write no digests.")
@click.option("--product", default="", help="The product's name.")
@click.option("--product-url", default="", metavar="URL")
@click.option("--vendor", default="", help="Who has made it.")
@click.option("--vendor-url", default="", metavar="URL")
@click.option("--product-version", default="", help="The product's version.")
@click.option("--description", help="A text instead of the machine's own description.")
@click.option(
    "--license",
    "eula",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the licence to agree to.",
)
@click.option(
    "--password",
    "passwords",
    multiple=True,
    metavar="NAME=FILE",
    help="The password of an encrypted disk: its name, and the file it is in.",
)
@click.option("--timeout", type=float, metavar="SECONDS", help="For the whole.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@output.json_option
@click.pass_obj
def export(
    state: State,
    *,
    names: tuple[str, ...],
    target: Path,
    version: str,
    flavour: str,
    hardware: int | None,
    adapter: str | None,
    macs: str,
    dvd_images: bool,
    no_manifest: bool,
    product: str,
    product_url: str,
    vendor: str,
    vendor_url: str,
    product_version: str,
    description: str | None,
    eula: Path | None,
    passwords: tuple[str, ...],
    timeout: float | None,
    force: bool,
    as_json: bool,
) -> None:
    """
    Write machines as an appliance; needs VirtualBox, and machines that do not run.

    The appliance appears when it is whole. What is not in it is told.
    """
    from vboxkit.cli import live
    from vboxkit.core.steps import moving
    from vboxkit.ovf.vmware import VMware

    if flavour != "vmware" and (hardware is not None or adapter is not None):
        raise click.UsageError("--hardware and --adapter go with --flavour vmware")
    what = VMware(hardware=hardware or 13, adapter=cast("Adapter", adapter or "E1000"))
    secrets = dict(_password(word) for word in passwords)
    text = output.text_of(eula, "--license") if eula else ""
    with live.showing(keep=False, plain=False), ExitStack() as work:
        vbox = state.lab().vbox
        machines = [vbox.machines[name] for name in names]
        disks = [disk for machine in machines for disk in machine.storage.disks]
        work.enter_context(moving(sum(disk.size_on_disk_bytes for disk in disks) or None))
        done = vbox.appliances.export(
            machines,
            target,
            format=cast("ExportFormat", version),
            flavour=what if flavour == "vmware" else "virtualbox",
            manifest=not no_manifest,
            macs=cast("MacPolicy", macs),
            dvd_images=dvd_images,
            product=product,
            product_url=product_url,
            vendor=vendor,
            vendor_url=vendor_url,
            version=product_version,
            description=description,
            license=text,
            passwords=secrets,
            overwrite=force,
            timeout=timeout,
        )
    if as_json:
        output.print_json(done.to_dict())
        return
    output.out().print(
        f"{done.path}: {', '.join(done.machines)}, {output.size(done.bytes)}", soft_wrap=True
    )
    for warning in done.warnings:
        output.out().print(f"not as it was: {warning}", style="yellow", soft_wrap=True)


def _password(word: str) -> tuple[str, str]:
    name, equals, path = word.partition("=")
    if not (name and equals and path):
        raise click.UsageError(f"--password is NAME=FILE, not {word!r}")
    return name, output.text_of(Path(path), f"--password {name}").rstrip("\r\n")
