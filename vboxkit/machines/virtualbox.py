"""The VirtualBox of this host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.com.connection import open_api
from vboxkit.core.audit import AuditLog
from vboxkit.errors import NotFoundError, SetupError
from vboxkit.machines import again, encryption
from vboxkit.machines.appliances import Appliances
from vboxkit.machines.base import Attribute
from vboxkit.machines.extra_data import GlobalExtraData
from vboxkit.machines.groups import GroupTree
from vboxkit.machines.machine import Machine
from vboxkit.machines.media import Media
from vboxkit.machines.networks import Networks
from vboxkit.machines.os_types import OsTypes
from vboxkit.machines.watching import WatchedVirtualBox
from vboxkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from typing_extensions import Self

    from vboxkit.com.api import Api
    from vboxkit.com.interfaces import IVirtualBox
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.nics import NicLike
    from vboxkit.machines.os_types import OsType

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
    vbox._api.audit = AuditLog(vbox.home) if vbox.settings.audit else None
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


class VirtualBox(WatchedVirtualBox):
    """
    A running VirtualBox; a context manager.

    Attributes:
        machines: Its machines.
        appliances: Import of appliances.
        networks: What network adapters can be attached to.
        media: The disks, DVDs and floppies that it knows.
        os_types: The guest operating systems that it knows.
        groups: The groups of machines.
        extra_data: Texts that programs keep with it; a `dict`.
        settings: Timeouts and the start mode, handed on to its machines.
    """

    com: IVirtualBox

    version_text = Attribute("version", str, "The version as VirtualBox writes it.")

    def __init__(self, api: Api, settings: Settings) -> None:
        super().__init__(api, api.virtualbox)
        self.settings = settings
        self.machines = Machines(self)
        self.appliances = Appliances(self)
        self.networks = Networks(self)
        self.media = Media(self)
        self.os_types = OsTypes(api)
        self.groups = GroupTree(self)
        self.extra_data = GlobalExtraData(self)

    def __reduce__(self) -> str | tuple[Any, ...]:
        return again.virtualbox, (self._api.home, self.settings)

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

    def create(
        self,
        name: str,
        *,
        os_type: OsType | str,
        memory_mb: int | None = None,
        cpus: int | None = None,
        disk_mb: int | None = None,
        disk_format: str | None = None,
        disk_variant: str | None = None,
        firmware: str | None = None,
        chipset: str | None = None,
        nics: Sequence[NicLike] | None = None,
        iso: Path | str | None = None,
        boot_order: Sequence[str] | None = None,
        groups: Iterable[str] = (),
        description: str = "",
        icon: bytes | None = None,
        extra_data: Mapping[str, str] | None = None,
        folder: Path | str | None = None,
        timeout: Timeout | None = None,
    ) -> Machine:
        """
        Make a new machine with a disk, a DVD drive and network, and register it.

        What is left out is as VirtualBox recommends for the operating system: ``os_types`` shows
        it. If anything fails, nothing is left behind. Of several callers with one name, in
        whichever threads and processes, one gets the machine.

        Args:
            name: Its name, and the name of its folder and disk.
            os_type: The operating system, as ``Debian_64``; see `os_types`.
            memory_mb: RAM in MiB; at most what this host has.
            cpus: Virtual CPUs; at most as many as this host has.
            disk_mb: The size of its disk in MiB; 0 for none.
            disk_format: ``VDI``, ``VMDK``, ...; the host's default if left out.
            disk_variant: ``Standard`` (grows as it is filled), ``Fixed``, ...; see `Media.create`.
            firmware: ``BIOS``, ``EFI``, ...
            chipset: ``PIIX3`` or ``ICH9``.
            nics: The network adapters: names of attachments (``"NAT"``), or records:
                ``{"attachment": "Internal", "network": "lab", "kind": "Virtio"}``; see `Nic`. One
                with NAT if left out; an empty list for none.
            iso: An image for the DVD drive.
            boot_order: ``HardDisk``, ``DVD``, ``Network``, ``Floppy``; disk and then DVD if left
                out, which boots an ISO for as long as the disk is empty.
            groups: VirtualBox groups, as ``/tests``.
            description: A free text.
            icon: A PNG file's bytes.
            extra_data: Written before the machine is registered, so that it is never seen
                without.
            folder: Where its own folder is made; the host's machine folder if left out.
            timeout: Seconds; `Settings.progress_timeout` if left out.

        Raises:
            NotFoundError: There is no such operating system; the hint has the near ones.
            AlreadyExistsError: There is a machine, or a settings file, of that name.
            ApiError: A value that cannot be; the hint has the range, or the near ones.
            StorageError: The ISO cannot be read; the disk does not fit; the folder cannot be made.

        Example:
            ``vbox.create("web", os_type="Debian_64", memory_mb=2048, iso="debian.iso")``
        """
        from vboxkit.machines import creation  # much that who only starts machines does not need

        return creation.create(
            self,
            name,
            os_type=os_type,
            memory_mb=memory_mb,
            cpus=cpus,
            disk_mb=disk_mb,
            disk_format=disk_format,
            disk_variant=disk_variant,
            firmware=firmware,
            chipset=chipset,
            nics=nics,
            iso=iso,
            boot_order=boot_order,
            groups=groups,
            description=description,
            icon=icon,
            extra_data=extra_data,
            folder=folder,
            timeout=timeout if timeout is not None else self.settings.progress_timeout,
        )


class Machines:
    """The registered machines: ``["name or UUID"]``, ``in``, iteration, ``len``."""

    def __init__(self, vbox: VirtualBox) -> None:
        self._vbox = vbox

    def __repr__(self) -> str:
        return f"<Machines of {self._vbox!r}>"

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

    def register(self, path: Path | str) -> Machine:
        """
        Make a machine known whose settings file is on the disk already.

        The file stays where it is; the machine keeps its disks, snapshots and UUID.

        Args:
            path: Its ``.vbox`` file.

        Raises:
            StorageError: The file cannot be read, or is not a machine's.
            AlreadyExistsError: That machine is registered, or another one with its name.

        Example:
            ``vbox.machines.register("/backup/web/web.vbox")``
        """
        from vboxkit.machines import registration

        return registration.register(self._vbox, path)

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

    def unlock(self, machine: Path | str, *, password: str) -> Machine:
        """
        Give VirtualBox the password of a machine whose settings are encrypted.

        Args:
            machine: Its settings file, as in `inaccessible`, or its name or UUID.
            password: The password. It is in no log, message or process list.

        Raises:
            NotFoundError: There is no such machine.
            InvalidStateError: It is not encrypted.
            PasswordError: The password is wrong.
        """
        with self._vbox._translated(f"unlock machine {str(machine)!r}"):
            return self[encryption.unlock(self._vbox, machine, password)]

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
