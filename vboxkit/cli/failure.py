"""Errors as users see them: the one place that turns them into words and an exit code."""

from __future__ import annotations

import click

from vboxkit.errors import SettingsError, SetupError, VBoxKitError
from vboxkit.settings import environment

__all__ = ["FAILED", "INTERRUPTED", "NOT_READY", "WRONG_USAGE", "report", "say"]

FAILED = 1
#: Also click's.
WRONG_USAGE = 2
NOT_READY = 3
INTERRUPTED = 130


def report(error: Exception) -> int:
    """
    Say what went wrong on standard error, and return the exit code.

    An exception that no user's mistake explains is raised again: its traceback is wanted.
    """
    if environment().get("VBOXKIT_DEBUG"):
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__)
    if isinstance(error, click.exceptions.Exit):
        return int(error.exit_code)
    if isinstance(error, click.ClickException):
        error.show()
        return int(error.exit_code)
    if isinstance(error, click.Abort):
        from vboxkit.cli import output

        output.err().print("interrupted", style="yellow")
        return INTERRUPTED
    if isinstance(error, (VBoxKitError, OSError)):
        say(error)
        if isinstance(error, SettingsError):
            return WRONG_USAGE
        return NOT_READY if isinstance(error, SetupError) else FAILED
    raise error


def say(error: Exception) -> None:
    """Print an error in red, its hint on a line of its own, and what goes with it dimmed."""
    from rich.text import Text

    from vboxkit.cli import output

    console = output.err()
    message, hint, more = _parts(error)
    line = Text.assemble(("error:", "bold red"), " ", message)
    # Not wrapped: messages hold paths and commands that are copied.
    console.print(line, soft_wrap=True)
    if hint:
        console.print(Text.assemble(("  try: ", "bold"), hint), soft_wrap=True)
    if more:
        console.print(Text(more, style="dim"), soft_wrap=True)


def _parts(error: Exception) -> tuple[str, str, str]:
    if isinstance(error, VBoxKitError):
        more = [getattr(error, name, "") for name in ("evidence", "log")]
        return error.message, error.hint or "", "\n".join(text for text in more if text)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{f': {error.filename}' if error.filename else ''}", "", ""
    return str(error), "", ""
