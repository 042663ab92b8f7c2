"""Many threads on one VirtualBox, and threads that end in the middle of something."""

from __future__ import annotations

import asyncio
import gc
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit import MachineState
from vboxkit.errors import LockedError, SetupError
from vboxkit.machines.event_kinds import ExtraDataChangedEvent
from vboxkit.machines.locks import locked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox

THREADS = 8


def in_threads(work: Callable[[int], Any], count: int = THREADS) -> list[Any]:
    """Do something in several threads that begin at the same moment; return what each gave."""
    barrier = threading.Barrier(count)

    def run(number: int) -> Any:
        barrier.wait(20)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_8_threads_read_1000_times_each(machine: Machine, vbox: VirtualBox) -> None:
    """Objects that are shared, and objects that each makes for itself."""
    name = machine.name

    def read(number: int) -> int:
        mine = machine if number % 2 else vbox.machines[name]
        seen = [(mine.state, mine.name, mine.memory_mb, mine.cpus) for _ in range(250)]
        assert set(seen) == {(MachineState.POWERED_OFF, name, machine.memory_mb, machine.cpus)}
        return len(seen) * 4

    assert sum(in_threads(read)) == 8000


def test_threads_that_first_use_a_fresh_object_at_the_same_moment(
    machine: Machine, vbox: VirtualBox
) -> None:
    """XPCOM's binding finds out an object's interfaces at first use: that must not be a race."""
    for _ in range(30):
        fresh = vbox.machines[machine.id]
        raw = vbox.com.findMachine(machine.id)
        seen = in_threads(
            lambda _, fresh=fresh, raw=raw: (  # type: ignore[misc]
                str(raw.description),
                fresh.network[0].mac,
                fresh.os_type,
                str(raw.getNetworkAdapter(0).MACAddress),
            )
        )
        assert len(set(seen)) == 1


def test_8_threads_change_machines_of_their_own(make: Callable[..., Machine]) -> None:
    """Setters, extra data and snapshots of several machines at the same time."""
    machines = [make() for _ in range(4)]

    def work(number: int) -> None:
        machine = machines[number % 4]
        for turn in range(25):
            machine.extra_data[f"thread{number}"] = str(turn)
            machine.description = f"{number} {turn}"

    in_threads(work)
    for number, machine in enumerate(machines):
        assert machine.extra_data[f"thread{number}"] == "24"
        assert machine.extra_data[f"thread{number + 4}"] == "24"
        assert machine.description in {f"{number} 24", f"{number + 4} 24"}


def test_an_edit_keeps_others_out_and_is_whole(machine: Machine) -> None:
    """What threads change in one `edit` each comes from one of them."""

    def work(number: int) -> None:
        for _ in range(5):
            with machine.edit() as m:
                m.description = str(number)
                m.memory_mb = 64 + number

    in_threads(work, 4)
    assert machine.memory_mb == 64 + int(machine.description)


def test_a_stream_in_another_thread_sees_what_this_one_does(
    machine: Machine, vbox: VirtualBox
) -> None:
    """One thread listens while four change."""
    stream = vbox.events(ExtraDataChangedEvent)
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(lambda: [stream.wait_for(timeout=20).key for _ in range(40)])

        def work(number: int) -> None:
            for turn in range(10):
                machine.extra_data[f"k{number}-{turn}"] = "v"

        in_threads(work, 4)
        assert sorted(heard.result()) == sorted(f"k{n}-{t}" for n in range(4) for t in range(10))


def test_asyncio_threads(machine: Machine) -> None:
    """`asyncio.to_thread` may call any object."""

    async def work() -> list[str]:
        return await asyncio.gather(
            *(asyncio.to_thread(lambda: str(machine.state)) for _ in range(50))
        )

    assert set(asyncio.run(work())) == {"PoweredOff"}


def test_a_thread_that_fails_with_the_lock_gives_it_back(machine: Machine) -> None:
    """An exception in an edit ends the lock with it, and undoes what was set."""
    before = machine.description

    def work() -> None:
        with suppress(ValueError), machine.edit() as m:
            m.description = "half"
            raise ValueError

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert machine.session_state == "Unlocked"
    assert machine.description == before
    machine.description = "after"


def test_a_thread_that_ends_with_the_lock_gives_it_back(machine: Machine) -> None:
    """A lock that was entered and never left goes when its thread does."""

    def work() -> None:
        block = locked(machine, timeout=5)
        block.__enter__()
        assert machine.session_state == "Locked"

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    gc.collect()
    assert machine.session_state == "Unlocked"
    machine.description = "after"


def test_a_lock_is_its_threads_own(machine: Machine) -> None:
    """Another thread of the same process is not let in, and is told who has it."""
    with machine.edit(), ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: locked(machine, timeout=0.2).__enter__())
        with pytest.raises(LockedError) as caught:
            other.result(timeout=20)
    assert machine.name in str(caught.value)


def test_objects_outlive_the_thread_that_made_them(machine: Machine, vbox: VirtualBox) -> None:
    """What a thread made is used, and dropped, by others after its end."""
    made: list[Any] = []

    def work() -> None:
        made.extend(vbox.machines[machine.id] for _ in range(10))
        made.append(vbox.events("OnLanguageChanged"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert {str(each.state) for each in made[:10]} == {"PoweredOff"}
    assert made.pop().next(timeout=0.1) is None
    made.clear()
    gc.collect()
    assert machine.state == MachineState.POWERED_OFF


def test_deinit_per_thread_is_refused_and_kills_nothing(vbox: VirtualBox) -> None:
    """Vboxapi's own advice for threads ends the process with SIGTRAP: it cannot be reached."""
    manager = vbox._api._manager  # type: ignore[attr-defined]

    def work() -> None:
        manager.initPerThread()
        manager.deinitPerThread()

    with ThreadPoolExecutor(1) as pool, pytest.raises(SetupError, match="any thread may use"):
        pool.submit(work).result()
    assert vbox.version_text


# The end of the interpreter: a crash is a return code below 0, which `answer` does not let pass.

_BEGIN = """
import atexit, gc, sys, threading, time, vboxkit
vbox = vboxkit.connect(sys.argv[1])
machine = vbox.appliances.import_(sys.argv[2], name="m")
"""

_ENDINGS = {
    "daemon threads that call": """
        def run():
            while True:
                machine.state
        for _ in range(4):
            threading.Thread(target=run, daemon=True).start()
        time.sleep(0.1)
        """,
    "daemon threads that listen": """
        for _ in range(4):
            threading.Thread(target=vbox.events().next, daemon=True).start()
        time.sleep(0.1)
        """,
    "daemon threads that wait with raw objects": """
        def run():
            events = vbox.com.eventSource
            listener = events.createListener()
            kind = vbox._api.value("VBoxEventType", "OnLanguageChanged")
            events.registerListener(listener, [kind], False)
            events.getEvent(listener, 30_000)
        for _ in range(4):
            threading.Thread(target=run, daemon=True).start()
        time.sleep(0.1)
        """,
    "a thread that still works": """
        def run():
            for _ in range(500):
                machine.state
        threading.Thread(target=run).start()
        """,
    "an open lock": """
        from vboxkit.machines.locks import locked
        block = locked(machine, timeout=5)
        block.__enter__()
        """,
    "an edit that is never left": """
        block = machine.edit()
        block.__enter__()
        machine.description = "x"
        """,
    "cycles of objects": """
        class Node:
            pass
        for _ in range(10):
            node = Node()
            node.me, node.machine, node.events = node, vbox.machines["m"], vbox.events()
        """,
    "deinit called by hand": """
        vbox._api._manager.deinit()
        """,
}


@pytest.mark.parametrize("ending", list(_ENDINGS))
def test_python_ends_in_order(
    ending: str, private_home: Path, ova: Path, answer: Callable[..., str]
) -> None:
    """Whatever is open at the end of Python: no crash, no hang, and not a word about it."""
    begin = textwrap.dedent(_BEGIN)
    out = answer(begin + textwrap.dedent(_ENDINGS[ending]), private_home, ova)
    assert out == ""


def test_who_comes_too_late_is_told_so(
    private_home: Path, ova: Path, answer: Callable[..., str]
) -> None:
    """An exit handler and `__del__` that run after XPCOM's end get `SetupError`, not a crash."""
    out = answer(
        """
        import atexit, sys
        def late():
            for what in (lambda: machine.state, lambda: machine.com.name, lambda: vbox.events(),
                         lambda: vboxkit.connect(sys.argv[1]).machines.names()):
                try:
                    what()
                except vboxkit.errors.SetupError as error:
                    print(error.message)
        atexit.register(late)
        import vboxkit, vboxkit.errors
        vbox = vboxkit.connect(sys.argv[1])
        machine = vbox.appliances.import_(sys.argv[2], name="m")
        class Node:
            def __del__(self, machine=machine, print=print):
                try:
                    machine.state
                except Exception as error:
                    print("__del__", type(error).__name__)
        sys.modules["node"] = Node()
        """,
        private_home,
        ova,
    )
    lines = out.splitlines()
    assert len(lines) == 5
    assert all("this process is ending" in line for line in lines[:4])
    assert lines[4] == "__del__ SetupError"
