"""OpenSSH's files: entries of an ssh_config written, and read for one host; known_hosts."""

from __future__ import annotations

import getpass
import glob
import re
import shlex
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

from vboxkit.errors import HostKeyError, SettingsError
from vboxkit.guest.credentials import Address, Credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["alias_of", "known_hosts_line", "known_hosts_name", "look_up", "options", "quoted"]

#: What changes where a connection leads to or who is let in, and is not done here.
_REFUSED = (
    "proxyjump",
    "proxycommand",
    "certificatefile",
    "pkcs11provider",
    "securitykeyprovider",
    "knownhostscommand",
    "revokedhostkeys",
    "bindaddress",
    "bindinterface",
)
#: A keyword is followed by white space, or by one =.
_KEYWORD = re.compile(r"([^\s=]*)(?:\s*=\s*|\s+)?(.*)\Z", re.DOTALL)
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
#: Which of a host's keys is taken, if several are known.
_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ssh-rsa")


def alias_of(name: str) -> str:
    """
    Return a name as a word that means itself in every tool's files.

    Example:
        >>> alias_of("my web*server")
        'my-web-server'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "guest"


def quoted(path: Path | str) -> str:
    """
    Return a path as a value in an ssh_config.

    Raises:
        SettingsError: There is no way to write it there.

    Example:
        >>> quoted("/home/me/100 % sure")
        '"/home/me/100 %% sure"'
    """
    text = str(path)
    if any(sign in text for sign in ('"', "${", "\n", "\r")):
        raise SettingsError(
            f"the path {text!r} cannot be written into an ssh_config",
            hint='use a folder without ", ${ and line breaks in its name',
        )
    return f'"{text.replace("%", "%%")}"'


def known_hosts_name(address: Address) -> str:
    """Return an address as known_hosts has it."""
    return address.host if address.port == 22 else f"[{address.host}]:{address.port}"


def known_hosts_line(address: Address, host_key: str) -> str:
    """Return the line of a known_hosts file that allows this key at this address."""
    return f"{known_hosts_name(address)} {' '.join(host_key.split()[:2])}\n"


def options(
    address: Address, credentials: Credentials, *, known_hosts: Path, pinned: bool
) -> list[tuple[str, str]]:
    """
    Return the options of OpenSSH's client that lead to a guest, and to it alone.

    Args:
        address: Where the guest is.
        credentials: Who logs in.
        known_hosts: The file with the guest's key.
        pinned: Whether the key is in there; otherwise the first one seen is added.
    """
    lines = [
        ("HostName", address.host),
        ("Port", str(address.port)),
        ("User", credentials.user),
    ]
    if credentials.key_file is not None:
        lines.append(("IdentityFile", quoted(credentials.key_file.absolute())))
    if not credentials.agent:
        # Others of the user's keys would use up the tries that the server allows.
        lines += [("IdentitiesOnly", "yes"), ("IdentityAgent", "none")]
    lines += [
        ("UserKnownHostsFile", quoted(known_hosts.absolute())),
        ("GlobalKnownHostsFile", "/dev/null"),
        ("StrictHostKeyChecking", "yes" if pinned else "accept-new"),
        ("UpdateHostKeys", "no"),
        ("LogLevel", "ERROR"),
    ]
    return lines


def look_up(name: str, file: Path | None, *, agent: bool) -> tuple[Address, Credentials]:
    """
    Read where a host is, and who logs in there, as OpenSSH's client would.

    Args:
        name: As it is given to ``ssh``.
        file: The ssh_config; ``~/.ssh/config`` if left out.
        agent: Whether the agent may be used, if the file does not forbid it.

    Raises:
        SettingsError: The file cannot be read, or has for this host what is not supported.
        HostKeyError: It demands a known host key, and there is none.
    """
    path = file if file is not None else Path("~/.ssh/config").expanduser()
    raw: Mapping[str, Any] = _read(name, path, missing_ok=file is None)
    found = {
        key: value.replace("\0", "%") if isinstance(value, str) else value
        for key, value in raw.items()
    }
    for option in _REFUSED:
        if str(found.get(option) or "none").lower() != "none":
            raise SettingsError(
                f"{path}: host {name!r} has {option} = {found[option]}, which is not supported",
                hint="give Address and Credentials yourself; for a ProxyJump, let "
                "ssh -L 2222:HOST:22 JUMPHOST lead to Address('127.0.0.1', 2222)",
            )
    try:
        port = int(found.get("port", 22))
    except ValueError as error:
        raise SettingsError(f"{path}: host {name!r}: {found['port']!r} is no port") from error
    address = Address(found["hostname"], port)
    uses_agent = str(found.get("identityagent", "SSH_AUTH_SOCK"))
    if agent and uses_agent not in {"none", "SSH_AUTH_SOCK"}:
        raise SettingsError(
            f"{path}: host {name!r} has an agent of its own, {uses_agent}",
            hint="set SSH_AUTH_SOCK to it, and take IdentityAgent out of the file",
        )
    credentials = Credentials(
        user=found.get("user") or getpass.getuser(),
        key_file=_key_file(found.get("identityfile")),
        agent=agent and uses_agent != "none",
    )
    return address, replace(credentials, host_key=_host_key(name, path, address, found))


def _read(name: str, path: Path, *, missing_ok: bool) -> Mapping[str, str]:
    try:
        text = _text(path)
    except FileNotFoundError as error:
        if not missing_ok:
            raise SettingsError(f"there is no file {path}") from error
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {path}: {error}") from error
    try:
        # paramiko does not know that %% is a %.
        return paramiko.SSHConfig.from_text(text.replace("%%", "\0")).lookup(name)
    except paramiko.SSHException as error:
        raise SettingsError(f"{path}: host {name!r}: {error}") from error


def _text(path: Path, depth: int = 0) -> str:
    """Return a file with those that it includes, which paramiko passes over."""
    lines = []
    conditional = False
    for line in path.read_text(encoding="utf-8").splitlines():
        keyword, rest = _KEYWORD.match(line.strip()).groups()  # type: ignore[union-attr]  # always
        conditional = conditional or keyword.lower() in {"host", "match"}
        if keyword.lower() == "match" and "exec" in rest.lower().split():
            raise SettingsError(
                f"{path}: Match by a command is not supported: {line.strip()}",
                hint="give another file, without it",
            )
        if keyword.lower() != "include":
            lines.append(line)
            continue
        if conditional or depth > 15:
            raise SettingsError(
                f"{path}: Include for some hosts only is not supported: {line.strip()}",
                hint="move it before the first Host",
            )
        for pattern in shlex.split(rest):
            here = str(Path("~/.ssh").expanduser() / Path(pattern).expanduser())
            lines += [_text(Path(it), depth + 1) for it in sorted(glob.glob(here))]  # noqa: PTH207 - absolute
        # What follows belongs to the last Host of an included file no more.
        lines.append("Host *")
    return "\n".join(lines) + "\n"


def _key_file(listed: object) -> Path | None:
    if isinstance(listed, list):
        files = [Path(str(it).replace("\0", "%")).expanduser() for it in listed]
    else:
        files = [Path("~/.ssh").expanduser() / it for it in _DEFAULT_KEYS]
    there = [it for it in files if it.exists()]
    if there:
        return there[0]
    # One that was asked for and is not there shall be missed by name.
    return files[0] if isinstance(listed, list) and files else None


def _known(path: Path) -> paramiko.HostKeys:
    """Read a known_hosts file; as for OpenSSH's client, a line that is damaged is none."""
    keys = paramiko.HostKeys()
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return keys
    for line in lines:
        entry = None
        # Those with a mark are of certificates, or revoked.
        if line.strip() and line.strip()[0] not in "#@":
            with suppress(InvalidHostKey, paramiko.SSHException):
                entry = HostKeyEntry.from_line(line.strip())
        if entry is not None:
            for host in entry.hostnames:
                keys.add(host, entry.key.get_name(), entry.key)
    return keys


def _host_key(name: str, path: Path, address: Address, found: Mapping[str, str]) -> str | None:
    wanted = found.get("hostkeyalias") or known_hosts_name(address)
    files = found.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")
    # paramiko has taken the quotes off, so it may be one path with a space.
    paths = [Path(files).expanduser()]
    if not paths[0].exists():
        paths = [Path(it).expanduser() for it in shlex.split(files)]
    known: dict[str, str] = {}
    for it in paths:
        for kind, key in (_known(it).lookup(wanted) or {}).items():
            known.setdefault(kind, f"{kind} {key.get_base64()}")
    for kind in (*_KINDS, *known):
        if kind in known:
            return known[kind]
    if found.get("stricthostkeychecking", "").lower() == "yes":
        raise HostKeyError(
            f"{path}: host {name!r} demands a known key, and there is none for {wanted} in {files}",
            hint="connect once with OpenSSH's client, or give Credentials(host_key=...)",
        )
    return None
