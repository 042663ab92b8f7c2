from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vboxkit.com import installation
from vboxkit.errors import SetupError, VirtualBoxNotFoundError
from vboxkit.host import doctor
from vboxkit.host.sandbox import Sandbox, SandboxStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vboxkit.host.doctor import Finding


def by_name(findings: Iterable[Finding]) -> dict[str, Finding]:
    """Return the findings by their names."""
    return {finding.name: finding for finding in findings}


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say which sandbox there is."""

    def there(**status: object) -> None:
        now = SandboxStatus(Path("/s"), **status)  # type: ignore[arg-type]  # passed on as given
        monkeypatch.setattr(Sandbox, "status", lambda _: now)

    monkeypatch.setattr(doctor, "inside_sandbox", lambda: False)
    there()
    return there


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for VirtualBox in no place at all."""
    monkeypatch.setattr(installation, "_candidates", lambda _: iter(()))


def test_everything_is_examined(sandbox: Callable[..., None]) -> None:
    """On any machine each check gives a finding, and each problem has a remedy."""
    found = by_name(doctor.examine())
    assert {"Python", "VirtualBox", "kernel driver", "disk", "sandbox"} <= set(found)
    assert all(finding.remedy for finding in found.values() if finding.status == "problem")


def test_no_virtualbox_is_a_problem(sandbox: Callable[..., None], nowhere: None) -> None:
    """The remedy is the hint of the error."""
    with pytest.raises(VirtualBoxNotFoundError) as caught:
        installation.find()
    (found,) = doctor._virtualbox()
    assert (found.status, found.remedy) == ("problem", caught.value.hint)


def test_a_sandbox_is_a_virtualbox(sandbox: Callable[..., None], nowhere: None) -> None:
    """With a sandbox a machine without VirtualBox is fine."""
    sandbox(exists=True, virtualbox="7.2.22")
    (found,) = doctor._virtualbox()
    assert found.status == "ok"
    assert "7.2.22" in found.detail


@pytest.mark.parametrize(
    ("version", "status"), [("7.2.22", "ok"), ("6.1.50", "problem"), (None, "warning")]
)
def test_version(
    sandbox: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str | None,
    status: str,
) -> None:
    """VirtualBox 7 is wanted; one that cannot tell its version is doubtful."""
    (tmp_path / "VBoxSVC").touch()
    monkeypatch.setenv(installation.VARIABLES[0], str(tmp_path))
    monkeypatch.setattr(installation.Installation, "version", version)
    # The next finding is of vboxapi, which is not there: tests/vbox looks at a real one.
    found = next(iter(doctor._virtualbox()))
    assert (found.name, found.status) == ("VirtualBox", status)


def test_no_driver_is_a_warning(
    sandbox: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machines run without it, slowly."""
    monkeypatch.setattr(installation, "driver_available", lambda: False)
    (found,) = doctor._kernel_driver()
    assert found.status == "warning"
    assert "emulated" in found.detail


def test_a_failing_check_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that cannot look says so; the others go on."""

    def _odd_thing() -> list[Finding]:
        raise SetupError("no eyes")

    monkeypatch.setattr(doctor, "_CHECKS", (_odd_thing, doctor._python))
    first, second = doctor.examine()
    assert (first.name, first.status) == ("odd thing", "warning")
    assert "no eyes" in first.detail
    assert second.name == "Python"


@pytest.mark.parametrize(("kilobytes", "status"), [(8_000_000, "ok"), (100_000, "warning")])
def test_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kilobytes: int, status: str
) -> None:
    """Little free memory is a warning."""
    file = tmp_path / "meminfo"
    file.write_text(f"MemTotal: 1 kB\nMemAvailable:  {kilobytes} kB\n")
    assert doctor._available_mb(file) == kilobytes // 1024
    monkeypatch.setattr(doctor, "_available_mb", lambda _: kilobytes // 1024)
    assert [finding.status for finding in doctor._memory()] == [status]


def test_unknown_memory_is_no_finding(tmp_path: Path) -> None:
    """Where the system does not tell, nothing is said."""
    assert doctor._available_mb(tmp_path / "none") is None


@pytest.mark.parametrize(("stale", "status"), [(False, "ok"), (True, "warning")])
def test_stale_sandbox(sandbox: Callable[..., None], *, stale: bool, status: str) -> None:
    """An old recipe is a warning with the command that renews it."""
    sandbox(exists=True, stale=stale)
    (found,) = doctor._sandbox()
    assert found.status == status
    assert (found.remedy == "vboxkit sandbox create") is stale
