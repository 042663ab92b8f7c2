"""Texts that a machine, or VirtualBox, keeps for programs: extra data."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vboxkit.machines.locks import pending_extra_data
from vboxkit.machines.mappings import LiveMapping, require_printable
from vboxkit.machines.parts import invalid, require_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.machines.properties import MachineProperties

__all__ = ["ExtraData", "GlobalExtraData"]


class GlobalExtraData(LiveMapping[str]):
    """
    The extra data of VirtualBox itself, as a `dict` of texts.

    VirtualBox has no empty texts: to write one would remove the key, so it is refused.

    Example:
        ``vbox.extra_data["GUI/SuppressMessages"] = "all"``
    """

    noun = "extra data key"

    def _all(self) -> dict[str, str]:
        com = self._current()
        # Another program may remove a key meanwhile.
        found = {str(key): str(com.getExtraData(key)) for key in com.getExtraDataKeys()}
        return {key: value for key, value in found.items() if value}

    def _read(self, name: str) -> str | None:
        return str(self._current().getExtraData(name)) or None

    def _check(self, name: str, value: Any) -> None:
        require_printable(self, self.noun, name)
        require_text(self, "text", value)
        if not value:
            raise invalid(
                self,
                f"{name!r} cannot be empty",
                hint=f"del it to remove it: del ...[{name!r}]",
                operation="set it",
            )

    def _write(self, name: str, value: Any) -> None:
        self.com.setExtraData(name, value)

    def _remove(self, name: str) -> None:
        self._write(name, "")

    @contextmanager
    def _changing(self) -> Iterator[Any]:
        before = self._all()
        done = False
        try:
            yield self.com
            done = True
        finally:
            if not done:
                for name in before.keys() | self._all().keys():
                    self.com.setExtraData(name, before.get(name, ""))


class ExtraData(GlobalExtraData):
    """
    The extra data of a machine, as a `dict` of texts.

    Inside `Machine.edit` it is written at the end of the block, and reads as set from then on
    within it.

    Example:
        ``machine.extra_data["example.com/owner"] = "ci"``
    """

    def __init__(self, machine: MachineProperties) -> None:
        super().__init__(machine)
        self._machine = machine

    def _current(self) -> Any:
        # Not the locked machine: extra data does not wait for it, see MachineProperties._changing.
        return self._machine.com

    def _changing(self) -> Any:
        return self._machine._changing()

    def _all(self) -> dict[str, str]:
        merged = {**super()._all(), **pending_extra_data(self._machine)}
        return {key: value for key, value in sorted(merged.items()) if value}

    def _read(self, name: str) -> str | None:
        return self._machine.get_extra_data(name)

    def _write(self, name: str, value: Any) -> None:
        self._machine.set_extra_data(name, value)
