"""``vboxkit cp``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vboxkit.cli import completing, notices
from vboxkit.cli.bars import bar
from vboxkit.errors import InvalidStateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.cli.state import State
    from vboxkit.guest.ssh import SSH

_EPILOG = """\b
Examples:
  vboxkit cp setup.sh tiny-1a2b3c:/tmp/
  vboxkit cp tiny-1a2b3c:/var/log/messages .
  vboxkit cp -r site tiny-1a2b3c:/srv/www
\b
One of the two is NAME:PATH, with a NAME that "vboxkit ls" shows. A folder as
the target takes the source under its own name, as cp does.
"""


def _apart(text: str) -> tuple[str, str]:
    """Return the machine's name, or nothing, and the path."""
    name, colon, path = text.partition(":")
    # As scp has it: what has a slash before the colon is a file of this machine.
    return (name, path or ".") if colon and name and "/" not in name else ("", text)


@click.command(epilog=_EPILOG)
@click.argument("source", shell_complete=completing.copies)
@click.argument("target", shell_complete=completing.copies)
@click.option("-r", "--recursive", is_flag=True, help="Copy a folder with all in it.")
@click.pass_obj
def cp(state: State, *, source: str, target: str, recursive: bool) -> None:
    """
    Copy a file to a machine that exists, or from there.

    Permissions and times go along. The target's name never has half a file.
    """
    (there_from, source_path), (there_to, target_path) = _apart(source), _apart(target)
    if bool(there_from) == bool(there_to):
        raise click.UsageError("one of SOURCE and TARGET must be NAME:PATH, the other a path here")
    notices.terminal_only()
    name = there_from or there_to
    vm = state.lab().vm(name)
    if not vm.running:
        raise InvalidStateError(
            f"machine {name!r} is {vm.state}: nobody answers there",
            state=str(vm.state),
            needed=["Running"],
            operation="cp",
            hint=f"vboxkit start {name} starts it",
        )
    with vm.ssh as guest, bar(source if there_to else source_path) as tell:
        if there_to:
            _put(guest, Path(source_path), target_path, recursive=recursive, tell=tell)
        else:
            _get(guest, source_path, Path(target_path), recursive=recursive, tell=tell)


def _put(
    guest: SSH,
    source: Path,
    target: str,
    *,
    recursive: bool,
    tell: Callable[[int, int, str], None] | None,
) -> None:
    if guest.exists(target) and guest.stat(target).kind == "folder":
        target = f"{target.rstrip('/')}/{source.resolve().name}"
    if recursive and source.is_dir():
        guest.put_tree(source, target, progress=tell)
    else:
        guest.put(source, target, progress=tell)


def _get(
    guest: SSH,
    source: str,
    target: Path,
    *,
    recursive: bool,
    tell: Callable[[int, int, str], None] | None,
) -> None:
    if target.is_dir():
        name = source.rstrip("/").rpartition("/")[2]
        if name == "..":  # which would lead out of the target
            raise click.UsageError(f"{source!r} is no name to be kept: give TARGET one")
        target /= name
    if recursive and guest.stat(source).kind == "folder":
        guest.get_tree(source, target, progress=tell)
    else:
        guest.get(source, target, progress=tell)
