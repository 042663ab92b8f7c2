"""What a running guest shows."""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import ModuleMissingError, NotFoundError, StorageError, WaitTimeoutError

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import VM

pytestmark = pytest.mark.vm


def test_a_screenshot_is_a_picture(vm: VM, tmp_path: Path) -> None:
    """It is a PNG of the screen's size, as bytes, as a file and as an image of Pillow's."""
    shot = vm.screen.shot()
    assert shot.png.startswith(b"\x89PNG")
    assert (shot.width, shot.height) == vm.screen.size == struct.unpack(">II", shot.png[16:24])
    assert shot.save(tmp_path / "a.png").read_bytes() == shot.png
    assert vm.screen.image().size == vm.screen.size
    with pytest.raises(StorageError, match="cannot write"):
        shot.save(tmp_path / "no" / "a.png")
    with pytest.raises(NotFoundError, match="no monitor 1"):
        vm.screen.shot(monitor=1)


def test_the_text_is_read(vm: VM) -> None:
    """OCR reads what the guest writes on its console, and waits for it."""
    vm.ssh.succeed("(sleep 1; echo; echo Reading this screen aloud) > /dev/tty1 2>&1 &")
    match = vm.screen.wait_for_text(r"Reading this (\w+) aloud", timeout=60)
    assert match[1] == "screen"
    assert "login" in vm.screen.text()


def test_a_text_that_never_comes(vm: VM, tmp_path: Path) -> None:
    """The error has the last text, and the screenshot that it names."""
    target = tmp_path / "last.png"
    with pytest.raises(WaitTimeoutError, match="Desktop") as caught:
        vm.screen.wait_for_text("Desktop", timeout=0.5, evidence=target)
    assert str(target) in caught.value.evidence
    assert "login" in caught.value.evidence
    assert target.read_bytes().startswith(b"\x89PNG")


def test_missing_packages_and_programs(vm: VM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pytesseract, tesseract, its language or pillow the error says what to install."""
    shot = vm.screen.shot()
    with pytest.raises(ModuleMissingError, match="tesseract-ocr-xxx"):
        shot.text(language="xxx")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ModuleMissingError, match="apt-get install tesseract-ocr"):
        shot.text()
    monkeypatch.setitem(sys.modules, "pytesseract", None)
    with pytest.raises(ModuleMissingError, match=r"pip install vboxkit\[ocr\]"):
        shot.text()
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ModuleMissingError, match=r"pip install vboxkit\[ocr\]"):
        shot.image()


def test_evidence_has_screen_and_console(vm: VM, tmp_path: Path) -> None:
    """save_evidence() writes the screenshot, and the whole of the console."""
    vm.ssh.succeed("echo said > /dev/ttyS0")
    vm.console.wait_for("said", timeout=20)
    names = {file.name for file in vm.save_evidence(tmp_path / "e")}
    assert {"screenshot.png", "serial.log", "VBox.log"} <= names
    assert "said" in (tmp_path / "e" / "serial.log").read_text()
