"""What the tests of media and storage are made from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

__all__ = ["attach_big_disk", "fill", "forget", "iso", "read", "state_of"]


def iso(path: Path) -> Path:
    """Write an ISO image with nothing on it."""
    sectors = [b"\1CD001\1".ljust(2048, b"\0"), b"\xffCD001\1".ljust(2048, b"\0")]
    path.write_bytes(bytes(32768) + b"".join(sectors) + bytes(2048 * 40))
    return path


def fill(medium: object, content: bytes, *, at: int = 0, password: str = "") -> None:
    """Write to a disk, as a guest would."""
    file = medium.com.openForIO(True, password)  # type: ignore[attr-defined]  # a Medium
    try:
        for start in range(0, len(content), 65536):
            file.write(at + start, list(content[start : start + 65536]))
    finally:
        file.close()


def read(medium: object, size: int, *, at: int = 0, password: str = "") -> bytes:
    """Read from a disk, as a guest would."""
    file = medium.com.openForIO(False, password)  # type: ignore[attr-defined]  # a Medium
    try:
        return bytes(file.read(at, size))
    finally:
        file.close()


def state_of(vbox: VirtualBox, folder: Path) -> tuple[set[str], set[str]]:
    """Return the files of a folder, and the media that VirtualBox knows there."""
    files = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return files, {str(m.location) for m in vbox.media if folder in m.location.parents}


def forget(vbox: VirtualBox, folder: Path) -> None:
    """Close the media of a folder, differencing ones first."""
    for medium in reversed(list(vbox.media)):
        if folder in medium.location.parents:
            medium.close()
    assert state_of(vbox, folder)[1] == set()


def attach_big_disk(machine: Machine, size: int) -> None:
    """Give a machine a second disk, of random content."""
    api = machine._api
    path = machine.folder / "big.vdi"
    medium = api.virtualbox.createMedium(
        "VDI",
        str(path),
        api.value("AccessMode", "ReadWrite"),
        api.value("DeviceType", "HardDisk"),
    )
    medium.createBaseStorage(size << 20, [api.value("MediumVariant", "Fixed")]).waitForCompletion(
        60_000
    )
    block = os.urandom(1 << 20)
    with path.open("r+b") as file:
        file.seek(2 << 20)  # behind the header
        for _ in range(size - 1):
            file.write(block)
    with machine._changing() as com:
        (controller, *_) = api.array(com, "storageControllers")
        com.attachDevice(controller.name, 1, 0, api.value("DeviceType", "HardDisk"), medium)
