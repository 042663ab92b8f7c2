"""Folders with all in them, to and from the guest."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.errors import GuestConnectionError, GuestFileError
from vboxkit.guest.copying import beside
from vboxkit.guest.file_errors import OutsideError, errno_of, here_error
from vboxkit.guest.filesystem import Content
from vboxkit.guest.folders import Folders
from vboxkit.guest.patience import RefusedError
from vboxkit.guest.placing import merge, settle
from vboxkit.guest.sftp_streams import is_dead
from vboxkit.guest.shell_files import word
from vboxkit.guest.staging import staging
from vboxkit.guest.tarballs import Entry, Packer, Unpacker, scan
from vboxkit.guest.tree_lines import TREE, through_pipe, unpack_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from vboxkit.guest.copying import Access
    from vboxkit.guest.filesystem import FileSystem
    from vboxkit.guest.tarballs import Links

    #: Called with the bytes done, the bytes in all, and the file that is being copied.
    Progress = Callable[[int, int, str], object]

__all__ = ["Counter", "Trees"]

_IS_NO_FOLDER = 124


class Counter:
    """Adds up what was copied, and tells whom it interests."""

    def __init__(self, progress: Progress | None, total: int, renew: Callable[[], object]) -> None:
        self._progress = progress
        self._renew = renew
        self.total = total
        self.done = 0

    def __call__(self, more: int, name: str) -> None:
        """Add some bytes of a file."""
        self._renew()
        self.done += more
        if self._progress is not None:
            self._progress(self.done, self.total, name)


class Trees(Folders):
    """The methods of `SSH` for folders with all in them."""

    #: Whether the guest has tar; `None` until it was asked.
    _tar: bool | None = None

    def put_tree(
        self,
        source: str | os.PathLike[str],
        target: str,
        *,
        timeout: float | timedelta | None = None,
        progress: Progress | None = None,
    ) -> None:
        """
        Copy a folder with all in it to the guest.

        A target that is not there appears when all is copied, and else not at all. Into a folder
        that is there, each file is brought at once when all is copied; what it has besides stays,
        and so do its permissions. Permissions and times (to the second) are kept, and all belongs
        to the user who logs in; symbolic links stay what they are. It goes as a tar archive, or
        file by file to a guest without tar or without a shell.

        Args:
            source: A folder of this machine.
            target: Its path in the guest, name included; the folder above must exist.
            timeout: Seconds without a byte moving; `Settings.ssh_timeout` if left out.
            progress: Called with the bytes done, the bytes in all, and the file's path below the
                source; maybe in another thread, and for each block.

        Raises:
            GuestFileError: As for `put`; or something in it is no file, folder or link.
            GuestConnectionError: The guest cannot be reached, or the connection broke.

        Example:
            >>> ssh.put_tree("site", "/srv/www")                            # doctest: +SKIP
        """
        top = os.fspath(source)
        try:
            if not stat.S_ISDIR(os.stat(top).st_mode):  # noqa: PTH116
                raise NotADirectoryError(errno.ENOTDIR, "it is a file, not a folder")
            entries = scan(top)
        except GuestFileError:
            raise
        except OSError as error:
            raise here_error(error, error.filename or top) from error
        total = sum(entry.size for entry in entries)
        target = target.rstrip("/") or target[:1]
        with self._files(target, timeout=timeout, writing=True) as way:
            count = Counter(progress, total, way.renew)
            stage = beside(target)
            self._left_there.add(stage)
            try:
                if self._has_tar(way):
                    self._put_packed(way, entries, stage, target, count)
                else:
                    self._put_one_by_one(way.files, entries, stage, target, count)
            except (OSError, OutsideError) as error:
                if not is_dead(error):
                    self._tidy(way.files)
                raise
            self._left_there.discard(stage)

    def get_tree(
        self,
        source: str,
        target: str | os.PathLike[str],
        *,
        links: Links = "refuse",
        timeout: float | timedelta | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """
        Copy a folder with all in it from the guest.

        A target that is not there appears when all is copied, and else not at all; see `put_tree`.
        Permissions (without set-user-ID and the like) and times (to the second) are kept. The guest
        is not believed: nothing is written outside of the target, whatever names it sends, and not
        through a link that it sends; devices and the like are refused.

        Args:
            source: A folder in the guest.
            target: Its path on this machine, name included; the folder above must exist.
            links: What to do with symbolic links that lead out of the tree: ``"refuse"`` the whole
                copy, ``"skip"`` them, or ``"keep"`` them. Kept ones lead to files of this machine:
                mind them before you write or read through one.
            timeout: Seconds without a byte moving; `Settings.ssh_timeout` if left out.
            progress: As for `put_tree`; the bytes in all are 0 if the guest could not tell.

        Returns:
            The target.

        Raises:
            GuestFileError: As for `put`; or for what is refused.
            GuestConnectionError: The guest cannot be reached, or the connection broke.

        Example:
            >>> ssh.get_tree("/var/log", "logs")                            # doctest: +SKIP
            PosixPath('logs')
        """
        path = Path(target)
        source = source.rstrip("/") or source[:1]
        with self._files(source, timeout=timeout) as way, staging(path, folder=True) as stage:
            count = Counter(progress, 0, way.renew)
            unpacker = Unpacker(stage, source, links=links, moved=count)
            try:
                if self._has_tar(way):
                    self._get_packed(way, source, unpacker, count, total=progress is not None)
                else:
                    self._get_one_by_one(way.files, source, "", stage, unpacker, count)
                    unpacker.finish()
                merge(stage, path)
            except OutsideError as error:
                if isinstance(error.cause, OSError) and not isinstance(error.cause, GuestFileError):
                    cause = error.cause
                    raise here_error(cause, cause.filename or path, writing=True) from error
                # Of the guest's doing, or of the caller's own code, as `progress`.
                raise error.cause from error
        return path

    def _has_tar(self, way: Access) -> bool:
        # Asked beforehand: an archive that is sent to nobody has been read for nothing.
        if self._tar is None:
            try:
                self._tar = way.run("command -v tar", None, lambda _: None)[0] == 0
            except GuestConnectionError as error:
                if not isinstance(error.__cause__, RefusedError):
                    raise
                self._tar = False  # the server runs no commands
        return self._tar

    def _put_packed(
        self, way: Access, entries: list[Entry], stage: str, target: str, count: Counter
    ) -> None:
        packer = Packer(entries, TREE, count)
        line = unpack_line(stage, target, entries[0].mode)
        code, said = way.run(line, packer, lambda _: None)  # type: ignore[arg-type]
        if packer.error is not None:
            raise OutsideError(here_error(packer.error, packer.path)) from packer.error
        if code:
            raise _said(said, code)

    def _put_one_by_one(
        self,
        files: FileSystem,
        entries: list[Entry],
        stage: str,
        target: str,
        count: Counter,
    ) -> None:
        try:
            kind = files.stat(target, follow=True).kind
        except FileNotFoundError:
            base = stage
        else:
            if kind != "folder":
                raise NotADirectoryError(errno.ENOTDIR, target)
            base = target
        made = []
        for entry in entries:
            path = f"{base}/{entry.name}" if entry.name else base
            if entry.kind == "folder":
                if base == stage or not _is_folder(files, path):
                    files.mkdir(path, entry.mode | 0o700)
                    made.append((path, entry))
                continue
            if base == target:
                _clear(files, path)
            if entry.kind == "link":
                part = beside(path)
                files.symlink(os.readlink(entry.path), part)  # noqa: PTH115
                files.rename(part, path)
            else:
                with open(entry.path, "rb") as stream:  # noqa: PTH123
                    content = Content(stream, entry.size, entry.mode, entry.mtime)
                    name = entry.name
                    self._store_with(
                        files,
                        content,
                        path,
                        lambda more, name=name: count(more, name),  # type: ignore[misc]
                    )
        for path, entry in reversed(made):
            files.set_mode_and_time(path, entry.mode, entry.mtime)
        if base == stage:
            files.rename(stage, target)

    def _get_packed(
        self, way: Access, source: str, unpacker: Unpacker, count: Counter, *, total: bool
    ) -> None:
        folder = word(source)
        line = (
            f"[ -d {folder} ] || {{ [ ! -e {folder} ] || exit {_IS_NO_FOLDER}; "
            "echo 'No such file' >&2; exit 1; }; "
        )
        if total:
            sizes: list[bytes] = []
            sum_up = f"find {folder}/ -type f -exec stat -c %s {{}} + 2> /dev/null || :"
            way.run(sum_up, None, sizes.append)
            with suppress(ValueError):
                count.total = sum(map(int, b"".join(sizes).split()))
        code, said = through_pipe(
            lambda sink: way.run(f"{line}tar -cf - -C {folder} .", None, sink), unpacker
        )
        if code == _IS_NO_FOLDER:
            raise NotADirectoryError(errno.ENOTDIR, source)
        if code:
            raise _said(said, code)

    def _get_one_by_one(  # noqa: PLR0917 - all of them
        self,
        files: FileSystem,
        source: str,
        name: str,
        stage: Path,
        unpacker: Unpacker,
        count: Counter,
    ) -> None:
        path = f"{source}/{name}" if name else source
        found = files.stat(path, follow=not name)
        if found.kind == "folder":
            unpacker.folder(name, found.mode, found.mtime)
            for child in sorted(files.listdir(path)):
                if "/" in child:
                    raise unpacker.refused(child, "leads out of the tree")
                inner = unpacker.checked(f"{name}/{child}" if name else child)
                self._get_one_by_one(files, source, inner, stage, unpacker, count)
        elif not name:
            raise NotADirectoryError(errno.ENOTDIR, source)
        elif found.kind == "link":
            unpacker.link(name, files.readlink(path))
        elif found.kind == "file":
            with (stage / name).open("xb") as sink:
                self._fetch_with(files, path, sink, lambda more: count(more, name))
            settle(stage / name, found.mode, found.mtime)
        else:
            raise unpacker.refused(name, "is no file, folder or link")


def _said(said: str, code: int | None) -> OSError:
    text = said.strip() or f"exit code {code}"
    number = errno_of(said)
    return OSError(number, text) if number else OSError(text)


def _clear(files: FileSystem, path: str) -> None:
    """Remove a link to a folder, which nothing would replace."""
    with suppress(FileNotFoundError):
        if files.stat(path, follow=False).kind == "link" and _is_folder(files, path):
            files.unlink(path)


def _is_folder(files: FileSystem, path: str) -> bool:
    try:
        return files.stat(path, follow=True).kind == "folder"
    except FileNotFoundError:
        return False
