"""
The harness of the tables of wrong input.

A case is one mistake of a user. It has to give its own error, whose message names the object, the
state that it is in, and what to try; and VirtualBox, the disk and all settings have to be
afterwards what they were before.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.vbox.disks import iso
from vboxkit.core import resources
from vboxkit.errors import VBoxKitError
from vboxkit.machines.machine import Machine
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit import VirtualBox
    from vboxkit.machines.medium import Medium

__all__ = [
    "LONG", "OFF", "Case", "World", "check", "difference", "in_edit", "picture", "put",
    "snapshots", "while_locked",
]  # fmt: skip

#: No file, and nothing of VirtualBox, can have this name.
LONG = "long" * 75

#: What any change of a machine writes, and what it does not: when, and a number of its own.
_VOLATILE = re.compile(rb' (lastStateChange|stateFile|aborted)="[^"]*"')


@dataclass
class World:
    """What mistakes are made with."""

    vbox: VirtualBox
    folder: Path
    label: Callable[[str], str]
    #: Another folder, on a disk that takes nothing.
    target: Path = field(default_factory=Path)
    #: A machine of its own, where the usual one will not do: a running one.
    guest: Machine | None = None
    kept: dict[str, Any] = field(default_factory=dict)
    #: Whether it is not any more what a case may begin with.
    used: bool = False

    def _make(self, name: str) -> Machine:
        return self.vbox.create(self.label(name), os_type="Linux26_64", memory_mb=64, disk_mb=10)

    @cached_property
    def web(self) -> Machine:
        """A machine with a disk, a DVD drive and a network adapter."""
        return self.guest if self.guest is not None else self._make("web")

    @cached_property
    def other(self) -> Machine:
        """Another machine like that."""
        return self._make("other")

    @cached_property
    def spare(self) -> Medium:
        """An image that no machine uses."""
        return self.vbox.media.create(self.folder / "spare.vdi", size_mb=5)

    @cached_property
    def iso(self) -> Path:
        """An ISO image."""
        return iso(self.folder / "cd.iso")

    @cached_property
    def ova(self) -> Path:
        """An appliance."""
        return resources.resource("tiny/tiny.ova")

    def junk(self, name: str) -> Path:
        """Make a file that is not what its name says."""
        path = self.folder / name
        path.write_bytes(b"junk" * 1000)
        return path

    @property
    def disk(self) -> Medium:
        """The disk of `web`."""
        return self.web.disks[0]

    @contextmanager
    def locked(self) -> Iterator[Machine]:
        """Lock `web` as somebody else would, and give it to somebody who does not wait."""
        api = self.vbox._api
        session = api.session()
        self.web.com.lockMachine(session, api.value("LockType", "Write"))
        try:
            yield Machine(api, self.web.com, replace(self.vbox.settings, lock_timeout=0.05))
        finally:
            session.unlockMachine()


def _nothing(_: World) -> None:
    return


@dataclass(frozen=True)
class Case:
    """
    One mistake.

    Attributes:
        name: What is done.
        act: Does it.
        error: The class of the error, exactly.
        says: The object, as the message names it; ``{web}`` and the like are names of the world's.
        state: The state that the message names; empty for what has none, or does not exist.
        hint: What the error says to try.
        given: Prepares it.
    """

    name: str
    act: Callable[[World], object]
    error: type[Exception]
    says: str
    state: str
    hint: str
    given: Callable[[World], object] = _nothing


def _machine(machine: Machine) -> dict[str, Any]:
    return {
        "name": machine.name,
        "state": machine.state,
        "session": machine.session_state,
        "settings file": machine.settings_file,
        "record": machine.describe().to_dict(),
        "snapshots": [(s.path, s.id, s.description) for _, s in machine.snapshots.walk()],
        "current": getattr(machine.snapshots.current, "id", None),
        "extra data": dict(machine.extra_data),
        "clones": machine.linked_clones(),
    }


def _file(path: Path) -> str:
    """Return what is in a file, but for the disks of guests that run."""
    if not path.is_file() or path.stat().st_size > 1 << 24:
        return "there"
    return hashlib.sha256(_VOLATILE.sub(b"", path.read_bytes())).hexdigest()


def picture(world: World) -> dict[str, Any]:
    """Return all that a mistake could have changed, flat, with names for each part."""
    vbox = world.vbox
    found: dict[str, Any] = {}
    running: list[Path] = []
    for machine in vbox.machines:
        for key, value in _machine(machine).items():
            found[f"machine {machine.id}: {key}"] = value
        if machine.state in ONLINE:
            running.append(machine.folder)
    for medium in vbox.media:
        users = [str(user) for user in medium.users()]
        found[f"medium {medium.id}"] = (medium.location, medium.kind, medium.size_mb, users)
    networks = vbox.networks
    found["networks"] = (
        [
            (net.name, net.enabled, net.network, net.dhcp, net.ipv6_enabled, net.forwards)
            for net in networks.nat
        ],
        [(server.name, server.ip_address, server.enabled) for server in networks.dhcp],
        [each.name for each in (*networks.host_only, *networks.host_only_networks)],
        [each.name for each in networks.cloud],
        networks.internal,
    )
    found["inaccessible"] = vbox.machines.inaccessible()
    found["extra data"] = dict(vbox.extra_data)
    tops = [vbox.home / "machines", world.folder]
    if world.target != Path():
        tops.append(world.target)
    for top in tops:
        for path in top.rglob("*"):
            if path.suffix in {".vbox-prev", ".log"} or path.name == "Logs":
                continue
            alive = any(folder in path.parents for folder in running)
            found[f"file {path}"] = "there" if alive else _file(path)
    return found


def difference(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Say what is not as it was, a line each."""
    return [
        f"{key}: {before.get(key, 'not there')} -> {after.get(key, 'not there')}"
        for key in sorted({*before, *after})
        if before.get(key, "") != after.get(key, "")
    ]


def _make(world: World, case: Case) -> tuple[BaseException | None, list[str]]:
    """Make the mistake; return its error, and what is not as it was before."""
    _ = world.web
    before = picture(world)
    caught: BaseException | None = None
    try:
        case.act(world)
    except Exception as error:
        caught = error
    return caught, difference(before, picture(world))


def check(world: World, case: Case, *, prepared: bool = False) -> None:
    """
    Make the mistake, and check all that is asked of its error and of what it leaves.

    Args:
        world: What it is made with.
        case: The mistake.
        prepared: Whether that has been done already.
    """
    world.used = True
    if not prepared:
        case.given(world)
    error, changed = _make(world, case)
    assert error is not None, "it was accepted"
    assert type(error) is case.error, repr(error)
    assert isinstance(error, VBoxKitError)
    names = {"web": world.web.name, "folder": str(world.folder), "target": str(world.target)}
    if "{other}" in case.says:
        names["other"] = world.other.name
    assert case.says.format(**names) in error.message
    assert case.state in error.message
    assert error.hint, error
    assert case.hint in error.hint
    assert str(error).startswith(f"{error.message}\n  try: {error.hint}")
    assert changed == []
    world.used = case.given is not _nothing


# What mistakes are made of

OFF = "PoweredOff"


def put(obj: Any, **values: Any) -> None:
    """Set attributes, where a lambda cannot."""
    for name, value in values.items():
        setattr(obj, name, value)


def while_locked(act: Callable[[Machine], object]) -> Callable[[World], None]:
    """Do something to a machine that somebody else has locked."""

    def run(world: World) -> None:
        with world.locked() as machine:
            act(machine)

    return run


def in_edit(act: Callable[[Machine], object]) -> Callable[[World], None]:
    """Do something within an edit that has changed something already."""

    def run(world: World) -> None:
        with world.web.edit() as machine:
            machine.memory_mb = 96
            act(machine)

    return run


def snapshots(*names: str) -> Callable[[World], None]:
    """Take snapshots, one after the other."""

    def run(world: World) -> None:
        for name in names:
            world.web.snapshots.take(name)

    return run
