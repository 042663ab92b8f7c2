"""
What the shells complete: names of machines, images and snapshots, read from files.

Nothing is asked of VirtualBox: a completion must be there at once, and must not start a server.
Machines that VirtualBox knows stand in ``VirtualBox.xml`` of its home, snapshots in the machines'
own files. What cannot be read is not completed, and nothing is ever said about it.
"""

from __future__ import annotations

import html
import os
import re
import sys
from contextlib import redirect_stderr, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import click

__all__ = ["VARIABLE", "complete", "copies", "images", "machines", "snapshots", "sources"]

#: The variable by which a shell's script asks for completions.
VARIABLE = "_VBOXKIT_COMPLETE"

#: Images that are made when they are first asked for.
_BUILT_IN = ("tiny", "debian")
_ENTRY = re.compile(r'<MachineEntry\b[^>]*\bsrc="([^"]*)"')
_MACHINE = re.compile(r'<Machine\b[^>]*\bname="([^"]*)"')
_SNAPSHOT = re.compile(r'<Snapshot\b[^>]*\bname="([^"]*)"')
#: Characters of a settings file before which the machine's name stands.
_HEAD = 4096


def complete(group: click.Group, instruction: str) -> int:
    """
    Answer a shell's script: print completions, or nothing; never an error.

    Args:
        group: The command.
        instruction: What the script has put into the variable, as ``bash_complete``.
    """
    from vboxkit.cli import completion

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        try:
            kind = completion.shells()[instruction.partition("_")[0]]
            sys.stdout.write(kind(group, {}, "vboxkit", VARIABLE).complete() + "\n")
        except (Exception, SystemExit):
            return 1
    return 0


def machines(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete names of machines: of vboxkit's home, or with ``--user`` of the user's own."""
    given = ctx.params.get("names") or ()
    return _fitting((name for name in _machines(ctx) if name not in given), incomplete)


def snapshots(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete names of the snapshots of the machine that is named before."""
    file = _machines(ctx).get(str(ctx.params.get("name")))
    if file is None:
        return []
    with suppress(OSError):
        text = file.read_text(encoding="utf-8", errors="replace")
        return _fitting(map(html.unescape, _SNAPSHOT.findall(text)), incomplete)
    return []


def images(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> list[str] | list[CompletionItem[str]]:
    """Complete names of images, and files where none fits."""
    found = _fitting({*_BUILT_IN, *_images(ctx)}, incomplete)
    return found or [CompletionItem(incomplete, type="file")]


def sources(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[str] | list[CompletionItem[str]]:
    """Complete what can be forked: images and machines."""
    found = _fitting({*_BUILT_IN, *_images(ctx), *_machines(ctx)}, incomplete)
    return found or images(ctx, param, incomplete)


def copies(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> list[str] | list[CompletionItem[str]]:
    """Complete an end of a copy: a machine's name with its colon, or a file."""
    found = _fitting((f"{name}:" for name in _machines(ctx)), incomplete) if incomplete else []
    return found or [CompletionItem(incomplete, type="file")]


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete) and "\n" not in name})


def _machines(ctx: click.Context) -> dict[str, Path]:
    """Return the machines' settings files by their names; of two of one name, one."""
    home = _home(ctx)
    found = {}
    with suppress(OSError):
        known = (home / "VirtualBox.xml").read_text(encoding="utf-8", errors="replace")
        for source in _ENTRY.findall(known):
            file = home / html.unescape(source)
            with suppress(OSError), file.open(encoding="utf-8", errors="replace") as settings:
                name = _MACHINE.search(settings.read(_HEAD))
                # One that is encrypted shows its name to nobody.
                found[html.unescape(name[1]) if name else file.stem] = file
    return found


def _images(ctx: click.Context) -> Iterator[str]:
    with suppress(OSError):
        for place in (_disposable(ctx) / "images").glob("*/names/*"):
            yield place.name


def _home(ctx: click.Context) -> Path:
    if not ctx.params.get("of_user"):
        return _disposable(ctx)
    known = environment()
    if known.get("VBOX_USER_HOME"):
        return Path(known["VBOX_USER_HOME"])
    usual = {"darwin": "Library/VirtualBox", "win32": ".VirtualBox"}
    return Path.home() / usual.get(sys.platform, ".config/VirtualBox")


def _disposable(ctx: click.Context) -> Path:
    from vboxkit.settings import Settings

    return Settings.load(home=ctx.find_root().params.get("home")).home
