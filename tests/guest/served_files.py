"""The files that the in-process SSH server serves by SFTP."""

# ruff: noqa: D102 - the methods are paramiko's

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko import sftp as _sftp

if TYPE_CHECKING:
    from collections.abc import Callable


def _none(_: object) -> None:
    pass


class _Handle(paramiko.SFTPHandle):
    def __init__(self, flags: int, folder: Folder) -> None:
        super().__init__(flags)
        self.folder = folder

    def read(self, offset: int, length: int) -> bytes | int:
        if self.folder.plan.at == "file" and offset > 50_000:
            self.folder.sock.trip(self.folder.plan.how)
        return super().read(offset, length)

    def write(self, offset: int, data: Any) -> int:
        if self.folder.plan.at == "file" and offset > 50_000:
            self.folder.sock.trip(self.folder.plan.how)
        full = self.folder.guest.full_after
        if full is not None and offset + len(data) > full:
            return _sftp.SFTP_FAILURE
        return super().write(offset, data)


class Folder(paramiko.SFTPServerInterface):
    """The files, by their own names; nothing outside of the server's folder."""

    def __init__(self, server: Any, guest: Any, sock: Any, plan: Any, *more: Any) -> None:
        super().__init__(server)
        self.guest, self.sock, self.plan = guest, sock, plan

    def _do(self, path: str, action: Callable[[], Any]) -> Any:
        inside = path.startswith(str(self.guest.folder))
        no = self.guest.forbidden
        if not inside or (no is not None and path.startswith(str(no))):
            return _sftp.SFTP_PERMISSION_DENIED
        try:
            result = action()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)
        return _sftp.SFTP_OK if result is None else result

    def stat(self, path: str) -> Any:
        return self._do(path, lambda: paramiko.SFTPAttributes.from_stat(Path(path).stat()))

    def lstat(self, path: str) -> Any:
        return self._do(path, lambda: paramiko.SFTPAttributes.from_stat(Path(path).lstat()))

    def list_folder(self, path: str) -> Any:
        def action() -> list[Any]:
            return [
                paramiko.SFTPAttributes.from_stat(one.lstat(), one.name)
                for one in Path(path).iterdir()
            ]

        return self._do(path, action)

    def mkdir(self, path: str, attr: Any) -> Any:
        return self._do(path, lambda: Path(path).mkdir(mode=attr.st_mode or 0o777))

    def rmdir(self, path: str) -> Any:
        return self._do(path, lambda: Path(path).rmdir())

    def symlink(self, target_path: str, path: str) -> Any:
        return self._do(path, lambda: Path(path).symlink_to(target_path))

    def readlink(self, path: str) -> Any:
        return self._do(path, lambda: str(Path(path).readlink()))

    def open(self, path: str, flags: int, attr: Any) -> Any:
        def action() -> _Handle:
            descriptor = os.open(path, flags, 0o666)
            handle = _Handle(flags, self)
            file = os.fdopen(descriptor, "rb" if flags & 3 == os.O_RDONLY else "wb", buffering=0)
            self.guest.files.append(file)
            if flags & 3 == os.O_RDONLY:
                handle.readfile = file  # type: ignore[attr-defined]
            else:
                handle.writefile = file  # type: ignore[attr-defined]
            return handle

        return self._do(path, action)

    def chattr(self, path: str, attr: Any) -> Any:
        def action() -> None:
            if attr.st_mode is not None:
                Path(path).chmod(attr.st_mode)
            if attr.st_mtime is not None:
                os.utime(path, (attr.st_atime, attr.st_mtime))

        return self._do(path, action)

    def remove(self, path: str) -> Any:
        return self._do(path, lambda: Path(path).unlink())

    def rename(self, old: str, new: str) -> Any:
        if Path(new).exists():
            return _sftp.SFTP_FAILURE
        return self._do(new, lambda: _none(Path(old).rename(new)))

    def posix_rename(self, old: str, new: str) -> Any:
        if not self.guest.posix_rename:
            return _sftp.SFTP_OP_UNSUPPORTED
        return self._do(new, lambda: _none(Path(old).replace(new)))
