"""A guest handed over to other programs that speak SSH, and taken over from their files."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko

from vboxkit.errors import AlreadyExistsError, HostKeyError
from vboxkit.guest import ssh_config
from vboxkit.guest.connect import fingerprint
from vboxkit.guest.connection import Connection
from vboxkit.guest.credentials import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from vboxkit.settings import Settings

__all__ = ["HandOver"]

_MARK = "# Written by vboxkit, and replaced by it.\n"


class HandOver(Connection):
    """
    The methods of `SSH` that lead other programs to the guest.

    Attributes:
        alias: What those programs call it.
        files: The folder for known_hosts and the like, which is somebody else's to remove; one of
            this object, which `close` removes, if it is `None`.
    """

    alias: str = "guest"
    files: Path | None = None
    _temporary: weakref.finalize[..., HandOver] | None = None
    _temporary_folder: Path | None = None

    @classmethod
    def from_config(
        cls,
        name: str,
        *,
        file: str | os.PathLike[str] | None = None,
        agent: bool = False,
        password: str | None = None,
        passphrase: str | None = None,
        settings: Settings | None = None,
    ) -> Self:
        """
        Make one for a host of OpenSSH's client configuration.

        HostName, Port, User, IdentityFile (the first that exists), IdentityAgent, HostKeyAlias,
        UserKnownHostsFile and StrictHostKeyChecking are heeded. A key in known_hosts is the only
        one accepted, whatever StrictHostKeyChecking says. Forwards and the like are not made.

        Args:
            name: As it is given to ``ssh``.
            file: The configuration; ``~/.ssh/config`` if left out.
            agent: Whether the keys of the user's SSH agent are tried.
            password: The account's password.
            passphrase: That of the private key.
            settings: The default timeouts.

        Raises:
            SettingsError: The file cannot be read, or has for this host what is not supported, such
                as ProxyJump.
            HostKeyError: It demands a known host key, and there is none.

        Example:
            >>> SSH.from_config("web", agent=True).run("uptime")            # doctest: +SKIP
        """
        path = Path(file) if file is not None else None
        address, credentials = ssh_config.look_up(name, path, agent=agent)
        credentials = replace(credentials, password=password, passphrase=passphrase)
        made = cls(address, credentials, settings=settings, name=name)
        made.alias = ssh_config.alias_of(name)
        return made

    @property
    def known_hosts(self) -> Path:
        """A known_hosts file with the guest's key and no other, written now (mode 0600)."""
        path = self._folder() / "known_hosts"
        key = self.host_key
        line = ssh_config.known_hosts_line(self.address, key) if key else ""
        write_whole(path, line.encode(), mode=0o600)
        return path

    def config(self, name: str | None = None) -> str:
        """
        Return an entry of an ssh_config that leads OpenSSH's client to the guest.

        It pins the guest's host key by a known_hosts file that lives as long as the machine (or
        this object); the private key stays where it is. A password is not in it.

        Args:
            name: What the host is called there; the machine's name if left out.

        Raises:
            SettingsError: A path has what cannot be written there.

        Example:
            >>> print(vm.ssh.config())                                      # doctest: +SKIP
            Host tiny-1a2b3c
                HostName 127.0.0.1
                ...
        """
        lines = "".join(f"    {key} {value}\n" for key, value in self.client_options)
        return f"Host {ssh_config.alias_of(name or self.alias)}\n{lines}"

    @property
    def client_options(self) -> list[tuple[str, str]]:
        """The lines of `config` as pairs, for ``ssh -o`` as well."""
        return ssh_config.options(
            self.address,
            self.credentials,
            known_hosts=self.known_hosts,
            pinned=self.host_key is not None,
        )

    def write_config(
        self, path: str | os.PathLike[str] | None = None, *, name: str | None = None
    ) -> Path:
        """
        Write `config` to a file (mode 0600), for ``ssh -F``.

        Args:
            path: The file; one that goes with the machine (or this object) if left out. Beside it
                goes its known_hosts, under the same name with ``.known_hosts``.
            name: What the host is called there; the machine's name if left out.

        Returns:
            The file.

        Raises:
            AlreadyExistsError: There is a file that vboxkit did not write.
            SettingsError: A path has what cannot be written there.
            OSError: The file cannot be written.

        Example:
            >>> config = vm.ssh.write_config()                              # doctest: +SKIP
            >>> subprocess.run(["ssh", "-F", config, vm.name, "uptime"])    # doctest: +SKIP
        """
        target = Path(path) if path is not None else self._folder() / "ssh_config"
        if path is not None and target.exists() and not target.read_text().startswith(_MARK):
            raise AlreadyExistsError(
                f"{target} is there already, and not written by vboxkit",
                kind="file",
                wanted=str(target),
                hint='let it have the line "Include FILE", and write the entry to FILE',
            )
        text = self.config(name)
        if path is not None:
            beside = target.with_name(target.name + ".known_hosts").absolute()
            write_whole(beside, self.known_hosts.read_bytes(), mode=0o600)
            text = text.replace(ssh_config.quoted(self.known_hosts), ssh_config.quoted(beside))
        write_whole(target, (_MARK + text).encode(), mode=0o600)
        return target

    def fabric(self) -> dict[str, Any]:
        """
        Return the arguments of `fabric.Connection` that lead to the guest.

        The host key is checked as it is here, which fabric by itself does not do.

        Example:
            >>> with fabric.Connection(**vm.ssh.fabric()) as connection:    # doctest: +SKIP
            ...     connection.run("uname -a")
        """
        way = self.credentials
        connect: dict[str, Any] = {
            "allow_agent": way.agent,
            "look_for_keys": False,
            "transport_factory": pinned_transport(self.host_key, self.name),
        }
        if way.key_file is not None:
            connect["key_filename"] = str(way.key_file)
        if way.password is not None:
            connect["password"] = way.password
        if way.passphrase is not None:
            connect["passphrase"] = way.passphrase
        return {
            "host": self.address.host,
            "port": self.address.port,
            "user": way.user,
            "connect_kwargs": connect,
        }

    def close(self) -> None:
        """Close the connection and remove the files that were made for others."""
        super().close()
        if self._temporary is not None:
            self._temporary()
            self._temporary = self._temporary_folder = None

    def _folder(self) -> Path:
        if self.files is not None:
            return self.files
        if self._temporary_folder is None:
            folder = Path(tempfile.mkdtemp(prefix="vboxkit-ssh-"))
            self._temporary_folder = folder
            # Also at the end of a process that did not close it.
            self._temporary = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return self._temporary_folder


def pinned_transport(host_key: str | None, name: str) -> Callable[..., paramiko.Transport]:
    """Return what makes paramiko transports that accept one host key only, or any for `None`."""

    class Pinned(paramiko.Transport):
        def start_client(self, event: Any = None, timeout: float | None = None) -> None:
            super().start_client(event, timeout)
            if host_key is None or event is not None:
                return
            key = self.get_remote_server_key()
            seen = f"{key.get_name()} {key.get_base64()}"
            if seen.split() != host_key.split()[:2]:
                self.close()
                raise HostKeyError(
                    f"{name} shows the key {fingerprint(seen)}, but {fingerprint(host_key)} is "
                    "expected; nothing was sent to it",
                    expected=host_key,
                    seen=seen,
                    hint="is another machine behind this port?",
                )

    def make(*args: Any, **options: Any) -> paramiko.Transport:
        transport = Pinned(*args, **options)
        if host_key is not None:
            # Of the guest's several keys, it shall show the one that is known.
            kind = host_key.split()[0]
            wanted = ("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)
            security = transport.get_security_options()
            security.key_types = tuple(sorted(security.key_types, key=lambda it: it not in wanted))
        return transport

    return make
