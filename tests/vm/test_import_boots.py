"""What is made of a template in ``ovf/`` boots."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vboxkit.core.resources import resource
from vboxkit.core.waiting import wait_until

if TYPE_CHECKING:
    from vboxkit import VirtualBox

pytestmark = pytest.mark.vm

_TEMPLATE = Path(__file__).parents[2] / "ovf" / "single-disk.ovf"


def test_the_template_of_one_disk_boots(vbox: VirtualBox, tmp_path: Path) -> None:
    """With the built-in guest's disk beside it, the guest says on its serial port that it is up."""
    path = Path(shutil.copy(_TEMPLATE, tmp_path))
    with tarfile.open(resource("tiny/tiny.ova")) as tar:
        packed = tar.extractfile(next(n for n in tar.getnames() if n.endswith(".vmdk")))
        assert packed is not None
        with packed:
            (tmp_path / "disk1.vmdk").write_bytes(packed.read())
    machine = vbox.appliances.import_(path, name="boots", memory_mb=128)
    try:
        said = machine.serial_ports[0].to_file(tmp_path / "said.log")
        machine.start()
        wait_until(
            lambda: "VBK-READY" in said.read_text(errors="replace") or None,
            what="the guest to boot",
            timeout=120,
            last_seen=lambda: said.read_text(errors="replace")[-500:],
        )
        machine.power_off()
    finally:
        machine.destroy()
    assert not (vbox.home / "machines" / "boots").exists()
