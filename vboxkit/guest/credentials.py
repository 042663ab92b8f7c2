"""Where a guest is, and how one gets in."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Address", "Credentials", "KeyKind", "generate_key", "write_whole"]

#: Kinds of SSH keys that can be made: Ed25519, ECDSA on NIST P-256, or RSA of 2048 bits.
KeyKind = Literal["ed25519", "ecdsa", "rsa"]


@dataclass(frozen=True)
class Address:
    """
    Where the guest's SSH server is reached from this machine.

    Attributes:
        host: A name or an IP address.
        port: The TCP port.
    """

    host: str
    port: int = 22

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Credentials:
    """
    Who logs in, and whom to expect on the other side.

    What there is of it is tried in this order: the key, the agent's keys, the password, and a
    conversation. A guest that asks for two of them gets both.

    Attributes:
        user: The account in the guest.
        key_file: A private key in OpenSSH format.
        passphrase: The one of that key, if it has one; never shown.
        agent: Whether the keys of the user's SSH agent are tried as well. Servers count each key
            that they refuse, and OpenSSH's ends the connection after six.
        password: The account's password; never shown.
        answer: Called with each prompt of a keyboard-interactive conversation, such as for a code;
            without it, the password is the answer to a prompt whose answer is not echoed. It is
            called while the time to connect runs, at each connection.
        host_key: The guest's key, as ``ssh-ed25519 AAAA...``. `None`: the one seen at the first
            connection is taken, and no other from then on.
    """

    user: str = "root"
    key_file: Path | None = None
    password: str | None = field(default=None, repr=False)
    host_key: str | None = None
    passphrase: str | None = field(default=None, repr=False)
    agent: bool = False
    answer: Callable[[str], str] | None = field(default=None, repr=False)


def generate_key(path: Path, *, comment: str = "vboxkit", kind: KeyKind = "ed25519") -> Path:
    """
    Make an SSH key pair in OpenSSH format: `path`, and `path` with ``.pub`` added.

    Each file appears complete or not at all, the private one last and for its owner only (mode
    0600). Files that exist are replaced; processes that may make the same pair at once need a lock
    around this (`core.locks.lock_file`).

    Args:
        path: The private key's file; its folder is made if missing.
        comment: The last word of the public key's line.
        kind: To check a signature, ``ecdsa`` costs an OpenSSH server a third of the instructions,
            and ``rsa`` a tenth of that, which counts where its CPU is emulated.

    Returns:
        `path`.

    Raises:
        ValueError: The comment has a line break.
        OSError: The files cannot be written.

    Example:
        >>> key = generate_key(Path("keys/web"))                            # doctest: +SKIP
        >>> Credentials(user="root", key_file=key)                          # doctest: +SKIP
    """
    # paramiko reads Ed25519 keys but cannot make them; cryptography, which it stands on, can.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if "\n" in comment or "\r" in comment:
        raise ValueError(f"a key's comment is one line, not {comment!r}")
    key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    if kind == "rsa":
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    elif kind == "ecdsa":
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path.with_name(path.name + ".pub"), public + f" {comment}\n".encode(), mode=0o644)
    write_whole(path, private, mode=0o600)
    return path


def write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Make or replace a file, which appears complete or not at all, and never with a wider mode."""
    # mkstemp makes the file 0600, so a private key is never readable for others, not even briefly.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
