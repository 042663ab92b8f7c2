"""Ending a command in the guest, with all that it started."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

import paramiko

from vboxkit.core.waiting import Deadline
from vboxkit.guest import commands, users
from vboxkit.guest.patience import LateError, Patience, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.guest.transport import Transport

__all__ = ["end_command", "end_late", "new_mark", "signal_command"]


def new_mark() -> str:
    """Return a word that marks one command and no other."""
    return f"{time.time_ns():x}-{secrets.token_hex(4)}"


def signal_command(
    transport: Transport, command: commands.Exec, mark: str, name: str, way: users.Way
) -> bool:
    """
    Send a signal to a command and to all that it started, as far as that is possible.

    The server is asked to signal what it started itself (OpenSSH and dropbear do); everything else
    is found by the mark in ``/proc``, of which a second channel runs a short search.

    Args:
        transport: The connection.
        command: The command.
        mark: What it was marked with.
        name: The signal, as "TERM".
        way: As whom it runs: nobody else may look at its processes.

    Returns:
        Whether the guest did as it was told, within 3 s.
    """
    # The brackets keep the search from finding itself by its own command line.
    pattern = f"{commands.MARK}=[{mark[0]}]{mark[1:]}"
    # Shells first (found by their command line), lest they replace what was ended under them; and
    # what they did start meanwhile is looked for again.
    rounds = "1 2 3 4 5" if name == "KILL" else "1"
    script = (
        f"for i in {rounds}; do "
        f"set -- $(grep -ls '{pattern}' /proc/[0-9]*/cmdline /proc/[0-9]*/environ); "
        f'[ $# -gt 0 ] || break; for p; do p="${{p#/proc/}}"; kill -{name} "${{p%%/*}}"; done; '
        "done 2>/dev/null"
    )
    patience = Patience(Deadline(commands.ORDER))
    try:
        command.signal(name)
        with (
            transport.watch.limit(commands.ORDER + 1),
            commands.open_channel(transport, patience.left) as (channel, ending),
        ):
            order = commands.Exec(transport, channel, ending, way.wrap(script))
            order.communicate(None, _ignore, patience)
    except (RefusedError, paramiko.ChannelException):
        pass  # one channel only, and that is taken: the server's own signal must do
    except (OSError, EOFError, paramiko.SSHException):
        return False
    return patience.left > 0


def end_command(
    transport: Transport,
    command: commands.Exec,
    mark: str,
    way: users.Way,
    drain: Callable[[], bool],
    *,
    first: str,
    grace: float,
) -> bool:
    """
    End a command in the guest with all that it started: `first`, and SIGKILL `grace` seconds later.

    Meanwhile `drain` is called to take what it writes, which may be in the way of its end.

    Returns:
        Whether the streams of the command are closed, so nothing that it started writes any more.
    """
    for name, patience in ((first, grace), ("KILL", commands.GRACE)):
        if not signal_command(transport, command, mark, name, way):
            return False  # a guest that does not answer is not told twice
        if command.wait_closed(patience, drain):
            return True
    return False


def end_late(
    transport: Transport,
    command: commands.Exec,
    mark: str,
    way: users.Way,
    drain: Callable[[], bool],
    *,
    first: str = "TERM",
    grace: float = commands.GRACE,
) -> LateError:
    """End a command whose time is up; see `end_command`. Return the error that tells of it."""
    ended = command.has_status
    if end_command(transport, command, mark, way, drain, first=first, grace=grace):
        late = LateError("it was ended, with all that it started")
        late.ended = True
    else:
        late = LateError("it could not be ended and may still run")
        if transport.watch.busy <= 1 and not transport.talks:
            # A guest that does not even take orders is gone or paused, and nobody else uses this
            # connection: the next command shall try a new one.
            transport.abort()
    if ended:
        late.hint = (
            "the command itself ended, but something it started kept its output open; start "
            "services with </dev/null >/dev/null 2>&1 &"
        )
    return late


def _ignore(stream: str, piece: bytes) -> None:
    pass
