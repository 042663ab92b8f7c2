"""Long operations that are canceled, interrupted, or fail on their way leave nothing behind."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.vbox.disks import attach_big_disk
from vboxkit.errors import ApiError, ProgressCanceledError
from vboxkit.machines.progress import Progress

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


@pytest.fixture(scope="module")
def big_ova(
    vbox: VirtualBox, ova: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Export such a machine once; its first disk is small, its second one big."""
    path = tmp_path_factory.mktemp("appliance") / "big.ova"
    machine = vbox.appliances.import_(ova, name=f"big-{os.getpid()}")
    try:
        attach_big_disk(machine, 60)
        appliance = vbox.com.createAppliance()
        machine.com.exportTo(appliance, str(path))
        progress = appliance.write("ovf-2.0", [], str(path))
        Progress(vbox._api, progress, what="export", subject="appliance").wait(timeout=60)
    finally:
        machine.destroy()
    yield path
    path.unlink()


class Stop(Exception):  # noqa: N818 - it says what it does
    """Raised by a hook."""


def stop_at(percent: int, what: str = "") -> Callable[[Progress], None]:
    """Make a hook that raises as soon as an operation is so far."""

    def hook(progress: Progress) -> None:
        if what in progress.what and progress.percent >= percent:
            raise Stop(f"{progress.what} at {progress.percent} %")

    return hook


@pytest.mark.parametrize("at", [0, 1, 100])
def test_a_hook_that_raises_cancels_a_clone(
    vbox: VirtualBox,
    big: Machine,
    label: Callable[[str], str],
    inventory: Callable[[], set[str]],
    at: int,
) -> None:
    """At its beginning, on its way, at its end: the exception passes, and nothing is left."""
    before = inventory()
    name = label("copy")
    with pytest.raises(Stop, match="clone to"):
        big.clone(name, on_update=stop_at(at))
    assert name not in vbox.machines
    assert inventory() == before
    assert big.session_state == "Unlocked"


def test_cancel_of_a_clone(
    vbox: VirtualBox,
    big: Machine,
    label: Callable[[str], str],
    inventory: Callable[[], set[str]],
) -> None:
    """`Progress.cancel` from a hook: a typed error with machine and copy, and nothing is left."""
    before = inventory()
    name = label("copy")
    at: list[int] = []

    def cancel(progress: Progress) -> None:
        assert progress.cancelable
        at.append(progress.percent)
        progress.cancel()

    with pytest.raises(ProgressCanceledError) as caught:
        big.clone(name, on_update=cancel)
    assert at[0] < 100
    assert big.name in str(caught.value)
    assert name in str(caught.value)
    assert inventory() == before
    assert big.clone(name) == vbox.machines[name]


def test_cancel_from_another_thread(
    big: Machine, label: Callable[[str], str], inventory: Callable[[], set[str]]
) -> None:
    """Whoever has the `Progress` can cancel it."""
    before = inventory()
    threads: list[threading.Thread] = []

    def hand_over(progress: Progress) -> None:
        if not threads:
            threads.append(threading.Thread(target=progress.cancel))
            threads[0].start()

    with pytest.raises(ProgressCanceledError):
        big.clone(label("copy"), on_update=hand_over)
    threads[0].join(30)
    assert inventory() == before


def test_a_linked_clones_snapshot_goes_with_it(
    machine: Machine, label: Callable[[str], str], inventory: Callable[[], set[str]]
) -> None:
    """A hook that raises in the middle of a verb: what its first operation made is undone."""
    before = inventory()
    with pytest.raises(Stop, match="clone to"):
        machine.clone(label("copy"), linked=True, on_update=stop_at(0, "clone to"))
    assert len(machine.snapshots) == 0
    assert inventory() == before


@pytest.mark.parametrize("at", [0, 100])
def test_a_hook_that_raises_in_a_snapshot(
    machine: Machine, inventory: Callable[[], set[str]], at: int
) -> None:
    """The snapshot is taken back, even if it was there already."""
    before = inventory()
    with pytest.raises(Stop):
        machine.snapshots.take("x", on_update=stop_at(at))
    assert len(machine.snapshots) == 0
    assert inventory() == before
    assert machine.session_state == "Unlocked"


def test_what_cannot_be_cancelled_comes_to_its_end(machine: Machine) -> None:
    """Restoring and deleting: the exception passes, but not before VirtualBox is done."""
    snapshot = machine.snapshots.take("x")
    machine.memory_mb = 80
    with pytest.raises(Stop):
        snapshot.restore(on_update=stop_at(0))
    assert machine.memory_mb == 64
    assert machine.state == "PoweredOff"
    with pytest.raises(Stop):
        snapshot.delete(on_update=stop_at(0))
    assert len(machine.snapshots) == 0
    assert machine.session_state == "Unlocked"

    def cancel(progress: Progress) -> None:
        progress.cancel()

    with pytest.raises(ApiError) as caught:
        machine.snapshots.take("x", on_update=cancel)
    assert not isinstance(caught.value, ProgressCanceledError)
    assert "cancel" in str(caught.value)
    assert len(machine.snapshots) == 0


@pytest.mark.parametrize(
    ("what", "at"), [("read", 0), ("import", 0), ("import", 1), ("import", 100)]
)
def test_a_hook_that_raises_cancels_an_import(  # noqa: PLR0917 - fixtures
    vbox: VirtualBox,
    big_ova: Path,
    label: Callable[[str], str],
    inventory: Callable[[], set[str]],
    what: str,
    at: int,
) -> None:
    """Wherever it is: no machine, no file, no medium; the next import goes well."""
    before = inventory()
    name = label("machine")
    with pytest.raises(Stop, match=what):
        vbox.appliances.import_(big_ova, name=name, on_update=stop_at(at, what))
    assert name not in vbox.machines
    assert inventory() == before
    vbox.appliances.import_(big_ova, name=name)


def test_cancel_of_an_import(
    vbox: VirtualBox,
    big_ova: Path,
    label: Callable[[str], str],
    inventory: Callable[[], set[str]],
) -> None:
    """Canceled at its second disk; VirtualBox leaves the first one registered, vboxkit does not."""
    before = inventory()

    def cancel(progress: Progress) -> None:
        if progress.what == "import" and progress.percent > 0:
            progress.cancel()

    with pytest.raises(ProgressCanceledError, match=r"big\.ova"):
        vbox.appliances.import_(big_ova, name=label("machine"), on_update=cancel)
    assert inventory() == before


@pytest.mark.parametrize("what", ["clone", "import"])
def test_ctrl_c_in_the_middle(  # noqa: PLR0917 - fixtures
    child: Callable[..., subprocess.Popen[str]],
    vbox: VirtualBox,
    big: Machine,
    big_ova: Path,
    label: Callable[[str], str],
    inventory: Callable[[], set[str]],
    what: str,
) -> None:
    """SIGINT in another process: KeyboardInterrupt there, and nothing of its work is left."""
    before = inventory()
    name = label("copy")
    process = child(
        """
        import sys, threading, vboxkit
        home, what, name, source, appliance = sys.argv[1:]
        def hook(progress):
            if 0 < progress.percent < 100 and progress.what != "read":
                print("now", flush=True)
                threading.Event().wait(30)  # or the signal may come when it is all over
        with vboxkit.connect(home=home) as vbox, vboxkit.progress_hook(hook):
            try:
                if what == "clone":
                    for number in range(20):
                        vbox.machines[source].clone(name).destroy()
                else:
                    for number in range(20):
                        vbox.appliances.import_(appliance, name=name).destroy()
            except KeyboardInterrupt:
                print("interrupted")
        """,
        vbox.home,
        what,
        name,
        big.name,
        big_ova,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert out.splitlines()[-1] == "interrupted"
    assert name not in vbox.machines
    assert inventory() == before


def test_ctrl_c_while_machines_are_destroyed(
    child: Callable[..., subprocess.Popen[str]],
    vbox: VirtualBox,
    machine: Machine,
    label: Callable[[str], str],
    inventory: Callable[[], set[str]],
) -> None:
    """A removal that has begun comes to its end first: each machine is there whole, or gone."""
    attach_big_disk(machine, 8)
    name = label("copy")
    before = inventory()
    for _ in range(4):
        machine.clone(name)
        whole = inventory()
        process = child(
            """
            import sys, vboxkit
            from vboxkit.core.signals import Terminated, ending
            home, name = sys.argv[1:]
            # XPCOM would swallow it while it is looked which machine this is.
            with ending(lambda _: Terminated()), vboxkit.connect(home=home) as vbox:
                machine = vbox.machines[name]
                try:
                    print("now", flush=True)
                    machine.destroy()
                except KeyboardInterrupt:
                    print("interrupted")
            """,
            vbox.home,
            name,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out
        if name in vbox.machines:
            assert inventory() == whole
            vbox.machines[name].destroy()
        assert inventory() == before


_NO_SPACE: Any = """
    import resource, sys, vboxkit
    from pathlib import Path
    home, appliance = sys.argv[1:]
    # The server is started by this process, and inherits the limit: no file can grow beyond it.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 20, 20 << 20))
    with vboxkit.connect(home=home) as vbox:
        try:
            vbox.appliances.import_(appliance, name="web")
        except vboxkit.VBoxKitError as error:
            print(type(error).__name__, "web" in str(error), error.symbol)
        print(vbox.machines.names(), len(vbox._api.array(vbox.com, "hardDisks")))
        print([path.name for path in Path(home, "machines").rglob("*")])
"""


def test_no_space_for_an_import(
    answer: Callable[..., str], big_ova: Path, private_home: Path
) -> None:
    """A disk that cannot be written whole: a typed error, and neither machine nor file is left."""
    error, left, files = answer(_NO_SPACE, private_home, big_ova).splitlines()
    assert error.startswith("ProgressFailedError True")
    assert left == "[] 0"
    assert files == "[]"


_NO_SPACE_TO_CLONE: Any = """
    import resource, sys, vboxkit
    from pathlib import Path
    from vboxkit.com.xpcom import isolation
    from vboxkit.core import processes
    home, appliance = Path(sys.argv[1]), sys.argv[2]
    with vboxkit.connect(home=home) as vbox:
        machine = vbox.appliances.import_(appliance, name="web")
        machine.snapshots.take("x")
        for server, _ in processes.find(argument="--auto-shutdown", environment=isolation(home)):
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        for mode in ("machine", "all"):
            try:
                machine.clone("copy", mode=mode)
            except vboxkit.VBoxKitError as error:
                print(type(error).__name__, "machine 'web'" in str(error), "'copy'" in str(error))
        print(vbox.machines.names(), len(vbox._api.array(vbox.com, "hardDisks")))
        print(sorted(path.name for path in Path(home, "machines").iterdir()))
        machine.destroy()
"""


def test_no_space_for_a_clone(answer: Callable[..., str], ova: Path, private_home: Path) -> None:
    """A copy that cannot be written whole: a typed error each time, the original alone is left."""
    *errors, left, folders = answer(_NO_SPACE_TO_CLONE, private_home, ova).splitlines()
    assert errors == ["ProgressFailedError True True"] * 2
    assert left == "['web'] 1"
    assert folders == "['web']"
