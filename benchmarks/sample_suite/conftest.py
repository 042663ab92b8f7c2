"""Where the sample's tests get their machines from: forks, or linked clones that boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit.core.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit import VM, Image, Lab


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the rival."""
    parser.addoption(
        "--boot", action="store_true", help="boot each test's machine, and make no fork for it"
    )


@pytest.fixture
def vm(request: pytest.FixtureRequest, vm_lab: Lab, vm_image: Image) -> Iterator[VM]:
    """
    Give the machine of a test: the plugin's, or with ``--boot`` one that boots.

    ``--vm-no-fork`` is no fair rival: it forks first, and boots then.
    """
    if not request.config.getoption("boot"):
        yield request.getfixturevalue("vm_factory")()
        return
    name = f"bench-{request.node.name[:40].strip('[]')}-{request.node.nodeid.__hash__() % 10**8}"
    machine = vm_lab._clone(vm_image, name, request.node.nodeid, Deadline(1800))
    try:
        machine.discard_state()
        machine.start()
        machine.wait_ready(timeout=1800)
        yield machine
    finally:
        machine.destroy()
