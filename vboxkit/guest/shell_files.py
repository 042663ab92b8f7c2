"""The guest's files by its shell, for a guest whose SSH server has no SFTP."""

from __future__ import annotations

import errno
import os
import shlex
import time
from typing import TYPE_CHECKING, BinaryIO

from vboxkit.guest.file_errors import OutsideError, errno_of
from vboxkit.guest.filesystem import Content, FileStat, FileSystem

if TYPE_CHECKING:
    from collections.abc import Callable

    #: Runs a line with an input, gives its output to a callback; returns exit code and complaints.
    Execute = Callable[[str, BinaryIO | None, Callable[[bytes], object]], tuple[int | None, str]]

__all__ = ["ByShell", "touch", "word"]

_IS_FOLDER = 121
_SHORT = 122
_STAT = "stat -c '%f %s %Y %u %g'"


def word(path: str) -> str:
    """
    Return a path as a word of a shell line.

    Raises:
        OSError: It cannot be one.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise OSError(errno.EILSEQ, "its name is no UTF-8, which needs SFTP") from None
    # No option of any tool begins with "./".
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


class ByShell(FileSystem):
    """
    The files by a POSIX shell and the usual tools, of GNU or of busybox.

    Args:
        execute: Runs a line.
    """

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def _do(self, line: str) -> bytes:
        out: list[bytes] = []
        code, said = self._execute(line, None, out.append)
        if code:
            raise _error(code, said)
        return b"".join(out)

    def stat(self, path: str, *, follow: bool) -> FileStat:
        """Look at a file, or at what a link leads to."""
        said = self._do(f"{_STAT} {'-L ' if follow else ''}{word(path)}")
        return _parsed(said)

    def listdir(self, path: str) -> list[str]:
        """Return the names in a folder."""
        # Only builtins: as quick as it can be, and no newline in a name does harm.
        folder = word(f"{path.rstrip('/')}/")
        said = self._do(
            f"cd {folder} && : < . && for f in * .[!.]* ..?*; do "
            'if [ -e "$f" ] || [ -L "$f" ]; then printf \'%s\\0\' "$f"; fi; done'
        )
        return [os.fsdecode(name) for name in said.split(b"\0")[:-1]]

    def mkdir(self, path: str, mode: int | None) -> None:
        """Make a folder."""
        self._do(f"mkdir {'' if mode is None else f'-m {mode:o} '}{word(path)}")

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        self._do(f"rmdir {word(path)}")

    def unlink(self, path: str) -> None:
        """Remove what is no folder."""
        file = word(path)
        self._do(f"[ -L {file} ] || [ ! -d {file} ] || exit {_IS_FOLDER}; rm {file} < /dev/null")

    def discard(self, path: str) -> None:
        """Remove a folder with all in it, or a file; no link is followed."""
        self.stat(path, follow=False)
        self._do(f"rm -rf {word(path)}")

    def rename(self, source: str, target: str) -> None:
        """Give another name, replacing the file that has it."""
        old, new = word(source), word(target)
        self._do(
            f"[ ! -d {new} ] || {{ [ -d {old} ] && [ ! -L {old} ] && rmdir {new}; }} || "
            f"exit {_IS_FOLDER}; mv -f {old} {new}"
        )

    def symlink(self, leads_to: str, path: str) -> None:
        """Make a symbolic link."""
        file = word(path)
        # ln would put it into a folder of that name.
        self._do(
            f"if [ -e {file} ] || [ -L {file} ]; then echo 'File exists' >&2; exit 1; fi; "
            f"ln -s -- {shlex.quote(leads_to)} {file}"
        )

    def readlink(self, path: str) -> str:
        """Return where a symbolic link leads."""
        return os.fsdecode(self._do(f"readlink {word(path)}").removesuffix(b"\n"))

    def set_mode_and_time(self, path: str, mode: int, mtime: int) -> None:
        """Set the permissions and the time of the last change."""
        self._do(f"chmod {mode:o} {word(path)} && {touch(mtime)}{word(path)}")

    def store(
        self,
        content: Content,
        temporary: str,
        target: str,
        moved: Callable[[int], object],
    ) -> None:
        """Write a file under a temporary name, and rename it when it is whole."""
        part, final = word(temporary), word(target)
        chmod = "" if content.mode is None else f"chmod {content.mode:o} {part} && "
        set_time = "" if content.mtime is None else f"{touch(content.mtime)}{part} && "
        # A connection that breaks looks like the end of the input, hence the size is checked there.
        # The file is opened by the shell itself, with -C: it must not be there. No `wc -c`: that of
        # busybox reads the file, which takes an emulated guest longer than to receive it.
        line = (
            f"[ ! -d {final} ] || exit {_IS_FOLDER}; "
            f"{'' if content.mode is None else 'umask 077; '}"
            f"trap 'rm -f \"$part\"; exit 1' HUP TERM PIPE; part={part}; set -C; "
            f"cat > {part} && "
            f"{{ [ $(stat -c %s {part}) -eq {content.size} ] || "
            f"{{ rm -f {part}; exit {_SHORT}; }}; }} && "
            f"{chmod}{set_time}mv -f {part} {final} || {{ rm -f {part}; exit 1; }}"
        )
        source = _Source(content, moved)
        code, said = self._execute(line, source, _nothing)  # type: ignore[arg-type]
        if source.error is not None:
            raise OutsideError(source.error)
        if code == _SHORT and source.given != content.size:
            raise OutsideError(OSError("it changed while it was copied"))
        if code:
            raise _error(code, said)

    def fetch(self, path: str, sink: BinaryIO, moved: Callable[[int], object]) -> FileStat:
        """Read a file; its size may be less than what was read, if it grew or is of ``/proc``."""
        file = word(path)
        head = bytearray()
        begun = False

        def take(block: bytes) -> None:
            nonlocal begun
            if not begun:
                head.extend(block)
                end = head.find(b"\n")
                if end < 0:
                    return
                begun, block = True, bytes(head[end + 1 :])
                del head[end:]
            try:
                sink.write(block)
            except OSError as error:
                raise OutsideError(error) from error
            moved(len(block))

        line = f"[ ! -d {file} ] || exit {_IS_FOLDER}; {_STAT} -L {file} && cat < {file}"
        code, said = self._execute(line, None, take)
        if code:
            raise _error(code, said)
        return _parsed(bytes(head))


class _Source:
    """Counts what is read of a stream; an error in it is its end, and kept."""

    def __init__(self, content: Content, moved: Callable[[int], object]) -> None:
        self._content = content
        self._moved = moved
        self.given = 0
        self.error: OSError | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Read a block; called by the thread that feeds the command."""
        try:
            # One byte more than expected tells that it grew, and it may grow for good.
            block = self._content.stream.read(min(size, self._content.size + 1 - self.given))
        except OSError as error:
            self.error = error
            return b""
        self.given += len(block)
        self._moved(len(block))
        return block


def _error(code: int, said: str) -> OSError:
    if code == _IS_FOLDER:
        return IsADirectoryError(errno.EISDIR, "it is a folder")
    text = said.strip() or ("it came short" if code == _SHORT else f"exit code {code}")
    number = errno_of(said)
    if number is None and code == _SHORT:
        number = errno.ENOSPC
    return OSError(number, text) if number else OSError(text)


def _parsed(line: bytes) -> FileStat:
    raw, size, mtime, uid, gid = line.split()
    return FileStat.of(int(raw, 16), int(size), int(mtime), int(uid), int(gid))


def touch(mtime: int) -> str:
    """Return the begin of a line that sets the time of the last change."""
    # As POSIX has it; "-d @SECONDS" is of GNU and busybox only.
    moment = time.strftime("%Y%m%d%H%M.%S", time.gmtime(max(0, mtime)))
    return f"TZ=UTC0 touch -t {moment} "


def _nothing(_: bytes) -> None:
    pass
