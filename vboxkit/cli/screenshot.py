"""``vboxkit screenshot``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vboxkit.cli.state import State

_EPILOG = """\b
Examples:
  vboxkit screenshot tiny-1a2b3c
  vboxkit screenshot tiny-1a2b3c login.png
  vboxkit screenshot tiny-1a2b3c --text
"""


@click.command(epilog=_EPILOG)
@click.argument("name")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--text", is_flag=True, help="Show the text on it, by OCR; FILE if it is given.")
@click.pass_obj
def screenshot(state: State, *, name: str, file: Path | None, text: bool) -> None:
    """
    Write what a fork shows as a PNG file, or read the text on it.

    NAME is one that "vboxkit ls" shows; FILE is NAME.png if left out.
    """
    shot = state.lab().vm(name).screen.shot()
    if file is not None or not text:
        path = shot.save(file or Path(f"{name}.png"))
        click.echo(f"{path} ({shot.width} x {shot.height})", err=text)
    if text:
        click.echo(shot.text())
