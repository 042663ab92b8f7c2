"""The vboxkit command: its global options, its subcommands, and its exit codes."""

from __future__ import annotations

import difflib
import gc
import io
import shutil
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

import vboxkit
from vboxkit.cli import completing, failure, notices
from vboxkit.cli.state import InSandbox, State
from vboxkit.core.signals import ending
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

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
    "bench": "Measure how fast a machine is here, and whether it has the host's hardware.",
    "run": "Run a command in a fresh fork of an image, and destroy the fork.",
    "ssh": "Open a shell in a fork that exists, or run a command there.",
    "ssh-config": "Print an entry of an ssh_config that leads to a fork.",
    "cp": "Copy a file to a machine that exists, or from there.",
    "console": "Show what a fork says on its serial port, as it says it, and type there.",
    "screenshot": "Write what a fork shows as a PNG file, or read the text on it.",
    "replay": "Look at a machine that a failed test left, in a fork of its own.",
    "images": "List, build and remove the images that forks are made of.",
    "import": "Make the machines of an appliance: all, or none if one fails.",
    "export": "Write machines as an appliance; needs VirtualBox, and machines that do not run.",
    "ovf": "Read, verify and build appliances, without VirtualBox; import and export machines.",
    "audit": "Show the changes that were made, and check that their log is whole.",
    "config": "Show the settings, and where each value comes from.",
    "gc": "Remove what processes that died left behind.",
    "doctor": "Examine this machine, and say what mends what is wrong.",
    "sandbox": "Make and enter a root with VirtualBox, for machines that have none.",
    "completion": "Print the script by which a shell completes commands, options and names.",
}

_CLICKS_LEAST = 52

#: Commands whose function is elsewhere: module and function.
ELSEWHERE = {"import": ("ovf_import", "import_"), "export": ("ovf_export", "export")}

#: The sections of --help; a command that is in none comes last.
SECTIONS = {
    "Machines": "demo ls top info create clone fork start stop destroy snapshot resize net media"
    " replay",
    "In the guest": "run ssh ssh-config cp console screenshot",
    "Images and appliances": "images import export ovf",
    "This machine": "doctor bench sandbox gc config audit completion",
}

_EPILOG = """\b
Examples:
  vboxkit demo
  vboxkit run tiny -- uname -a

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 this machine is not ready (the message says what
mends it), 130 interrupted; of run, ssh, replay --ssh and sandbox: the command's own.

VBOXKIT_DEBUG=1 shows tracebacks, NO_COLOR=1 no colours.
"""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        function = cmd_name.replace("-", "_")
        module, function = ELSEWHERE.get(cmd_name, (function, function))
        command: click.Command = getattr(import_module(f"vboxkit.cli.{module}"), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        named = {
            section: [name for name in words.split() if name in COMMANDS]
            for section, words in SECTIONS.items()
        }
        others = [name for name in COMMANDS if not any(name in it for it in named.values())]
        # All with one width of the first column, which is the narrow one.
        width = max(len(name) for name in COMMANDS)
        for section, names in {**named, "More": others}.items():
            if names:
                with formatter.section(section):
                    formatter.write_dl([(name.ljust(width), COMMANDS[name]) for name in names])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        # Click's own would load every command for its first line.
        found = [
            CompletionItem(name, help=summary)
            for name, summary in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

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
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Letters that the output has not, and names that are no text, are written by their numbers.
        sys.stdout.reconfigure(errors="backslashreplace")
    if argv is None:
        if asked := environment().get(completing.VARIABLE):
            return completing.complete(cli, asked)
        # paramiko loads invoke, 50 ms, for "Match exec" in an ssh_config, which no command reads.
        # It does without. In this process alone: others may need it, as fabric does.
        sys.modules.setdefault("invoke", None)  # type: ignore[arg-type]  # "not to be imported"
        # Nothing of what is loaded is garbage: to look for it over and over takes 4 ms.
        gc.set_threshold(50_000)
    with notices.shown(), ending(lambda number: SystemExit(128 + number)):
        try:
            try:
                code: Any = cli.main(
                    arguments,
                    prog_name="vboxkit",
                    obj=State(arguments),
                    standalone_mode=False,
                    terminal_width=_narrow(),
                )
            except InSandbox as other:
                # Only here: every live view is closed by now.
                other.enter()
        except Exception as error:
            return failure.report(error)
    # Commands return their exit code, or nothing.
    return code if isinstance(code, int) else 0


def _narrow() -> int | None:
    """Return the width for help where the terminal is narrower than click heeds: 50 columns."""
    columns = shutil.get_terminal_size().columns
    return max(columns - 2, 20) if columns < _CLICKS_LEAST else None


if __name__ == "__main__":
    sys.exit(main())
