"""``vboxkit sandbox``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from vboxkit.cli import output

if TYPE_CHECKING:
    from vboxkit.host.sandbox import SandboxStatus

_EPILOG = """\b
Examples:
  vboxkit sandbox create
  vboxkit sandbox run -- python -m pytest
"""


@click.group(epilog=_EPILOG)
def sandbox() -> None:
    """
    Make and enter a root with VirtualBox, for machines that have none.

    It is a folder in the user's cache. Commands that need VirtualBox enter it by themselves.
    """


@sandbox.command(epilog="Example: vboxkit sandbox create")
@click.option("--force", is_flag=True, help="Make it anew also if it is there.")
@click.pass_obj
def create(_: object, *, force: bool) -> None:
    """Make the sandbox, or renew an old one; about a minute, 600 MB."""
    from vboxkit.cli.live import showing
    from vboxkit.host.sandbox import Sandbox

    with showing():
        status = Sandbox().create(force=force)
    _say(status)


@sandbox.command(epilog="Example: vboxkit sandbox status --json")
@output.json_option
def status(*, as_json: bool) -> int:
    """
    Say whether there is a sandbox, and whether it is up to date.

    The exit code is 0 only if it can be used.
    """
    from vboxkit.host.sandbox import Sandbox

    now = Sandbox().status()
    if as_json:
        output.print_json(asdict(now))
    else:
        _say(now)
    return 0 if now.exists and not now.stale else 1


@sandbox.command(
    epilog="Example: vboxkit sandbox run -- python -m pytest -x",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(*, command: tuple[str, ...]) -> None:
    """
    Run a command inside the sandbox; its exit code is passed on.

    COMMAND is looked up inside: "python" is one that can import this vboxkit.
    """
    from vboxkit.host.sandbox import Sandbox

    Sandbox().replace_process(list(command))


@sandbox.command(epilog="Example: vboxkit sandbox shell")
def shell() -> int:
    """Open a shell inside the sandbox."""
    from vboxkit.host.sandbox import Sandbox

    return Sandbox().shell()


@sandbox.command(epilog="Example: vboxkit sandbox remove")
@click.option("--keep-downloads", is_flag=True, help="Leave the packages for the next time.")
def remove(*, keep_downloads: bool) -> None:
    """Remove the sandbox from the disk."""
    from vboxkit.cli.live import showing
    from vboxkit.host.sandbox import Sandbox

    with showing(keep=False, plain=False):
        Sandbox().remove(keep_downloads=keep_downloads)


def _say(now: SandboxStatus) -> None:
    if not now.exists:
        text = f"there is no sandbox in {now.folder}; vboxkit sandbox create makes one"
    else:
        text = (
            f"{now.folder}: VirtualBox {now.virtualbox}, Python {now.python}, {now.size_mb} MB,"
            f" made {output.age(now.created)} ago"
        )
        if now.stale:
            text += "; it is of an older recipe: vboxkit sandbox create renews it"
    output.out().print(text, soft_wrap=True)
