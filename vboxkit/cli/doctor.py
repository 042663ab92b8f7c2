"""``vboxkit doctor``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from vboxkit.cli import failure, output

if TYPE_CHECKING:
    from vboxkit.cli.state import State

_EPILOG = """\b
Examples:
  vboxkit doctor
  vboxkit doctor --json | jq '.[] | select(.status == "problem")'

Exit codes: 0 nothing is wrong, or only warnings; 1 there is a problem.
"""
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


@click.command(epilog=_EPILOG)
@output.json_option
@click.pass_obj
def doctor(state: State, *, as_json: bool) -> int:
    """
    Examine this machine, and say what mends what is wrong.

    Changes nothing, and starts nothing but VBoxManage --version. The exit code is 1 if there is
    a problem.
    """
    from vboxkit.host.doctor import examine
    from vboxkit.lab.checkup import examine_home

    findings = [*examine(), *examine_home(state.home)]
    if as_json:
        output.print_json([asdict(finding) for finding in findings])
    else:
        from rich.text import Text

        output.table(
            "",
            ["what", "status", "found", "what mends it"],
            [
                (
                    finding.name,
                    Text(finding.status, _STYLES.get(finding.status, "")),
                    finding.detail,
                    finding.remedy or "",
                )
                for finding in findings
            ],
        )
    return failure.FAILED if any(it.status == "problem" for it in findings) else 0
