"""Encryption of a disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.machines.base import api_call
from vboxkit.machines.encryption import (
    DISK_CIPHERS,
    DiskCipher,
    check,
    not_encrypted,
    require_cipher,
    require_module,
    require_password,
    wrong_password,
)
from vboxkit.machines.medium_base import MediumBase

if TYPE_CHECKING:
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.progress import ProgressHook

__all__ = ["EncryptableMedium"]


class EncryptableMedium(MediumBase):
    """The part of `Medium` that encrypts it."""

    @api_call("encrypt")
    def encrypt(
        self,
        password: str,
        *,
        cipher: DiskCipher = "AES-XTS256-PLAIN64",
        password_id: str | None = None,
        old_password: str | None = None,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> None:
        """
        Encrypt its data, or change cipher or password of one that is encrypted.

        A machine that uses it asks for the password, by its name, at each start; see
        `Machine.add_password`.

        Args:
            password: The new password. It is in no log, message or process list.
            cipher: ``AES-XTS256-PLAIN64`` or ``AES-XTS128-PLAIN64``.
            password_id: The name by which the password is asked for; the UUID if left out.
            old_password: The password until now, if it is encrypted.
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called meanwhile; see `vboxkit.progress_hook`.

        Raises:
            ModuleMissingError: This VirtualBox cannot encrypt; the hint says what to install.
            PasswordError: The old password is wrong, or missing.
            InvalidStateError: A machine runs with it, or images stand on it.
        """
        subject = self._subject()
        require_password(password, subject)
        require_cipher(cipher, DISK_CIPHERS, subject)
        if self.device_type != "HardDisk":
            raise self._refusal(
                f"it is for a {self.device_type}", hint="only hard disks can be encrypted"
            )
        self._require_accessible("encrypt")
        now = self.encryption
        if now is None and old_password is not None:
            raise not_encrypted(subject, self._state(), "change the password")
        if now is not None:
            self._require_password(old_password, "encrypt")
        require_module(self._api)
        name = password_id or self.id
        progress = self.com.changeEncryption(old_password or "", cipher, password, name)
        self._drive(progress, "encrypt", timeout, on_update)

    @api_call("decrypt")
    def decrypt(
        self,
        password: str,
        *,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> None:
        """
        Store its data in the clear again.

        Raises:
            PasswordError: The password is wrong.
            InvalidStateError: It is not encrypted, or a machine runs with it.
        """
        require_password(password, self._subject())
        self._require_accessible("decrypt")
        if self.encryption is None:
            raise not_encrypted(self._subject(), self._state(), "decrypt")
        require_module(self._api)
        self._require_password(password, "decrypt")
        progress = self.com.changeEncryption(password, "", "", "")
        self._drive(progress, "decrypt", timeout, on_update)

    @api_call("check the password")
    def check_password(self, password: str) -> bool:
        """
        Whether this is its password.

        Raises:
            InvalidStateError: It is not encrypted.
        """
        if self.encryption is None:
            raise not_encrypted(self._subject(), self._state(), "check the password")
        require_password(password, self._subject())
        return check(self._api, self.com, password)

    def _require_password(self, password: str | None, operation: str) -> None:
        if not password:
            raise wrong_password(self._subject(), operation, missing=True)
        if not check(self._api, self.com, password):
            raise wrong_password(self._subject(), operation)
