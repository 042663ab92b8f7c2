"""How fast a guest is reached: commands and bytes over SSH, bytes through a port forward."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import GuestConnectionError, GuestError, VBoxKitError
from vboxkit.lab.measurement import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit.guest.ssh import SSH
    from vboxkit.lab.vm import VM

__all__ = ["latencies", "throughput"]

#: Seconds that a run shall take at least, and the most bytes for it.
_LONG_ENOUGH, _MOST = 1.0, 256 << 20
_BLOCK = 1 << 15
#: The port in the guest, and the programs of which one can send zeros from there.
_PORT = 47011
_READY = "listens"
_PERL = (
    "socket(S,PF_INET,SOCK_STREAM,0);setsockopt(S,SOL_SOCKET,SO_REUSEADDR,1);"
    f'bind(S,sockaddr_in({_PORT},INADDR_ANY));listen(S,1);$|=1;print "{_READY}\\n";'
    f'accept(C,S);$b="\\0"x65536;'
    "1 while syswrite(C,$b)"
)
_SENDERS = {"nc": f"nc -l -p {_PORT} </dev/zero", "perl": f"perl -MSocket -e '{_PERL}'"}


def latencies(ssh: SSH, runs: int) -> Iterator[Row]:
    """Clock a command that does nothing on the open connection, and new connections."""
    with step("ssh: latency"):
        ssh.run(":")
        # A single one takes moments.
        times = [_seconds(lambda: ssh.run(":")) * 1e3 for _ in range(3 * runs)]
        how = "sh, on an open connection"
        yield Row(group="ssh", name="a command", unit="ms", values=times, how=how)
    with step("ssh: connect"):
        again = []
        for _ in range(runs):
            ssh.disconnect()
            again.append(_seconds(ssh.connect) * 1e3)
        how = "TCP, key exchange, login"
        yield Row(group="ssh", name="a new connection", unit="ms", values=again, how=how)


def throughput(vm: VM, runs: int, *, ours: bool) -> Iterator[Row]:
    """
    Clock bytes through SSH, both ways, and through a port forward.

    Args:
        vm: The machine.
        runs: How often.
        ours: Whether a port may be forwarded to it, as it is a fork of ours.
    """
    ssh = vm.ssh

    def idle() -> float:
        # What a command takes by itself is no part of it.
        return min(_seconds(lambda: ssh.run("cat >/dev/null", input=b"")) for _ in range(3))

    def down(octets: int) -> float:
        got = [0]
        result = ssh.run(
            f"dd if=/dev/zero bs={_BLOCK} count={octets // _BLOCK} 2>/dev/null",
            on_output=lambda _, piece: got.__setitem__(0, got[0] + len(piece)),
        )
        if got[0] != octets:
            raise GuestConnectionError(f"{got[0]} of {octets} bytes came; {result.tail('stderr')}")
        return result.duration

    def up(octets: int) -> float:
        return _seconds(lambda: ssh.succeed("cat >/dev/null", input=bytes(octets)))

    yield _stream("SSH, from guest", "dd, sshd", down, idle, runs)
    yield _stream("SSH, to guest", "cat, sshd", up, idle, runs)
    yield _forward(vm, runs, ours=ours)


def _stream(
    name: str, how: str, clock: Callable[[int], float], idle: Callable[[], float], runs: int
) -> Row:
    values: list[float] = []
    note = ""
    with step(f"network: {name}"):
        try:
            octets, before = _BLOCK, idle()
            # What a command takes differs from one to the next.
            enough = max(_LONG_ENOUGH, before)
            while (took := clock(octets) - before) < enough and octets < _MOST:
                factor = min(max(1.3 * enough / max(took, 0.01), 2), 8)
                octets = min(int(octets * factor) // _BLOCK * _BLOCK, _MOST)
            values = [octets / 1e6 / max(clock(octets) - before, 1e-3) for _ in range(runs)]
        except GuestError as error:
            note = f"not measured: {error.message}"
    return Row(group="network", name=name, unit="MB/s", values=values, how=how, note=note)


def _forward(vm: VM, runs: int, *, ours: bool) -> Row:
    name, unit = "forward, from guest", "MB/s"
    if not ours:
        note = "not measured: a forward would change the machine"
        return Row(group="network", name=name, unit=unit, note=note)
    with step(f"network: {name}"):
        try:
            found = vm.ssh.run("command -v nc; command -v perl").stdout
            there = {line.rpartition("/")[2] for line in found.splitlines()}
            sender = next((it for it in _SENDERS if it in there), None)
            if sender is None:
                note = "not measured: the guest has neither nc nor perl"
                return Row(group="network", name=name, unit=unit, note=note)
            rule = vm.network[0].forward(guest=_PORT)
            try:
                values = [_receive(vm, _SENDERS[sender], rule.host_port) for _ in range(runs)]
            finally:
                vm.network[0].remove(rule)
        except (VBoxKitError, OSError) as error:
            note = f"not measured: {error.message if isinstance(error, VBoxKitError) else error}"
            return Row(group="network", name=name, unit=unit, note=note)
        return Row(group="network", name=name, unit=unit, values=values, how=f"{sender}, no SSH")


def _receive(vm: VM, sender: str, port: int) -> float:
    """Let the guest send for a while, and return the rate in millions of bytes a second."""
    with vm.ssh.start(sender) as process:
        if _READY in sender:
            # Looks at the port would take the CPU from perl, which takes long to start.
            process.read_line(timeout=90)
        else:
            vm.wait_for_port(_PORT, timeout=60)

        def connect() -> tuple[socket.socket, int] | None:
            link = socket.create_connection(("127.0.0.1", port), timeout=30)
            first = link.recv(1 << 16)
            if first:
                return link, len(first)
            link.close()
            return None

        link, _ = wait_until(
            connect, what="the guest to send", timeout=30, retry_on=(ConnectionError,)
        )
        with link:
            begin, octets = time.perf_counter(), 0
            deadline = Deadline(_LONG_ENOUGH)
            while not deadline.expired:
                piece = link.recv(1 << 18)
                if not piece:
                    raise GuestConnectionError(f"the guest ended after {octets} bytes")
                octets += len(piece)
            return octets / 1e6 / (time.perf_counter() - begin)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
