"""Inside the guest: commands and files over SSH, and the serial console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from vboxkit.guest.console import SerialLog
    from vboxkit.guest.credentials import Address, Credentials, generate_key
    from vboxkit.guest.result import Result
    from vboxkit.guest.ssh import SSH

__all__ = ["SSH", "Address", "Credentials", "Result", "SerialLog", "generate_key"]

# Loaded on first use (PEP 562): paramiko takes a fifth of a second to import.
_HOMES = {
    "SSH": "ssh",
    "Address": "credentials",
    "Credentials": "credentials",
    "Result": "result",
    "SerialLog": "console",
    "generate_key": "credentials",
}

__getattr__, __dir__ = lazy_names(globals(), _HOMES)
