"""What a pickled object becomes in the process that unpickles it: one that is connected there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import NoReturn

    from vboxkit.machines.machine import Machine
    from vboxkit.machines.virtualbox import VirtualBox
    from vboxkit.settings import Settings

__all__ = ["machine", "virtualbox"]


class _Unreachable:
    """
    Stands for an object in a process that cannot connect: every use of it says why.

    It is not raised at once: a pool whose process fails in unpickling its task is broken, and does
    not say why.
    """

    def __init__(self, error: SetupError) -> None:
        self._error = error

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self._error


def virtualbox(home: Path | None, settings: Settings) -> VirtualBox | _Unreachable:
    """
    Connect to the VirtualBox that was pickled.

    Every use of what is returned raises `SetupError` if this process was forked from one that is
    connected, or uses another home.
    """
    from vboxkit.machines.virtualbox import connect

    try:
        return connect(home, settings=settings)
    except SetupError as error:
        return _Unreachable(error)


def machine(home: Path | None, settings: Settings, uuid: str) -> Machine | _Unreachable:
    """
    Connect, and find the machine that was pickled; see `virtualbox`.

    Raises:
        NotFoundError: The machine was destroyed or unregistered meanwhile.
    """
    there = virtualbox(home, settings)
    return there if isinstance(there, _Unreachable) else there.machines[uuid]
