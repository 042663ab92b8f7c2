"""A medium: the image of a hard disk, a DVD or a floppy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.errors import InvalidStateError, StorageError
from vboxkit.machines.base import api_call
from vboxkit.machines.medium_encryption import EncryptableMedium
from vboxkit.machines.medium_formats import pick_format, variant_values
from vboxkit.machines.medium_work import (
    checked,
    fresh_medium,
    full_path,
    require_room,
    require_size,
)
from vboxkit.machines.opening import require_new

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from typing_extensions import Self

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.progress import ProgressHook

__all__ = ["Medium"]


class Medium(EncryptableMedium):
    """
    The image of a hard disk, a DVD or a floppy. Two are equal if they are the same medium.

    Properties read VirtualBox anew each time.

    Attributes:
        id: Its UUID.
        properties: What its format keeps beside the data, as a mapping.
    """

    @api_call("clone")
    def clone(
        self,
        path: Path | str,
        *,
        format: str | None = None,  # noqa: A002 - what it is
        variant: str | Sequence[str] | None = None,
        size_mb: int | None = None,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> Self:
        """
        Copy it, with the data of all that it stands on, to an image that stands alone.

        Args:
            path: The new file; the suffix of its format is added if it has none.
            format: See `Media.create`; by the path, or this one's own, if left out.
            variant: See `Media.create`.
            size_mb: The size of the new disk in MiB, at least this one's; the same if left out.
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called meanwhile; see `vboxkit.progress_hook`.

        Raises:
            AlreadyExistsError: Something is at that path.
            StorageError: The file cannot be written, or there is no room for it.
            InvalidStateError: A running machine writes to it.

        Example:
            ``medium.clone("/vm/copy.vmdk", variant="Split2G")``
        """
        api = self._api
        self._require_accessible("clone")
        target = full_path(path)
        device = self.device_type
        if format is None and not target.suffix:
            format = self.format  # noqa: A001 - what it is
        entry, target = pick_format(api, target, format, device=device)
        values = variant_values(api, entry, variant)
        size = self.logical_size_bytes
        if size_mb is not None:
            size = require_size(api, size_mb, largest=entry.largest_bytes, what="a clone")
            if size < self.logical_size_bytes:
                raise self._refusal(
                    f"a clone cannot have {size_mb} MiB, its disk has {self.size_mb}",
                    hint=f"at least {self.size_mb} MiB",
                )
        require_new(self._api, target)
        if api.value("MediumVariant", "Fixed") in values:
            require_room(target, size)
        with fresh_medium(api, entry.name, target, device) as com:
            if size_mb is None:
                progress = self.com.cloneToBase(com, values)
            else:
                progress = self.com.resizeAndCloneTo(com, size, values, None)
            self._drive(progress, f"clone to {target}", timeout, on_update)
            return self._other(checked(api, com, target))

    @api_call("make a differencing image")
    def create_difference(
        self,
        path: Path | str,
        *,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> Self:
        """
        Make an image that holds what is changed from now on, and stands on this one.

        For disks that are put together by hand; snapshots and linked clones do it by themselves.

        Args:
            path: The new file; the suffix is added if it has none.
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called meanwhile; see `vboxkit.progress_hook`.

        Raises:
            AlreadyExistsError: Something is at that path.
            StorageError: The file cannot be written.
            ApiError: Its format cannot, or it is of a kind that has no differences.
        """
        api = self._api
        self._require_accessible("make a differencing image")
        entry, target = pick_format(api, full_path(path), self.format)
        if not entry.differencing:
            raise self._refusal(
                f"images of format {entry.name} cannot hold differences",
                hint="clone() it into another format",
            )
        require_new(api, target)
        with fresh_medium(api, entry.name, target, self.device_type) as com:
            progress = self.com.createDiffStorage(com, [])
            self._drive(progress, f"make the difference {target}", timeout, on_update)
            return self._other(com)

    @api_call("convert")
    def convert(
        self,
        format: str,  # noqa: A002 - what it is
        *,
        path: Path | str | None = None,
        variant: str | Sequence[str] | None = None,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> Self:
        """
        Make it an image of another format, and remove this one; for media that nobody uses.

        A medium that a machine uses is cloned, detached, and its clone attached instead.

        Args:
            format: See `Media.create`.
            path: The new file; the same name with another suffix if left out.
            variant: See `Media.create`.
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called meanwhile; see `vboxkit.progress_hook`.

        Raises:
            InvalidStateError: Machines or differencing images use it; nothing was done.
        """
        self._require_unused("convert")
        entry = pick_format(self._api, self.location.with_suffix(""), format)[0]
        target = self.location.with_suffix(f".{entry.name.lower()}")
        if entry.extensions:
            target = self.location.with_suffix(f".{next(iter(entry.extensions.values()))[0]}")
        copy = self.clone(
            path if path is not None else target,
            format=entry.name,
            variant=variant,
            timeout=timeout,
            on_update=on_update,
        )
        done = False
        try:
            copy.description = self.description
            self.delete(timeout=timeout)
            done = True
        finally:
            if not done:
                copy.delete(timeout=timeout)
        return copy

    @api_call("compact")
    def compact(
        self, *, timeout: Timeout | None = None, on_update: ProgressHook | None = None
    ) -> None:
        """
        Give the space of blocks that hold only zeros back to the host (VDI and VHD can).

        Raises:
            ApiError: Its format cannot.
            InvalidStateError: A running machine uses it.
        """
        self._require_accessible("compact")
        self._drive(self.com.compact(), "compact", timeout, on_update)
        self.com.refreshState()

    @api_call("resize")
    def resize(
        self,
        size_mb: int,
        *,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> None:
        """
        Make the disk larger. Partitions and file systems on it stay as they are.

        Args:
            size_mb: The new size in MiB. VirtualBox cannot make disks smaller.
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called meanwhile; see `vboxkit.progress_hook`.

        Raises:
            ApiError: Smaller than it is, beyond the limit, its format cannot, or differencing
                images (snapshots, linked clones) stand on it.
            InvalidStateError: A running machine uses it.
        """
        self._require_accessible("resize")
        size = require_size(
            self._api, size_mb, largest=self._entry().largest_bytes, what=self._subject()
        )
        if size < self.logical_size_bytes:
            raise self._refusal(
                f"it has {self.size_mb} MiB, and VirtualBox cannot make it smaller",
                hint="make a new disk and copy the files inside a guest",
            )
        if size == self.logical_size_bytes:
            return
        children = self.children
        if children:
            # VirtualBox grows it, and what stands on it keeps the old size.
            raise self._refusal(
                f"{len(children)} differencing images stand on it, and would keep the old size",
                hint="delete the snapshots first, or clone(size_mb=...) the youngest image",
            )
        hint = "clone(size_mb=...) it into a format that can grow, as VDI or VHD 'Standard'"
        self._drive(self.com.resize(size), f"resize to {size_mb} MiB", timeout, on_update, hint)
        # The old size is kept until the file is looked at.
        self.com.refreshState()
        if self.logical_size_bytes != size:
            raise self._refusal(
                f"VirtualBox said that it was resized, and it still has {self.size_mb} MiB",
                hint=hint,
            )

    @api_call("move")
    def move(
        self,
        path: Path | str,
        *,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> None:
        """
        Move its files; the machines that use it follow.

        Args:
            path: The new file, or a folder that is there. The suffix is added if it has none.
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called meanwhile; see `vboxkit.progress_hook`.

        Raises:
            AlreadyExistsError: A file of that name is there.
            StorageError: It cannot be written there.
            InvalidStateError: A running machine uses it.
        """
        self._require_accessible("move")
        old = self.location
        target = full_path(path)
        if target.is_dir():
            target /= old.name
        if not target.suffix:
            # VirtualBox would take it for a folder.
            target = target.with_name(target.name + old.suffix)
        if target == old:
            return
        require_new(self._api, target)
        try:
            progress = self.com.moveTo(str(target))
        except Exception as error:
            foreign = self._api.foreign(error)
            if foreign is None or foreign.symbol != "VBOX_E_IPRT_ERROR":
                raise
            raise StorageError(
                f"{self._subject()} ({self._state()}): cannot move to {target}: {foreign.text}",
                symbol=foreign.symbol,
                text=foreign.text,
                operation="move",
                hint="choose another path",
            ) from error
        self._drive(progress, f"move to {target}", timeout, on_update)
        self._location = str(self.com.location)

    @api_call("merge")
    def merge(
        self,
        target: Medium,
        *,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> None:
        """
        Write its differences into another medium of its chain, and remove it and all between.

        To merge what belongs to a machine's snapshots, delete the snapshot instead.

        Args:
            target: A medium that it stands on, or that stands on it.
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called meanwhile; see `vboxkit.progress_hook`.

        Raises:
            InvalidStateError: A machine uses it, or one between: nothing was done.
        """
        for medium in self._between(target):
            users = medium.users()
            if users:
                # VirtualBox would do it, and leave the machine with a disk that is gone.
                raise InvalidStateError(
                    f"{self._subject()} cannot be merged into {target.location}:"
                    f" {medium.location} is used by {', '.join(map(str, users))}",
                    state=self._state(),
                    operation="merge",
                    hint="delete the snapshot that it belongs to, or detach it first",
                )
        where = f"merge into {target.location}"
        self._drive(self.com.mergeTo(target.com), where, timeout, on_update)

    def _between(self, target: Medium) -> list[Medium]:
        """Return what a merge removes: this medium, and those between it and the target."""
        for top, bottom in ((self, target), (target, self)):
            chain: list[Medium] = []
            medium: Medium | None = top
            while medium is not None and medium != bottom:
                chain.append(medium)
                medium = medium.parent
            if medium is not None and chain:
                return chain if top is self else [*chain[1:], self]
        raise self._refusal(
            f"it does not stand on {target.location}, nor the other way round",
            hint="vbox.media.tree() shows which stands on which",
        )

    @api_call("reset")
    def reset(
        self, *, timeout: Timeout | None = None, on_update: ProgressHook | None = None
    ) -> None:
        """
        Empty a differencing image: its disk is then as its parent is.

        Raises:
            ApiError: It is not a differencing image.
            InvalidStateError: A running machine uses it.
        """
        self._require_accessible("reset")
        if self.parent is None:
            raise self._refusal(
                "it is a base image, and only differencing ones can be emptied",
                hint="vbox.media.tree() shows which stands on which",
            )
        self._drive(self.com.reset(), "reset", timeout, on_update)

    @api_call("close")
    def close(self) -> None:
        """
        Make VirtualBox forget it; its file stays.

        Raises:
            InvalidStateError: Machines or differencing images use it; the error names them.
        """
        self._require_unused("close")
        self.com.close()

    @api_call("delete")
    def delete(self, *, timeout: Timeout | None = None) -> None:
        """
        Remove its files, and make VirtualBox forget it. One whose file is gone is only forgotten.

        Raises:
            InvalidStateError: Machines or differencing images use it; the error names them.
            StorageError: The file cannot be opened as what it was; it stays.
        """
        self._require_unused("delete")
        if self.refresh() == "Inaccessible":
            if not self.location.exists():
                self.com.close()
                return
            # VirtualBox would forget it and leave the file, which may be anything by now.
            self._require_accessible("delete")
        self._drive(self.com.deleteStorage(), "delete", timeout, None)
        # Otherwise VirtualBox keeps an empty object for as long as somebody holds this one.
        self.com.close()
