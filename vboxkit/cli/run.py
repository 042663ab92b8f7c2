"""``vboxkit run``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from vboxkit.cli import completing, notices, streams

if TYPE_CHECKING:
    from vboxkit.cli.state import State
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.vm import VM

_EPILOG = """\b
Examples:
  vboxkit run tiny -- uname -a
  vboxkit run tiny -- 'grep -c processor /proc/cpuinfo'
  vboxkit run tiny --env LEVEL=3 -- sh -c 'exit $LEVEL'
  vboxkit run tiny -- sh < script.sh
\b
Several words are a command and its arguments, which no shell interprets;
a single word is a shell line. Standard input that is no terminal is read
to its end first.
"""


class _Run(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if "--" in args:
                raise
            raise click.UsageError(
                f"{error.format_message()} If it belongs to the guest's command, write -- before"
                " the command.",
                ctx,
            ) from error


def _variables(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,  # noqa: ARG001
    value: tuple[str, ...],
) -> dict[str, str]:
    found = {}
    for item in value:
        name, equals, content = item.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise click.BadParameter(f"{item!r} is not NAME=VALUE")
        found[name] = content
    return found


@click.command(cls=_Run, epilog=_EPILOG)
@click.argument("image", shell_complete=completing.images)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--keep", is_flag=True, help="Leave the machine there, and say its name.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="S",
    help="Seconds for the command.  [default: 300]",
)
@click.option("--env", multiple=True, metavar="K=V", callback=_variables, help="For the command.")
@click.pass_obj
def run(
    state: State,
    *,
    image: str,
    command: tuple[str, ...],
    keep: bool,
    timeout: float | None,
    env: dict[str, str],
) -> int:
    """
    Run a command in a fresh fork of an image, and destroy the fork.

    IMAGE is 'tiny', an OVA file, or the name of an image that was built. The exit
    code is that of COMMAND.
    """
    from vboxkit.cli.live import showing

    notices.terminal_only()
    with showing(keep=False, plain=False):
        lab = state.lab()
    # Not before: what was read could not be passed into the sandbox.
    stdin = streams.standard_input()
    with lab:
        with showing(keep=False, plain=False):
            vm = lab.fork(image, test=f"vboxkit run {image}")
        try:
            return streams.execute(vm.ssh, command, stdin=stdin, timeout=timeout, env=env)
        finally:
            if keep:
                _keep(lab, vm)


def _keep(lab: Lab, vm: VM) -> None:
    vm.keep()
    lab.forget(vm)
    click.echo(f"kept: {vm.name} (vboxkit ssh {vm.name}; vboxkit gc --kept removes it)", err=True)
