"""
Commands and files in a guest by its Guest Additions, without any network.

Every call that waits is cut into short ones: VirtualBox's own wait in native code, where neither
Ctrl-C nor a machine that is gone would be seen.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import CommandFailedError, GuestAuthError, InvalidStateError
from vboxkit.machines.base import api_call
from vboxkit.machines.guest_files import GuestFiles, service_stamp
from vboxkit.machines.guest_process import run_process
from vboxkit.machines.guest_resumed import require_sane, settle
from vboxkit.machines.handing_back import HandBack
from vboxkit.machines.states import MachineState

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

    from vboxkit.com.interfaces import IGuest, IGuestSession
    from vboxkit.core.result import Result
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.properties import MachineProperties

__all__ = ["GuestSession", "open_session"]

#: Milliseconds that one wait in native code may take.
_SLICE_MS = 250
#: Seconds to wait before a session that ended by itself is opened anew.
_AGAIN = 0.2


class GuestSession(GuestFiles):
    """
    A user's session in the guest, by its Guest Additions; see `Machine.guest_session`.

    A context manager: at its end the session is closed, and what it still runs is ended by the
    guest. No network is needed. For most work `VM.ssh` has more and is what other tools know.

    Attributes:
        user: Whose session it is.
    """

    com: IGuestSession

    def __init__(self, machine: MachineProperties, com: IGuestSession, user: str) -> None:
        super().__init__(machine, com)
        self.user = user
        self._release = HandBack(self, machine._api, _end, machine, com, self._service)

    def __repr__(self) -> str:
        state = " (closed)" if self.closed else ""
        return f"<GuestSession of {self.user!r} in {self._machine!r}{state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._release.done

    def close(self) -> None:
        """Close the session, ending what it runs; doing it twice does no harm."""
        self._release.now()

    @property
    @api_call("read the guest's kind of paths")
    def windows(self) -> bool:
        """Whether the guest's paths are those of Windows."""
        return self._api.name("PathStyle", self.com.pathStyle) == "DOS"

    def succeed(
        self,
        command: str | Sequence[str | os.PathLike[str]],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        input: bytes | str | None = None,  # noqa: A002 - as subprocess.run calls it
        timeout: Timeout | None = None,
    ) -> str:
        """
        Run a command as `run` does, and return what it wrote to standard output.

        Raises:
            CommandFailedError: Its exit code is not 0; the message has the end of its output.

        Example:
            ``session.succeed("uname -r").strip()``
        """
        result = self.run(command, cwd=cwd, env=env, input=input, timeout=timeout)
        if not result.ok:
            raise CommandFailedError(f"{self._subject()}: {result.describe()}", result=result)
        return result.stdout

    @api_call("run a command")
    def run(
        self,
        command: str | Sequence[str | os.PathLike[str]],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        input: bytes | str | None = None,  # noqa: A002 - as subprocess.run calls it
        timeout: Timeout | None = None,
    ) -> Result:
        """
        Run a command in the guest and wait for its end; its exit code is not judged.

        Args:
            command: A line for the guest's shell (``/bin/sh``, or ``cmd.exe``), or a list of
                arguments that no shell interprets, the program's full path first.
            cwd: The folder to run in; the guest decides if left out.
            env: More environment variables.
            input: What it reads from standard input; nothing if left out.
            timeout: Seconds, `timedelta` or `Deadline`; `Settings.command_timeout` if left out.
                The process is ended then; on a Linux guest with all that it started, elsewhere
                that may go on.

        Raises:
            CommandTimeoutError: It did not end in time; ``result`` has what it wrote.
            AdditionsError: The Guest Additions do not run any more.
            InvalidStateError: The session is closed, or the machine paused.
            ApiError: The guest has no such program or folder.
            ConnectionLostError: The VM ended.

        Example:
            ``session.run("uname -r").stdout``
        """
        self._ready("run a command")
        if isinstance(command, str):
            shell = ["C:\\Windows\\System32\\cmd.exe", "/c"] if self.windows else ["/bin/sh", "-c"]
            argv, line = [*shell, command], command
        else:
            argv = [str(part) for part in command]
            line = shlex.join(argv)
        if not line.strip() or any("\0" in part for part in argv):
            raise ValueError(f"not a command: {command!r}")
        for name in env or {}:
            if not name or "=" in name or "\0" in name:
                raise ValueError(f"not the name of an environment variable: {name!r}")
        return run_process(
            self,
            argv,
            line=line,
            cwd=cwd,
            env=[f"{name}={value}" for name, value in (env or {}).items()],
            stdin=input.encode() if isinstance(input, str) else input,
            timeout=self._machine.settings.command_timeout if timeout is None else timeout,
        )


def open_session(
    machine: MachineProperties,
    guest: IGuest,
    user: str,
    password: str,
    *,
    domain: str,
    timeout: Timeout,
) -> GuestSession:
    """See `Machine.guest_session`."""
    deadline = Deadline(timeout)
    api = machine._api
    texts: dict[str, object] = {"user": user, "password": password, "domain": domain}
    for name, value in texts.items():
        # The value itself stays out of the message: it may be the password.
        if not isinstance(value, str):
            raise TypeError(f"{machine._subject()}: the {name} is str, not {type(value).__name__}")
        if "\0" in value:
            raise ValueError(f"{machine._subject()}: there is a NUL in the {name}")
    if not user:
        raise ValueError(f"{machine._subject()}: guest control needs a user's name")

    def alive() -> None:
        if machine.state is not MachineState.RUNNING:
            raise _unfit(machine, "open a guest session")

    settle(machine, deadline, alive)
    opened: list[IGuestSession] = []
    said = ["nothing yet"]

    def attempt() -> IGuestSession | None:
        alive()
        if not opened:
            opened.append(guest.createSession(user, password, domain, "vboxkit"))
        flag = api.value("GuestSessionWaitForFlag", "Start")
        left = max(1, int(min(_SLICE_MS, deadline.remaining * 1000)))
        try:
            said[0] = api.name("GuestSessionWaitResult", opened[0].waitFor(flag, left))
        except Exception as error:
            foreign = api.foreign(error)
            if foreign is None or foreign.symbol != "VBOX_E_IPRT_ERROR":
                raise
            raise GuestAuthError(
                f"{machine._subject()}: guest control did not let {user!r} in: {foreign.text}",
                hint="check user and password; an account without a password is refused by most"
                " guests",
            ) from error
        if said[0] == "Start":
            return opened[0]
        if said[0] != "Timeout":
            # The guest's service sometimes ends a session that took long to begin; the next one
            # is let in, unless the service is beyond that.
            _close(machine, opened.pop())
            require_sane(machine)
        return None

    done = False
    try:
        com = wait_until(
            attempt,
            what=f"guest control of {machine._subject()} to let {user!r} in",
            timeout=deadline,
            poll=lambda _: 0 if opened else _AGAIN,
            last_seen=lambda: said[0],
            hint="is the guest very busy, or was VBoxService killed in it?",
        )
        done = True
    finally:
        if not done and opened:
            _close(machine, opened.pop())
    return GuestSession(machine, com, user)


def _end(machine: Any, com: IGuestSession, service: object) -> None:
    # close() of a session whose service was started anew waits 45 s for nobody.
    if service_stamp(machine) == service:
        com.close()


def _close(machine: MachineProperties, session: IGuestSession) -> None:
    try:
        session.close()
    except Exception as error:
        if machine._api.foreign(error) is None:
            raise


def _unfit(machine: MachineProperties, operation: str) -> InvalidStateError:
    state = str(machine.state)
    return InvalidStateError(
        f"{machine._subject()} is {state}: cannot {operation}",
        state=state,
        needed=["Running"],
        operation=operation,
        hint="start() or resume() it first",
    )
