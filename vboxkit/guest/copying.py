"""How files travel: by SFTP if the guest's server has that, else through its shell."""

from __future__ import annotations

import errno
import os
import secrets
import threading
from abc import abstractmethod
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import paramiko

from vboxkit.core.waiting import seconds
from vboxkit.errors import GuestConnectionError, GuestFileError
from vboxkit.guest.connection import Connection
from vboxkit.guest.file_errors import OutsideError, there_error
from vboxkit.guest.patience import LateError, Patience
from vboxkit.guest.sftp import BySftp
from vboxkit.guest.sftp_streams import is_dead
from vboxkit.guest.shell_files import ByShell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta

    from vboxkit.guest.filesystem import Content, FileStat, FileSystem
    from vboxkit.guest.shell_files import Execute
    from vboxkit.guest.transport import Transport

__all__ = ["Access", "Copying", "beside"]


def beside(path: str) -> str:
    """Return a temporary name in the folder of a path in the guest, never longer than it may be."""
    folder, slash, name = (path.rstrip("/") or "/").rpartition("/")
    # With the name in it, to be told by people; but a long name leaves no room for more.
    short = os.fsencode(name)[:40].decode("ascii", errors="replace").replace("\ufffd", "_")
    return f"{folder}{slash}.{short}.{secrets.token_hex(4)}.part"


@dataclass(frozen=True)
class Access:
    """
    What a copy has of the guest.

    Attributes:
        files: Its files, by SFTP if there is that.
        run: Runs a line of the shell with an input, gives its output to a callback, and returns
            its exit code and complaints.
        renew: To be called when something moved.
    """

    files: FileSystem
    run: Execute
    renew: Callable[[], object]


class Copying(Connection):
    """Stores and fetches one stream as one file; `Files` has what users call."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # One SFTP session, one user at a time: paramiko's mixes up the answers of several threads.
        self._sftp_lock = threading.Lock()
        self._sftp: paramiko.SFTPClient | None = None
        self._sftp_stack = ExitStack()
        self._sftp_transport: Transport | None = None
        self._sftp_user: Patience | None = None
        # Temporary files in the guest whose copy was cut off, until they can be removed.
        self._left_there: set[str] = set()

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
        content: Content,
        target: str,
        timeout: float | timedelta | None,
        *,
        moved: Callable[[int], object] = lambda _: None,
    ) -> None:
        with self._files(target, timeout=timeout, writing=True) as way:
            self._store_with(way.files, content, target, _both(way.renew, moved))

    def _store_with(
        self, files: FileSystem, content: Content, target: str, moved: Callable[[int], object]
    ) -> None:
        temporary = beside(target)
        self._left_there.add(temporary)
        try:
            files.store(content, temporary, target, moved)
        except (OSError, OutsideError) as error:
            if not is_dead(error):
                self._left_there.discard(temporary)  # the guest answers, so it is gone already
            raise
        self._left_there.discard(temporary)

    def _fetch(
        self,
        source: str,
        sink: BinaryIO,
        timeout: float | timedelta | None,
        *,
        moved: Callable[[int], object] = lambda _: None,
    ) -> FileStat:
        with self._files(source, timeout=timeout) as way:
            return self._fetch_with(way.files, source, sink, _both(way.renew, moved))

    def _fetch_with(
        self, files: FileSystem, source: str, sink: BinaryIO, moved: Callable[[int], object]
    ) -> FileStat:
        copied = 0

        def count(more: int) -> None:
            nonlocal copied
            copied += more
            moved(more)

        found = files.fetch(source, sink, count)
        # A file of /proc has no size and content all the same, and a log may have grown.
        if copied < found.size and found.kind == "file":
            raise GuestFileError(
                f"{source} in {self.name} came short: {copied} of {found.size} bytes",
                path=source,
                hint="something changes it while it is copied: try again",
            )
        return found

    @contextmanager
    def _files(
        self,
        path: str,
        *,
        timeout: float | timedelta | None = None,
        verb: str = "copy",
        writing: bool = False,
    ) -> Iterator[Access]:
        """Give the guest's files; translate what goes wrong with them."""
        if not path or "\0" in path:
            raise GuestFileError(f"{path!r} is no path in {self.name}", path=path)
        what = f"{'copying' if verb == 'copy' else 'to ' + verb} {path}"
        with self._session(timeout, what) as way:
            self._tidy(way.files)
            try:
                yield way
            except OutsideError as error:
                if isinstance(error.cause, GuestFileError):
                    raise error.cause from error
                raise  # whoever called knows what it was on this machine
            except (GuestFileError, GuestConnectionError):
                raise
            except OSError as error:
                if is_dead(error):
                    raise  # the session's
                raise there_error(error, path, self.name, verb=verb, writing=writing) from error

    def _tidy(self, files: FileSystem) -> None:
        while self._left_there:
            path = self._left_there.pop()
            try:
                files.discard(path)
            except (OSError, EOFError, paramiko.SSHException, GuestConnectionError) as error:
                if isinstance(error, OSError) and error.errno == errno.ENOENT:
                    continue
                self._left_there.add(path)
                return  # the next time

    def _runner(self, patience: Patience, what: str) -> Execute:
        def execute(
            line: str, stdin: BinaryIO | None, stdout: Callable[[bytes], object]
        ) -> tuple[int | None, str]:
            err: list[bytes] = []
            try:
                # Complaints as `errno_of` knows them, whatever the guest's language is.
                code = self._execute(
                    f"export LC_ALL=C; {line}", stdin, stdout, err.append, patience
                )
            except LateError as late:
                raise self._broken(TimeoutError(), what) from late
            return code, b"".join(err).decode("utf-8", errors="replace")

        return execute

    @contextmanager
    def _session(self, timeout: float | timedelta | None, what: str) -> Iterator[Access]:
        """Give the files by SFTP, or by the shell of a guest without; translate what breaks it."""
        stall = self.settings.ssh_timeout if timeout is None else seconds(timeout)
        while not self._sftp_lock.acquire(timeout=stall):
            # A copy may take as long as it likes, as long as it moves.
            user = self._sftp_user
            if user is not None and not user.left:
                raise self._broken(TimeoutError(), f"{what}: another copy is stuck")
        try:
            patience = self._sftp_user = Patience(stall=stall)
            run = self._runner(patience, what)
            sftp = self._sftp_of(patience)
            channel = None if sftp is None else sftp.get_channel()
            if sftp is None or channel is None or self._sftp_transport is None:
                yield Access(ByShell(run), run, patience.renew)
                return
            channel.settimeout(stall)
            with self._sftp_transport.watch.limit(stall + 1) as renew:
                patience.renewed.append(renew)
                yield Access(BySftp(sftp), run, patience.renew)
        except (GuestFileError, GuestConnectionError):
            raise
        except LateError as late:
            raise self._broken(TimeoutError(), what) from late
        except BaseException as error:
            if is_dead(error):
                self._drop_sftp()
                closed = isinstance(error, OSError) and error.errno is None
                cause = EOFError() if closed and not isinstance(error, TimeoutError) else error
                raise self._broken(cause, what) from error
            if not isinstance(error, Exception):
                self._drop_sftp()  # Ctrl-C, perhaps in the middle of a message
            raise
        finally:
            self._sftp_user = None
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


def _both(renew: Callable[[], object], moved: Callable[[int], object]) -> Callable[[int], object]:
    def call(more: int) -> None:
        renew()
        moved(more)

    return call
