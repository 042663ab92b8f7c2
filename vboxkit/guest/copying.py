"""How files travel: by SFTP if the guest's server has that, else through its shell."""

from __future__ import annotations

import errno
import secrets
import shlex
import stat
import threading
from abc import abstractmethod
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import paramiko

from vboxkit.core.waiting import seconds
from vboxkit.errors import GuestConnectionError, GuestFileError
from vboxkit.guest.connection import Connection
from vboxkit.guest.patience import LateError, Patience
from vboxkit.guest.sftp import LocalWriteError, fetch, is_folder, rename

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta

    from vboxkit.guest.transport import Transport

__all__ = ["Copying"]

_SHELL_IS_FOLDER = 121
_SHELL_SHORT = 122


class Copying(Connection):
    """Stores and fetches one stream as one file; `Files` has what users call."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # One SFTP session, one user at a time: paramiko's mixes up the answers of several threads.
        self._sftp_lock = threading.Lock()
        self._sftp: paramiko.SFTPClient | None = None
        self._sftp_stack = ExitStack()
        self._sftp_transport: Transport | None = None

    @abstractmethod
    def _execute(
        self,
        line: str,
        stdin: BinaryIO | bytes | None,
        stdout: Callable[[bytes], object],
        stderr: Callable[[bytes], object],
        patience: Patience,
    ) -> int | None: ...

    def _store(
        self,
        stream: BinaryIO,
        size: int,
        target: str,
        mode: int | None,
        timeout: float | timedelta | None,
    ) -> None:
        temporary = f"{target}.{secrets.token_hex(4)}.part"
        with self._session(timeout, f"copying to {target}") as (sftp, patience):
            if sftp is None:
                self._store_by_shell(stream, size, temporary, target, mode, patience)
                return
            try:
                sftp.putfo(stream, temporary, callback=lambda *_: patience.renew())
                if mode is not None:
                    sftp.chmod(temporary, mode)
                rename(sftp, temporary, target)
            except OSError as error:
                with suppress(OSError, EOFError, paramiko.SSHException):
                    sftp.remove(temporary)
                raise self._file_error(sftp, error, target, writing=True) from error

    def _fetch(self, source: str, sink: BinaryIO, timeout: float | timedelta | None) -> None:
        with self._session(timeout, f"copying {source}") as (sftp, patience):
            if sftp is None:
                self._fetch_by_shell(source, sink, patience)
                return
            try:
                attributes = sftp.stat(source)
                if stat.S_ISDIR(attributes.st_mode or 0):
                    raise IsADirectoryError(errno.EISDIR, "it is a folder, not a file")
                copied = fetch(sftp, source, attributes.st_size or 0, sink, patience.renew)
            except LocalWriteError as error:
                raise error.cause from None
            except OSError as error:
                raise self._file_error(sftp, error, source, writing=False) from error
            # A file of /proc has no size and content all the same, and a log may have grown.
            if copied < (attributes.st_size or 0):
                raise GuestFileError(f"{source} in {self.name} came short: try again")

    def _store_by_shell(  # noqa: PLR0917 - all of them, by its one caller
        self,
        stream: BinaryIO,
        size: int,
        temporary: str,
        target: str,
        mode: int | None,
        patience: Patience,
    ) -> None:
        part, final = _word(temporary), _word(target)
        chmod = "" if mode is None else f"chmod {mode:o} {part} && "
        # A connection that breaks looks like the end of the input, hence the size is checked there.
        line = (
            f"[ ! -d {final} ] || exit {_SHELL_IS_FOLDER}; cat > {part} && "
            f"{{ [ $(wc -c < {part}) -eq {size} ] || "
            f"{{ rm -f {part}; exit {_SHELL_SHORT}; }}; }} && "
            f"{chmod}mv -f {part} {final} || {{ rm -f {part}; exit 1; }}"
        )
        self._by_shell(line, stream, _nothing, target, patience)

    def _fetch_by_shell(self, source: str, sink: BinaryIO, patience: Patience) -> None:
        file = _word(source)
        line = f"[ ! -d {file} ] || exit {_SHELL_IS_FOLDER}; cat < {file}"
        self._by_shell(line, None, sink.write, source, patience)

    def _by_shell(
        self,
        line: str,
        stdin: BinaryIO | None,
        stdout: Callable[[bytes], object],
        path: str,
        patience: Patience,
    ) -> None:
        err: list[bytes] = []
        try:
            code = self._execute(line, stdin, stdout, err.append, patience)
        except LateError as late:
            raise self._broken(TimeoutError(), f"copying {path}") from late
        said = b"".join(err).decode("utf-8", errors="replace").strip()
        if code:
            text = {
                _SHELL_IS_FOLDER: "it is a folder, not a file",
                _SHELL_SHORT: f"it came short; {said or 'is the disk full?'}",
            }.get(code, said or f"exit code {code}")
            raise GuestFileError(f"cannot copy {path} in {self.name}: {text}")

    @contextmanager
    def _session(
        self, timeout: float | timedelta | None, what: str
    ) -> Iterator[tuple[paramiko.SFTPClient | None, Patience]]:
        """Give the SFTP session, or `None` for a guest without, and translate what breaks it."""
        stall = self.settings.ssh_timeout if timeout is None else seconds(timeout)
        patience = Patience(stall=stall)
        if not self._sftp_lock.acquire(timeout=stall):
            raise self._broken(TimeoutError(), f"{what}: another copy is going on")
        try:
            sftp = self._sftp_of(patience)
            channel = None if sftp is None else sftp.get_channel()
            if sftp is None or channel is None or self._sftp_transport is None:
                yield None, patience
                return
            channel.settimeout(stall)
            with self._sftp_transport.watch.limit(stall + 1) as renew:
                patience.renewed.append(renew)
                yield sftp, patience
        except (GuestFileError, GuestConnectionError):
            raise
        except LateError as late:
            raise self._broken(TimeoutError(), what) from late
        except (paramiko.SSHException, EOFError, TimeoutError, ConnectionError) as error:
            self._drop_sftp()
            raise self._broken(error, what) from error
        finally:
            self._sftp_lock.release()

    def _sftp_of(self, patience: Patience) -> paramiko.SFTPClient | None:
        known = self._sftp_transport
        if known is not None and known.is_active():
            if self._sftp is None:
                return None
            # A copy cannot be begun twice, so it is asked first whether the session still lives.
            with suppress(paramiko.SSHException, EOFError, ConnectionError):
                with known.watch.limit(patience.left + 1):
                    self._sftp.normalize(".")
                return self._sftp
            self._forget(known)
        self._drop_sftp()
        stack = ExitStack()
        transport, channel, ending = stack.enter_context(self._opened(patience))
        channel.settimeout(patience.left)
        try:
            with transport.watch.limit(patience.left + 1):  # the first has no timeout of its own
                channel.invoke_subsystem("sftp")
                self._sftp = paramiko.SFTPClient(channel)
        except (paramiko.SSHException, EOFError):
            stack.close()
            # The server refused, or what it started for that was not there and ended at once.
            if not (ending.refused or ending.closed) and not transport.is_active():
                raise
            self._sftp = None
        except BaseException:
            stack.close()
            raise
        else:
            self._sftp_stack = stack
        self._sftp_transport = transport
        return self._sftp

    def _drop_sftp(self) -> None:
        self._sftp = None
        self._sftp_transport = None
        self._sftp_stack.close()

    def _file_error(
        self, sftp: paramiko.SFTPClient, error: OSError, path: str, *, writing: bool
    ) -> Exception:
        if isinstance(error, (TimeoutError, ConnectionError)) or str(error) == "Socket is closed":
            self._drop_sftp()
            return self._broken(error, f"copying {path}")
        text = error.strerror or str(error) or "refused"
        hint = None
        if error.errno == errno.ENOENT:
            text = "its folder does not exist" if writing else "no such file"
        elif error.errno == errno.EACCES:
            text = "permission denied"
        elif writing:
            if is_folder(sftp, path):
                text = "it is a folder, not a file"
            hint = "is its disk full? `df` in the guest tells"
        return GuestFileError(f"cannot copy {path} in {self.name}: {text}", hint=hint)


def _word(path: str) -> str:
    # No option of any tool begins with "./".
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def _nothing(_: bytes) -> None:
    pass
