"""The VirtualBox of this host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.com.connection import open_api
from vboxkit.errors import NotFoundError, SetupError
from vboxkit.machines.appliances import Appliances
from vboxkit.machines.base import Attribute, ComObject
from vboxkit.machines.machine import Machine
from vboxkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from vboxkit.com.api import Api

__all__ = ["Machines", "VirtualBox", "connect"]


def connect(home: Path | str | None = None, *, settings: Settings | None = None) -> VirtualBox:
    """
    Connect to VirtualBox.

    Args:
        home: A VirtualBox home (settings folder) apart from the user's own, with a VBoxSVC of its
            own; made if missing, and its machines are kept below it. The user's if left out. A
            process can use one home.
        settings: Timeouts and the start mode; loaded from all sources if left out.

    Raises:
        VirtualBoxNotFoundError: There is no VirtualBox here, or this Python cannot load it.
        UnsupportedVersionError: It is older than 7.0.
        SetupError: The server process did not start, or this process uses another home already.

    Example:
        ``with vboxkit.connect() as vbox: print(*vbox.machines)``
    """
    place = None if home is None else Path(home).expanduser().resolve()
    vbox = VirtualBox(open_api(place), settings or Settings.load())
    if place is not None:
        if vbox.home.resolve() != place:
            # On Windows all processes of a user share one VBoxSVC, whatever the environment says.
            raise SetupError(
                f"VirtualBox uses its home {vbox.home}, not {place}",
                hint="close all programs that use VirtualBox, and try again",
            )
        folder = str(place / "machines")
        with vbox._translated("set the machine folder"):
            properties = vbox.com.systemProperties
            if str(properties.defaultMachineFolder) != folder:
                properties.defaultMachineFolder = folder
    return vbox


class VirtualBox(ComObject):
    """
    A running VirtualBox; a context manager.

    Attributes:
        machines: Its machines.
        appliances: Import of appliances.
        settings: Timeouts and the start mode, handed on to its machines.
    """

    version_text = Attribute("version", str, "The version as VirtualBox writes it.")

    def __init__(self, api: Api, settings: Settings) -> None:
        super().__init__(api, api.virtualbox)
        self.settings = settings
        self.machines = Machines(self)
        self.appliances = Appliances(self)

    def _subject(self) -> str:
        return "VirtualBox"

    def __repr__(self) -> str:
        version = ".".join(map(str, self._api.version))
        return f"<VirtualBox {version} home={self._api.home or 'of the user'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # The connection is the process's: it ends with it. Listeners and locks are given back by
        # those who took them.
        return

    @property
    def version(self) -> tuple[int, int, int]:
        """The running version, as ``(7, 2, 22)``."""
        return self._api.version

    @property
    def home(self) -> Path:
        """The VirtualBox home."""
        with self._translated("read the home folder"):
            return Path(str(self.com.homeFolder))


class Machines:
    """The registered machines: ``["name or UUID"]``, ``in``, iteration, ``len``."""

    def __init__(self, vbox: VirtualBox) -> None:
        self._vbox = vbox

    def find(self, name: str) -> Machine | None:
        """Return the machine with this name or UUID, or `None`."""
        api = self._vbox._api
        with self._vbox._translated(f"find machine {name!r}"):
            try:
                com = api.virtualbox.findMachine(name)
            except Exception as error:
                foreign = api.foreign(error)
                if foreign is None or foreign.symbol != "VBOX_E_OBJECT_NOT_FOUND":
                    raise
                return None
            return Machine(api, com, self._vbox.settings)

    def __getitem__(self, name: str) -> Machine:
        found = self.find(name)
        if found is None:
            names = self.names()
            raise NotFoundError(
                f"there is no machine {name!r}, only {names}"
                if names
                else f"there is no machine {name!r}, and no other one either",
                kind="machine",
                wanted=name,
                available=names,
                hint="vboxkit ls shows the machines of this home",
            )
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def inaccessible(self) -> dict[str, str]:
        """
        Return the machines whose settings cannot be read, as settings file and reason.

        They have no name, and the other methods pass them over.
        """
        api = self._vbox._api
        with self._vbox._translated("list the inaccessible machines"):
            return {
                str(com.settingsFilePath): str(com.accessError.text)
                for com in api.array(api.virtualbox, "machines")
                if not com.accessible
            }

    def forget_inaccessible(self, folder: Path) -> None:
        """Unregister inaccessible machines whose settings file is in a folder; touches no file."""
        api = self._vbox._api
        with self._vbox._translated(f"forget the inaccessible machines in {folder}"):
            for com in api.array(api.virtualbox, "machines"):
                if com.accessible:
                    continue
                if Path(str(com.settingsFilePath)).is_relative_to(folder):
                    com.unregister(api.value("CleanupMode", "UnregisterOnly"))

    def __iter__(self) -> Iterator[Machine]:
        api = self._vbox._api
        with self._vbox._translated("list the machines"):
            machines = [com for com in api.array(api.virtualbox, "machines") if com.accessible]
        for com in machines:
            try:
                machine = Machine(api, com, self._vbox.settings)
            except Exception as error:
                # Another process has destroyed it since.
                if api.foreign(error) is None:
                    raise
                continue
            yield machine

    def __len__(self) -> int:
        with self._vbox._translated("count the machines"):
            return len(self._vbox._api.array(self._vbox.com, "machines"))

    def names(self) -> list[str]:
        """Return the names of the accessible machines, sorted."""
        return sorted(machine._name for machine in self)
