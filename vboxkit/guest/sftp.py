"""What paramiko's SFTP client cannot do, or does in a way that does not suit."""

from __future__ import annotations

import stat
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from paramiko.sftp import CMD_DATA, CMD_READ, int64

if TYPE_CHECKING:
    from collections.abc import Callable

    import paramiko
    from paramiko.message import Message

__all__ = ["LocalWriteError", "fetch", "is_folder", "rename"]

# 64 requests of 32 KB are what OpenSSH's own client keeps on the way.
_BLOCK = 32_768
_REQUESTS = 64


class LocalWriteError(Exception):
    """A write on this machine failed, which must not be taken for the guest's fault."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Answers:
    """Takes the answers to the requests on the way, in whatever order they come."""

    def __init__(self, client: paramiko.SFTPClient) -> None:
        self._client = client
        self._got: dict[int, bytes] = {}

    def _async_response(self, kind: int, message: Message, number: int) -> None:
        # Called by paramiko. Anything but data is a status: the end of the file, or an error.
        self._got[number] = b""
        if kind == CMD_DATA:
            self._got[number] = message.get_binary()
            return
        with suppress(EOFError):
            self._client._convert_status(message)  # type: ignore[attr-defined]  # noqa: SLF001

    def take(self, number: int) -> bytes:
        """Wait for one answer; empty at the end of the file."""
        while number not in self._got:
            self._client._read_response()  # type: ignore[attr-defined]  # noqa: SLF001
        return self._got.pop(number)


def fetch(
    client: paramiko.SFTPClient,
    path: str,
    size: int,
    sink: BinaryIO,
    moved: Callable[[], object],
) -> int:
    """
    Read a guest's file into `sink`, with many requests on the way at once.

    paramiko's own prefetch sends all requests at once from a thread, which dies with a traceback
    when the connection breaks.

    Args:
        client: The SFTP session.
        path: The file in the guest.
        size: How much to expect; more is read if there is more.
        sink: Takes the content.
        moved: Called for each block.

    Returns:
        The number of bytes read.

    Raises:
        LocalWriteError: The sink did not take it.
        OSError: The guest refused, or nothing came in time.
    """
    answers = _Answers(client)
    waiting: deque[tuple[int, int, int]] = deque()
    with client.open(path, "rb") as file:

        def ask(offset: int, length: int) -> tuple[int, int, int]:
            number = client._async_request(  # type: ignore[attr-defined]  # noqa: SLF001
                answers, CMD_READ, file.handle, int64(offset), length
            )
            return number, offset, length

        asked = done = 0
        while True:
            # Beyond the expected size one block at a time, until there is no more.
            while len(waiting) < (_REQUESTS if asked < size else 1):
                waiting.append(ask(asked, _BLOCK))
                asked += _BLOCK
            number, offset, length = waiting.popleft()
            data = answers.take(number)
            if not data:
                break
            try:
                sink.write(data)
            except OSError as error:
                raise LocalWriteError(error) from error
            done += len(data)
            moved()
            if len(data) < length:  # the server may give less than it was asked for
                waiting.appendleft(ask(offset + len(data), length - len(data)))
        for number, _, _ in waiting:
            answers.take(number)
    return done


def rename(sftp: paramiko.SFTPClient, source: str, target: str) -> None:
    """Give a guest's file its final name, replacing what has it."""
    try:
        sftp.posix_rename(source, target)
    except OSError as error:
        if error.errno is not None or is_folder(sftp, target):
            raise
        # A server without that extension; its plain rename does not replace, so there is a moment
        # without a file, but never one with half of it.
        with suppress(OSError):
            sftp.remove(target)
        sftp.rename(source, target)


def is_folder(sftp: paramiko.SFTPClient, path: str) -> bool:
    """Tell whether this is a folder in the guest."""
    try:
        return stat.S_ISDIR(sftp.stat(path).st_mode or 0)
    except OSError:
        return False
