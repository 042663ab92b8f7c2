"""What the page shows of the machines of a failed test: all of it bounded in size."""

from __future__ import annotations

import base64
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.pytest_plugin import report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vboxkit.lab.vm import VM

__all__ = ["cut", "exhibit"]

#: Lines and characters that are shown of a console or log, from its end.
_LINES, _CHARACTERS = 200, 16 << 10
_LOG_LINES = 60
#: Bytes of a log that are read: the lines of a guest's timer, which are left out, fill it.
_READ = 256 << 10
#: Bytes of the largest picture that is shown.
_PICTURE = 512 << 10
#: Commands that are shown; characters of each, and of the last one's output.
_COMMANDS, _COMMAND, _OUTPUT = 10, 500, 4 << 10


def exhibit(vm: VM, files: Sequence[str]) -> dict[str, Any]:
    """
    Return what is seen of a machine, in plain values; what cannot be had is left out.

    Args:
        vm: The machine.
        files: What was saved of it and others.
    """
    name = report.name_of(vm)
    mine = [file for file in files if f"/{name}/" in file.replace("\\", "/")]
    shown: dict[str, Any] = {"machine": name, "files": mine}
    # Whatever is wrong with one of them, the test's own failure is what counts.
    with suppress(Exception):
        shown["commands"], shown["output"] = _commands(vm)
    with suppress(Exception):
        shown["state"] = str(vm.state)
    with suppress(Exception):
        shown["console"] = cut(vm.console.text(), _LINES, _CHARACTERS)
    with suppress(Exception):
        log = vm.log_folder / "VBox.log"
        shown["log_file"], shown["log"] = str(log), _log(log)
    try:
        shown |= _picture(vm, mine)
    except Exception as error:
        shown["no_picture"] = f"no screenshot: {type(error).__name__}: {error}"
    return shown


def cut(text: str, lines: int, characters: int) -> dict[str, Any]:
    r"""
    Return the end of a text, and how many lines are not shown.

    Example:
        >>> cut("1\n2\n3\n", lines=2, characters=100)
        {'text': '2\n3', 'left_out': 1}
    """
    given = text.splitlines()
    kept = given[-lines:]
    size = sum(len(line) + 1 for line in kept)
    while len(kept) > 1 and size > characters:
        size -= len(kept.pop(0)) + 1
    # One line may be longer than all.
    return {"text": "\n".join(kept)[-characters:], "left_out": len(given) - len(kept)}


def _log(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _READ))
        text = file.read(_READ).decode("utf-8", errors="replace")
    # A guest that programs its timer fills the log with these and nothing else.
    told = "\n".join(line for line in text.splitlines() if "PIT: mode" not in line)
    return cut(told, _LOG_LINES, _CHARACTERS)


def _commands(vm: VM) -> tuple[list[list[Any]], dict[str, Any]]:
    """Return the last commands, each with its exit code and seconds; the last one's output."""
    entries = vm.ssh.transcript.entries()
    rows = []
    for entry in entries[-_COMMANDS:]:
        began, ended = (datetime.fromisoformat(entry[key]) for key in ("began", "ended"))
        command = str(entry["command"])
        if len(command) > _COMMAND:
            command = f"{command[:_COMMAND]} [{len(command) - _COMMAND} characters more]"
        rows.append([command, entry["exit_code"], (ended - began).total_seconds()])
    if not entries:
        return rows, {}
    last = entries[-1]
    streams = {name: cut(last[name], _LINES, _OUTPUT) for name in ("stdout", "stderr")}
    return rows, {name: shown for name, shown in streams.items() if shown["text"]}


def _picture(vm: VM, files: Sequence[str]) -> dict[str, Any]:
    for file in files:
        if file.endswith("screenshot.png"):
            png = Path(file).read_bytes()
            break
    else:
        png = vm.screen.shot().png
    if len(png) > _PICTURE:
        return {"no_picture": f"the screenshot has {len(png) >> 10} KiB: too large to show here"}
    return {"picture": base64.b64encode(png).decode("ascii")}
