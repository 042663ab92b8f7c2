"""``vboxkit ssh``."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from vboxkit.cli import notices, streams
from vboxkit.errors import InvalidStateError, SetupError

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit.cli.state import State
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.vm import VM

_EPILOG = """\b
Examples:
  vboxkit ssh tiny-1a2b3c
  vboxkit ssh tiny-1a2b3c -- dmesg
  vboxkit ssh tiny-1a2b3c < script.sh
\b
Several words are a command and its arguments, which no shell interprets;
a single word is a shell line. In a shell, ~. at the beginning of a line
hangs up.
"""

_SHELL = 'exec "${SHELL:-/bin/sh}"'
#: Seconds: a shell ends when its input does.
_FOR_EVER = 1e6


@click.command(epilog=_EPILOG)
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def ssh(state: State, *, name: str, command: tuple[str, ...]) -> int:
    """
    Open a shell in a fork that exists, or run a command there.

    NAME is one that "vboxkit ls" shows. The exit code is that of COMMAND.
    """
    notices.terminal_only()
    lab = state.lab()
    vm = lab.vm(name)
    if not vm.running:
        raise InvalidStateError(
            f"machine {name!r} is {vm.state}: nobody answers there",
            state=str(vm.state),
            needed=["Running"],
            operation="ssh",
            hint="vboxkit ls shows the machines and their states",
        )
    with vm.ssh as guest:
        if command:
            return streams.execute(guest, command, stdin=streams.live_input())
        if not sys.stdin.isatty():
            return streams.execute(guest, [_SHELL], stdin=streams.live_input(), timeout=_FOR_EVER)
        if importlib.util.find_spec("termios") is None:
            _become_client(lab, vm)  # Windows
        from vboxkit.cli.guest_shell import interact

        return interact(guest)


def _become_client(lab: Lab, vm: VM) -> NoReturn:
    client = shutil.which("ssh")
    if client is None:
        raise SetupError(
            "a shell needs OpenSSH's client, which is not installed",
            hint=f"sudo apt-get install openssh-client, or: vboxkit ssh {vm.name} -- COMMAND",
        )
    os.execv(client, client_line(lab, vm, client))  # noqa: S606 - no shell is wanted


def client_line(lab: Lab, vm: VM, client: str) -> list[str]:
    """Return the command line by which OpenSSH's client gets into a fork, and nowhere else."""
    way = vm.credentials
    # The forks of an image have one host key and many ports: known by the image, not by the port.
    alias = f"vboxkit-{vm.image.digest[:16]}"
    options = [
        f"HostKeyAlias={alias}",
        f"UserKnownHostsFile={_quoted(_known_hosts(lab, vm, alias))}",
        "GlobalKnownHostsFile=none",
        f"StrictHostKeyChecking={'yes' if way.host_key else 'accept-new'}",
        "UpdateHostKeys=no",
        "IdentitiesOnly=yes",
        "LogLevel=ERROR",
    ]
    line = [client, "-F", "none", "-p", str(vm.ssh_port)]
    if way.key_file is not None:
        line += ["-i", str(way.key_file)]
    for option in options:
        line += ["-o", option]
    return [*line, f"{way.user}@127.0.0.1"]


def _known_hosts(lab: Lab, vm: VM, alias: str) -> Path:
    from vboxkit.lab.images import folder_of

    # With the image's key: it goes when the image goes.
    file = folder_of(lab.places, vm.image.digest) / "known_hosts"
    line = f"{alias} {vm.credentials.host_key}\n" if vm.credentials.host_key else ""
    if not file.exists() or (line and file.read_text() != line):
        file.write_text(line)
    return file


def _quoted(path: Path) -> str:
    return f'"{path}"' if " " in str(path) else str(path)
