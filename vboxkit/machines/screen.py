"""What the guest shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.errors import StorageError
from vboxkit.machines.locks import locked

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit.machines.properties import MachineProperties

__all__ = ["screenshot"]


def screenshot(machine: MachineProperties, path: Path) -> Path:
    """See `Machine.screenshot`."""
    api = machine._api
    with locked(machine, timeout=machine.settings.lock_timeout, needs_vm=True) as session:
        display = session.console.display
        width, height, *_ = display.getScreenResolution(0)
        png = api.value("BitmapFormat", "PNG")
        image = bytes(display.takeScreenShotToArray(0, width, height, png))
    try:
        path.write_bytes(image)
    except OSError as error:
        raise StorageError(
            f"{machine._subject()} ({machine.state}): cannot write the screenshot to {path}:"
            f" {error.strerror}",
            operation="take a screenshot",
            hint="give a file in a folder that exists and can be written to",
        ) from error
    return path.absolute()
