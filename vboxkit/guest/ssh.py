"""SSH into a guest: one connection, many commands."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO

import paramiko

from vboxkit.core.waiting import Deadline, Timeout
from vboxkit.errors import CommandFailedError, CommandTimeoutError
from vboxkit.guest import commands
from vboxkit.guest.files import Files
from vboxkit.guest.patience import LateError, Patience, RefusedError
from vboxkit.guest.result import Result

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["SSH"]


class SSH(Files):
    """
    A guest's shell and files over SSH.

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

    Example:
        >>> with SSH(Address("127.0.0.1", 2222), Credentials()) as ssh:     # doctest: +SKIP
        ...     ssh.wait_ready(timeout=60)
        ...     print(ssh.succeed("uname -s"))
        Linux
    """

    def run(
        self,
        command: str | Sequence[str | os.PathLike[str]],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        input: bytes | str | None = None,  # noqa: A002 - as subprocess.run calls it
        timeout: Timeout | None = None,
    ) -> Result:
        """
        Run a command in the guest and wait for its end; its exit code is not judged.

        It ends when nothing that it started holds its output open any more. When the time is up,
        everything it started is ended: SIGTERM, a second later SIGKILL, which takes up to 8 s more
        (3 s if the guest does not answer).
        That reaches all processes of the same user on a Linux guest with ``/proc``; elsewhere only
        what the SSH server started itself, if it knows of signals. The error says if that failed.

        Args:
            command: A shell line, or a list of arguments that no shell interprets.
            cwd: The folder to run in; the user's home if left out.
            env: More environment variables.
            input: What it reads from standard input; nothing if left out.
            timeout: Seconds, `timedelta` or `Deadline`; `Settings.command_timeout` if left out.

        Raises:
            CommandTimeoutError: It did not end in time; `result` has what it wrote.
            GuestConnectionError: The guest cannot be reached, or the connection broke: then the
                command may still run, and is not sent again.
            ValueError: The command is empty, or the name of a variable is none.

        Example:
            >>> ssh.run("exit 3").exit_code                                 # doctest: +SKIP
            3
            >>> ssh.run(["touch", "a file"], cwd="/tmp").ok                  # doctest: +SKIP
            True
        """
        line = commands.text_of(command)
        deadline = Deadline(self.settings.command_timeout if timeout is None else timeout)
        allowed = deadline.remaining
        out: list[bytes] = []
        err: list[bytes] = []

        def result(code: int | None) -> Result:
            return Result(line, code, b"".join(out), b"".join(err), deadline.elapsed)

        try:
            code = self._execute(
                line,
                input.encode() if isinstance(input, str) else input,
                out.append,
                err.append,
                Patience(deadline),
                cwd=cwd,
                env=env,
            )
        except LateError as late:
            message = f"{self.name}: {line!r} did not end within {allowed:.3g} s; {late}"
            self.last_result = result(None)
            raise CommandTimeoutError(message, result=self.last_result, hint=late.hint) from late
        self.last_result = result(code)
        return self.last_result

    def succeed(
        self,
        command: str | Sequence[str | os.PathLike[str]],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        input: bytes | str | None = None,  # noqa: A002
        timeout: Timeout | None = None,
    ) -> str:
        """
        Run a command that must end with exit code 0; see `run`.

        Returns:
            Its standard output.

        Raises:
            CommandFailedError: It ended otherwise; the message has the end of what it wrote.
        """
        result = self.run(command, cwd=cwd, env=env, input=input, timeout=timeout)
        if not result.ok:
            raise CommandFailedError(
                f"{self.name}: command failed: {result.describe()}", result=result
            )
        return result.stdout

    def fail(
        self,
        command: str | Sequence[str | os.PathLike[str]],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        input: bytes | str | None = None,  # noqa: A002
        timeout: Timeout | None = None,
    ) -> Result:
        """
        Run a command that must not end with exit code 0; see `run`.

        Raises:
            CommandFailedError: It did.
        """
        result = self.run(command, cwd=cwd, env=env, input=input, timeout=timeout)
        if result.ok:
            raise CommandFailedError(
                f"{self.name}: command succeeded but should fail: {result.describe()}",
                result=result,
            )
        return result

    def __repr__(self) -> str:
        state = "connected" if self.connected else "not connected"
        return f"<SSH {self.credentials.user}@{self.address} of {self.name}, {state}>"

    def _execute(
        self,
        line: str,
        stdin: BinaryIO | bytes | None,
        stdout: Callable[[bytes], object],
        stderr: Callable[[bytes], object],
        patience: Patience,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> int | None:
        mark = commands.new_mark()
        script = commands.shell_line(line, mark=mark, cwd=cwd, env=env)
        with ExitStack() as stack:
            transport, channel, ending = stack.enter_context(self._opened(patience))
            limit = patience.left + commands.MARGIN
            patience.renewed.append(stack.enter_context(transport.watch.limit(limit)))
            before, self.before_next = self.before_next, None
            if before is not None:
                script = before() + script
            try:
                command = commands.Exec(transport, channel, ending, script)
                if command.communicate(stdin, stdout, stderr, patience):
                    return command.exit_code
                late = commands.end_late(transport, command, mark)
                command.drain(stdout, stderr)
            except RefusedError as error:
                raise self._broken(error, f"the SSH server refuses to run {line!r}") from error
            except (paramiko.SSHException, EOFError, OSError) as error:
                self._forget(transport)
                raise self._broken(error, f"in the middle of {line!r}, which may go on") from error
            raise late
