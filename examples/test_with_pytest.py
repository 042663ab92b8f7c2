"""What a test looks like: ``pytest examples/test_with_pytest.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vboxkit import VM


def test_the_guest_is_linux(vm: VM) -> None:
    """The machine runs, and answers."""
    assert vm.ssh.run("uname -s").stdout.strip() == "Linux"


def test_each_test_has_a_machine_of_its_own(vm: VM) -> None:
    """Nothing of another test is here."""
    vm.ssh.succeed("test ! -e /root/mark && touch /root/mark")
