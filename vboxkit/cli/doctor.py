"""``vboxkit doctor``."""

from __future__ import annotations

from dataclasses import asdict

import click

from vboxkit.cli import failure, output

_EPILOG = """\b
Examples:
  vboxkit doctor
  vboxkit doctor --json | jq '.[] | select(.status == "problem")'
"""
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


@click.command(epilog=_EPILOG)
@output.json_option
def doctor(*, as_json: bool) -> int:
    """
    Examine this machine, and say what mends what is wrong.

    Changes nothing. The exit code is 1 if there is a problem.
    """
    from vboxkit.host.doctor import examine

    findings = examine()
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
