"""What helps to see why a machine failed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.errors import VBoxKitError

if TYPE_CHECKING:
    from vboxkit.guest.console import SerialLog
    from vboxkit.machines.machine import Machine

__all__ = ["evidence_of", "save_evidence"]


def evidence_of(machine: Machine, console: SerialLog | None) -> str:
    """
    Return the machine's state, the end of its serial log and of VBox.log.

    Never raises: it is asked for while something else goes wrong.
    """
    parts = []
    try:
        parts.append(f"{machine!r} is {machine.state}")
        log = machine.log_folder / "VBox.log"
    except VBoxKitError as error:
        return f"{machine!r}: {error}"
    if console is not None:
        parts.append(_section("serial console", console.tail(15)))
    parts.append(_section(str(log), _tail(log, 8)))
    return "\n".join(part for part in parts if part)


def save_evidence(machine: Machine, console: SerialLog | None, folder: Path) -> list[Path]:
    """
    Write screenshot, serial log, VBox.log, settings and traces of packets into a folder.

    Returns:
        The files that could be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    saved = []
    with suppress(VBoxKitError):  # a machine that does not run has no screen
        saved.append(machine.screen.shot().save(folder / "screenshot.png"))
    sources: list[Path] = []
    with suppress(VBoxKitError):  # VirtualBox may be what went away
        sources.append(machine.log_folder / "VBox.log")
        sources += [a.trace_file for a in machine.network if a.enabled and a.trace_file]
        described = folder / "describe.json"
        described.write_text(machine.describe().to_json(), encoding="utf-8")
        saved.append(described)
    if console is not None:  # empty when the guest has said nothing: that, too, is evidence
        target = folder / console.path.name
        target.write_bytes(console.data())
        saved.append(target)
    for source in sources:
        try:
            target = folder / source.name
            target.write_bytes(source.read_bytes())
            saved.append(target)
        except OSError:
            continue
    return saved


def _section(title: str, text: str) -> str:
    return f"--- {title}\n{text}" if text else ""


def _tail(path: Path, lines: int) -> str:
    try:
        text = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    # A guest that programs its timer fills the log with these and nothing else.
    return "\n".join([line for line in text if "PIT: mode" not in line][-lines:])
