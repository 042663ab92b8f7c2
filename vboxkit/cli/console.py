"""``vboxkit console``."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from vboxkit.cli import completing, notices
from vboxkit.cli.keys import typed
from vboxkit.errors import InvalidStateError

if TYPE_CHECKING:
    from vboxkit.cli.state import State
    from vboxkit.lab.vm import VM

_EPILOG = """\b
Examples:
  vboxkit console tiny-1a2b3c
  vboxkit console tiny-1a2b3c --all --no-follow
  vboxkit console -i tiny-1a2b3c
"""


@click.command(epilog=_EPILOG)
@click.argument("name", shell_complete=completing.machines)
@click.option("-i", "--interactive", is_flag=True, help="Type on it; Ctrl-] ends that.")
@click.option("--all", "whole", is_flag=True, help="Begin with the machine's start.")
@click.option("--no-follow", is_flag=True, help="Show what was said, and end.")
@click.pass_obj
def console(state: State, *, name: str, interactive: bool, whole: bool, no_follow: bool) -> None:
    """
    Show what a fork says on its serial port, as it says it, and type there.

    NAME is one that "vboxkit ls" shows. Begins with the last 20 lines. Ends with
    the machine, or by Ctrl-C.
    """
    if interactive and no_follow:
        raise click.UsageError("--interactive follows the console: leave out --no-follow")
    notices.terminal_only()
    vm = state.lab().vm(name)
    if not no_follow and not vm.running:
        raise InvalidStateError(
            f"machine {name!r} is {vm.state}: it says nothing",
            state=str(vm.state),
            needed=["Running"],
            operation="follow the console",
            hint=f"vboxkit start {name} starts it; --no-follow shows what it said",
        )
    mark = vm.console.mark()
    said = vm.console.text() if whole else vm.console.tail(20)
    _show(said if interactive or not no_follow else said.rstrip("\n") + "\n")
    if no_follow:
        return
    if interactive:
        _interact(vm, mark)
    else:
        with suppress(KeyboardInterrupt):
            for text in vm.console.chunks(start=mark):
                _show(text)
    _show("\n")


def _interact(vm: VM, mark: int) -> None:
    import threading

    def show() -> None:
        for text in vm.console.chunks(start=mark):
            _show(text)
        click.echo("\r\nthe machine has stopped\r", err=True)

    with vm.console as line:
        line.send(b"")
        threading.Thread(target=show, daemon=True).start()
        for keys in typed():
            if not vm.running:
                break
            line.send(keys)


def _show(text: str) -> None:
    # Line breaks as the guest made them: the terminal may be raw.
    sys.stdout.write(text)
    sys.stdout.flush()
