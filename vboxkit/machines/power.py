"""Starting and stopping a machine."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from vboxkit.com import installation
from vboxkit.core import processes
from vboxkit.core.ports import is_free
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline, Timeout, wait_until
from vboxkit.errors import (
    ConnectionLostError,
    DriverNeededError,
    InvalidStateError,
    LockedError,
    PortInUseError,
    SettingsError,
    StartError,
)
from vboxkit.host import driverless
from vboxkit.machines.attachments import DRIVER_NEEDED
from vboxkit.machines.events import listen
from vboxkit.machines.locks import holder, locked, require_no_edit
from vboxkit.machines.progress import Progress
from vboxkit.machines.states import OFFLINE, ONLINE, MachineState, SessionState
from vboxkit.settings import StartMode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from vboxkit.machines.properties import MachineProperties

#: Lets a machine with the execution engine "Default" fall back on the interpreter (IEM) instead of
#: giving up with VERR_SUP_DRIVERLESS. With the driver there it changes nothing.
_FALLBACK = "VBoxInternal/HM/FallbackToIEM"
#: The interpreter passes these instructions on to the host's CPU, but shows them only when asked
#: (1: if the host has them). A guest that encrypts with them copies files ten times as fast.
_INSTRUCTIONS = ("VBoxInternal/CPUM/IsaExts/AESNI", "VBoxInternal/CPUM/IsaExts/SHA")

#: What VirtualBox calls a machine whose process went away.
_CRASHED = frozenset({MachineState.ABORTED, MachineState.ABORTED_SAVED})

_EVENTS = ("OnMachineStateChanged", "OnSessionStateChanged")
#: The longest wait for an event in one go, in seconds. Python runs signal handlers only in between,
#: so Ctrl-C needs some such bound; looking at the state at each costs next to nothing, and sees
#: what no event told (VirtualBox drops a listener in whose queue 1,000 events wait).
_LOOK = 0.25


def start(machine: MachineProperties, *, mode: StartMode, timeout: Timeout) -> None:
    """See `Machine.start`."""
    deadline = Deadline(timeout)
    if mode not in get_args(StartMode):
        raise SettingsError(
            f"{machine._subject()}: there is no start mode {mode!r}",
            hint=f"one of {', '.join(get_args(StartMode))}",
        )
    state = machine.state
    if state not in OFFLINE:
        raise InvalidStateError(
            f"{machine._subject()} is {state}: it cannot be started",
            state=str(state),
            needed=sorted(map(str, OFFLINE)),
            operation="start",
            hint="resume() a paused machine; power_off() one that hangs",
        )
    require_no_edit(machine, "start it")
    wait_unlocked(machine, deadline)
    _check_ports(machine)
    driver = installation.driver_available()
    if mode == "auto":
        mode = "headless" if driver else "driverless"
    elif mode != "driverless" and not driver:
        why = "this user may not open" if installation.driver_refused() else "is missing"
        raise DriverNeededError(
            f"{machine._subject()}: mode {mode!r} needs VirtualBox's kernel driver, which {why}",
            hint="mode='driverless' emulates the machine; or install the kernel driver: vboxkit"
            " doctor says how",
        )
    with step(f"{machine._subject()}: start ({mode})"):
        if mode == "driverless":
            _start_driverless(machine, deadline)
        else:
            _start_by_server(machine, mode, deadline)


def wait_unlocked(machine: MachineProperties, deadline: Deadline) -> None:
    """Let a lock that is being given back go; name the holder of one that is not."""
    patience = Deadline(min(machine.settings.lock_timeout, deadline.remaining))
    with _changes(machine) as changed:
        while machine.session_state is not SessionState.UNLOCKED:
            if patience.expired:
                who = holder(machine)
                raise LockedError(
                    f"{machine._subject()} ({machine.state}) is locked by {who}",
                    holder=who,
                    operation="start",
                    hint="close what works on the machine there",
                )
            changed(min(_LOOK, patience.remaining))


def _check_ports(machine: MachineProperties) -> None:
    """VirtualBox starts with a forward that cannot be bound, and only VBox.log says so."""
    for forward in machine.network.forwards():
        if not is_free(
            forward.host_port,
            host_ip=forward.host_ip or "0.0.0.0",  # noqa: S104 - VirtualBox's own default
            protocol=forward.protocol,
        ):
            raise PortInUseError(
                f"{machine._subject()}: host {forward.protocol} port {forward.host_port} of forward"
                f" {forward.name!r} is taken",
                host_ip=forward.host_ip,
                port=forward.host_port,
                hint="end the program that listens there, or remove() the forward and make"
                " another with forward(guest=...), which picks a free port",
            )


def _start_by_server(machine: MachineProperties, mode: StartMode, deadline: Deadline) -> None:
    session = machine._api.session()
    with machine._translated("start"):
        com = machine.com.launchVMProcess(session, mode, [])
    started = False
    try:
        Progress(machine._api, com, what="start", subject=machine._subject()).wait(timeout=deadline)
        started = True
    finally:
        if not started and machine.state in ONLINE:
            end_vm(machine, "power off", timeout=machine.settings.shutdown_timeout)
        if session.state == machine._api.value("SessionState", "Locked"):
            session.unlockMachine()


def _start_driverless(machine: MachineProperties, deadline: Deadline) -> None:
    for adapter in machine.network:
        if adapter.enabled and adapter.attachment in DRIVER_NEEDED:
            raise DriverNeededError(
                f"{machine._subject()}: network adapter {adapter.slot} is attached as"
                f" {adapter.attachment}, which needs VirtualBox's kernel driver",
                hint="attach it as NAT, or install the kernel driver",
            )
    _allow_emulation(machine)
    logs = Path(str(machine.com.logFolder))
    process = driverless.launch(
        machine.id,
        machine.name,
        installation=machine._api.installation,
        extra=machine._api.environment,
        log=logs / "vm-process.log",
    )
    started = False
    try:
        with _changes(machine) as changed:

            def probe() -> bool | None:
                if machine.state in ONLINE:
                    return True
                if process.exit_code is not None:
                    raise _start_error(machine, process, logs)
                changed(min(_LOOK, deadline.remaining))
                return None

            with machine._translated("start"):
                wait_until(
                    probe,
                    what=f"{machine._subject()} to run",
                    timeout=deadline,
                    poll=0,
                    last_seen=lambda: machine.state,
                    evidence=lambda: _tail(logs / "VBox.log"),
                )
        started = True
    finally:
        if not started:
            process.kill()
            process.wait(10)


def _allow_emulation(machine: MachineProperties) -> None:
    """Set, once per machine, what emulation wants; what somebody has set already stays."""
    # A saved guest has seen its CPU already: there only the engine may change.
    saved = machine.state in {MachineState.SAVED, MachineState.ABORTED_SAVED}
    wanted = [_FALLBACK] if saved else [_FALLBACK, *_INSTRUCTIONS]
    missing = [key for key in wanted if machine.get_extra_data(key) is None]
    if missing:
        with machine.edit():
            for key in missing:
                machine.set_extra_data(key, "1")


def _start_error(
    machine: MachineProperties, process: driverless.VmProcess, logs: Path
) -> StartError:
    return StartError(
        f"{machine._subject()}: the VM process ended with exit code {process.exit_code}"
        f" before the machine ran (now {machine.state})",
        log=f"{_tail(process.log)}\n{_tail(logs / 'VBox.log', only='ERROR')}".strip(),
        operation="start",
        hint=f"the whole story is in {logs}",
    )


def _tail(path: Path, *, lines: int = 12, only: str = "") -> str:
    try:
        text = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join([line for line in text if only in line][-lines:])


@contextmanager
def _changes(machine: MachineProperties) -> Iterator[Callable[[float], object]]:
    with listen(machine._api, machine._api.virtualbox, *_EVENTS) as wait:
        yield wait


def wait_for_state(
    machine: MachineProperties,
    states: Collection[MachineState],
    *,
    timeout: Timeout,
    hopeless: Collection[MachineState] = (),
) -> MachineState:
    """See `Machine.wait_for_state`."""
    deadline = Deadline(timeout)
    with _changes(machine) as changed:

        def probe() -> MachineState | None:
            state = machine.state
            if state in states:
                return state
            if state in hopeless:
                raise InvalidStateError(
                    f"{machine._subject()} is {state}; waited for {_any(states)}",
                    state=str(state),
                    needed=[str(s) for s in states],
                    hint=f"{machine.com.logFolder}/VBox.log tells why",
                )
            changed(min(_LOOK, deadline.remaining))
            return None

        return wait_until(
            probe,
            what=f"{machine._subject()} to be {_any(states)}",
            timeout=deadline,
            poll=0,
            last_seen=lambda: machine.state,
            hint="give a longer timeout; screenshot() shows what a running guest does",
        )


def _any(states: Collection[MachineState]) -> str:
    return " or ".join(sorted(map(str, states)))


def shutdown(machine: MachineProperties, *, timeout: Timeout) -> None:
    """See `Machine.shutdown`."""
    deadline = Deadline(timeout)
    pid = machine.session_pid
    with step(f"{machine._subject()}: shut down"):
        with locked(machine, timeout=machine.settings.lock_timeout, needs_vm=True) as session:
            if machine.state is MachineState.PAUSED:
                raise InvalidStateError(
                    f"{machine._subject()} is Paused: it cannot see the power button",
                    state="Paused",
                    needed=["Running"],
                    operation="shut down",
                    hint="resume() first",
                )
            session.console.powerButton()
        wait_for_state(
            machine, {MachineState.POWERED_OFF}, timeout=deadline, hopeless={MachineState.ABORTED}
        )
        _wait_gone(machine, pid, deadline)


def unfit(
    machine: MachineProperties, *needed: str, operation: str, problem: str, hint: str
) -> InvalidStateError:
    """Return the error for a machine whose state does not fit what is asked of it."""
    state = str(machine.state)
    return InvalidStateError(
        f"{machine._subject()} is {state}: {problem}",
        state=state,
        needed=needed,
        operation=operation,
        hint=hint,
    )


def end_vm(machine: MachineProperties, what: str, *, timeout: Timeout) -> None:
    """Power off or save a machine, and wait until its process is gone and its lock is free."""
    deadline = Deadline(timeout)
    pid = machine.session_pid
    with locked(machine, timeout=machine.settings.lock_timeout, needs_vm=True) as session:
        if what == "save the state":
            com = session.machine.saveState()
        else:
            com = session.console.powerDown()
        try:
            Progress(machine._api, com, what=what, subject=machine._subject()).wait(
                timeout=deadline
            )
        except ConnectionLostError:
            # The VM process holds the progress object, and may be gone before we read its end.
            if machine.state not in OFFLINE:
                raise
    _wait_gone(machine, pid, deadline)


def crash(machine: MachineProperties, *, timeout: Timeout) -> None:
    """See `Machine.crash`."""
    deadline = Deadline(timeout)
    pid = machine.session_pid
    if machine.state not in ONLINE or pid is None:
        raise unfit(
            machine,
            "Running",
            "Paused",
            operation="crash",
            problem="there is no VM process to end",
            hint="start() it first",
        )
    with step(f"{machine._subject()}: crash"):
        try:
            process = processes.ProcessId.of(pid)
        except ProcessLookupError:
            pass  # it has just ended
        else:
            processes.kill(process, timeout=deadline.remaining)
        wait_for_state(machine, _CRASHED, timeout=deadline)
        _wait_gone(machine, pid, deadline)


def _wait_gone(machine: MachineProperties, pid: int | None, deadline: Deadline) -> None:
    with _changes(machine) as changed:
        wait_until(
            lambda: (
                True
                if machine.session_state is SessionState.UNLOCKED
                else (changed(min(_LOOK, deadline.remaining)), None)[1]
            ),
            what=f"the VM process of {machine._subject()} to give back the lock",
            timeout=deadline,
            poll=0,
            last_seen=lambda: machine.session_state,
        )
    if pid is None:
        return
    ours = driverless.process_of(pid)
    if ours is not None:
        ours.wait(deadline.remaining)
    else:
        processes.wait_gone(pid, timeout=deadline.remaining)
