"""The vboxkit command: its global options, its subcommands, and its exit codes."""

from __future__ import annotations

import difflib
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

import vboxkit
from vboxkit.cli import failure, notices
from vboxkit.cli.state import InSandbox, State
from vboxkit.core.signals import ending

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "cli", "main"]

#: The subcommands with their first lines, so that --help need not load them. A command `x` is the
#: function `x` of module `vboxkit.cli.x`, with - as _.
COMMANDS = {
    "demo": "Show the whole job on real machines: image, forks, SSH, snapshots, clean-up.",
    "ls": "List machines.",
    "top": "Watch the machines that run here: of all homes, with CPU, RAM and disk.",
    "info": "Show what a machine is: hardware, disks, network, snapshots.",
    "create": "Make a new machine.",
    "clone": 'Make a copy of a machine, which boots on its own; see also "vboxkit fork".',
    "fork": "Make running copies of an image or of a running fork; they stay.",
    "start": "Start machines; a paused one goes on, a saved one as well.",
    "stop": "Stop machines: the guest is asked to shut down, and waited for.",
    "destroy": "Remove machines with their disks, snapshots and folders.",
    "snapshot": "Take, restore, show and remove the snapshots of a machine.",
    "resize": "Give a machine more or less memory, CPUs and disk: all of it, or nothing.",
    "net": "Show and change what a machine's network adapters lead to.",
    "media": "List, draw, make and remove disks and images.",
    "run": "Run a command in a fresh fork of an image, and destroy the fork.",
    "ssh": "Open a shell in a fork that exists, or run a command there.",
    "ssh-config": "Print an entry of an ssh_config that leads to a fork.",
    "cp": "Copy a file to a machine that exists, or from there.",
    "console": "Show what a fork says on its serial port, as it says it, and type there.",
    "screenshot": "Write what a fork shows as a PNG file, or read the text on it.",
    "images": "List, build and remove the images that forks are made of.",
    "ovf": "Read, verify and build appliances, without VirtualBox; import and export machines.",
    "audit": "Show the changes that were made, and check that their log is whole.",
    "config": "Show the settings, and where each value comes from.",
    "gc": "Remove what processes that died left behind.",
    "doctor": "Examine this machine, and say what mends what is wrong.",
    "sandbox": "Make and enter a root with VirtualBox, for machines that have none.",
}

_EPILOG = """\b
Examples:
  vboxkit demo
  vboxkit run tiny -- uname -a
\b
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 this machine is not ready
(the message says what mends it), 130 interrupted; of run, ssh and
sandbox run: the command's own. VBOXKIT_DEBUG=1 shows tracebacks.
"""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        function = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"vboxkit.cli.{function}"), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = str(args[0])
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        if name not in COMMANDS and not name.startswith("-"):
            better = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(COMMANDS)}."
            raise click.UsageError(f"there is no command {name!r}; {better}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--home",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="The VirtualBox home for disposable machines (default: in the user's cache).",
)
@click.version_option(vboxkit.__version__, prog_name="vboxkit", message="%(prog)s %(version)s")
@click.pass_obj
def cli(state: State, home: str | None) -> None:
    """Disposable VirtualBox machines for tests and scripts."""
    state.home = home


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command.

    Args:
        argv: The arguments; this process's if left out.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with notices.shown(), ending(lambda number: SystemExit(128 + number)):
        try:
            try:
                code: Any = cli.main(
                    arguments, prog_name="vboxkit", obj=State(arguments), standalone_mode=False
                )
            except InSandbox as other:
                # Only here: every live view is closed by now.
                other.enter()
        except Exception as error:
            return failure.report(error)
    # Commands return their exit code, or nothing.
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
