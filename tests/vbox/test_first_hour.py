"""What a newcomer meets in the first hour: each error names its remedy, here and in the library."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import vboxkit
from tests.vbox.first_hour import command, reachable
from vboxkit.com import installation
from vboxkit.errors import (
    AlreadyExistsError,
    DriverNeededError,
    LockedError,
    NotFoundError,
    OvfError,
    PortInUseError,
    VBoxKitError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox

#: Covers VirtualBox's folder with an empty one, for a process alone, and becomes the command.
_WITHOUT = """
import ctypes, os, pathlib, sys
libc = ctypes.CDLL(None, use_errno=True)
MS_REC, MS_PRIVATE, CLONE_NEWNS = 0x4000, 0x40000, 0x20000
private = "shared:" not in pathlib.Path("/proc/self/mountinfo").read_text()
if (
    libc.unshare(CLONE_NEWNS)
    or (libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) and not private)
    or libc.mount(b"none", sys.argv[1].encode(), b"tmpfs", 0, b"size=1m")
):
    sys.exit("cannot cover it: " + os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[2], sys.argv[2:])
"""
#: Becomes nobody, and then the command.
_NOBODY = """
import os, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def without(tmp_path: Path) -> tuple[str, ...]:
    """Return what runs a command on a machine without VirtualBox."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can cover a folder")
    return (sys.executable, "-c", _WITHOUT, str(installation.find().folder))


def hint_of(error: pytest.ExceptionInfo[VBoxKitError]) -> str:
    """Return the remedy of an error."""
    assert error.value.hint
    assert error.value.hint in str(error.value)
    return error.value.hint


def test_no_virtualbox(tmp_path: Path, without: tuple[str, ...]) -> None:
    """Neither here nor in a sandbox: the command that makes one; the doctor says it, too."""
    home, cache = tmp_path / "home", {"VBOXKIT_CACHE_DIR": str(tmp_path), "VBOXKIT_SANDBOX": ""}
    for words in (("ls",), ("run", "tiny", "--", "true"), ("info", "web")):
        said = command(home, *words, wrap=without, **cache)
        said.check(3, "there is no VirtualBox: looked in ", "vboxkit sandbox create")
    found = command(home, "doctor", wrap=without, **cache)
    assert found.code == 1
    assert "vboxkit sandbox create" in found.out


def test_no_virtualbox_in_the_library(
    tmp_path: Path, without: tuple[str, ...], answer: Callable[..., str]
) -> None:
    """`connect` raises what says it, an ImportError as well."""
    out = answer(
        """
        import os, sys
        os.environ.update(VBOXKIT_CACHE_DIR=sys.argv[1], VBOXKIT_SANDBOX="")
        import vboxkit
        from vboxkit.errors import VirtualBoxNotFoundError
        try:
            vboxkit.connect()
        except ImportError as error:
            assert isinstance(error, VirtualBoxNotFoundError)
            print(error.hint)
        """,
        tmp_path,
        wrap=without,
    )
    assert out.splitlines()[-1] == "vboxkit sandbox create"


@pytest.mark.skipif(installation.driver_available(), reason="with the driver it works")
def test_no_driver(vbox: VirtualBox, make: Callable[..., Machine]) -> None:
    """A network that needs the driver: what needs none, and where the doctor says more."""
    machine = make()
    command(vbox.home, "net", "policy", machine.name, "internal", "--network", "lab")
    said = command(vbox.home, "start", machine.name)
    said.check(3, "driver", "")
    with pytest.raises(DriverNeededError) as caught:
        machine.start()
    assert hint_of(caught) == said.remedy
    assert "NAT" in said.remedy


def test_a_home_of_somebody_else(tmp_path: Path) -> None:
    """Without the right to write there: which folder, and what chooses another."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    home = tmp_path / "roots"
    home.mkdir(mode=0o755)
    cache = tmp_path / "cache"
    cache.mkdir()
    os.chown(cache, 65534, 65534)
    nobody = (sys.executable, "-c", _NOBODY)
    # This checkout may be where only root may look, as in its home.
    shutil.copytree(Path(vboxkit.__file__).parent, tmp_path / "lib" / "vboxkit")
    places = {"HOME": str(cache), "VBOXKIT_CACHE_DIR": str(cache)}
    places["PYTHONPATH"] = str(tmp_path / "lib")
    with reachable(tmp_path):
        command(home, "ls", wrap=nobody, **places).check(3, str(home), "VBOXKIT_HOME")
        inside = home / "x"
        command(inside, "ls", wrap=nobody, **places).check(3, str(inside), "VBOXKIT_HOME")


def test_a_name_that_is_taken(vbox: VirtualBox, bare: Callable[[], Machine]) -> None:
    """To make a machine twice: another name, or destroy the first."""
    name = bare().name
    said = command(vbox.home, "create", name)
    said.check(1, name, "another name")
    with pytest.raises(AlreadyExistsError, match=name) as caught:
        vbox.create(name, os_type="Linux26_64")
    assert hint_of(caught) == said.remedy


def test_no_such_machine(vbox: VirtualBox, bare: Callable[[], Machine]) -> None:
    """A slip of the pen: the names that there are, and what lists them."""
    name = bare().name
    said = command(vbox.home, "info", f"{name}x")
    said.check(1, f"'{name}x'", "vboxkit ls shows")
    assert f"'{name}'" in said.error
    with pytest.raises(NotFoundError) as caught:
        vbox.machines[f"{name}x"]
    assert hint_of(caught) == said.remedy


def test_a_locked_machine(
    vbox: VirtualBox, bare: Callable[[], Machine], answer: Callable[..., str]
) -> None:
    """Somebody else changes it: who, and what to do about it."""
    machine = bare()
    with machine.edit():
        said = command(vbox.home, "resize", machine.name, "--memory", 64, VBOXKIT_LOCK_TIMEOUT="1")
        out = answer(
            """
            import sys, vboxkit
            from vboxkit.errors import LockedError
            from vboxkit.settings import Settings
            settings = Settings.load(lock_timeout=0.5, home=sys.argv[1])
            try:
                vboxkit.connect(sys.argv[1], settings=settings).machines[sys.argv[2]].memory_mb = 64
            except LockedError as error:
                print(error.hint)
            """,
            vbox.home,
            machine.name,
        )
    said.check(1, machine.name, "close what works on the machine there")
    assert out.splitlines()[-1] == said.remedy
    assert command(vbox.home, "resize", machine.name, "--memory", 64).code == 0
    assert issubclass(LockedError, VBoxKitError)


def test_a_port_that_is_busy(vbox: VirtualBox, make: Callable[..., Machine]) -> None:
    """A program listens there: leave the port out."""
    machine = make()
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        said = command(vbox.home, "net", "forward", machine.name, f"{port}:80")
        said.check(1, f"port {port}", "leave the port out")
        with pytest.raises(PortInUseError, match=str(port)) as caught:
            machine.network[0].forward(guest=80, host=port)
    assert hint_of(caught) == said.remedy


@pytest.mark.parametrize("image", ["tinny", "./no.ova", "no-such-image"])
def test_an_image_that_is_missing(vbox: VirtualBox, image: str) -> None:
    """Neither built nor built in, or a file that is not there: what there is."""
    said = command(vbox.home, "run", image, "--", "true")
    said.check(1, image.removeprefix("./"), "tiny")
    with vboxkit.Lab(vbox.settings) as lab, pytest.raises(VBoxKitError) as caught:
        lab.image(image)
    assert hint_of(caught) == said.remedy


def test_an_appliance_that_is_none(vbox: VirtualBox, tmp_path: Path) -> None:
    """A download that broke off: what inspects it."""
    broken = tmp_path / "box.ova"
    broken.write_bytes(b"<html>404</html>")
    said = command(vbox.home, "import", broken)
    said.check(1, "box.ova: byte 0: it is cut", "get the file again")
    with pytest.raises(OvfError, match=r"box\.ova") as caught:
        vbox.appliances.open(broken)
    assert hint_of(caught) == said.remedy


def test_a_wrong_setting(vbox: VirtualBox) -> None:
    """A variable with a value that makes no sense: which values do."""
    said = command(vbox.home, "ls", VBOXKIT_KEEP="sometimes")
    said.check(2, "keep = 'sometimes'", "one of never, failed, always")
