"""``vboxkit ovf``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from vboxkit.cli import output
from vboxkit.cli.bars import bar
from vboxkit.cli.ovf_export import export
from vboxkit.cli.ovf_import import import_, plan

if TYPE_CHECKING:
    from vboxkit.ovf.model import Package, VirtualSystem

_EPILOG = """\b
Examples:
  vboxkit ovf inspect box.ova
  vboxkit ovf verify box.ova
  vboxkit ovf build box.vmdk --name box --memory 2048
  vboxkit ovf plan box.ova
  vboxkit ovf import box.ova --name web
  vboxkit ovf export web -o web.ova
"""

_STYLES = {"error": "red", "warning": "yellow", "note": "dim"}
_FAILED = 1


@click.group(epilog=_EPILOG)
def ovf() -> None:
    """Read, verify and build appliances, without VirtualBox; import and export machines."""


ovf.add_command(export)
ovf.add_command(import_)
ovf.add_command(plan)


@ovf.command(epilog="Example: vboxkit ovf inspect box.ova --json | jq .problems")
@click.argument("file", type=click.Path())
@output.json_option
def inspect(*, file: str, as_json: bool) -> int:
    """
    Say what is in an appliance, and what is wrong with it.

    FILE is an .ova, or an .ovf with its files beside it. Nothing is unpacked.
    The exit code is 1 if something is broken in it.
    """
    from vboxkit.ovf.inspecting import inspect as read

    package = read(file)
    if as_json:
        output.print_json(package.to_dict())
    else:
        _print(package)
    return _FAILED if any(one.severity == "error" for one in package.problems) else 0


@ovf.command(epilog="Example: vboxkit ovf verify box.ova")
@click.argument("file", type=click.Path())
@output.json_option
def verify(*, file: str, as_json: bool) -> None:
    """Compare the files of an appliance with its manifest and certificate."""
    from vboxkit.ovf.verifying import verify as check

    with bar(file) as on_progress:
        done = check(file, on_progress=on_progress)
    if as_json:
        output.print_json(done.to_dict())
        return
    output.table(
        "",
        ["file", "digest", "size>"],
        [(one.name, one.algorithm, output.size(one.bytes)) for one in done.files],
    )
    signed = done.certificate
    if signed is None:
        output.out().print("all are as the manifest says; nobody has signed it")
        return
    now = "" if signed.valid_now else ", not valid now"
    output.out().print(
        f"all are as the manifest says; signed by {signed.subject}"
        f" ({'self-signed' if signed.self_signed else f'issued by {signed.issuer}'}{now})\n"
        f"SHA-256 of the certificate: {signed.fingerprint}",
        soft_wrap=True,
    )


@ovf.command(epilog="Example: vboxkit ovf build box.vmdk --name box --memory 2048")
@click.argument("disks", nargs=-1, required=True, type=click.Path())
@click.option("--name", required=True, help="The machine's name.")
@click.option("--output", "-o", "target", type=click.Path(), help="The OVA (default: NAME.ova).")
@click.option("--memory", type=int, default=1024, show_default=True, metavar="MB")
@click.option("--cpus", type=int, default=1, show_default=True)
@click.option("--os-type", default="Linux26_64", show_default=True, help="VirtualBox's name of it.")
@click.option("--firmware", type=click.Choice(["bios", "efi"]), default="bios", show_default=True)
@click.option(
    "--controller",
    type=click.Choice(["sata", "ide", "scsi"]),
    default="sata",
    show_default=True,
    help="What the disks are on.",
)
@click.option(
    "--network",
    "networks",
    multiple=True,
    default=["NAT"],
    show_default=True,
    help="NAT, Bridged, HostOnly, or an internal network's name; once for each adapter.",
)
@click.option("--product", default="", help="The product in it.")
@click.option("--product-version", "version", default="", help="The product's version.")
@click.option("--vendor", default="", help="Who has made it.")
@click.option("--annotation", default="", help="A longer text.")
@click.option(
    "--eula",
    type=click.Path(exists=True, dir_okay=False),
    help="A file with the licence to agree to.",
)
@click.option("--force", is_flag=True, help="Replace an OVA that is there.")
@output.json_option
def build(
    *,
    disks: tuple[str, ...],
    name: str,
    target: str | None,
    memory: int,
    cpus: int,
    os_type: str,
    firmware: str,
    controller: str,
    networks: tuple[str, ...],
    product: str,
    version: str,
    vendor: str,
    annotation: str,
    eula: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """
    Write an OVA from disks: stream-optimised VMDKs, or raw ones (.raw, .img).

    Others are converted first: VBoxManage clonemedium disk IN OUT --format
    VMDK --variant Stream.
    """
    from vboxkit.ovf.building import build as write

    with bar(name) as on_progress:
        made = write(
            disks,
            name=name,
            target=target,
            memory_mb=memory,
            cpus=cpus,
            os_type=os_type,
            firmware=cast("Literal['bios', 'efi']", firmware),
            controller=cast("Literal['sata', 'ide', 'scsi']", controller),
            networks=networks,
            product=product,
            vendor=vendor,
            version=version,
            annotation=annotation,
            eula=output.text_of(Path(eula), "--eula") if eula else "",
            overwrite=force,
            on_progress=on_progress,
        )
    if as_json:
        output.print_json({"path": str(made), "bytes": made.stat().st_size})
    else:
        output.out().print(f"{made}: {output.size(made.stat().st_size)}", soft_wrap=True)


def _print(package: Package) -> None:
    out = output.out()
    whose = {"virtualbox": ", VirtualBox's", "vmware": ", VMware's"}.get(package.flavour, "")
    signed = "signed" if package.certificate else "not signed"
    manifest = "with a manifest" if package.manifest else "without a manifest"
    out.print(
        f"{Path(package.path).name}: OVF {package.version}{whose}, {output.size(package.bytes)},"
        f" {manifest}, {signed}",
        soft_wrap=True,
    )
    for product in package.products:
        words = (product.name, product.full_version or product.version, product.vendor)
        if any(words):
            out.print(f"product: {' '.join(word for word in words if word)}", soft_wrap=True)
    for eula in package.eulas:
        out.print(f"licence: {len(eula.text)} characters to agree to", soft_wrap=True)
    output.table(
        "",
        ["machine", "OS", "CPUs>", "memory>", "firmware", "disks>", "networks", "hardware"],
        [_row(system) for system in package.systems],
    )
    if package.disks:
        output.table(
            "",
            ["disk", "capacity>", "file", "stored>", "image"],
            [
                (
                    disk.id,
                    "" if disk.capacity_bytes is None else output.size(disk.capacity_bytes),
                    disk.file or "(made empty)",
                    "" if disk.file_bytes is None else output.size(disk.file_bytes),
                    disk.image,
                )
                for disk in package.disks
            ],
        )
    if package.properties:
        output.table(
            "",
            ["property", "type", "default", "label"],
            [
                (one.key, one.type, "***" if one.password else one.value, one.label)
                for one in package.properties
            ],
        )
    for option in package.options:
        mark = " (default)" if option.default else ""
        out.print(f"configuration {option.id}{mark}: {option.label}", soft_wrap=True)
    for problem in package.problems:
        out.print(
            f"{problem.severity}: {problem.place}: {problem.sentence}",
            style=_STYLES[problem.severity],
            soft_wrap=True,
        )
        out.print(f"  try: {problem.remedy}", soft_wrap=True)
    if not package.problems:
        out.print("no problems")


def _row(system: VirtualSystem) -> tuple[object, ...]:
    system_os = system.os
    return (
        system.name,
        system_os.vbox_type or system_os.vmware_type or system_os.description,
        "" if system.cpus is None else system.cpus,
        "" if system.memory_bytes is None else f"{system.memory_bytes >> 20} MiB",
        system.firmware,
        len(system.disks),
        ", ".join(system.networks),
        " ".join(system.families),
    )
