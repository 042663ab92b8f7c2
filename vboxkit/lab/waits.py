"""What a VM can be waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline
from vboxkit.errors import InvalidStateError, NotFoundError
from vboxkit.guest import readiness
from vboxkit.guest.waiting import Met, Surroundings, wait_for
from vboxkit.lab import clock
from vboxkit.machines import addresses
from vboxkit.machines.machine import Machine
from vboxkit.machines.states import ONLINE, MachineState

if TYPE_CHECKING:
    import re

    from typing_extensions import Self

    from vboxkit.core.waiting import Timeout
    from vboxkit.guest.console import SerialLog
    from vboxkit.guest.readiness import Condition
    from vboxkit.guest.ssh import SSH
    from vboxkit.lab.faults import GuestClock
    from vboxkit.machines.guest_control import GuestSession
    from vboxkit.machines.network import Forward

__all__ = ["Waits"]


class Waits(Machine):
    """
    The waiting of `VM`.

    What the guest can tell itself it looks at itself, every 20 ms, in one command for the whole
    wait; so nothing is as late as a poll over SSH. What this host looks at goes on beside it. Each
    error tells what was awaited, how long, what was there instead, and the end of the console and
    of VBox.log.
    """

    if TYPE_CHECKING:
        forwards: dict[int, Forward]
        _ssh: SSH | None

        # VM's own.
        @property
        def ssh(self) -> SSH: ...  # noqa: D102
        @property
        def console(self) -> SerialLog: ...  # noqa: D102
        @property
        def clock(self) -> GuestClock: ...  # noqa: D102
        def evidence(self) -> str: ...  # noqa: D102

    def wait(self, condition: Condition, *, timeout: Timeout | None = None) -> Met:
        """
        Wait until a condition of `vboxkit.guest.readiness` holds.

        Args:
            condition: As ``port(80)``, ``file("/run/x")``, ``unit("nginx")``, ``console_text(...)``
                ``ip()``, ``boot()``, ``ssh()``; ``all_of(...)`` or ``any_of(...)`` of them.
            timeout: Seconds, `timedelta` or `Deadline`; `Settings.boot_timeout` if left out.

        Returns:
            Those that hold, each with its value: ``if port(80) in vm.wait(any_of(...))``.

        Raises:
            WaitTimeoutError: It did not hold in time.
            NotReadyError: It cannot hold any more (a failed unit, a guest without systemd).
            InvalidStateError: The machine does not run, or stopped while this waited.

        Example:
            ``vm.wait(all_of(port(80), file("/run/app.pid")), timeout=30)``
        """
        around = Surroundings(
            ssh=self.ssh,
            console=self.console,
            forward=self._forward_to,
            address=self._address,
            alive=self._alive,
            evidence=self.evidence,
            name=self._subject(),
        )
        limit = self.settings.boot_timeout if timeout is None else timeout
        with step(f"{self._subject()}: wait for {condition}"):
            return wait_for(condition, around, timeout=limit)

    def wait_ready(self, *, timeout: Timeout | None = None) -> Self:
        """
        Wait until the guest lets us in over SSH, and stay connected; `wait_for_ssh` is the same.

        Args:
            timeout: Seconds; `Settings.boot_timeout` if left out.

        Raises:
            WaitTimeoutError: It did not; the error holds serial log and VBox.log.
        """
        self.ssh.wait_ready(timeout)
        return self

    wait_for_ssh = wait_ready

    def wait_for_port(
        self,
        port: int,
        *,
        where: Literal["guest", "host"] = "guest",
        send: bytes | None = None,
        timeout: Timeout | None = None,
    ) -> Self:
        r"""
        Wait until a TCP server listens in the guest; see `vboxkit.guest.readiness.port`.

        Args:
            port: The port in the guest.
            where: ``guest``, or ``host``: until it answers through the port forward.
            send: For ``host``: what a server that waits to be spoken to is told.
            timeout: Seconds; `Settings.boot_timeout` if left out.

        Raises:
            NotFoundError: ``host``, and no port is forwarded to it.
            WaitTimeoutError: Nobody did.

        Example:
            ``vm.wait_for_port(80, where="host", send=b"HEAD / HTTP/1.0\r\n\r\n")``
        """
        if where == "host":
            self._forward_to(port)
        self.wait(readiness.port(port, where=where, send=send), timeout=timeout)
        return self

    def wait_for_file(self, path: str, *, timeout: Timeout | None = None) -> Self:
        """Wait until a file, folder or socket is there in the guest; see `wait`."""
        self.wait(readiness.file(path), timeout=timeout)
        return self

    def wait_for_unit(self, name: str, *, timeout: Timeout | None = None) -> Self:
        """
        Wait until a systemd unit is active.

        Raises:
            NotReadyError: At once: it failed (its status and journal are in the error), there is no
                such unit, or the guest has no systemd.
            WaitTimeoutError: It is not active in time.
        """
        self.wait(readiness.unit(name), timeout=timeout)
        return self

    def wait_for_boot(self, *, timeout: Timeout | None = None) -> Self:
        """
        Wait until the guest has started what it starts at boot.

        Where there is systemd or cloud-init: until they are done. Elsewhere until SSH lets us in.
        """
        self.wait(readiness.boot(), timeout=timeout)
        return self

    def wait_for_console_text(
        self, pattern: str | re.Pattern[str], *, start: int = 0, timeout: Timeout | None = None
    ) -> re.Match[str]:
        """
        Wait until the guest has said something on its serial console; return the match.

        Args:
            pattern: A regular expression.
            start: Leave out what came before this mark; see `SerialLog.mark`.
            timeout: Seconds; `Settings.boot_timeout` if left out.

        Raises:
            WaitTimeoutError: It was not said in time.
            InvalidStateError: The machine does not run, or stopped while this waited.
        """
        condition = readiness.console_text(pattern, start=start)
        found: re.Match[str] = self.wait(condition, timeout=timeout)[condition]
        return found

    def wait_for_ip(self, *, timeout: Timeout | None = None) -> str:
        """
        Wait until the guest's address is known, and return it.

        Asked are, in this order: the guest (by its Guest Additions), VirtualBox's DHCP servers,
        its NAT, and this host's list of neighbours (Linux; bridged and host-only adapters). Behind
        NAT the address leads nowhere from here: see `network` for port forwards.
        """
        condition = readiness.ip()
        return str(self.wait(condition, timeout=timeout)[condition])

    def sync_clock(self, *, session: GuestSession | None = None, timeout: Timeout = 30) -> float:
        """
        Set the guest's clock to this host's time, and make sure that it is.

        Over SSH, where nothing of the Guest Additions is needed, or by guest control, which needs
        no network. A guest that was resumed gets its clock set with its first SSH command anyway;
        this is for what cannot wait for that, and for being sure.

        Args:
            session: A guest control session; SSH is used without one.
            timeout: Seconds.

        Returns:
            By how many seconds it was wrong before; positive if it was ahead.

        Raises:
            CommandFailedError: The guest's user may not set it, also not by ``sudo -n``.
            WaitTimeoutError: It is not right within 1 s after all.
            InvalidStateError: The session is closed, or the machine paused.

        Example:
            ``vm.resume(); vm.sync_clock()``
        """
        deadline = Deadline(timeout)
        if session is None or self._ssh is not None:
            # It would set the clock with the first command, roughly, and hide how wrong it was.
            self.ssh.before_next = None
        guest = self.ssh if session is None else session
        wrong = clock.sync(guest, deadline, name=self._subject())
        if self.clock.jumped:
            self.clock.let_go()
        return wrong

    def _alive(self) -> None:
        state = self.state
        if state not in ONLINE and state is not MachineState.STARTING:
            raise InvalidStateError(
                f"{self._subject()} is {state}: there is nothing to wait for",
                state=str(state),
                needed=["Running"],
                operation="wait",
                hint="start() it first; save_evidence() keeps its logs",
            )

    def _address(self) -> str | None:
        found = addresses.guest_address(self)
        return None if found is None else found.ip

    def _forward_to(self, port: int) -> tuple[str, int]:
        rules: list[Any] = [*self.forwards.values(), *self.network.forwards()]
        for rule in rules:
            if rule.guest_port == port and rule.protocol.upper() == "TCP":
                return rule.host_ip or "127.0.0.1", rule.host_port
        raise NotFoundError(
            f"{self._subject()} forwards no port of this host to {port}",
            kind="forward",
            wanted=str(port),
            available=[str(rule.guest_port) for rule in rules],
            hint=f"vm.network[0].forward(guest={port})",
        )
