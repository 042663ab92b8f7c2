"""Running the scripts of a recipe: how far they are, what they say, and no process left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from vboxkit.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from vboxkit.core.steps import Step

__all__ = ["FAMILY", "watch"]

#: In front of a command: a process namespace, so that whoever dies, all that they started dies
#: with them.
FAMILY = ("unshare", "--pid", "--fork", "--kill-child=KILL")


def watch(
    command: Sequence[str],
    this: Step,
    log: Path,
    *,
    environment: Mapping[str, str],
    milestones: Sequence[tuple[str, str, int]],
    failed: str,
    hint: str,
) -> dict[str, str]:
    """
    Run a tool, tell how far it is, and return what it printed as ``name=value``.

    Args:
        command: The tool and its arguments.
        this: The step that it is.
        log: All that it says is added here.
        environment: Its environment.
        milestones: (Regular expression, note, percent): how far it is when it says so.
        failed: What did not work out, if it fails.
        hint: What to do then.

    Raises:
        SetupError: It failed; the message has the last lines that it said.
    """
    found: dict[str, str] = {}
    # The first process dies with us (also by kill -9), and takes the others along.
    front = ["setpriv", "--pdeathsig", "KILL"]
    with (
        log.open("a", encoding="utf-8") as record,
        _started([*front, *command], environment) as process,
    ):
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        for line in process.stdout:
            record.write(line)
            for pattern, note, percent in milestones:
                if this.note != note and re.search(pattern, line):
                    this.update(note=note, percent=percent)
            if match := re.fullmatch(r"(\w+)=(\S+)\n", line):
                found[match[1]] = match[2]
        code = process.wait()
    if code:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
        raise SetupError(failed + ":\n  " + "\n  ".join(tail), hint=hint)
    return found


@contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C is ours to handle
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        if process.stdout:
            process.stdout.close()
        process.wait()
