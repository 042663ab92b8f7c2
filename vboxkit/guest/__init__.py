"""Inside the guest: commands and files over SSH, and the serial console."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
