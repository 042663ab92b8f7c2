"""``vboxkit gc``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vboxkit.cli import output

if TYPE_CHECKING:
    from vboxkit.cli.state import State

_EPILOG = """\b
Examples:
  vboxkit gc --dry-run
  vboxkit gc --kept
"""


@click.command(epilog=_EPILOG)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--kept", is_flag=True, help="Also machines that were kept on purpose.")
@output.json_option
@click.pass_obj
def gc(state: State, *, dry_run: bool, kept: bool, as_json: bool) -> None:
    """
    Remove what processes that died left behind.

    Touches nothing that vboxkit did not make, and no machine whose owner still runs.
    """
    from vboxkit.cli.live import showing

    with showing(keep=False, plain=False):
        lines = state.lab().gc(kept=kept, dry_run=dry_run)
    if as_json:
        output.print_json({"dry_run": dry_run, "removed": lines})
        return
    for line in lines:
        output.out().print(f"{'would remove' if dry_run else 'removed'} {line}", soft_wrap=True)
    if not lines:
        output.out().print("nothing to remove")
