"""``vboxkit screenshot``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vboxkit.cli import completing, output

if TYPE_CHECKING:
    from vboxkit.cli.state import State
    from vboxkit.machines.screen import Screen

_EPILOG = """\b
Examples:
  vboxkit screenshot tiny-1a2b3c
  vboxkit screenshot tiny-1a2b3c login.png
  vboxkit screenshot tiny-1a2b3c --show
  vboxkit screenshot tiny-1a2b3c --text
"""


@click.command(epilog=_EPILOG)
@click.argument("name", shell_complete=completing.machines)
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--show", is_flag=True, help="Draw it in this terminal; FILE if it is given.")
@click.option("--text", is_flag=True, help="Show the text on it, by OCR; FILE if it is given.")
@output.json_option
@click.pass_obj
def screenshot(
    state: State, *, name: str, file: Path | None, show: bool, text: bool, as_json: bool
) -> None:
    """
    Write what a fork shows as a PNG file, or read the text on it.

    NAME is one that "vboxkit ls" shows; FILE is NAME.png if left out. --show draws by the
    protocols of kitty and iTerm2 where the terminal knows them, else by half blocks.
    """
    if show and (as_json or not sys.stdout.isatty()):
        raise click.UsageError("--show draws in a terminal, and standard output is none")
    screen = state.lab().vm(name).screen
    shot = screen.shot()
    told: dict[str, Any] = {"width": shot.width, "height": shot.height}
    if file is not None or not (text or show):
        path = shot.save(file or Path(f"{name}.png"))
        told["path"] = str(path)
        if not as_json:
            click.echo(f"{path} ({shot.width} x {shot.height})", err=text or show)
    if show:
        _draw(screen, shot.png, shot.width, shot.height)
    if text:
        told["text"] = shot.text()
        if not as_json:
            click.echo(told["text"])
    if as_json:
        output.print_json(told)


def _draw(screen: Screen, png: bytes, width: int, height: int) -> None:
    from vboxkit.cli import drawing
    from vboxkit.settings import environment

    there = shutil.get_terminal_size()
    # One line stays for the prompt.
    columns, lines = drawing.fitting(
        width, height, columns=there.columns, lines=max(there.lines - 1, 1)
    )
    chosen = drawing.way(environment())
    if chosen in {"kitty", "iterm"}:
        send = drawing.kitty if chosen == "kitty" else drawing.iterm
        for part in send(png, columns=columns):
            sys.stdout.write(part)
    else:
        for line in drawing.half_blocks(
            screen.pixels(width=columns, height=2 * lines), colours=chosen
        ):
            sys.stdout.write(line + "\n")
    sys.stdout.flush()
