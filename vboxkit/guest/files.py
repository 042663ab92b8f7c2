"""Files to and from the guest."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.errors import GuestFileError
from vboxkit.guest.file_errors import OutsideError, here_error
from vboxkit.guest.filesystem import Content
from vboxkit.guest.placing import settle
from vboxkit.guest.staging import staging
from vboxkit.guest.trees import Counter, Trees

if TYPE_CHECKING:
    from datetime import timedelta

    from vboxkit.guest.trees import Progress

__all__ = ["Files"]


class Files(Trees):
    """
    The file methods of `SSH`.

    A file is written under a temporary name in the target's folder, checked for its size, and then
    renamed: whatever is interrupted, the final name has the whole new file or what was there
    before; a link that has the name is replaced, not followed. What an interrupted copy left in the
    guest is removed at once, or with the next call that reaches it. It goes by SFTP, or through the
    shell of a guest whose server has no SFTP. Relative paths in the guest start at the user's home;
    ``~`` has no meaning.
    """

    def put(
        self,
        source: str | os.PathLike[str],
        target: str,
        *,
        mode: int | None = None,
        timeout: float | timedelta | None = None,
        progress: Progress | None = None,
    ) -> None:
        """
        Copy a file to the guest, replacing what is there; its time (to the second) goes with it.

        Args:
            source: A file of this machine; `put_tree` copies folders.
            target: Its path in the guest, name included; the folder must exist.
            mode: The permissions there (such as ``0o755``); the source's if left out.
            timeout: Seconds without a byte moving; `Settings.ssh_timeout` if left out.
            progress: Called with the bytes done, the bytes in all, and the source's name; maybe in
                another thread, and for each block.

        Raises:
            GuestFileError: A file or folder is missing, forbidden, or of the wrong kind, or there
                is no room; the message names the path and whose it is.
            GuestConnectionError: The guest cannot be reached, or the connection broke.

        Example:
            >>> ssh.put("nginx.conf", "/etc/nginx/nginx.conf", mode=0o644)  # doctest: +SKIP
        """
        path = Path(source)
        try:
            stream = path.open("rb")
        except OSError as error:
            raise here_error(error, path) from error
        with stream:
            found = os.fstat(stream.fileno())
            permissions = stat.S_IMODE(found.st_mode) if mode is None else mode
            mtime = max(0, int(found.st_mtime))
            content = Content(stream, found.st_size, permissions, mtime)
            count = Counter(progress, content.size, _nothing)

            def moved(more: int) -> None:
                count(more, path.name)

            try:
                self._store(content, target, timeout, moved=moved)
            except OutsideError as error:
                raise here_error(_os_error(error), path) from error

    def get(
        self,
        source: str,
        target: str | os.PathLike[str],
        *,
        timeout: float | timedelta | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """
        Copy a file from the guest, replacing what is here.

        Its permissions (without set-user-ID and the like) and its time (to the second) come with
        it.

        Args:
            source: Its path in the guest; `get_tree` copies folders.
            target: Its path on this machine, name included; the folder must exist.
            timeout: Seconds without a byte moving; `Settings.ssh_timeout` if left out.
            progress: As for `put`; the bytes in all are 0 until the guest has told.

        Returns:
            The target.

        Raises:
            GuestFileError: As for `put`.
            GuestConnectionError: The guest cannot be reached, or the connection broke.

        Example:
            >>> ssh.get("/etc/os-release", "os-release")                    # doctest: +SKIP
            PosixPath('os-release')
        """
        path = Path(target)
        if path.is_dir():
            raise here_error(IsADirectoryError(errno.EISDIR, ""), path, writing=True)
        name = source.rpartition("/")[2]
        total = 0
        if progress is not None:
            total = self.stat(source).size
        count = Counter(progress, total, _nothing)
        with staging(path) as temporary:
            try:
                with temporary.open("wb") as stream:
                    found = self._fetch(
                        source, stream, timeout, moved=lambda more: count(more, name)
                    )
            except OutsideError as error:
                raise here_error(_os_error(error), path, writing=True) from error
            try:
                settle(temporary, found.mode, found.mtime)
                temporary.replace(path)
            except OSError as error:
                raise here_error(error, path, writing=True) from error
        return path

    def read_bytes(self, path: str) -> bytes:
        """Return a guest file's content; raises as `get` does."""
        sink = io.BytesIO()
        self._fetch(path, sink, None)
        return sink.getvalue()

    def read_text(self, path: str) -> str:
        """
        Return a guest file's text, which must be UTF-8; raises as `get` does.

        Raises:
            GuestFileError: It is no UTF-8, for one.
        """
        try:
            return self.read_bytes(path).decode("utf-8")
        except UnicodeDecodeError as error:
            raise GuestFileError(
                f"{path} in {self.name} is no text in UTF-8: {error}",
                path=path,
                hint="read_bytes(path).decode(...) with the encoding that it has",
            ) from error

    def write_bytes(self, path: str, content: bytes, *, mode: int | None = None) -> None:
        """Make or replace a guest file; raises as `put` does. Without `mode`, the guest decides."""
        self._store(Content(io.BytesIO(content), len(content), mode), path, None)

    def write_text(self, path: str, text: str, *, mode: int | None = None) -> None:
        """Make or replace a guest file, in UTF-8; raises as `put` does."""
        self.write_bytes(path, text.encode("utf-8"), mode=mode)


def _os_error(error: OutsideError) -> OSError:
    return error.cause if isinstance(error.cause, OSError) else OSError(str(error.cause))


def _nothing() -> None:
    pass
