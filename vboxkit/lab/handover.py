"""A disposable machine handed over to other tools: ansible, pytest-testinfra."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from vboxkit.guest.credentials import write_whole

if TYPE_CHECKING:
    import os

    from vboxkit.guest.ssh import SSH

__all__ = ["HandOver"]


class HandOver:
    """
    The methods of `VM` that tell other tools the way in; what is below SSH is in `SSH.config`.

    What they are told is true until the machine gets another port or host key.
    """

    @property
    def ssh(self) -> SSH:
        """The guest over SSH."""
        raise NotImplementedError

    def ansible_inventory(self) -> str:
        """
        Return an inventory for ansible, in YAML, with this machine as its only host.

        The host key is pinned. The built-in guest has no Python, so of ansible's modules only
        ``raw`` and ``script`` work in it.

        Raises:
            SettingsError: A path has what cannot be told to OpenSSH's client.

        Example:
            >>> path = vm.write_ansible_inventory("inventory.yml")          # doctest: +SKIP
            >>> subprocess.run(["ansible", "-i", path, "all", "-m", "raw", "-a", "uptime"])
            ...                                                             # doctest: +SKIP
        """
        ssh = self.ssh
        way = ssh.credentials
        known = {"HostName", "Port", "User"}  # variables of ansible's own
        options = [f"{key}={value}" for key, value in ssh.client_options if key not in known]
        variables: dict[str, str | int] = {
            "ansible_connection": "ssh",
            "ansible_host": ssh.address.host,
            "ansible_port": ssh.address.port,
            "ansible_user": way.user,
            # The user's own configuration would come before these options.
            "ansible_ssh_common_args": shlex.join(
                ["-F", "/dev/null", *(part for option in options for part in ("-o", option))]
            ),
        }
        if way.key_file is not None and "%" not in str(way.key_file):  # which it hands to ssh as is
            variables["ansible_ssh_private_key_file"] = str(way.key_file.absolute())
        if way.password is not None:
            variables["ansible_password"] = way.password
        lines = "".join(f"      {key}: {_scalar(value)}\n" for key, value in variables.items())
        return f"all:\n  hosts:\n    {_scalar(ssh.alias)}:\n{lines}"

    def write_ansible_inventory(self, path: str | os.PathLike[str]) -> Path:
        """
        Write `ansible_inventory` to a file (mode 0600), replacing it; its name ends in .yml.

        Raises:
            ValueError: The name ends otherwise, by which ansible knows the format.
            OSError: The file cannot be written.
        """
        target = Path(path)
        if target.suffix not in {".yml", ".yaml"}:
            raise ValueError(f"an inventory in YAML ends in .yml or .yaml, not {target.name!r}")
        write_whole(target, self.ansible_inventory().encode(), mode=0o600)
        return target

    def testinfra(self) -> str:
        """
        Return the host string for pytest-testinfra: ``--hosts``, or `testinfra.get_host`.

        Raises:
            SettingsError: A path has what cannot be told to OpenSSH's client.

        Example:
            >>> testinfra.get_host(vm.testinfra()).file("/etc/passwd").exists  # doctest: +SKIP
            True
        """
        config = self.ssh.write_config()
        return f"ssh://{self.ssh.alias}?ssh_config={quote(str(config.absolute()))}"


def _scalar(value: str | int) -> str:
    """Return a value in YAML: JSON's strings are YAML's, too."""
    text = json.dumps(value, ensure_ascii=False)
    # Otherwise ansible would take it for a template.
    return f"!unsafe {text}" if "{" in text else text
