"""SSH into a guest: one connection, many commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, TypedDict

from vboxkit.core.result import Result
from vboxkit.core.waiting import Deadline, Timeout, wait_until
from vboxkit.errors import (
    CommandFailedError,
    CommandTimeoutError,
    GuestAuthError,
    GuestConnectionError,
    HostKeyError,
)
from vboxkit.guest import commands
from vboxkit.guest.files import Files
from vboxkit.guest.handover import HandOver
from vboxkit.guest.patience import LateError, Patience
from vboxkit.guest.running import Running
from vboxkit.guest.tunnels import Tunnels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from typing_extensions import Unpack

    from vboxkit.core.result import StreamName

__all__ = ["SSH"]


class RunOptions(TypedDict, total=False):
    """The options of `SSH.run`, which `succeed` and `fail` take as well."""

    cwd: str | None
    env: Mapping[str, str] | None
    user: str | None
    input: bytes | str | BinaryIO | None
    timeout: Timeout | None
    on_output: Callable[[StreamName, bytes], object] | None


class SSH(Running, Files, Tunnels, HandOver):
    """
    A guest's shell, files and tunnels over SSH.

    Connects on first use and keeps the one connection; a connection found dead is made anew once
    before a command is sent, and no command is ever sent twice. Several threads may use it at
    once. The guest's shell may be any POSIX shell; nothing of GNU or bash is assumed.

    Args:
        address: Where the SSH server is reached from here.
        credentials: Who logs in, and the guest's host key if known.
        settings: The default timeouts; `Settings()` if left out.
        name: How messages call the guest.
        evidence: Gives lines that tell why the guest does not answer (its serial console), for
            the error of `wait_ready`.
        keepalive: Seconds of silence after which the guest is sent a sign of life; 0 for never.

    Attributes:
        last_result: What the last command gave, `None` before the first one.
        transcript: The last thousand commands of `run`, `succeed` and `fail`; see `Transcript`.

    Example:
        >>> with SSH(Address("127.0.0.1", 2222), Credentials()) as ssh:     # doctest: +SKIP
        ...     ssh.wait_ready(timeout=60)
        ...     print(ssh.succeed("uname -s"))
        Linux
    """

    def run(
        self,
        command: commands.Command,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        input: bytes | str | BinaryIO | None = None,  # noqa: A002 - as subprocess.run calls it
        timeout: Timeout | None = None,
        on_output: Callable[[StreamName, bytes], object] | None = None,
    ) -> Result:
        """
        Run a command in the guest and wait for its end; its exit code is not judged.

        It ends when nothing that it started holds its output open any more. When the time is up,
        or an exception interrupts the wait, everything it started is ended: SIGTERM, a second later
        SIGKILL, which takes up to 8 s more (3 s if the guest does not answer).
        That reaches all processes of the same user on a Linux guest with ``/proc``; elsewhere only
        what the SSH server started itself, if it knows of signals. The error says if that failed.

        Another user than the one who logs in takes ``su`` for root, and else ``sudo`` or ``doas``
        that ask for no password. It is not a log in: ``$PATH`` stays as it is, ``$HOME`` changes.
        Which way it is, is found out with the first such command of a connection, by one more.

        Args:
            command: A shell line, or a list of arguments that no shell interprets.
            cwd: The folder to run in; the user's home if left out.
            env: More environment variables.
            user: As whom, by name; who logs in, if left out.
            input: What it reads from standard input; nothing if left out. A file is read as needed.
            timeout: Seconds, `timedelta` or `Deadline`; `Settings.command_timeout` if left out.
            on_output: Called with "stdout" or "stderr" and bytes, with each piece as it comes.

        Raises:
            CommandTimeoutError: It did not end in time; `result` has what it wrote.
            GuestConnectionError: The guest cannot be reached, or the connection broke: then the
                command may still run, and is not sent again.
            GuestUserError: The guest does not run commands as that user.
            ValueError: The command is empty, or the name of a variable or user is none.

        Example:
            >>> ssh.run("exit 3").exit_code                                 # doctest: +SKIP
            3
            >>> ssh.run(["touch", "a file"], cwd="/tmp").ok                  # doctest: +SKIP
            True
        """
        return self._run_until(
            Deadline(self.settings.command_timeout if timeout is None else timeout),
            commands.text_of(command),
            cwd=cwd,
            env=env,
            user=user,
            input=input,
            on_output=on_output,
        )

    async def run_async(
        self,
        command: commands.Command,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        input: bytes | str | BinaryIO | None = None,  # noqa: A002 - as subprocess.run calls it
        timeout: Timeout | None = None,
        on_output: Callable[[StreamName, bytes], object] | None = None,
    ) -> Result:
        """
        Run a command as `run` does, for asyncio: the loop goes on meanwhile.

        It runs in a thread of the loop's executor. If the task that awaits it is cancelled, the
        command is ended with all that it started, as at a timeout, and that is waited for.

        Args:
            command: As for `run`.
            cwd: As for `run`.
            env: As for `run`.
            user: As for `run`.
            input: As for `run`.
            timeout: As for `run`.
            on_output: As for `run`; it is called in that thread.

        Raises:
            asyncio.CancelledError: The task was cancelled.
            CommandTimeoutError: As for `run`, with the other errors of it.

        Example:
            >>> one, two = await asyncio.gather(                            # doctest: +SKIP
            ...     vm.ssh.run_async("uname -s"), other.ssh.run_async("uname -s"))
        """
        from vboxkit.guest.awaited import Recallable, awaited  # few need asyncio

        line = commands.text_of(command)
        deadline = Recallable(self.settings.command_timeout if timeout is None else timeout)

        def work() -> Result:
            return self._run_until(
                deadline, line, cwd=cwd, env=env, user=user, input=input, on_output=on_output
            )

        return await awaited(work, deadline, self._wake_all)

    def _run_until(
        self,
        deadline: Deadline,
        line: str,
        *,
        cwd: str | None,
        env: Mapping[str, str] | None,
        user: str | None,
        input: bytes | str | BinaryIO | None,  # noqa: A002 - as above
        on_output: Callable[[StreamName, bytes], object] | None,
    ) -> Result:
        allowed = deadline.remaining
        out: list[bytes] = []
        err: list[bytes] = []

        def result(code: int | None) -> Result:
            return Result(line, code, b"".join(out), b"".join(err), deadline.elapsed)

        def told(stream: StreamName, pieces: list[bytes]) -> Callable[[bytes], object]:
            if on_output is None:
                return pieces.append
            tell = on_output

            def add(piece: bytes) -> None:
                pieces.append(piece)
                tell(stream, piece)

            return add

        try:
            code = self._execute(
                line,
                input.encode() if isinstance(input, str) else input,
                told("stdout", out),
                told("stderr", err),
                Patience(deadline),
                cwd=cwd,
                env=env,
                user=user,
            )
        except LateError as late:
            message = f"{self.name}: {line!r} did not end within {allowed:.3g} s; {late}"
            if not late.ended and self._evidence is not None:
                # It may be paused, as by a full disk of the host: that is in the first line.
                message += "".join(f" ({it})" for it in self._evidence().splitlines()[:1])
            ended = self._note(result(None))
            raise CommandTimeoutError(message, result=ended, hint=late.hint) from late
        return self._note(result(code))

    def _wake_all(self) -> None:
        """Let all who wait for a command look at their deadlines."""
        transport = self._transport
        for ending in list(transport.endings.values()) if transport is not None else []:
            ending.wake.set()

    def _note(self, result: Result) -> Result:
        self.last_result = result
        self.transcript.add(result)
        return result

    def succeed(self, command: commands.Command, **options: Unpack[RunOptions]) -> str:
        """
        Run a command that must end with exit code 0; see `run`, whose options it takes.

        Returns:
            Its standard output.

        Raises:
            CommandFailedError: It ended otherwise; the message has the end of what it wrote.
        """
        result = self.run(command, **options)
        if not result.ok:
            raise CommandFailedError(
                f"{self.name}: command failed: {result.describe()}", result=result
            )
        return result.stdout

    def fail(self, command: commands.Command, **options: Unpack[RunOptions]) -> Result:
        """
        Run a command that must not end with exit code 0; see `run`, whose options it takes.

        Raises:
            CommandFailedError: It did.
        """
        result = self.run(command, **options)
        if result.ok:
            raise CommandFailedError(
                f"{self.name}: command succeeded but should fail: {result.describe()}",
                result=result,
            )
        return result

    def wait_until_succeeds(
        self,
        command: commands.Command,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        timeout: Timeout | None = None,
        poll: float | timedelta = 0.05,
    ) -> str:
        """
        Run a command again and again until it ends with exit code 0.

        A guest that cannot be reached meanwhile, as one that reboots, is waited for as well.

        Args:
            command: As for `run`.
            cwd: As for `run`.
            env: As for `run`.
            user: As for `run`.
            timeout: Seconds for all of it, `timedelta` or `Deadline`; `Settings.command_timeout` if
                left out. A try that is under way then is ended.
            poll: Seconds, or `timedelta`, between two tries.

        Returns:
            The standard output of the try that succeeded.

        Raises:
            WaitTimeoutError: It did not in time; `last_seen` tells what the last try gave.
            GuestAuthError: The guest answers and did not let us in.
            HostKeyError: The guest answers and shows another host key.
            GuestUserError: The guest does not run commands as that user.

        Example:
            >>> ssh.wait_until_succeeds("test -S /run/app.sock", timeout=30)    # doctest: +SKIP
            ''
        """
        line = commands.text_of(command)
        deadline = Deadline(self.settings.command_timeout if timeout is None else timeout)
        tries: list[int] = []
        seen = ["nothing tried"]

        def attempt() -> str | None:
            if tries and deadline.expired:
                return None
            tries.append(1)
            try:
                result = self.run(line, cwd=cwd, env=env, user=user, timeout=deadline)
            except (GuestAuthError, HostKeyError):
                raise
            except GuestConnectionError as error:
                seen.append(error.message)
            except CommandTimeoutError as error:
                # Begun when the time was nearly up, it says less than the one before.
                seen[1:] = seen[1:] or [error.message]
            else:
                seen.append(result.describe())
                return result.stdout if result.ok else None
            return None

        return wait_until(
            attempt,
            what=f"{line!r} to succeed in {self.name}",
            timeout=deadline,
            poll=poll,
            last_seen=lambda: seen[-1],
        )

    def __repr__(self) -> str:
        state = "connected" if self.connected else "not connected"
        return f"<SSH {self.credentials.user}@{self.address} of {self.name}, {state}>"
