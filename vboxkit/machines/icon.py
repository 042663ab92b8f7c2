"""The picture of a machine in VirtualBox's own window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.com.translation import translated
from vboxkit.machines.parts import invalid

if TYPE_CHECKING:
    from vboxkit.machines.properties import MachineProperties

__all__ = ["Icon"]

_PNG = b"\x89PNG\r\n\x1a\n"
#: VirtualBox keeps it as text within the settings file, and writes that on each change.
_LARGEST = 1024 * 1024


class Icon:
    """The attribute ``icon`` of a machine: a PNG file's bytes, or `None`."""

    __doc__ = "Its picture as the bytes of a PNG file; `None` for VirtualBox's own."

    def __get__(self, obj: MachineProperties | None, owner: type) -> bytes | None:
        if obj is None:
            return self  # type: ignore[return-value]  # for documentation tools only
        with obj._translated("read the icon"):
            return bytes(obj._api.array(obj._current(), "icon")) or None

    def __set__(self, obj: MachineProperties, value: bytes | None) -> None:
        if value is not None and not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(f"{obj._subject()}: an icon is bytes, not {type(value).__name__}")
        data = bytes(value or b"")
        if data and not data.startswith(_PNG):
            raise invalid(
                obj,
                "the icon is no PNG file",
                hint="Path('icon.png').read_bytes()",
                operation="set the icon",
            )
        if len(data) > _LARGEST:
            raise invalid(
                obj,
                f"the icon has {len(data)} bytes",
                hint=f"0 to {_LARGEST} bytes",
                operation="set the icon",
            )
        with (
            translated(obj._api, "set the icon", subject=obj._subject(), state=obj._state),
            obj._changing() as com,
        ):
            obj._api.set_array(com, "icon", list(data))
