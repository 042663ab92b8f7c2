"""A machine laid out in a folder, for the doctor; and a place for the command to run in."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vboxkit.cli import output
from vboxkit.com import installation
from vboxkit.host import doctor, doctor_kernel, doctor_software
from vboxkit.host.findings import Host
from vboxkit.host.sandbox import Sandbox, SandboxStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say which sandbox there is; none, unless a test says another."""

    def there(**status: object) -> None:
        now = SandboxStatus(Path("/s"), **status)  # type: ignore[arg-type]  # passed on as given
        monkeypatch.setattr(Sandbox, "status", lambda _: now)

    for module in (doctor, doctor_kernel, doctor_software):
        monkeypatch.setattr(module, "inside_sandbox", lambda: False)
    there()
    return there


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for VirtualBox in no place at all."""
    monkeypatch.setattr(installation, "_candidates", lambda _: iter(()))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], Path]:
    """Lay out an installation, of which only the version is asked."""

    def there(version: str | None) -> Path:
        folder = tmp_path / "VirtualBox"
        folder.mkdir()
        (folder / "VBoxSVC").touch()
        monkeypatch.setenv(installation.VARIABLES[0], str(folder))
        monkeypatch.setattr(installation.Installation, "version", version)
        return folder

    return there


@pytest.fixture
def lay(tmp_path: Path) -> Callable[..., Host]:
    """Lay out a machine: `files` has texts by paths; the keywords are those of `Host`."""

    def make(files: dict[str, str] | None = None, **more: object) -> Host:
        root = tmp_path / "root"
        (root / "tmp").mkdir(parents=True)
        for name, text in (files or {}).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        usual = Host(root=root, platform="linux", kernel="6.12.48-amd64", user="ann", uid=1000)
        return dataclasses.replace(usual, **more)  # type: ignore[arg-type]  # passed on as given

    return make


@pytest.fixture
def plain_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run each test in a folder and a home of its own, with consoles of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VBOXKIT_HOME", str(tmp_path / "home"))
    for name in ("VBOXKIT_DEBUG", "VBOXKIT_SANDBOX", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    output._console.cache_clear()
    yield
    output._console.cache_clear()
