"""What differs from one version of VirtualBox to the next, in one table each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vboxkit.com.api import Api

__all__ = ["create_machine"]


def create_machine(
    api: Api, name: str, *, os_type: str, groups: Sequence[str] = (), flags: str = ""
) -> Any:
    """
    Call ``IVirtualBox::createMachine`` with the arguments of the running version.

    7.1 put the platform's architecture third; cipher, password id and password came with 7.0.
    """
    vbox = api.virtualbox
    tail = [list(groups), os_type, flags, "", "", ""]
    if api.version >= (7, 1):
        return vbox.createMachine("", name, api.value("PlatformArchitecture", "x86"), *tail)
    return vbox.createMachine("", name, *tail)
