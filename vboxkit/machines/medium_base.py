"""What a medium is."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vboxkit.errors import ApiError, InvalidStateError, StorageError
from vboxkit.machines import encryption
from vboxkit.machines.base import Attribute, ComObject, api_call
from vboxkit.machines.mappings import LiveMapping
from vboxkit.machines.medium_formats import DeviceKind, formats, variant_names
from vboxkit.machines.medium_work import MediumUser, drive, users_of
from vboxkit.machines.parts import Choice, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from vboxkit.com.api import Api
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.encryption import Encryption
    from vboxkit.machines.medium_formats import MediumFormat
    from vboxkit.machines.progress import ProgressHook
    from vboxkit.settings import Settings

__all__ = ["MediumBase", "MediumKind", "MediumProperties", "MediumState"]

#: How machines may use a medium.
MediumKind = Literal["Normal", "Immutable", "Writethrough", "Shareable", "Readonly", "MultiAttach"]
MediumState = Literal[
    "NotCreated", "Created", "LockedRead", "LockedWrite", "Inaccessible", "Creating", "Deleting"
]


class MediumProperties(LiveMapping[str]):
    """What a medium's format keeps beside its data; only names that the format knows."""

    noun = "property"

    def _all(self) -> dict[str, str]:
        values, names = self.com.getProperties("")
        return {str(name): str(value) for name, value in zip(names, values, strict=True)}

    def _check(self, name: str, value: Any) -> None:
        del value
        if name not in self._all():
            raise self._missing(name)

    def _write(self, name: str, value: Any) -> None:
        self.com.setProperty(name, str(value))

    def _remove(self, name: str) -> None:
        self.com.setProperty(name, "")


class MediumBase(ComObject):
    """
    The part of `Medium` that reads and changes what a medium is, not what it does.

    Attributes:
        id: Its UUID.
        properties: What its format keeps beside the data, as a mapping.
    """

    name = Attribute("name", str, "The name of its file.")
    format = Attribute("format", str, "Its format: ``VDI``, ``VMDK``, ...")
    host_drive = Attribute("hostDrive", bool, "Whether it is a drive of the host, not an image.")
    read_only = Attribute(
        "readOnly", bool, "Whether others stand on it, who must not see it changed."
    )
    access_error = Attribute(
        "lastAccessError", str, "Why `refresh` found it inaccessible; empty if it did not."
    )
    description = Setting("description", str, "A free text.")
    kind: Choice[MediumKind] = Choice(
        "type",
        "MediumType",
        "How machines may use it: ``Normal``, ``Immutable`` (thrown back at each start),"
        " ``Writethrough`` (left out of snapshots), ``Shareable``, ``MultiAttach``, ``Readonly``."
        " Can be set while no machine uses it.",
    )
    auto_reset = Setting(
        "autoReset", bool, "Whether a differencing image is emptied at each start of its machine."
    )

    def __init__(self, api: Api, com: Any, settings: Settings) -> None:
        super().__init__(api, com)
        self._settings = settings
        self.id = str(com.id)
        self._location = str(com.location)
        self.properties = MediumProperties(self)

    def _subject(self) -> str:
        return f"medium {self._location!r}"

    def _state(self) -> str:
        return str(self.state)

    @contextmanager
    def _changing(self) -> Iterator[Any]:
        yield self.com

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._location!r} {self.id[:8]}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MediumBase) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def _other(self, com: Any) -> Self:
        return type(self)(self._api, com, self._settings)

    # Reading

    @property
    @api_call("read the location")
    def location(self) -> Path:
        """Where its file is."""
        self._location = str(self.com.location)
        return Path(self._location)

    @property
    @api_call("read the state")
    def state(self) -> MediumState:
        """What VirtualBox knew of it last; `refresh` looks at the file."""
        return self._api.name("MediumState", self.com.state)  # type: ignore[return-value]

    @property
    @api_call("read what it is for")
    def device_type(self) -> DeviceKind:
        """What it is for: ``HardDisk``, ``DVD`` or ``Floppy``."""
        return self._api.name("DeviceType", self.com.deviceType)  # type: ignore[return-value]

    @property
    @api_call("read the variant")
    def variant(self) -> tuple[str, ...]:
        """How it is laid out: ``("Standard",)`` grows as it is filled; ``("Fixed",)``, ..."""
        return variant_names(self._api, self._api.array(self.com, "variant"))

    @property
    @api_call("read the size")
    def logical_size_bytes(self) -> int:
        """The size of the disk, as guests see it."""
        return int(self.com.logicalSize)

    @property
    def size_mb(self) -> int:
        """The size of the disk as guests see it, in whole MiB."""
        return self.logical_size_bytes >> 20

    @property
    @api_call("read the size on disk")
    def size_on_disk_bytes(self) -> int:
        """What its files take now, without those of its parents."""
        # VirtualBox keeps the number it saw last.
        if self.state == "Created":
            self.com.refreshState()
        return int(self.com.size)

    @property
    @api_call("read the parent")
    def parent(self) -> Self | None:
        """The medium that it holds the differences to, if any."""
        com = self.com.parent
        return None if com is None else self._other(com)

    @property
    @api_call("read the children")
    def children(self) -> list[Self]:
        """The media that hold the differences to it."""
        return [self._other(com) for com in self._api.array(self.com, "children")]

    @property
    @api_call("read the base")
    def base(self) -> Self:
        """The medium on which it stands in the end; itself, if it holds all of its data."""
        return self._other(self.com.base)

    @property
    @api_call("read the encryption")
    def encryption(self) -> Encryption | None:
        """Its cipher and the name of its password; `None` if it is not encrypted."""
        return encryption.of(self._api, self.com)

    @property
    def is_encrypted(self) -> bool:
        """Whether its data can be read only with a password."""
        return self.encryption is not None

    @api_call("find its users")
    def users(self) -> list[MediumUser]:
        """
        Return the machines that use it, each with the snapshots that do.

        Who stands on it by a snapshot or a linked clone uses one of its `children`.
        """
        return users_of(self._api, self.com)

    @api_call("look at the file")
    def refresh(self) -> MediumState:
        """Look at the file, and return the state: ``Created``, or ``Inaccessible``."""
        return self._api.name("MediumState", self.com.refreshState())  # type: ignore[return-value]

    # Helpers

    def _drive(
        self,
        progress: Any,
        what: str,
        timeout: Timeout | None,
        on_update: ProgressHook | None,
        hint: str | None = None,
    ) -> None:
        drive(
            self._api,
            progress,
            what=what,
            subject=self._subject(),
            timeout=timeout if timeout is not None else self._settings.progress_timeout,
            on_update=on_update,
            hint=hint,
        )

    def _entry(self) -> MediumFormat:
        own = self.format
        return next(entry for entry in formats(self._api) if entry.name == own)

    def _refusal(self, text: str, *, hint: str) -> ApiError:
        return ApiError(
            f"{self._subject()} ({self._state()}): {text}",
            symbol="E_INVALIDARG",
            text=text,
            hint=hint,
        )

    def _require_accessible(self, operation: str) -> None:
        """Look at the file before something is begun that VirtualBox would half do."""
        state = self.state
        if state == "LockedWrite":
            users = ", ".join(map(str, self.users())) or "an operation that is under way"
            raise InvalidStateError(
                f"{self._subject()} ({state}): cannot {operation}: it is being written to by"
                f" {users}",
                symbol="VBOX_E_INVALID_OBJECT_STATE",
                state=state,
                needed=["Created"],
                operation=operation,
                hint="shutdown() or power_off() the machine first",
            )
        if state == "LockedRead":
            return  # whether that is in the way, VirtualBox says
        if self.refresh() == "Inaccessible":
            raise StorageError(
                f"{self._subject()} (Inaccessible): cannot {operation}: {self.access_error}",
                symbol="VBOX_E_FILE_ERROR",
                text=self.access_error,
                operation=operation,
                hint="bring its file back, or close() it",
            )

    def _require_unused(self, operation: str) -> None:
        users = [str(user) for user in self.users()]
        children = [f"differencing image {child.location}" for child in self.children]
        if users or children:
            hint = "detach it from them first" if users else "remove those, or merge() them, first"
            raise InvalidStateError(
                f"{self._subject()} ({self._state()}): cannot {operation}: it is used by"
                f" {', '.join([*users, *children])}",
                symbol="VBOX_E_OBJECT_IN_USE",
                state=self._state(),
                operation=operation,
                hint=hint,
            )
