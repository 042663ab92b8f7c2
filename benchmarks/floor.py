"""
The least that a fork can take: VirtualBox's own calls and a bare key exchange, nothing of ours.

`raw_fork` is what one would write with ``vboxapi`` and paramiko alone: clone, register, give the
copy its port and console, start the process, wait for the event that says Running, connect, run
one command. No names are looked up, no lease or port is held, nothing is checked, no clock is set.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import paramiko

from vboxkit.com import installation
from vboxkit.com.versions import create_machine
from vboxkit.core.ports import lease_port
from vboxkit.guest import connect
from vboxkit.host import driverless
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit import Image, Lab

__all__ = ["Account", "accounted", "raw_fork"]

#: Calls in which VirtualBox works, and we wait.
_WAITS = frozenset({"waitForCompletion", "getEvent"})
_SAVED_NETWORK = "VBoxInternal/Devices/virtio-net/0/Config/LinkUpDelay"


def raw_fork(lab: Lab, image: Image, name: str) -> Callable[[], None]:
    """Fork the built-in guest, and run a command; returns what removes the fork."""
    api = lab.vbox._api
    vbox: Any = api.virtualbox
    source: Any = vbox.findMachine(image.machine).findSnapshot(image.snapshot).machine
    machine: Any = create_machine(api, name, os_type="Linux26_64")
    link = [api.value("CloneOptions", "Link")]
    source.cloneTo(machine, api.value("CloneMode", "MachineState"), link).waitForCompletion(-1)
    vbox.registerMachine(machine)

    port = lease_port()
    session: Any = api.session()
    machine.lockMachine(session, api.value("LockType", "Write"))
    changed = session.machine
    engine = changed.getNetworkAdapter(0).NATEngine
    engine.removeRedirect("ssh")
    engine.addRedirect("ssh", api.value("NATProtocol", "TCP"), "127.0.0.1", port.port, "", 22)
    if changed.getExtraData(_SAVED_NETWORK) != "0":
        changed.setExtraData(_SAVED_NETWORK, "0")
    serial = changed.getSerialPort(0)
    serial.path = f"{lab.places.machines}/{name}/serial.log"
    serial.hostMode = api.value("PortMode", "RawFile")
    changed.saveSettings()
    session.unlockMachine()

    process = _start(lab, machine, session)
    sock = socket.create_connection(("127.0.0.1", port.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(sock)
    transport.start_client(timeout=60)
    key = paramiko.PKey.from_path(image.key_file)
    transport.auth_publickey(image.user, key)
    channel = transport.open_session()
    channel.exec_command("true")
    assert channel.recv_exit_status() == 0

    def clean_up() -> None:
        transport.close()
        lab.vbox.machines[name].destroy()
        if process is not None:
            process.wait(60)
        port.release()

    return clean_up


def _start(lab: Lab, machine: Any, session: Any) -> subprocess.Popen[bytes] | None:
    api = lab.vbox._api
    running = api.value("MachineState", "Running")
    if installation.driver_available():
        machine.launchVMProcess(session, "headless", []).waitForCompletion(-1)
        session.unlockMachine()
        return None
    events: Any = api.virtualbox.eventSource
    listener = events.createListener()
    events.registerListener(listener, [api.value("VBoxEventType", "OnMachineStateChanged")], False)
    script = str(driverless._SCRIPT)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-E", script, str(api.installation), "--startvm", machine.id],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        env={**environment(), **api.environment},
        cwd="/",
        start_new_session=True,
    )
    while machine.state != running:
        assert process.poll() is None, "the VM process ended"
        event = events.getEvent(listener, 1000)
        if event is not None:
            events.eventProcessed(listener, event)
    events.unregisterListener(listener)
    return process


@dataclass
class Account:
    """
    Where the time of this thread went, in seconds.

    Attributes:
        total: On the clock.
        waits: In which VirtualBox or the guest worked and we waited: for a progress, an event, the
            guest's first word, the end of a key exchange or of a command; and in starting the
            process.
        calls: All other calls of VirtualBox.
    """

    total: float = 0.0
    waits: float = 0.0
    calls: float = 0.0
    _inside: bool = field(default=False, repr=False)

    @property
    def python(self) -> float:
        """What remains: code of ours, and of paramiko in this thread."""
        return self.total - self.waits - self.calls


@contextmanager
def accounted() -> Iterator[Account]:
    """
    Take the time of the block apart, for the thread that is in it.

    XPCOM's binding makes every call by one function, which is replaced by one that looks at the
    clock before and after; the same is done with the waits of `threading`, with `time.sleep`, the
    wait for the guest's first word, and `subprocess.Popen`. An inner one counts as its outer one.
    Looking costs a fork about a third of a millisecond.
    """
    import xpcom.client

    account = Account()
    me = threading.get_ident()

    def watched(real: Callable[..., Any], kind: Callable[[], str]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if account._inside or threading.get_ident() != me:
                return real(*args, **kwargs)
            # Before the call: its frame is still the caller's.
            name = kind()
            account._inside = True
            begin = time.perf_counter()
            try:
                return real(*args, **kwargs)
            finally:
                took = time.perf_counter() - begin
                account._inside = False
                setattr(account, name, getattr(account, name) + took)

        return call

    def of_call() -> str:
        # The binding's generated methods have the names of VirtualBox's.
        return "waits" if sys._getframe(2).f_code.co_name in _WAITS else "calls"

    places: list[tuple[Any, str, Callable[[], str]]] = [
        (xpcom.client, "XPTC_InvokeByIndex", of_call),
        (threading.Event, "wait", lambda: "waits"),
        (threading.Condition, "wait", lambda: "waits"),
        (time, "sleep", lambda: "waits"),
        (connect, "_await_first_word", lambda: "waits"),
        (subprocess.Popen, "__init__", lambda: "waits"),
    ]
    kept = [(place, name, getattr(place, name)) for place, name, _ in places]
    for place, name, kind in places:
        setattr(place, name, watched(getattr(place, name), kind))
    begin = time.perf_counter()
    try:
        yield account
    finally:
        account.total = time.perf_counter() - begin
        for place, name, real in kept:
            setattr(place, name, real)
