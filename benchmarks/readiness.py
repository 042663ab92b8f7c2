"""
How late a wait ends: from the moment that a thing is so, to the return of the wait for it.

The thing is done from here, over a second connection that is open before: the guest does it, and
says at once that it did. It has happened between the question and that answer; the middle of the
two counts, so no clock of the guest is asked. How long question and answer take is a line of its
own: half of it is what a figure may be wrong.
"""

from __future__ import annotations

import itertools
import random
import socket
import statistics
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from figures import Figure, spread
from guest import bare

import vboxkit
from vboxkit.guest.readiness import all_of, any_of, console_text, file

if TYPE_CHECKING:
    from collections.abc import Callable

    import paramiko

    from vboxkit import VM

#: Milliseconds that a wait may be late.
TARGET = 50.0
#: Seconds after which a wait is under way, and how much that differs from round to round: the
#: moment shall not fall always on the same part of a poll.
_SETTLED, _JITTER = 0.8, 0.3
_PATIENCE = 60.0
_OWN = 2200
_IP = "/VirtualBox/GuestInfo/Net/0/V4/IP"

#: When something has happened: not before the first, and not after the second.
Moment = tuple[float, float]


class Doer:
    """Does things in a guest, over a connection of its own."""

    def __init__(self, vm: VM) -> None:
        # A server of its own, which may let others in where it listens for us (-a).
        key = "/etc/dropbear/dropbear_ed25519_host_key"
        vm.ssh.succeed(f"dropbear -a -p {_OWN} -r {key}")
        vm.wait_for_port(_OWN, timeout=_PATIENCE)
        port = vm.network[0].forward(guest=_OWN).host_port
        self._connect = lambda: bare(vm, port)
        self.client, self._listener = self._connect(), self._connect()
        self.stdin, self.stdout, _ = self.client.exec_command("exec sh")
        self.ways: list[float] = []
        self.ports = itertools.count(3000)

    def __call__(self, line: str) -> Moment:
        """Run a shell line whose last command is what is waited for."""
        begin = time.perf_counter()
        self.stdin.write(f"{line}; echo done\n")
        self.stdin.flush()
        assert self.stdout.readline() == "done\n"
        end = time.perf_counter()
        self.ways.append(end - begin)
        return begin, end

    def listen(self, number: int) -> Moment:
        """Let the guest's SSH server listen on a port; who connects is greeted from here."""
        begin = time.perf_counter()
        self._listening.request_port_forward("0.0.0.0", number, handler=_greet)  # noqa: S104 - in the guest
        end = time.perf_counter()
        self.ways.append(end - begin)
        return begin, end

    def hush(self) -> None:
        """Let it listen no longer; Dropbear takes back no port, so its connection ends."""
        self._listener.close()
        self._listener = self._connect()

    def close(self) -> None:
        """End the connections."""
        self.client.close()
        self._listener.close()

    @property
    def _listening(self) -> paramiko.Transport:
        found = self._listener.get_transport()
        assert found is not None
        return found


def _greet(channel: paramiko.Channel, *_: object) -> None:
    channel.sendall(b"220 hello\r\n")


def late(wait: Callable[[], object], event: Callable[[], Moment]) -> float:
    """Wait in a thread, let the event happen, and return how many seconds the wait was late."""
    ended: list[float] = []

    def run() -> None:
        wait()
        ended.append(time.perf_counter())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(_SETTLED + random.random() * _JITTER)  # noqa: S311 - no secret
    assert not ended, "it was so before"
    first, last = event()
    thread.join(_PATIENCE)
    return ended[0] - (first + last) / 2


def bench(runs: int) -> list[Figure]:
    """Measure, in the home that the settings say."""
    with vboxkit.Lab() as lab, lab.fork(lab.image("tiny")) as vm, ExitStack() as stack:
        hidden = _hide(stack.enter_context(lab.fork("tiny")))
        do = Doer(vm)
        stack.callback(do.close)
        ways = {
            "file": lambda: _file(vm, do),
            "port in the guest": lambda: _port(vm, do),
            "port through its forward, beyond a bare visit": lambda: _forward(vm, do),
            "console": lambda: _console(vm, do),
            "any_of, the guest's part": lambda: _mixed(vm, do, "guest"),
            "any_of, the host's part": lambda: _mixed(vm, do, "host"),
            "all_of, the guest's part last": lambda: _mixed(vm, do, "all"),
            "ssh, beyond a bare login": lambda: _ssh(vm, do),
            "address": lambda: _address(hidden),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(runs + 1):
            for name, way in ways.items():
                took = way()
                if number:  # the first one warms up
                    times[name].append(took)
        times["question and answer"] = do.ways
    return [_figure(name, values) for name, values in times.items()]


def _figure(name: str, seconds: list[float]) -> Figure:
    values = [value * 1000 for value in seconds]
    median = statistics.median(values)
    promised = name != "question and answer"
    return Figure(
        name=name,
        median=median,
        spread=spread(values),
        unit="ms",
        ratio=1.0,
        values=values,
        target=f"<= {TARGET:g} ms" if promised else "",
        met=median <= TARGET if promised else None,
        limit=TARGET if promised else None,
    )


def _file(vm: VM, do: Doer) -> float:
    vm.ssh.succeed("rm -f /run/it")
    return late(lambda: vm.wait_for_file("/run/it", timeout=_PATIENCE), lambda: do(": > /run/it"))


def _port(vm: VM, do: Doer) -> float:
    number = next(do.ports)
    try:
        return late(lambda: vm.wait_for_port(number, timeout=_PATIENCE), lambda: do.listen(number))
    finally:
        do.hush()


def _forward(vm: VM, do: Doer) -> float:
    """Wait for a server's first word; the time that it takes to say it is taken off."""
    number = next(do.ports)
    rule = vm.network[0].forward(guest=number)
    try:
        took = late(
            lambda: vm.wait_for_port(number, where="host", timeout=_PATIENCE),
            lambda: do.listen(number),
        )
        begin = time.perf_counter()
        with socket.create_connection(("127.0.0.1", rule.host_port), _PATIENCE) as visit:
            assert visit.recv(100)
        return took - (time.perf_counter() - begin)
    finally:
        rule.release()
        do.hush()


def _console(vm: VM, do: Doer) -> float:
    mark = vm.console.mark()
    return late(
        lambda: vm.wait_for_console_text("it is so", start=mark, timeout=_PATIENCE),
        lambda: do("echo it is so > /dev/ttyS0"),
    )


def _mixed(vm: VM, do: Doer, last: str) -> float:
    vm.ssh.succeed("rm -f /run/it")
    said = console_text("it is so", start=vm.console.mark())
    condition = any_of(file("/run/it"), said)
    if last == "all":
        condition = all_of(file("/run/it"), said)
        do("echo it is so > /dev/ttyS0")
    line = "echo it is so > /dev/ttyS0" if last == "host" else ": > /run/it"
    return late(lambda: vm.wait(condition, timeout=_PATIENCE), lambda: do(line))


def _ssh(vm: VM, do: Doer) -> float:
    """Hold up the guest's SSH server; the time of a login is taken off."""
    begin = time.perf_counter()
    bare(vm).close()
    login = time.perf_counter() - begin
    # The one that listens, and not what it started for the connections that there are.
    server = min(map(int, vm.ssh.succeed("pidof dropbear").split()))
    do(f"kill -STOP {server}")
    vm.ssh.close()
    return (
        late(lambda: vm.wait_for_ssh(timeout=_PATIENCE), lambda: do(f"kill -CONT {server}")) - login
    )


def _address(vm: VM) -> float:
    """Tell the address as the Guest Additions do."""

    def tell() -> Moment:
        begin = time.perf_counter()
        vm.guest_properties[_IP] = "10.9.9.9"
        return begin, time.perf_counter()

    vm.guest_properties.pop(_IP, None)
    return late(lambda: vm.wait_for_ip(timeout=_PATIENCE), tell)


def _hide(vm: VM) -> VM:
    """Take a guest from all that know its address, and us with them."""
    vm.ssh.succeed("killall VBoxService")
    vm.network[0].attach("Null")
    for name in vm.guest_properties.matching("/VirtualBox/GuestInfo/Net/*"):
        del vm.guest_properties[name]
    return vm
