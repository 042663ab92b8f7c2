"""A private network of VirtualBox's own, where its kernel driver is there."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NoReturn

from vboxkit.errors import SwitchError
from vboxkit.net.directory import Directory, mac_bytes
from vboxkit.net.process import Joined

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path
    from typing import Any

__all__ = ["Internal"]


class Internal:
    """
    VirtualBox's internal network, with addresses of ours; it has no faults.

    Attributes:
        network: Its name for VirtualBox.
    """

    def __init__(self, name: str, *, subnet: str, domain: str) -> None:
        self._name = name
        self._directory = Directory(subnet, domain=domain)
        self.network = f"vboxkit-{name}-{secrets.token_hex(3)}"

    def join(self, name: str, *, mac: str, peer: int, ip: str | None = None) -> Joined:
        """Add a member."""
        return Joined(ip=str(self._directory.add(name, mac_bytes(mac), ip).ip), port=peer)

    def leave(self, name: str) -> None:
        """Remove a member."""
        self._directory.remove(name)

    def fault(
        self, kind: str, amount: float | None, between: Sequence[str] = (), *, jitter: float = 0.0
    ) -> None:
        """Refuse: VirtualBox's switch is flawless."""
        del amount, between, jitter
        self._refuse(kind)

    def partition(self, groups: Sequence[Collection[str]]) -> None:
        """Refuse."""
        del groups
        self._refuse("partition")

    def heal(self) -> None:
        """Do nothing: it is whole."""

    def record(self, path: Path | None) -> None:
        """Refuse."""
        del path
        self._refuse("record")

    def counts(self) -> dict[str, list[list[Any]]]:
        """Refuse."""
        self._refuse("counts")

    def close(self) -> None:
        """Do nothing: the network is gone when nobody names it."""

    def _refuse(self, what: str) -> NoReturn:
        raise SwitchError(
            f"network {self._name!r}: {what} is for switches of ours, not for an internal network"
            " of VirtualBox's",
            hint="leave kind='internal' out; vm.network[1].trace(...) records one machine's frames",
        )
