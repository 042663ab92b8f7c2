"""How `SSH` runs things: the one way in, for what is waited for and for what is not."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import paramiko

from vboxkit.core.result import Result
from vboxkit.core.waiting import Deadline, Timeout
from vboxkit.errors import CommandTimeoutError, GuestConnectionError, GuestUserError
from vboxkit.guest import commands, stopping, users
from vboxkit.guest.connection import Connection
from vboxkit.guest.patience import LateError, Patience, RefusedError, SinkError
from vboxkit.guest.process import GuestProcess
from vboxkit.guest.remote import Link, Remote
from vboxkit.guest.shell import GuestShell
from vboxkit.guest.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vboxkit.core.result import StreamName

    R = TypeVar("R", bound=Remote)

__all__ = ["Running"]


class Running(Connection):
    """The methods of `SSH` for what goes on beside us."""

    def start(
        self,
        command: commands.Command,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> GuestProcess:
        r"""
        Start a command in the guest, and return without waiting for its end.

        It has an open standard input, and no timeout of its own.

        Args:
            command: A shell line, or a list of arguments that no shell interprets.
            cwd: The folder to run in; the user's home if left out.
            env: More environment variables.
            user: As whom; see `SSH.run`.

        Raises:
            GuestConnectionError: The guest cannot be reached.
            GuestUserError: It does not run commands as that user.
            CommandTimeoutError: The guest did not start it within `Settings.ssh_timeout`.
            ValueError: The command is empty, or a name is none.

        Example:
            >>> with ssh.start("cat") as cat:                               # doctest: +SKIP
            ...     cat.write("hello\n")
            ...     cat.read_line()
            'hello'
        """
        deadline = Deadline(self.settings.ssh_timeout)
        return self._launch(
            command, cwd=cwd, env=env, user=user, deadline=deadline, kind=GuestProcess
        )

    def stream(
        self,
        command: commands.Command,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        input: bytes | str | BinaryIO | None = None,  # noqa: A002 - as subprocess.run calls it
        timeout: Timeout | None = None,
        check: bool = True,
    ) -> Stream:
        """
        Run a command in the guest, and give the lines of both its streams as they come.

        The memory that takes is bounded: a command that writes faster than its lines are fetched is
        held up. Closing the stream, or dropping it as ``break`` does, ends the command.

        Args:
            command: A shell line, or a list of arguments that no shell interprets.
            cwd: The folder to run in; the user's home if left out.
            env: More environment variables.
            user: As whom; see `SSH.run`.
            input: What it reads from standard input; nothing if left out. A file is read as needed.
            timeout: Seconds for all of it, `timedelta` or `Deadline`; `Settings.command_timeout` if
                left out.
            check: Raise at the end if the exit code is not 0.

        Returns:
            An iterator of `Line`: texts that know their `stream`. `exit_code` is known at its end.

        Raises:
            CommandFailedError: From the iteration, at the end: the exit code is not 0.
            CommandTimeoutError: From the iteration: it did not end in time, and was ended.
            GuestConnectionError: The guest cannot be reached, or the connection broke.
            GuestUserError: It does not run commands as that user.
            ValueError: The command is empty, or a name is none.

        Example:
            >>> for line in ssh.stream("dmesg"):                            # doctest: +SKIP
            ...     print(line.stream, line)
        """
        deadline = Deadline(self.settings.command_timeout if timeout is None else timeout)
        allowed = deadline.remaining

        def make(link: Link, running: commands.Exec, stack: ExitStack) -> Stream:
            return Stream(link, running, stack, deadline=deadline, allowed=allowed, check=check)

        stream = self._launch(command, cwd=cwd, env=env, user=user, deadline=deadline, kind=make)
        if input:
            stream._feed(input)  # noqa: SLF001 - not for whoever reads the stream
        else:
            stream.close_stdin()
        return stream

    def shell(
        self,
        command: commands.Command | None = None,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        terminal: str = "vt100",
        columns: int = 80,
        rows: int = 24,
    ) -> GuestShell:
        r"""
        Open a shell with a terminal in the guest, to type and to read what is shown.

        Args:
            command: What runs in the terminal; the user's own shell for logging in if left out.
            cwd: The folder to run in; the user's home if left out.
            env: More environment variables.
            user: As whom; see `SSH.run`.
            terminal: The type of the terminal, as in ``$TERM``.
            columns: Its width in characters.
            rows: Its height in characters.

        Raises:
            GuestConnectionError: The guest cannot be reached.
            GuestUserError: It does not run commands as that user.
            CommandTimeoutError: The guest did not start it within `Settings.ssh_timeout`.
            ValueError: The command is empty, or a name is none.

        Example:
            >>> with ssh.shell(columns=120) as shell:                       # doctest: +SKIP
            ...     shell.send("stty size; exit\n")
            ...     shell.expect(r"24 120")
        """
        return self._launch(
            'exec "${SHELL:-/bin/sh}" -l' if command is None else command,
            cwd=cwd,
            env=env,
            user=user,
            deadline=Deadline(self.settings.ssh_timeout),
            kind=GuestShell,
            terminal=commands.Terminal(terminal, columns, rows),
        )

    def _launch(
        self,
        command: commands.Command,
        *,
        cwd: str | None,
        env: Mapping[str, str] | None,
        user: str | None,
        deadline: Deadline,
        kind: Callable[[Link, commands.Exec, ExitStack], R],
        terminal: commands.Terminal | None = None,
    ) -> R:
        text = commands.text_of(command)
        allowed = deadline.remaining
        patience = Patience(deadline)
        mark = stopping.new_mark()
        try:
            way = self._way(user, patience)
            script = way.wrap(commands.shell_line(text, mark=mark, cwd=cwd, env=env))
            with ExitStack() as stack:
                transport, channel, ending = stack.enter_context(self._opened(patience))

                def lost(error: BaseException) -> GuestConnectionError:
                    if isinstance(error, RefusedError):
                        return self._broken(error, f"the SSH server refuses to run {text!r}")
                    self._forget(transport)
                    return self._broken(error, f"in the middle of {text!r}, which may go on")

                before, self.before_next = self.before_next, None
                if before is not None:
                    script = before() + script
                try:
                    with transport.watch.limit(patience.left + commands.MARGIN):
                        running = commands.Exec(
                            transport, channel, ending, script, terminal=terminal
                        )
                except (paramiko.SSHException, EOFError, OSError) as error:
                    raise lost(error) from error
                link = Link(
                    name=self.name,
                    command=text,
                    mark=mark,
                    way=way,
                    transport=transport,
                    channel=channel,
                    ending=ending,
                    lost=lost,
                    timeout=self.settings.command_timeout,
                )
                return kind(link, running, stack.pop_all())
        except LateError as late:
            raise CommandTimeoutError(
                f"{self.name}: {text!r} was not started within {allowed:.3g} s; {late}",
                result=Result(text, None, b"", b"", deadline.elapsed),
            ) from late

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
        user: str | None = None,
    ) -> int | None:
        way = users.LOGIN if user is None else self._way(user, patience)
        mark = stopping.new_mark()
        script = way.wrap(commands.shell_line(line, mark=mark, cwd=cwd, env=env))
        prepared = self._prepared_for(script) if user is None else None
        if prepared is not None:
            mark = prepared.mark
            script = commands.shell_line(line, mark=mark, cwd=cwd, env=env)

        def sink(stream: StreamName, piece: bytes) -> None:
            try:
                (stdout if stream == "stdout" else stderr)(piece)
            except BaseException as error:
                raise SinkError(error) from None

        with ExitStack() as stack:
            transport, channel, ending = stack.enter_context(prepared or self._opened(patience))
            limit = patience.left + commands.MARGIN
            patience.renewed.append(stack.enter_context(transport.watch.limit(limit)))
            before, self.before_next = self.before_next, None
            if before is not None:
                script = before() + script
            running: commands.Exec | None = None
            try:
                if prepared is not None:
                    running = prepared.run(script)
                else:
                    running = commands.Exec(transport, channel, ending, script)
                if running.communicate(stdin, sink, patience):
                    return running.exit_code
                late = stopping.end_late(
                    transport, running, mark, way, lambda: running.hand_on(sink)
                )
            except RefusedError as error:
                raise self._broken(error, f"the SSH server refuses to run {line!r}") from error
            except (paramiko.SSHException, EOFError, OSError) as error:
                self._forget(transport)
                raise self._broken(error, f"in the middle of {line!r}, which may go on") from error
            except BaseException as error:
                # Somebody here does not want it any more: an interrupt, or who takes the output.
                if running is not None:
                    with suppress(Exception):
                        drain = lambda: running.hand_on(_nothing_of)  # noqa: E731
                        stopping.end_late(transport, running, mark, way, drain)
                if isinstance(error, SinkError):
                    raise error.cause from None
                raise
            raise late

    def _way(self, user: str | None, patience: Patience) -> users.Way:
        """Find out how to run something as a user, unless that is known of this connection."""
        if user is None:
            return users.LOGIN
        line = users.probe(user)
        transport = self._transport
        if transport is not None and transport.is_active() and user in transport.ways:
            return transport.ways[user]
        said: list[bytes] = []
        code = self._execute(line, None, _nothing, said.append, patience)
        if code not in users.WAYS:
            words = b"".join(said).decode("utf-8", errors="replace").strip()
            reason, hint = users.REFUSALS.get(code or 0, ("", ""))
            reason = ": ".join(part for part in (reason, words) if part) or f"exit code {code}"
            raise GuestUserError(
                f"{self.name}: {self.credentials.user!r} cannot run anything as {user!r}: {reason}",
                user=user,
                hint=hint or None,
            )
        way = users.Way(user, users.WAYS[code])
        if self._transport is not None:
            self._transport.ways[user] = way
        return way


def _nothing(_: bytes) -> None:
    pass


def _nothing_of(stream: str, piece: bytes) -> None:
    pass
