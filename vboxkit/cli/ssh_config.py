"""``vboxkit ssh-config``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vboxkit.cli import completing

if TYPE_CHECKING:
    from vboxkit.cli.state import State

_EPILOG = """\b
Examples:
  vboxkit ssh-config tiny-1a2b3c > web.conf && ssh -F web.conf tiny-1a2b3c
  rsync -e "ssh -F web.conf" -a site/ tiny-1a2b3c:/srv/
\b
The entry holds until the machine is destroyed or gets another port.
"""


@click.command("ssh-config", epilog=_EPILOG)
@click.argument("name", shell_complete=completing.machines)
@click.pass_obj
def ssh_config(state: State, *, name: str) -> None:
    """
    Print an entry of an ssh_config that leads to a fork.

    NAME is one that "vboxkit ls" shows. The fork's host key is pinned.
    """
    # To be read by a program: nothing else goes to standard output.
    print(state.lab().vm(name).ssh.config(), end="")
