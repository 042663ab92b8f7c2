"""``vboxkit config``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from vboxkit.cli import output

if TYPE_CHECKING:
    from vboxkit.cli.state import State

_EPILOG = """\b
Examples:
  vboxkit config show
  VBOXKIT_KEEP=failed vboxkit config show --json
"""


@click.group(epilog=_EPILOG)
def config() -> None:
    """Show the settings, and where each value comes from."""


@config.command(epilog="Example: vboxkit config show --json | jq .[].source")
@output.json_option
@click.pass_obj
def show(state: State, *, as_json: bool) -> None:
    """
    Show each setting with its value and where that comes from.

    From weak to strong: the defaults, config.toml in the user's folder for configuration,
    [tool.vboxkit] in the nearest pyproject.toml, VBOXKIT_ variables, options of the command.
    """
    from vboxkit.settings import Settings, config_file

    origins = Settings.origins(home=state.home)
    if as_json:
        output.print_json([asdict(one) for one in origins])
        return
    output.table(
        "", ["setting", "value", "from"], [(one.name, one.value, one.source) for one in origins]
    )
    mine = config_file()
    there = "" if mine.is_file() else " (not there)"
    output.out().print(f"your file: {mine}{there}", soft_wrap=True)
