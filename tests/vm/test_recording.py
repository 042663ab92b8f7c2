"""Video of a running guest."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from vboxkit.core.waiting import wait_until
from vboxkit.errors import ApiError, InvalidStateError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import VM

pytestmark = pytest.mark.vm

EBML = b"\x1a\x45\xdf\xa3"


def draw(vm: VM) -> None:
    """Change the screen."""
    vm.ssh.succeed("dmesg | tail -n 40 > /dev/tty1; cat /proc/uptime > /dev/tty1")


def test_a_block_is_recorded(vm: VM, tmp_path: Path) -> None:
    """The file is a WebM, grows while the screen changes, and is complete after the block."""
    target = tmp_path / "x.webm"
    assert not vm.recording.active
    with vm.recording(target, fps=10) as video:
        assert vm.recording.active
        with pytest.raises(InvalidStateError, match="recorded already"):
            vm.recording.start(tmp_path / "y.webm")
        start = video.files[0].stat().st_size

        def grown() -> bool | None:
            draw(vm)
            return video.files[0].stat().st_size > start or None

        wait_until(grown, what="a frame in the file", timeout=60, poll=0.3)
    assert not vm.recording.active
    assert video.files == [target]
    data = target.read_bytes()
    assert data.startswith(EBML)
    assert b"V_VP8" in data
    assert len(data) > start
    assert [file.name for file in tmp_path.iterdir()] == ["x.webm"]


def test_one_after_the_other(vm: VM, tmp_path: Path) -> None:
    """A second recording has a file of its own; stopping twice does no harm."""
    for name in ("a.webm", "b.webm"):
        video = vm.recording.start(tmp_path / name, size=(320, 200))
        draw(vm)
        assert video.stop() == video.stop() == [tmp_path / name]
        assert (tmp_path / name).read_bytes().startswith(EBML)


def test_a_fork_is_not_recorded(vm: VM, tmp_path: Path) -> None:
    """A fork of a machine that is being recorded does not write into its file."""
    with vm.recording(tmp_path / "x.webm"), vm.fork() as child:
        assert not child.recording.active
        assert "Recording: Starting" not in (child.log_folder / "VBox.log").read_text()
        assert vm.recording.active


def test_the_machine_may_end_first(vm: VM, tmp_path: Path) -> None:
    """After a power-off the file is there, under its name."""
    with vm.recording(tmp_path / "x.webm"):
        draw(vm)
        vm.power_off()
    assert (tmp_path / "x.webm").read_bytes().startswith(EBML)
    with pytest.raises(InvalidStateError, match="PoweredOff"):
        vm.recording.start(tmp_path / "y.webm")


def test_what_cannot_be_recorded(vm: VM, tmp_path: Path) -> None:
    """Wrong file names, folders and numbers are refused at once."""
    with pytest.raises(StorageError, match="folder does not exist"):
        vm.recording.start(tmp_path / "no" / "x.webm")
    with pytest.raises(ApiError, match=r"\*\.webm"):
        vm.recording.start(tmp_path / "x.avi")
    with pytest.raises(ApiError, match="1 to 60"):
        vm.recording.start(tmp_path / "x.webm", fps=0)
    with pytest.raises(ApiError, match="monitors"):
        vm.recording.start(tmp_path / "x.webm", monitors=[3])
    assert not vm.recording.active


def test_virtualbox_does_not_heed_the_longest_time(vm: VM, tmp_path: Path) -> None:
    """The limit is set, and the recording goes on after it, frames and all: `stop` ends it."""
    begin = time.monotonic()
    with vm.recording(tmp_path / "x.webm", max_seconds=1) as video:
        assert vm._api.array(vm.com.recordingSettings, "screens")[0].maxTime == 1

        def grown() -> bool | None:
            size = video.files[0].stat().st_size
            draw(vm)
            over = time.monotonic() - begin > 3
            return (over and video.files[0].stat().st_size > size) or None

        wait_until(grown, what="a frame after the limit", timeout=120, poll=0.3)
        assert vm.recording.active
    assert (tmp_path / "x.webm").read_bytes().startswith(EBML)
