"""The content of files by SFTP, with many requests on the way at once."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import paramiko
from paramiko.sftp import CMD_DATA, CMD_READ, CMD_STATUS, CMD_WRITE, int64

from vboxkit.guest.file_errors import OutsideError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paramiko.message import Message

    from vboxkit.guest.filesystem import Content

__all__ = ["BLOCK", "LARGE_BLOCK", "is_dead", "read_all", "write_all"]

#: Bytes on the way at once, as with OpenSSH's own client.
_ON_THE_WAY = 1 << 21
#: Bytes of one request; any server takes as much.
BLOCK = 32_768
#: Where the server takes more: four full packets of SSH, less what is around the content. Each
#: request less saves an emulated guest some ten thousand instructions; yet larger ones would have
#: a slow guest silent for seconds.
LARGE_BLOCK = 126_976


class _Answers:
    """Takes the answers to the requests on the way, in whatever order they come."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._got: dict[int, bytes | Exception] = {}

    def _async_response(self, kind: int, message: Message, number: int) -> None:
        # Called by paramiko. Anything but data is a status: all is well, the file's end, an error.
        self._got[number] = b""
        if kind == CMD_DATA:
            self._got[number] = message.get_binary()
        elif kind == CMD_STATUS:
            try:
                self._client._convert_status(message)  # noqa: SLF001
            except EOFError:
                pass
            except OSError as error:
                self._got[number] = error

    def take(self, number: int) -> bytes:
        """Wait for one answer; empty for "all is well", and at the end of the file."""
        while number not in self._got:
            self._client._read_response()  # noqa: SLF001
        got = self._got.pop(number)
        if isinstance(got, Exception):
            raise got
        return got


def write_all(
    client: Any,
    handle: bytes,
    content: Content,
    moved: Callable[[int], object],
    *,
    block_size: int = BLOCK,
) -> int:
    """Write a content to an open file; return how much it was."""
    stream, size = content.stream, content.size
    answers = _Answers(client)
    channel = client.get_channel()
    waiting: deque[tuple[int, int]] = deque()
    offset = 0

    def settle() -> None:
        number, length = waiting.popleft()
        answers.take(number)
        moved(length)

    try:
        # One byte more than expected tells that it grew; a log may grow as fast as it is read.
        while block := _read(stream, min(block_size, size + 1 - offset)):
            if len(waiting) >= _ON_THE_WAY // block_size:
                settle()
            number = client._async_request(  # noqa: SLF001
                answers, CMD_WRITE, handle, int64(offset), block
            )
            waiting.append((number, len(block)))
            offset += len(block)
            moved(0)  # into the window, which is finite: the guest takes it
            while len(waiting) > 1 and channel.recv_ready():
                settle()
        while waiting:
            settle()
    except OSError as error:
        if not is_dead(error):
            _take_rest(answers, [number for number, _ in waiting])
        raise
    return offset


def read_all(
    client: Any,
    handle: bytes,
    size: int,
    sink: BinaryIO,
    moved: Callable[[int], object],
    *,
    block_size: int = BLOCK,
) -> None:
    """Read an open file to its end, which is about at `size`."""
    answers = _Answers(client)
    waiting: deque[tuple[int, int, int]] = deque()

    def ask(offset: int, length: int) -> tuple[int, int, int]:
        number = client._async_request(  # noqa: SLF001
            answers, CMD_READ, handle, int64(offset), length
        )
        return number, offset, length

    asked = 0
    while True:
        # Beyond the expected size one block at a time, until there is no more.
        while len(waiting) < (_ON_THE_WAY // block_size if asked < size else 1):
            waiting.append(ask(asked, block_size))
            asked += block_size
        number, offset, length = waiting.popleft()
        data = answers.take(number)
        if not data:
            break
        try:
            sink.write(data)
        except OSError as error:
            raise OutsideError(error) from error
        moved(len(data))
        if len(data) < length:  # the server may give less than it was asked for
            waiting.appendleft(ask(offset + len(data), length - len(data)))
    _take_rest(answers, [number for number, _, _ in waiting])


def is_dead(error: BaseException) -> bool:
    """Tell whether the connection is not to be asked any more."""
    dead = (TimeoutError, ConnectionError, EOFError, paramiko.SSHException)
    return isinstance(error, dead) or str(error) == "Socket is closed"


def _read(stream: BinaryIO, size: int) -> bytes:
    try:
        return stream.read(size)
    except OSError as error:
        raise OutsideError(error) from error


def _take_rest(answers: _Answers, numbers: list[int]) -> None:
    for number in numbers:
        with suppress(OSError):
            answers.take(number)
