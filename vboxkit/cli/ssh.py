"""``vboxkit ssh``."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from vboxkit.cli import completing, notices, streams
from vboxkit.errors import InvalidStateError, SetupError

if TYPE_CHECKING:
    from vboxkit.cli.state import State
    from vboxkit.lab.vm import VM

__all__ = ["ssh", "talk"]

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
@click.argument("name", shell_complete=completing.machines)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def ssh(state: State, *, name: str, command: tuple[str, ...]) -> int:
    """
    Open a shell in a fork that exists, or run a command there.

    NAME is one that "vboxkit ls" shows. The exit code is that of COMMAND.
    """
    notices.terminal_only()
    vm = state.lab().vm(name)
    if not vm.running:
        raise InvalidStateError(
            f"machine {name!r} is {vm.state}: nobody answers there",
            state=str(vm.state),
            needed=["Running"],
            operation="ssh",
            hint=f"vboxkit start {name} starts it",
        )
    return talk(vm, command)


def talk(vm: VM, command: tuple[str, ...] = ()) -> int:
    """Open a shell in a machine, or run a command there; return its exit code."""
    with vm.ssh as guest:
        if command:
            return streams.execute(guest, command, stdin=streams.live_input())
        if not sys.stdin.isatty():
            return streams.execute(guest, [_SHELL], stdin=streams.live_input(), timeout=_FOR_EVER)
        if importlib.util.find_spec("termios") is None:
            _become_client(vm)  # Windows
        from vboxkit.cli.guest_shell import interact

        return interact(guest)


def _become_client(vm: VM) -> NoReturn:
    client = shutil.which("ssh")
    if client is None:
        raise SetupError(
            "a shell needs OpenSSH's client, which is not installed",
            hint=f"sudo apt-get install openssh-client, or: vboxkit ssh {vm.name} -- COMMAND",
        )
    line = [client, "-F", str(vm.ssh.write_config()), vm.ssh.alias]
    os.execv(client, line)  # noqa: S606 - no shell is wanted
