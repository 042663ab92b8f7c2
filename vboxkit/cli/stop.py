"""``vboxkit stop``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vboxkit.cli import completing, output

if TYPE_CHECKING:
    from vboxkit.cli.state import State

_EPILOG = """\b
Examples:
  vboxkit stop web
  vboxkit stop web db --force
  vboxkit stop web --save
"""


@click.command(epilog=_EPILOG)
@click.argument("names", nargs=-1, required=True, shell_complete=completing.machines)
@click.option("--force", is_flag=True, help="Cut the power; what is not written is lost.")
@click.option("--save", is_flag=True, help="Save the state; the next start goes on from there.")
@click.option("--pause", is_flag=True, help="Only stop the guest's time.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="S", help="Seconds.")
@output.user_option
@click.pass_obj
def stop(
    state: State,
    *,
    names: tuple[str, ...],
    force: bool,
    save: bool,
    pause: bool,
    timeout: float | None,
    of_user: bool,
) -> None:
    """Stop machines: the guest is asked to shut down, and waited for."""
    from vboxkit.cli.live import showing

    if force + save + pause > 1:
        raise click.UsageError("--force, --save and --pause are three ways: choose one")
    machines = [state.machine(name, of_user=of_user) for name in names]
    for machine in machines:
        with showing(keep=False, plain=False):
            if force:
                machine.power_off()
            elif save:
                machine.save_state(timeout=timeout)
            elif pause:
                machine.pause()
            else:
                machine.shutdown(timeout=timeout)
        output.out().print(f"{machine.name}: {machine.state}", soft_wrap=True)
