"""The variables that EFI keeps."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vboxkit.errors import InvalidStateError
from vboxkit.machines.locks import locked
from vboxkit.machines.mappings import LiveMapping, require_printable
from vboxkit.machines.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.machines.efi import Efi

__all__ = ["GLOBAL_OWNER", "EfiVariable", "EfiVariables", "Restore"]

#: The owner of the variables that the EFI specification itself defines, as ``BootOrder``.
GLOBAL_OWNER = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
_USUAL_ATTRIBUTES = ("NonVolatile", "BootServiceAccess", "RuntimeAccess")
_OFF = {MachineState.POWERED_OFF, MachineState.ABORTED}


@dataclass(frozen=True)
class EfiVariable:
    """
    A variable of EFI.

    Attributes:
        name: Its name.
        data: Its content.
        owner: The UUID of its owner.
        attributes: As ``NonVolatile``, ``BootServiceAccess``, ``RuntimeAccess``.
    """

    name: str
    data: bytes
    owner: str = GLOBAL_OWNER
    attributes: tuple[str, ...] = _USUAL_ATTRIBUTES


class Restore:
    """Brings a store of variables back to what it was."""

    def __init__(self, efi: Efi, before: list[EfiVariable]) -> None:
        self._efi = efi
        self._before = before

    def __call__(self, machine: Any) -> None:
        """Make the store of a raw machine what it was."""
        store = machine.nonVolatileStore.uefiVariableStore
        for name in self._efi._names(store):
            store.deleteVariable(name, self._efi._query(store, name).owner)
        for each in self._before:
            attributes = self._efi._attributes(each.attributes)
            store.addVariable(each.name, each.owner, attributes, each.data)


class EfiVariables(LiveMapping[EfiVariable]):
    """
    The variables of a machine's EFI, by name; a `dict`.

    Bytes can be assigned, or an `EfiVariable` to choose owner and attributes as well. All of it
    needs a machine that is powered off: a VM process keeps them to itself.

    Example:
        ``machine.efi.variables["Marker"] = b"mine"``
    """

    noun = "EFI variable"
    _owner: Efi

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """Yield the store, `None` if there is none; under lock, see `Efi._view`."""
        efi = self._owner
        state = efi._machine.state
        if state not in _OFF:
            raise InvalidStateError(
                f"{efi._machine._subject()} ({state}): its EFI variables are in use",
                state=str(state),
                needed=sorted(map(str, _OFF)),
                operation="read the EFI variables",
                hint="shutdown() or power_off() the machine first",
            )
        with locked(efi._machine, timeout=efi._machine.settings.lock_timeout) as session:
            com = efi._locate(session.machine)
            yield efi._found(lambda: com.uefiVariableStore)

    def _all(self) -> dict[str, EfiVariable]:
        with self._open() as store:
            names = self._owner._names(store) if store is not None else []
            return {name: self._owner._query(store, name) for name in names}

    def _read(self, name: str) -> EfiVariable | None:
        with self._open() as store:
            there = store is not None and name in self._owner._names(store)
            return self._owner._query(store, name) if there else None

    def _check(self, name: str, value: Any) -> None:
        require_printable(self._owner, "variable's name", name)
        if isinstance(value, EfiVariable):
            self._owner._require_owner(value.owner)
            self._owner._attributes(value.attributes)
        elif not isinstance(value, (bytes, bytearray)):
            msg = f"{self._subject()} {name!r} is bytes, not {type(value).__name__}"
            raise TypeError(msg)

    def _write(self, name: str, value: Any) -> None:
        efi = self._owner
        with efi._changing_store(f"set {name!r}") as store:
            old = efi._query(store, name) if name in efi._names(store) else None
            base = old or EfiVariable(name, b"")
            new = value if isinstance(value, EfiVariable) else replace(base, data=bytes(value))
            if old is not None:
                store.deleteVariable(name, old.owner)
            store.addVariable(name, new.owner, efi._attributes(new.attributes), new.data)

    def _remove(self, name: str) -> None:
        efi = self._owner
        with efi._changing_store(f"remove {name!r}") as store:
            store.deleteVariable(name, efi._query(store, name).owner)
