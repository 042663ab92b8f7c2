"""The keyboard and the mouse of a running guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit import MachineState
from vboxkit.core.waiting import wait_until
from vboxkit.errors import InvalidStateError, NotFoundError

if TYPE_CHECKING:
    from vboxkit import VM

pytestmark = pytest.mark.vm

#: Every printable character of ASCII.
ALL = "".join(map(chr, range(0x20, 0x7F)))


def arrives(vm: VM, file: str, text: str) -> None:
    """Wait until a file of the guest has a text."""
    wait_until(
        lambda: vm.ssh.run(f"cat {file}").stdout == text or None,
        what=f"{text!r} in {file}",
        timeout=60,
        last_seen=lambda: vm.ssh.run(f"cat {file}").stdout,
    )


@pytest.fixture
def shell(vm: VM) -> VM:
    """Return a VM with a shell on its screen."""
    vm.keyboard.type("root\n")
    # busybox's login forgets what was typed before it asks for the password.
    wait_until(lambda: vm.ssh.run("pidof login").ok or None, what="the password prompt", timeout=30)
    vm.screen.wait_for_text("Password", timeout=30)
    vm.keyboard.type("vboxkit\n")
    vm.screen.wait_for_text("built-in shell", timeout=60)
    return vm


def test_what_is_typed_arrives(shell: VM) -> None:
    """Every character of ASCII is typed on the guest's console and comes into a file, in order."""
    shell.keyboard.type(f"cat > /tmp/typed\n{ALL}\n{ALL[::-1]}\n", rate=40)
    shell.keyboard.press("ctrl-d")
    arrives(shell, "/tmp/typed", f"{ALL}\n{ALL[::-1]}\n")


def test_keys_are_held_and_combined(shell: VM) -> None:
    """A held Shift makes capitals, and Ctrl-C ends what runs."""
    shell.keyboard.type("cat > /tmp/held\n")
    with shell.keyboard.hold("shift"):
        shell.keyboard.press("a", "b")
    shell.keyboard.press("c", "enter")
    # Ctrl-C throws away what was typed and not read yet.
    arrives(shell, "/tmp/held", "ABc\n")
    shell.keyboard.press("ctrl-c")
    shell.keyboard.type("echo $? >> /tmp/held\n")
    arrives(shell, "/tmp/held", "ABc\n130\n")


def test_nothing_is_typed_of_what_cannot_be(vm: VM) -> None:
    """An unknown character is known before the first key; so are unknown keys and layouts."""
    before = vm.screen.shot().png
    with pytest.raises(NotFoundError) as caught:
        vm.keyboard.type("abc\u00e4")
    assert caught.value.wanted == "\u00e4"
    with pytest.raises(NotFoundError, match="no key 'ctlr'"):
        vm.keyboard.press("enter", "ctlr-c")
    with pytest.raises(NotFoundError, match="no keyboard layout"):
        vm.keyboard.layout = "klingon"
    assert vm.screen.shot().png == before
    vm.keyboard.layout = "uk"
    assert vm.keyboard.layout == "gb"


def test_it_needs_a_guest_that_runs(vm: VM) -> None:
    """Paused and powered off, keyboard and mouse say so, and name the state."""
    vm.pause()
    with pytest.raises(InvalidStateError, match="Paused") as caught:
        vm.keyboard.type("x")
    assert caught.value.needed == ("Running",)
    vm.power_off()
    assert vm.state == MachineState.POWERED_OFF
    for use in (
        lambda: vm.keyboard.press("a"),
        vm.mouse.click,
        vm.screen.shot,
        lambda: vm.keyboard.lights,
    ):
        with pytest.raises(InvalidStateError, match="PoweredOff"):
            use()


def test_a_guest_without_a_mouse_says_so(vm: VM) -> None:
    """The built-in guest has no driver for a mouse: an error at once, and not an event lost."""
    assert not vm.mouse.relative
    assert not vm.mouse.absolute
    with pytest.raises(InvalidStateError, match="does not listen to the mouse"):
        vm.mouse.move(10, 0)
    with pytest.raises(InvalidStateError, match="USBTablet"):
        vm.mouse.move_to(1, 1)
    with pytest.raises(InvalidStateError), vm.mouse.hold():
        pass
    with pytest.raises(NotFoundError, match="no button"):
        vm.mouse.click("fourth")  # type: ignore[arg-type]  # that is the test
