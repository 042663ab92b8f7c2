"""What VirtualBox must not even see: descriptors by which its server dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.errors import OvfError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.ovf.model import Package

__all__ = ["screen"]


def screen(package: Package) -> None:
    """
    Refuse texts that VirtualBox takes for formats: it dies of ``%s`` where it quotes them.

    VirtualBox 7.2 makes its messages about a descriptor with the texts of it, and then uses them
    as formats of ``printf``.

    Raises:
        OvfError: There is such a text.
    """
    for line, where, what, text in _quoted(package):
        if "%" in text:
            raise OvfError(
                package.path,
                f"{what} is {text[:60]!r}: VirtualBox takes % for a format, and may die of it",
                element=f"{where} (line {line})",
                hint="write it without %",
            )


def _quoted(package: Package) -> Iterator[tuple[int, str, str, str]]:
    for file in package.files:
        for what, text in (("the name", file.href), ("the id", file.id)):
            yield file.line, "File", what, text
    for disk in package.disks:
        for what, text in (("the id", disk.id), ("the capacity", disk.capacity),
                           ("the format", disk.format), ("the parent", disk.parent)):  # fmt: skip
            yield disk.line, "Disk", what, text
    for system in package.systems:
        yield system.line, "VirtualSystem", "the operating system", system.os.vbox_type
        for item in system.items:
            for what, text in (
                ("the unit", item.unit),
                ("the model", item.subtype),
                ("the id", item.id),
                ("the parent", item.parent),
                ("the address", item.address),
                ("the address", item.address_on_parent),
                ("the resource", item.host_resource),
            ):
                yield item.line, "Item", what, text
