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

    A trace that runs is stopped: VirtualBox keeps its last frames to itself until then.

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
        described = folder / "describe.json"
        described.write_text(machine.describe().to_json(), encoding="utf-8")
        saved.append(described)
    if console is not None:  # empty when the guest has said nothing: that, too, is evidence
        target = folder / console.path.name
        target.write_bytes(console.data())
        saved.append(target)
    saved += [it for source in sources if (it := _copy(source, folder)) is not None]
    # Behind the log, whose end is that of the test.
    return saved + [it for path in _traces(machine) if (it := _copy(path, folder)) is not None]


def _copy(source: Path, folder: Path) -> Path | None:
    target = folder / source.name
    try:
        target.write_bytes(source.read_bytes())
    except OSError:
        return None
    return target


def _traces(machine: Machine) -> list[Path]:
    """Return the files of the machine's traces, also of those that have ended."""
    found = []
    with suppress(VBoxKitError):
        for adapter in machine.network:
            # VirtualBox remembers it.
            path = str(adapter.com.traceFile) if adapter.enabled else ""
            if path:
                adapter.stop_trace()
                found.append(Path(path))
    return found


def _section(title: str, text: str) -> str:
    return f"--- {title}\n{text}" if text else ""


def _tail(path: Path, lines: int) -> str:
    try:
        text = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    # A guest that programs its timer fills the log with these and nothing else.
    return "\n".join([line for line in text if "PIT: mode" not in line][-lines:])
