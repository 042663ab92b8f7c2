"""``vboxkit fork``."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from vboxkit.cli import completing, output

if TYPE_CHECKING:
    from vboxkit.cli.state import State
    from vboxkit.lab.refresh import Refresh

_EPILOG = """\b
Examples:
  vboxkit fork tiny
  vboxkit fork tiny -n 4 --json | jq -r .[].name
  vboxkit fork tiny --refresh hostname --refresh machine-id
"""

_REFRESH = ("clock", "entropy", "hostname", "machine-id", "mac-address", "ssh-host-key")


@click.command(epilog=_EPILOG)
@click.argument("source", shell_complete=completing.sources)
@click.option("--name", help="Its name; of several, the beginning of their names.")
@click.option("-n", "count", type=click.IntRange(1), help="Make so many.")
@click.option("--refresh", multiple=True, type=click.Choice(_REFRESH), help="Make it new inside.")
@output.json_option
@click.pass_obj
def fork(
    state: State,
    *,
    source: str,
    name: str | None,
    count: int | None,
    refresh: tuple[str, ...],
    as_json: bool,
) -> None:
    """
    Make running copies of an image or of a running fork; they stay.

    SOURCE is an image ("tiny", an OVA file, a name of "vboxkit images ls"), or a
    fork that runs. "vboxkit destroy" or "vboxkit gc --kept" removes them.
    """
    from vboxkit.cli.live import showing

    with showing(keep=False, plain=False):
        lab = state.lab()
        running = {vm.name: vm for vm in lab.vms()}
        chosen = cast("tuple[Refresh, ...]", refresh)
        if source in running:
            origin = running[source]
            made = [origin.fork(name)] if count is None else origin.fork(name, n=count)
            for vm in made:
                vm.refresh(*chosen)
        else:
            test = "vboxkit fork"
            made = (
                [lab.fork(source, name=name, refresh=chosen, test=test)]
                if count is None
                else lab.fork(source, name=name, refresh=chosen, test=test, n=count)
            )
        for vm in made:
            vm.keep()
            lab.forget(vm)
    if as_json:
        output.print_json([{"name": vm.name, "id": vm.id, "ssh_port": vm.ssh_port} for vm in made])
        return
    for vm in made:
        output.out().print(f"{vm.name} (vboxkit ssh {vm.name})", soft_wrap=True)
