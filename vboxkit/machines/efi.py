"""What EFI remembers: its variables, its keys, secure boot."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from vboxkit.errors import InvalidStateError, LockedError
from vboxkit.machines.base import api_call
from vboxkit.machines.efi_variables import GLOBAL_OWNER, EfiVariable, EfiVariables, Restore
from vboxkit.machines.firmware import Firmware
from vboxkit.machines.locks import locked, pending_undo
from vboxkit.machines.parts import MachinePart, choose, invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from vboxkit.machines.properties import MachineProperties

__all__ = ["Efi", "KeyDatabase"]

T = TypeVar("T")

KeyDatabase = Literal["KEK", "db", "dbx", "MokList"]

_SHA256 = 32
#: A variable that is there while the others are listed.
_MARKER = "vboxkit-not-empty"

_ADDERS = {
    "KEK": "addKek",
    "db": "addSignatureToDb",
    "dbx": "addSignatureToDbx",
    "MokList": "addSignatureToMok",
}


class Efi(MachinePart):
    """
    The memory of a machine's EFI, kept in its ``.nvram`` file.

    A new machine has none before `initialize` or its first start. It can be changed while the
    machine is powered off.

    Attributes:
        variables: The variables, by name.

    Example:
        ``machine.efi.initialize(); machine.efi.enroll_default_keys()``, and then
        ``machine.efi.secure_boot = True``
    """

    noun = "EFI"

    def __init__(self, machine: MachineProperties) -> None:
        super().__init__(machine)
        self.variables = EfiVariables(self)

    def _locate(self, machine: Any) -> Any:
        return machine.nonVolatileStore

    def _view(self, read: Callable[[Any], T]) -> T | None:
        """
        Read something of the store, `None` if there is no store.

        By the lock, if it is free: a machine that is not locked shows its variables as they were
        when somebody first looked.
        """
        machine = self._machine
        try:
            if not machine.unchangeable:
                with locked(machine, timeout=0) as session:
                    return self._found(lambda: read(self._locate(session.machine)))
        except LockedError:
            pass
        return self._found(lambda: read(self._locate(machine.com)))

    def _found(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except Exception as error:
            foreign = self._api.foreign(error)
            # The machine of a snapshot says it in another way.
            none = ("VBOX_E_OBJECT_NOT_FOUND", "E_FAIL" if self._machine.unchangeable else "")
            if foreign is None or foreign.symbol not in none:
                raise
            return None

    def _store(self, com: Any, operation: str) -> Any:
        store = self._found(lambda: com.uefiVariableStore)
        if store is None:
            raise InvalidStateError(
                f"{self._machine._subject()} has no EFI variables yet: cannot {operation}",
                state="not initialized",
                needed=["initialized"],
                operation=operation,
                hint="efi.initialize() makes an empty store; EFI makes one at its first start",
            )
        return store

    @contextmanager
    def _changing_store(self, operation: str) -> Iterator[Any]:
        with self._changing() as com:
            store = self._store(com, operation)
            # discardSettings() does not take back what was done to the store.
            undo = pending_undo(self._machine)
            if not any(isinstance(step, Restore) for step in undo):
                undo.append(Restore(self, [self._query(store, n) for n in self._names(store)]))
            yield store

    def _names(self, store: Any) -> list[str]:
        # IUefiVariableStore::queryVariables of an empty store kills VBoxSVC (7.2.22), and there is
        # no other way to tell that it is empty.
        marked = True
        try:
            store.addVariable(_MARKER, GLOBAL_OWNER, self._attributes(()), b"x")
        except Exception as error:
            if self._api.foreign(error) is None:
                raise
            marked = False  # it is full, hence not empty
        try:
            return [name for name in map(str, store.queryVariables()[0]) if name != _MARKER]
        finally:
            if marked:
                store.deleteVariable(_MARKER, GLOBAL_OWNER)

    def _attributes(self, names: Iterable[str]) -> list[Any]:
        return [choose(self, "UefiVariableAttributes", name) for name in names]

    def _query(self, store: Any, name: str) -> EfiVariable:
        owner, raw, data = store.queryVariableByName(name)
        attributes = [self._api.name("UefiVariableAttributes", each) for each in raw]
        return EfiVariable(name, bytes(data), str(owner), tuple(attributes))

    # Reading

    @property
    @api_call("look for the EFI variables")
    def initialized(self) -> bool:
        """Whether there is a store of variables."""
        return self._view(lambda com: com.uefiVariableStore) is not None

    @property
    @api_call("read the path of the EFI variables")
    def file(self) -> Path | None:
        """The ``.nvram`` file, or `None` while there is none."""
        path = self._view(lambda com: com.uefiVariableStore and com.nonVolatileStorageFile)
        return Path(str(path)) if path else None

    @property
    @api_call("read secure boot")
    def secure_boot(self) -> bool:
        """
        Whether only signed boot loaders are run; can be set once there is a platform key.

        Enrolling one turns it on.
        """
        return bool(self._view(lambda com: com.uefiVariableStore.secureBootEnabled))

    # Changing

    @secure_boot.setter
    @api_call("set secure boot")
    def secure_boot(self, value: bool) -> None:
        if type(value) is not bool:
            msg = f"{self._subject()}: secure_boot is bool, not {type(value).__name__}"
            raise TypeError(msg)
        if not value and not self.initialized:
            return
        with self._changing_store("set secure boot") as store:
            if value and "PK" not in self._names(store):
                raise InvalidStateError(
                    f"{self._machine._subject()} has no platform key: secure boot needs one",
                    state="setup mode",
                    needed=["user mode"],
                    operation="set secure boot",
                    hint="efi.enroll_default_keys(), or enroll_platform_key() one of your own",
                )
            store.secureBootEnabled = value

    @api_call("initialize the EFI variables")
    def initialize(self) -> None:
        """
        Make an empty store of variables; those there were are lost, keys and boot entries too.

        A store that was made in a `Machine.edit` that then fails stays, empty.

        Raises:
            InvalidStateError: The machine's firmware is not EFI, or it is not powered off.
        """
        kind = Firmware(self._machine).kind
        if kind == "BIOS":
            raise InvalidStateError(
                f"{self._machine._subject()} has a BIOS, which has no variables",
                state=kind,
                needed=["EFI"],
                operation="initialize the EFI variables",
                hint="set firmware.kind = 'EFI' first",
            )
        if self.initialized:
            with self._changing_store("initialize the EFI variables"), self._changing() as com:
                com.initUefiVariableStore(0)
            return
        with self._changing() as com:
            com.initUefiVariableStore(0)

    @api_call("enroll the default keys")
    def enroll_default_keys(self) -> None:
        """Enroll Oracle's platform key and Microsoft's signatures, as for a PC one buys."""
        with self._changing_store("enroll the default keys") as store:
            store.enrollDefaultMsSignatures()
            store.enrollOraclePlatformKey()

    @api_call("enroll a platform key")
    def enroll_platform_key(self, certificate: bytes, *, owner: str = GLOBAL_OWNER) -> None:
        """
        Enroll a platform key of one's own.

        Args:
            certificate: An X.509 certificate in DER form.
            owner: The UUID of its owner.
        """
        self._require_owner(owner)
        with self._changing_store("enroll a platform key") as store:
            store.enrollPlatformKey(certificate, owner)

    @api_call("add a signature")
    def add_signature(
        self,
        database: KeyDatabase,
        data: bytes,
        *,
        kind: Literal["X509", "Sha256"] = "X509",
        owner: str = GLOBAL_OWNER,
    ) -> None:
        """
        Add a certificate, or the hash of a boot loader, to one of EFI's databases.

        Args:
            database: ``KEK`` (who may change the others), ``db`` (allowed), ``dbx`` (forbidden) or
                ``MokList`` (the machine owner's own).
            data: A certificate in DER form, or 32 bytes of SHA-256.
            kind: Which of the two.
            owner: The UUID of its owner.
        """
        if database not in _ADDERS:
            raise invalid(
                self, f"there is no database {database!r}", hint=f"one of {', '.join(_ADDERS)}"
            )
        if kind == "Sha256" and len(data) != _SHA256:
            raise invalid(self, f"a SHA-256 of {len(data)} bytes", hint=f"{_SHA256} bytes")
        self._require_owner(owner)
        raw = choose(self, "SignatureType", kind)
        with self._changing_store("add a signature") as store:
            getattr(store, _ADDERS[database])(data, owner, raw)

    def _require_owner(self, owner: str) -> None:
        # VirtualBox takes any text, and makes a UUID of its own of it.
        try:
            uuid.UUID(owner)
        except ValueError:
            raise invalid(self, f"{owner!r} is no UUID", hint=f"as {GLOBAL_OWNER}") from None
