"""Processes that were forked or spawned from one that uses VirtualBox."""

from __future__ import annotations

import signal
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.core.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox

#: Forks, and lets the child do something; one that hangs is killed by its alarm after 10 s.
_FORK = """
import gc, os, signal, sys, threading, warnings
import vboxkit, vboxkit.errors
warnings.simplefilter("ignore", DeprecationWarning)  # fork() in a process with threads
vbox = vboxkit.connect(sys.argv[1])
machine = vbox.machines[sys.argv[2]]

def tries(*calls):
    for call in calls:
        try:
            print("value", call())
        except vboxkit.errors.SetupError as error:
            print("SetupError", error.message.split("(")[0].strip(), error.hint.split(" ")[0])
    sys.stdout.flush()

def child(work, times=1):
    for _ in range(times):
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)
            return work()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print("ended", code)
    print("parent", machine.state, machine.name in vbox.machines)
    sys.stdout.flush()
"""


@pytest.fixture
def forked(vbox: VirtualBox, machine: Machine, answer: Callable[..., str]) -> Callable[[str], Any]:
    """Run code that forks, in a process that is connected; return the lines that it printed."""

    def run(code: str) -> list[str]:
        whole = _FORK + textwrap.dedent(code)
        return answer(whole, vbox.settings.home, machine.id).splitlines()

    return run


def test_everything_that_was_held_before_a_fork_says_so(forked: Callable[[str], list[str]]) -> None:
    """Properties, verbs, raw objects, sessions, streams, connections: `SetupError`, at once."""
    lines = forked(
        """
        stream = vbox.events()
        adapter = machine.network[0]
        raw = machine.com
        child(lambda: tries(
            lambda: machine.state,
            lambda: machine.name,
            lambda: machine.memory_mb,
            lambda: setattr(machine, "memory_mb", 80),
            lambda: setattr(machine, "description", "x"),
            lambda: machine.start(),
            lambda: machine.destroy(),
            lambda: machine.edit().__enter__(),
            lambda: machine.events(),
            lambda: machine.snapshots.take("s"),
            lambda: adapter.mac,
            lambda: raw.name,
            lambda: raw.lockMachine(None, 1),
            lambda: raw.neverUsedBefore,
            lambda: vbox._api.session(),
            lambda: vbox._api.array(vbox.com, "machines"),
            lambda: vbox._api.cast(raw, "IUnknown"),
            lambda: vbox.machines.names(),
            lambda: len(vbox.machines),
            lambda: vbox.version_text,
            lambda: vbox.create("x", os_type="Linux_64"),
            lambda: stream.next(timeout=5),
            lambda: vbox.metrics(),
            lambda: vboxkit.connect(sys.argv[1]),
        ))
        """
    )
    assert lines[:-2] == ["SetupError this process was forked from one use"] * 24
    assert lines[-2:] == ["ended 0", "parent PoweredOff True"]


def test_what_does_not_ask_virtualbox_works_in_a_fork(forked: Callable[[str], list[str]]) -> None:
    """Names in a repr, identity, comparing: for logs and dictionaries."""
    lines = forked(
        """
        raw = machine.com
        child(lambda: tries(
            lambda: machine.name in repr(machine) if False else "<Machine" in repr(machine),
            lambda: machine == machine and hash(machine) == hash(machine.id),
            lambda: raw == raw and bool(repr(raw)) and bool(str(raw)),
            lambda: vbox.settings is machine.settings,
        ))
        """
    )
    assert lines[:4] == ["value True"] * 4


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("sys.exit(7)", 7),
        ("os._exit(8)", 8),
        ("None", 0),
        ("[gc.collect(), globals().clear()] and None", 0),
        ("1 / 0", 1),
        ("[globals().pop('machine'), gc.collect(), __import__('sys').exit(5)]", 5),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.execv(sys.executable, [sys.executable, '-c', 'raise SystemExit(9)'])", 9),
        ("vbox._api._manager.deinit()", 0),
    ],
)
def test_a_fork_ends_as_it_likes(
    ending: str, code: int, forked: Callable[[str], list[str]]
) -> None:
    """No hang and no crash in the child, its exit code is its own, and the parent goes on."""
    lines = forked(f"child(lambda: {ending})")
    assert f"ended {code}" in lines
    assert "parent PoweredOff True" in lines


def test_what_a_fork_prints_and_its_exit_handlers_are_not_lost(
    forked: Callable[[str], list[str]],
) -> None:
    """The end of Python runs as always; only what libraries do after it is skipped."""
    lines = forked(
        """
        import atexit
        def work():
            atexit.register(print, "handler")
            print("unflushed")
            sys.exit(4)
        child(work)
        """
    )
    assert lines[:3] == ["unflushed", "handler", "ended 4"]


def test_forks_while_other_threads_call(forked: Callable[[str], list[str]]) -> None:
    """A fork in the middle of other threads' calls, thirty times."""
    lines = forked(
        """
        def run():
            while True:
                machine.state
        for _ in range(3):
            threading.Thread(target=run, daemon=True).start()
        child(lambda: [tries(lambda: machine.state), sys.exit(3)], times=30)
        """
    )
    assert lines.count("ended 3") == 30
    assert lines[-1] == "parent PoweredOff True"


def test_a_fork_of_a_fork(forked: Callable[[str], list[str]]) -> None:
    """It is told as well, and ends as well."""
    lines = forked(
        """
        def work():
            pid = os.fork()
            if pid == 0:
                signal.alarm(10)
                tries(lambda: machine.state)
                sys.exit(5)
            print("inner", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            sys.exit(6)
        child(work)
        """
    )
    assert lines == [
        "SetupError this process was forked from one use",
        "inner 5",
        "ended 6",
        "parent PoweredOff True",
    ]


def test_a_fork_in_an_edit_does_not_touch_the_parents_lock(
    forked: Callable[[str], list[str]],
) -> None:
    """The child leaves the block by an error; the parent's change is saved."""
    lines = forked(
        """
        with machine.edit() as m:
            m.description = "from the parent"
            pid = os.fork()
            if pid == 0:
                signal.alarm(10)
                sys.exit(3)
            os.waitpid(pid, 0)
        print(machine.description, machine.session_state)
        """
    )
    assert lines[-1] == "from the parent Unlocked"


def test_a_fork_that_lives_on_does_not_hold_the_parents_locks(
    machine: Machine, vbox: VirtualBox, child: Callable[..., Any]
) -> None:
    """The child closes the connection: VirtualBox sees the parent's death, and frees its lock."""
    process = child(
        """
        import os, sys, time, warnings, vboxkit
        from vboxkit.machines.locks import locked
        warnings.simplefilter("ignore")
        vbox = vboxkit.connect(sys.argv[1])
        machine = vbox.machines[sys.argv[2]]
        with locked(machine, timeout=5):
            pid = os.fork()
            if pid == 0:
                os.close(1)
                time.sleep(30)
                os._exit(0)
            print(pid, flush=True)
            time.sleep(60)
        """,
        vbox.settings.home,
        machine.id,
    )
    fork = int(process.stdout.readline())
    try:
        assert machine.session_state == "Locked"
        process.kill()
        process.wait()
        wait_until(
            lambda: True if machine.session_state == "Unlocked" else None,
            what="the dead process's lock to go",
            timeout=15,
        )
    finally:
        import os

        os.kill(fork, signal.SIGKILL)


def test_a_fork_that_was_not_connected_connects_itself(
    vbox: VirtualBox, answer: Callable[..., str]
) -> None:
    """Importing vboxkit before a fork does no harm."""
    out = answer(
        """
        import os, sys, vboxkit
        from vboxkit.com import xpcom
        pid = os.fork()
        if pid == 0:
            print(vboxkit.connect(sys.argv[1]).version_text, flush=True)
            sys.exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """,
        vbox.settings.home,
    )
    assert out.splitlines() == [vbox.version_text, "0"]


def test_a_fork_while_other_threads_listen_and_measure(
    forked: Callable[[str], list[str]],
) -> None:
    """The locks that those threads hold at that moment do not stop the child."""
    lines = forked(
        """
        import time
        stream, host = vbox.events("OnLanguageChanged"), vbox.metrics_stream()
        handle = vbox.on_event(print, "OnLanguageChanged")
        threading.Thread(target=list, args=[stream], daemon=True).start()
        threading.Thread(target=list, args=[host], daemon=True).start()
        time.sleep(0.3)
        def work():
            tries(lambda: stream.next(timeout=5), lambda: next(stream), lambda: host.next())
            handle.close(); stream.close(); host.close()
            sys.exit(3)
        child(work, times=5)
        """
    )
    told = "SetupError this process was forked from one use"
    assert lines == [*[told] * 3, "ended 3"] * 5 + ["parent PoweredOff True"]
