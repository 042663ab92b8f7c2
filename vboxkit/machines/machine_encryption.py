"""Encryption of a whole machine, and the passwords that a start asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from vboxkit.errors import InvalidStateError, LockedError
from vboxkit.machines import encryption
from vboxkit.machines.base import api_call
from vboxkit.machines.encryption import (
    Encryption,
    not_encrypted,
    require_cipher,
    require_module,
    require_password,
    wrong_password,
)
from vboxkit.machines.locks import holder, holds, locked
from vboxkit.machines.medium import Medium
from vboxkit.machines.medium_work import drive
from vboxkit.machines.properties import MachineProperties
from vboxkit.machines.states import ONLINE, SessionState

if TYPE_CHECKING:
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.progress import ProgressHook

__all__ = ["EncryptableMachine", "MachineCipher"]

MachineCipher = Literal["AES-256", "AES-128"]
MACHINE_CIPHERS: tuple[MachineCipher, ...] = ("AES-256", "AES-128")


class EncryptableMachine(MachineProperties):
    """The part of `Machine` that encrypts it."""

    @property
    @api_call("read the encryption")
    def encryption(self) -> Encryption | None:
        """Cipher and password name of its settings, or `None`."""
        return encryption.of(self._api, self._current())

    @property
    def is_encrypted(self) -> bool:
        """Whether its settings, NVRAM, logs and saved states are encrypted."""
        return self.encryption is not None

    @api_call("encrypt")
    def encrypt(
        self,
        password: str,
        *,
        cipher: MachineCipher = "AES-256",
        password_id: str | None = None,
        old_password: str | None = None,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> None:
        """
        Encrypt its settings, NVRAM, logs, saved states and disks, or change cipher or password.

        Disks that are attached later are encrypted by `Medium.encrypt`. The machine can be read
        until VirtualBox's server process ends or `forget_password` is called; from then on it is
        among `vbox.machines.inaccessible()`, and `vbox.machines.unlock` makes it one again. Each
        change of a password takes seconds, for the time that a guess is to take.

        Args:
            password: The new password. It is in no log, message or process list.
            cipher: ``AES-256`` or ``AES-128``.
            password_id: The name by which the password is asked for; the UUID if left out.
            old_password: The password until now, if it is encrypted.
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called meanwhile; see `vboxkit.progress_hook`.

        Raises:
            ModuleMissingError: This VirtualBox cannot encrypt; the hint says what to install.
            PasswordError: The old password is wrong, or missing.
            InvalidStateError: It runs or is saved, a disk has a password of its own, or this is
                inside `edit`.
        """
        require_password(password, self._subject())
        require_cipher(cipher, MACHINE_CIPHERS, self._subject())
        self._require_off("encrypt")
        now = self.encryption
        if now is None and old_password is not None:
            raise not_encrypted(self._subject(), self._state(), "change the password")
        if now is not None:
            self._require_password(old_password, "encrypt")
        else:
            self._require_plain_disks()
        require_module(self._api)
        name = password_id or self.id
        arguments = (old_password or "", cipher, password, name, now is not None)
        self._change_encryption(arguments, "encrypt", timeout, on_update)

    @api_call("decrypt")
    def decrypt(
        self,
        password: str,
        *,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> None:
        """
        Store it in the clear again.

        Raises:
            PasswordError: The password is wrong.
            InvalidStateError: It is not encrypted, runs or is saved, or this is inside `edit`.
        """
        require_password(password, self._subject())
        self._require_off("decrypt")
        if self.encryption is None:
            raise not_encrypted(self._subject(), self._state(), "decrypt")
        require_module(self._api)
        self._require_password(password, "decrypt")
        self._change_encryption((password, "", "", "", True), "decrypt", timeout, on_update)

    @api_call("check the password")
    def check_password(self, password: str) -> bool:
        """
        Whether this is the password of its settings.

        Raises:
            InvalidStateError: It is not encrypted.
        """
        if self.encryption is None:
            raise not_encrypted(self._subject(), self._state(), "check the password")
        require_password(password, self._subject())
        return encryption.check(self._api, self.com, password)

    @api_call("add the password")
    def add_password(self, password: str, *, password_id: str | None = None) -> None:
        """
        Give a running machine the password of its encrypted disks.

        It pauses at its start until it has the passwords of all of them, and then goes on.

        Args:
            password: The password. It is in no log, message or process list.
            password_id: Its name; that of each encrypted disk which has this password if left
                out.

        Raises:
            PasswordError: No disk has this password.
            InvalidStateError: It does not run, or has no encrypted disk of that name.
        """
        require_password(password, self._subject())
        names = self._names_of(password, password_id)
        with locked(self, timeout=self.settings.lock_timeout, needs_vm=True) as session:
            for name in names:
                session.console.addEncryptionPassword(name, password, False)

    @api_call("forget the password")
    def forget_password(self) -> None:
        """
        Make VirtualBox forget the password of its settings: nobody can read it until `unlock`.

        Raises:
            InvalidStateError: It is not encrypted.
            LockedError: Somebody works on it.
        """
        now = self.encryption
        if now is None:
            raise not_encrypted(self._subject(), self._state(), "forget the password")
        if self.session_state is not SessionState.UNLOCKED:
            # VBoxSVC dies of it while somebody has the lock.
            raise LockedError(
                f"{self._subject()} ({self.state}) is in use: cannot forget the password",
                holder=holder(self),
                operation="forget the password",
                hint="power it off, and leave edit(), first",
            )
        self.com.removeEncryptionPassword(now.password_id)

    def _names_of(self, password: str, wanted: str | None) -> list[str]:
        disks: dict[str, Medium] = {}
        for com in self._api.array(self._current(), "mediumAttachments"):
            if com.medium is not None:
                medium = Medium(self._api, com.medium, self.settings).base
                now = medium.encryption
                if now is not None:
                    disks[now.password_id] = medium
        if not disks or (wanted is not None and wanted not in disks):
            raise InvalidStateError(
                f"{self._subject()} ({self.state}) has no encrypted disk"
                + (f" with a password named {wanted!r}, only {sorted(disks)}" if disks else ""),
                state=str(self.state),
                operation="add the password",
                hint="medium.encryption has the name of a disk's password",
            )
        names = [wanted] if wanted is not None else sorted(disks)
        fitting = [name for name in names if disks[name].check_password(password)]
        if not fitting:
            raise wrong_password(f"{self._subject()}: disk {names}", "add the password")
        return fitting

    def _require_plain_disks(self) -> None:
        """Find out early what VirtualBox finds when it has encrypted some of the disks."""
        for com in self._api.array(self._current(), "mediumAttachments"):
            if com.medium is None or encryption.of(self._api, com.medium.base) is None:
                continue
            raise InvalidStateError(
                f"{self._subject()} ({self.state}): cannot encrypt: its disk {com.medium.location}"
                " has a password of its own",
                state=str(self.state),
                operation="encrypt",
                hint="decrypt() that disk first",
            )

    def _require_off(self, operation: str) -> None:
        state = self.state
        reason = f"it is {state}" if state in ONLINE else ""
        if str(state) in {"Saved", "AbortedSaved"}:
            reason = "it has a saved state"
        if holds(self):
            # It is written at once, and discardSettings() would not take it back.
            reason = "it cannot be undone, and so has no place in edit()"
        if reason:
            raise InvalidStateError(
                f"{self._subject()} ({state}): cannot {operation}: {reason}",
                state=str(state),
                needed=["PoweredOff", "Aborted"],
                operation=operation,
                hint="power it off first, and do it outside of edit()",
            )

    def _require_password(self, password: str | None, operation: str) -> None:
        if not password:
            raise wrong_password(self._subject(), operation, missing=True)
        if not encryption.check(self._api, self.com, password):
            raise wrong_password(self._subject(), operation)

    def _change_encryption(
        self,
        arguments: tuple[Any, ...],
        what: str,
        timeout: Timeout | None,
        on_update: ProgressHook | None,
    ) -> None:
        with self._changing() as com:
            drive(
                self._api,
                com.changeEncryption(*arguments),
                what=what,
                subject=self._subject(),
                timeout=timeout if timeout is not None else self.settings.progress_timeout,
                on_update=on_update,
            )
