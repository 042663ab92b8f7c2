"""Files to and from the guest."""

from __future__ import annotations

import io
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.errors import GuestConnectionError, GuestFileError
from vboxkit.guest.copying import Copying

if TYPE_CHECKING:
    import os
    from datetime import timedelta

__all__ = ["Files"]


class Files(Copying):
    """
    The file methods of `SSH`.

    A file is written under a temporary name in the target's folder, checked for its size, and then
    renamed: whatever is interrupted, the final name has the whole new file or what was there
    before. Relative paths in the guest start at the user's home; ``~`` has no meaning.
    """

    def put(
        self,
        source: str | os.PathLike[str],
        target: str,
        *,
        mode: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """
        Copy a file to the guest, replacing what is there.

        Args:
            source: A file of this machine.
            target: Its path in the guest, name included; the folder must exist.
            mode: The permissions there (such as ``0o755``); the source's if left out.
            timeout: Seconds without a byte moving; `Settings.ssh_timeout` if left out.

        Raises:
            GuestFileError: A file or folder is missing, forbidden, or of the wrong kind, or there
                is no room; the message names the path and whose it is.
            GuestConnectionError: The guest cannot be reached, or the connection broke.
        """
        path = Path(source)
        try:
            with path.open("rb") as stream:
                size = path.stat().st_size
                permissions = stat.S_IMODE(path.stat().st_mode) if mode is None else mode
                self._store(stream, size, target, permissions, timeout)
        except IsADirectoryError as error:
            raise GuestFileError(f"{path} on this machine is a folder, not a file") from error
        except (FileNotFoundError, PermissionError) as error:
            raise GuestFileError(f"cannot read {path} on this machine: {error.strerror}") from error

    def get(
        self,
        source: str,
        target: str | os.PathLike[str],
        *,
        timeout: float | timedelta | None = None,
    ) -> Path:
        """
        Copy a file from the guest, replacing what is here.

        Args:
            source: Its path in the guest.
            target: Its path on this machine, name included; the folder must exist.
            timeout: Seconds without a byte moving; `Settings.ssh_timeout` if left out.

        Returns:
            The target.

        Raises:
            GuestFileError: As for `put`.
            GuestConnectionError: The guest cannot be reached, or the connection broke.
        """
        path = Path(target)
        if path.is_dir():
            raise GuestFileError(f"{path} on this machine is a folder, not a file")
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with temporary.open("xb") as stream:
                self._fetch(source, stream, timeout)
            temporary.replace(path)
        except GuestFileError:
            raise
        except GuestConnectionError:
            raise
        except OSError as error:
            raise GuestFileError(f"cannot write {path} on this machine: {error}") from error
        finally:
            with suppress(OSError):
                temporary.unlink()
        return path

    def read_bytes(self, path: str) -> bytes:
        """Return a guest file's content; raises as `get` does."""
        sink = io.BytesIO()
        self._fetch(path, sink, None)
        return sink.getvalue()

    def read_text(self, path: str) -> str:
        """Return a guest file's text, which must be UTF-8; raises as `get` does."""
        return self.read_bytes(path).decode("utf-8")

    def write_bytes(self, path: str, content: bytes, *, mode: int | None = None) -> None:
        """Make or replace a guest file; raises as `put` does. Without `mode`, the guest decides."""
        self._store(io.BytesIO(content), len(content), path, mode, None)

    def write_text(self, path: str, text: str, *, mode: int | None = None) -> None:
        """Make or replace a guest file, in UTF-8; raises as `put` does."""
        self.write_bytes(path, text.encode("utf-8"), mode=mode)
