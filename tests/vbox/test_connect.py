"""Connecting, and what a process cannot do twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import vboxkit
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes
from vboxkit.errors import SetupError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import VirtualBox

pytestmark = pytest.mark.vbox


def test_version_is_a_tuple_of_what_virtualbox_says(vbox: VirtualBox) -> None:
    """`version` compares as numbers, and agrees with VirtualBox's own text."""
    assert vbox.version >= (7, 0)
    assert vbox.version_text.startswith(".".join(map(str, vbox.version)))


def test_home_and_machine_folder_are_the_ones_asked_for(vbox: VirtualBox) -> None:
    """VirtualBox's own home is the given one, and machines go below it."""
    assert vbox.home == vbox.settings.home
    folder = str(vbox.com.systemProperties.defaultMachineFolder)
    assert folder == str(vbox.settings.home / "machines")


def test_connecting_again_to_the_same_home_is_the_same_virtualbox(vbox: VirtualBox) -> None:
    """A second `connect` to the home of this process works."""
    again = vboxkit.connect(str(vbox.settings.home), settings=vbox.settings)
    assert again.machines.names() == vbox.machines.names()
    assert again.home == vbox.home


def test_a_second_home_in_one_process_is_refused(vbox: VirtualBox, tmp_path: Path) -> None:
    """XPCOM knows one home a process: the error names both, and the other one is not made."""
    with pytest.raises(SetupError) as caught:
        vboxkit.connect(tmp_path / "other")
    assert str(vbox.settings.home) in caught.value.message
    assert str(tmp_path / "other") in caught.value.message
    assert "another process" in str(caught.value)
    assert not (tmp_path / "other").exists()


def test_leaving_the_block_keeps_the_connection(vbox: VirtualBox) -> None:
    """`with connect()` ends no connection that others of this process use."""
    with vboxkit.connect(vbox.settings.home, settings=vbox.settings) as same:
        assert same.version == vbox.version
    assert vbox.version_text


def test_a_forked_process_is_told_so_and_does_not_hang(
    private_home: Path, answer: Callable[..., str]
) -> None:
    """After os.fork() the child's first call raises `SetupError`; the parent goes on."""
    out = answer(
        """
        import os, sys, warnings
        import vboxkit
        from vboxkit.errors import SetupError

        warnings.simplefilter("ignore")
        vbox = vboxkit.connect(sys.argv[1])
        pid = os.fork()
        if pid == 0:
            try:
                vbox.machines.find("x")
            except SetupError as error:
                print("child:", error, flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        print("parent:", len(vbox.machines), vbox.home)
        """,
        private_home,
    )
    assert "child: this process was forked" in out
    assert "spawn" in out
    assert f"parent: 0 {private_home}" in out


def test_two_processes_with_one_home_see_the_same_machines(
    vbox: VirtualBox, make: Callable[..., vboxkit.Machine], answer: Callable[..., str]
) -> None:
    """Every process that connects to a home meets the same VBoxSVC."""
    machine = make()
    out = answer(
        """
        import sys, vboxkit
        vbox = vboxkit.connect(sys.argv[1])
        vbox.machines[sys.argv[2]].description = "from the other process"
        """,
        vbox.settings.home,
        machine.id,
    )
    assert out == ""
    assert machine.description == "from the other process"


def test_processes_connect_at_the_same_moment(
    tmp_path: Path, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """Where no VBoxSVC runs, the first one starts it and the others wait for that."""
    code = """
        import sys, vboxkit
        vboxkit.VirtualBox
        print("loaded", flush=True)
        sys.stdin.readline()
        print(len(vboxkit.connect(sys.argv[1]).machines))
    """
    for number in range(4):
        home = tmp_path / str(number)
        try:
            all_of_them = [child(code, home) for _ in range(4)]
            for process in all_of_them:
                assert process.stdout is not None
                assert process.stdout.readline() == "loaded\n"
            for process in all_of_them:
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
            answers = [process.communicate(timeout=60)[0] for process in all_of_them]
            assert answers == ["0\n"] * 4
        finally:
            for server, _ in processes.find(
                argument="--auto-shutdown", environment=isolation(home)
            ):
                processes.kill(server)


def test_a_home_that_cannot_be_made_is_a_setup_error(
    tmp_path: Path, answer: Callable[..., str]
) -> None:
    """A file in the way of the home: the error names it and what to check."""
    (tmp_path / "file").write_text("")
    out = answer(
        """
        import sys, vboxkit
        try:
            vboxkit.connect(sys.argv[1])
        except vboxkit.errors.SetupError as error:
            print(error)
        """,
        tmp_path / "file" / "home",
    )
    assert str(tmp_path / "file" / "home") in out
    assert "try:" in out
