"""Inside the guest: commands and files over SSH, and the serial console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from vboxkit.guest.console import SerialLog
    from vboxkit.guest.credentials import Address, Credentials, generate_key
    from vboxkit.guest.filesystem import FileStat
    from vboxkit.guest.output import Line
    from vboxkit.guest.process import GuestProcess
    from vboxkit.guest.shell import GuestShell
    from vboxkit.guest.ssh import SSH
    from vboxkit.guest.stream import Stream

__all__ = [
    "SSH",
    "Address",
    "Credentials",
    "FileStat",
    "GuestProcess",
    "GuestShell",
    "Line",
    "SerialLog",
    "Stream",
    "generate_key",
]

# Loaded on first use (PEP 562): paramiko takes a fifth of a second to import.
_HOMES = {
    "SSH": "ssh",
    "Address": "credentials",
    "Credentials": "credentials",
    "FileStat": "filesystem",
    "GuestProcess": "process",
    "GuestShell": "shell",
    "Line": "output",
    "SerialLog": "console",
    "Stream": "stream",
    "generate_key": "credentials",
}

__getattr__, __dir__ = lazy_names(globals(), _HOMES)
