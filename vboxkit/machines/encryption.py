"""
Encryption of disks and of whole machines.

Passwords go to VirtualBox as arguments of its API and nowhere else: no message, log, step or
command line has them, and nothing here keeps one.
"""

from __future__ import annotations

import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vboxkit.errors import (
    ApiError,
    InvalidStateError,
    ModuleMissingError,
    NotFoundError,
    PasswordError,
    StorageError,
)
from vboxkit.machines.medium_work import drive, fresh_medium
from vboxkit.machines.parts import NO_TEXT

if TYPE_CHECKING:
    from vboxkit.com.api import Api
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = [
    "DiskCipher",
    "Encryption",
    "check",
    "of",
    "require_cipher",
    "require_module",
    "unlock",
]

DiskCipher = Literal["AES-XTS256-PLAIN64", "AES-XTS128-PLAIN64"]
DISK_CIPHERS: tuple[DiskCipher, ...] = ("AES-XTS256-PLAIN64", "AES-XTS128-PLAIN64")

_MODULE = "Oracle VirtualBox Extension Pack"
#: The ways in over which a disk was encrypted before.
_able: weakref.WeakSet[Any] = weakref.WeakSet()


@dataclass(frozen=True)
class Encryption:
    """
    How something is encrypted.

    Attributes:
        cipher: The algorithm, as ``AES-XTS256-PLAIN64``.
        password_id: The name by which the password is asked for.
    """

    cipher: str
    password_id: str


def of(api: Api, com: Any) -> Encryption | None:
    """Return how a raw medium or machine is encrypted."""
    try:
        pair = [str(one) for one in com.getEncryptionSettings()]
    except Exception as error:
        foreign = api.foreign(error)
        if foreign is None or foreign.symbol not in {
            "VBOX_E_NOT_SUPPORTED",
            "VBOX_E_OBJECT_NOT_FOUND",
        }:
            raise
        return None
    # A medium gives the name first, a machine the cipher.
    cipher = next((one for one in pair if one.startswith("AES")), pair[0])
    pair.remove(cipher)
    return Encryption(cipher, pair[0])


def check(api: Api, com: Any, password: str) -> bool:
    """Whether a raw medium or machine, which is encrypted, has this password."""
    try:
        com.checkEncryptionPassword(password)
    except Exception as error:
        foreign = api.foreign(error)
        if foreign is None or foreign.symbol != "VBOX_E_PASSWORD_INCORRECT":
            raise
        return False
    return True


def require_module(api: Api) -> None:
    """
    Make sure that this VirtualBox can encrypt, before anything is changed.

    Which versions bring that along, and which need the extension pack, is not told by the API. So
    a small disk is made, encrypted and removed, once for each connection.

    Raises:
        ModuleMissingError: It cannot.
    """
    if api in _able:
        return
    home = str(api.virtualbox.homeFolder)
    with tempfile.TemporaryDirectory(prefix="vboxkit-", dir=home) as folder:
        path = Path(folder) / "try.vdi"

        def finish(progress: Any, what: str) -> None:
            drive(api, progress, what=what, subject=f"medium {str(path)!r}", timeout=60)

        with fresh_medium(api, "VDI", path, "HardDisk") as com:
            finish(com.createBaseStorage(1 << 20, []), "create")
            try:
                finish(com.changeEncryption("", DISK_CIPHERS[0], "try", "try"), "encrypt")
            except Exception as error:
                foreign = api.foreign(error)
                if isinstance(error, ApiError):
                    reason = error.text
                elif foreign is not None:
                    reason = foreign.text
                else:
                    raise
                version = ".".join(map(str, api.version))
                raise ModuleMissingError(
                    f"VirtualBox {version} in {api.installation} cannot encrypt: {reason}",
                    module=_MODULE,
                    hint=f"get the {_MODULE} {version} from"
                    " https://www.virtualbox.org/wiki/Downloads, and install it:"
                    " VBoxManage extpack install FILE",
                ) from error
        finish(com.deleteStorage(), "remove")
        com.close()
    _able.add(api)


def require_cipher(cipher: str, known: tuple[str, ...], subject: str) -> None:
    """
    Refuse a cipher that VirtualBox would not find, or would not check.

    Raises:
        ApiError: The hint has those there are.
    """
    if cipher not in known:
        # Not which one was given: it may be the password, in the wrong place.
        raise ApiError(
            f"{subject}: there is no such cipher",
            symbol="E_INVALIDARG",
            operation="encrypt",
            hint=f"one of {', '.join(known)}",
        )


def require_password(password: str, subject: str) -> None:
    """Refuse an empty password, or what is none; the message does not have it."""
    if not isinstance(password, str):
        raise TypeError(f"{subject}: a password is str, not {type(password).__name__}")
    if not password:
        raise PasswordError(
            f"{subject}: the password is empty",
            symbol="E_INVALIDARG",
            operation="take the password",
            hint="give one of at least one character",
        )
    if NO_TEXT.search(password):
        # Python's error for half a surrogate would have the whole password.
        raise PasswordError(
            f"{subject}: the password has a character that VirtualBox cannot take",
            symbol="E_INVALIDARG",
            operation="take the password",
            hint="leave out control characters and halves of surrogate pairs",
        )


def not_encrypted(subject: str, state: str, operation: str) -> InvalidStateError:
    """Return the error for something whose encryption is asked for, and that has none."""
    return InvalidStateError(
        f"{subject} ({state}): cannot {operation}: it is not encrypted",
        state=state,
        operation=operation,
        hint="encrypt(password) it first",
    )


def wrong_password(subject: str, operation: str, *, missing: bool = False) -> PasswordError:
    """Return the error for a wrong password; it does not have the password."""
    reason = "is encrypted, and its password was not given" if missing else "has another password"
    return PasswordError(
        f"{subject} {reason}: cannot {operation}",
        symbol="VBOX_E_PASSWORD_INCORRECT",
        operation=operation,
        hint="old_password= is the password until now" if missing else "check the password",
    )


def unlock(vbox: VirtualBox, machine: Path | str, password: str) -> str:
    """See `Machines.unlock`; returns the machine's UUID."""
    api = vbox._api
    found: dict[str, Any] = {}
    for com in api.array(api.virtualbox, "machines"):
        if com.accessible:
            if str(machine) in {str(com.id), str(com.name), str(com.settingsFilePath)}:
                if of(api, com) is None:
                    subject, state = f"machine {str(com.name)!r}", com.state
                    raise not_encrypted(subject, api.name("MachineState", state), "unlock")
                return str(com.id)
            continue
        file = Path(str(com.settingsFilePath))
        found[str(file)] = com
        if str(machine) not in {str(com.id), file.stem, str(file)}:
            continue
        now = of(api, com)
        if now is None:
            raise StorageError(
                f"machine {file} cannot be read: {com.accessError.text}",
                symbol="VBOX_E_FILE_ERROR",
                operation="unlock",
                hint="its settings are not encrypted, but damaged or missing",
            )
        subject = f"machine {file.stem!r}"
        require_password(password, subject)
        # A wrong password that once came this far stays in VBoxSVC, and hides the right one.
        if not check(api, com, password):
            raise wrong_password(subject, "unlock")
        com.addEncryptionPassword(now.password_id, password)
        return str(com.id)
    raise NotFoundError(
        f"there is no machine {str(machine)!r} that is locked, only {sorted(found)}",
        kind="machine",
        wanted=str(machine),
        available=sorted(found),
        hint="vbox.machines.inaccessible() has the machines that cannot be read, with the reason",
    )
