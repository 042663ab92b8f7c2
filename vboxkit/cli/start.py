"""``vboxkit start``."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from vboxkit.cli import completing, output

if TYPE_CHECKING:
    from vboxkit.cli.state import State
    from vboxkit.settings import StartMode

_EPILOG = """\b
Examples:
  vboxkit start web
  vboxkit start web db --user --mode gui
"""


@click.command(epilog=_EPILOG)
@click.argument("names", nargs=-1, required=True, shell_complete=completing.machines)
@click.option(
    "--mode",
    type=click.Choice(["auto", "headless", "gui", "driverless"]),
    help="How; see the setting start_mode.",
)
@output.user_option
@click.pass_obj
def start(state: State, *, names: tuple[str, ...], mode: str | None, of_user: bool) -> None:
    """Start machines; a paused one goes on, a saved one as well."""
    from vboxkit.cli.live import showing
    from vboxkit.machines.states import MachineState

    # All of them are found before the first is touched.
    machines = [state.machine(name, of_user=of_user) for name in names]
    for machine in machines:
        with showing(keep=False, plain=False):
            if machine.state is MachineState.PAUSED:
                machine.resume()
            else:
                machine.start(mode=cast("StartMode | None", mode))
        output.out().print(f"{machine.name}: {machine.state}", soft_wrap=True)
