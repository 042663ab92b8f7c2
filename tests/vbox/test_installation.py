"""What is found on this machine without connecting, compared with what a connection says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit.com import installation
from vboxkit.host import doctor

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import VirtualBox

pytestmark = pytest.mark.vbox


def test_version_is_the_running_one(vbox: VirtualBox) -> None:
    """VBoxManage in the folder that is found has the version that a connection tells."""
    assert installation.find().version == ".".join(map(str, vbox.version))


def test_vboxapi_is_the_installations_own(answer: Callable[..., str]) -> None:
    """Its own copy is loaded once and told its folder; what is beside it cannot be imported."""
    out = answer(
        """
        import os, sys
        from pathlib import Path
        from vboxkit.com import installation

        for name in ("VBOX_PROGRAM_PATH", "VBOX_SDK_PATH"):
            os.environ.pop(name, None)
        found, before = installation.find(), set(sys.path)
        module = installation.import_vboxapi()
        # vboxapi adds the folder of its bindings by itself.
        assert str(found.vboxapi) not in set(sys.path) - before
        assert installation.import_vboxapi() is module is sys.modules["vboxapi"]
        assert Path(os.environ["VBOX_PROGRAM_PATH"]) == found.folder
        if found.vboxapi:
            assert Path(module.__file__).parents[1] == found.vboxapi
        print(module.VirtualBoxManager.__name__)
        """
    )
    assert out.splitlines()[-1] == "VirtualBoxManager"


def test_the_doctor_agrees(vbox: VirtualBox) -> None:
    """Where tests can connect, the doctor finds nothing wrong with VirtualBox."""
    found = {finding.name: finding for finding in doctor.examine()}
    assert found["VirtualBox"].status == found["vboxapi"].status == "ok"
    assert found["VirtualBox"].detail.startswith(".".join(map(str, vbox.version)))
