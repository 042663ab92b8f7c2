"""Exports that cannot be: a typed error, and nothing left behind."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import (
    AlreadyExistsError,
    ApiError,
    NotFoundError,
    OvfError,
    PasswordError,
    StorageError,
    WaitTimeoutError,
)
from vboxkit.ovf import VMware, inspect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vboxkit import Machine, Progress, VirtualBox

pytestmark = pytest.mark.vbox


@pytest.fixture
def folder(tmp_path: Path, inventory: Callable[[], set[str]], machine: Machine) -> Iterator[Path]:
    """Give a folder; nothing is in it after the test, and VirtualBox has what it had."""
    before, own = inventory(), str(machine.folder)
    place = tmp_path / "exports"
    place.mkdir()
    yield place
    assert list(place.iterdir()) == []
    # The tests themselves put disks into the machine's folder.
    assert {line for line in inventory() - before if own not in line} == set()


@pytest.mark.parametrize(
    ("options", "sentence", "hint"),
    [
        ({"format": "ovf-3.0"}, "no format 'ovf-3.0'", "'ovf-0.9', 'ovf-1.0', 'ovf-2.0'"),
        ({"format": "opc-1.0"}, "no format 'opc-1.0'", "'ovf-2.0'"),
        ({"macs": "some"}, "no MAC policy 'some'", "'keep', 'strip', 'strip-non-nat'"),
        ({"flavour": "qemu"}, "no flavour 'qemu'", "'virtualbox', 'vmware'"),
        ({"flavour": "vmware", "format": "ovf-2.0"}, "do not read ovf-2.0", "ovf-1.0"),
        ({"product": "a\0b"}, r"product cannot hold the character U\+0000", "control characters"),
    ],
)
def test_unknown_words(
    machine: Machine, folder: Path, options: dict[str, Any], sentence: str, hint: str
) -> None:
    """Each is named, with those there are."""
    with pytest.raises(ApiError, match=sentence) as caught:
        machine.export(folder / "a.ova", **options)
    assert caught.value.operation in {"export", "set it"}
    assert hint in (caught.value.hint or "")


def test_unknown_words_for_vmware() -> None:
    """They are refused when they are said."""
    cases: list[dict[str, Any]] = [{"hardware": 7}, {"adapter": "Virtio"}, {"digest": "md5"}]
    for wrong in cases:
        with pytest.raises(OvfError, match="is none"):
            VMware(**wrong)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a.tar", r"ends in \.ova or \.ovf"),
        ("a", r"ends in \.ova or \.ovf"),
        ("no/a.ova", "there is no folder .*no"),
        ("y" * 200 + ".ova", "NAME_TOO_LONG"),
    ],
)
def test_wrong_places(machine: Machine, folder: Path, name: str, sentence: str) -> None:
    """Another suffix, a folder that is not there, a name for which tar has no room."""
    with pytest.raises(StorageError, match=sentence) as caught:
        machine.export(folder / name)
    assert caught.value.hint


def test_a_folder_of_that_name(machine: Machine, tmp_path: Path) -> None:
    """It stays."""
    (tmp_path / "a.ova").mkdir()
    with pytest.raises(StorageError, match="it is a folder"):
        machine.export(tmp_path / "a.ova", overwrite=True)
    assert (tmp_path / "a.ova").is_dir()


@pytest.mark.parametrize("taken", ["a.ovf", "a.mf", "a.cert", "{}-disk001.vmdk"])
def test_files_that_are_there_stay(machine: Machine, tmp_path: Path, taken: str) -> None:
    """Nothing is written over, be it the descriptor or a file that it would be read with."""
    place = tmp_path / taken.format(machine.name)
    place.write_text("mine")
    with pytest.raises(AlreadyExistsError, match=place.name) as caught:
        machine.export(tmp_path / "a.ovf")
    assert caught.value.wanted == str(place)
    assert [path.read_text() for path in tmp_path.iterdir() if path.is_file()] == ["mine"]


def test_machines_that_cannot_be(
    vbox: VirtualBox, machine: Machine, make: Callable[..., Machine], folder: Path,
    label: Callable[[str], str],
) -> None:  # fmt: skip
    """None, one twice, one that is gone, one of a long name, one with a disk on USB."""
    with pytest.raises(ApiError, match="no machine to export"):
        vbox.appliances.export([], folder / "a.ova")
    with pytest.raises(AlreadyExistsError, match="there are 2 machines"):
        vbox.appliances.export([machine, machine], folder / "a.ova")
    gone = make()
    gone.destroy()
    with pytest.raises(NotFoundError, match="does not exist any more"):
        vbox.appliances.export([machine, gone], folder / "a.ova")
    long = make(name=label("x" * 90))
    with pytest.raises(ApiError, match="over 86 bytes"):
        long.export(folder / "a.ova")
    long.destroy()
    machine.storage.add("USB")
    disk = vbox.media.create(machine.folder / "stick.vdi", size_mb=1)
    machine.storage.attach(disk, controller="USB")
    with pytest.raises(ApiError, match="USB controller 'USB'"):
        machine.export(folder / "a.ova")


def test_a_machine_without_disks_is_an_appliance(
    vbox: VirtualBox, bare: Callable[[], Machine], tmp_path: Path, label: Callable[[str], str]
) -> None:
    """Its hardware is all there is."""
    machine = bare()
    again = vbox.appliances.import_(machine.export(tmp_path / "a.ova").path, name=label("back"))
    assert again.storage.attachments == []
    assert again.memory_mb == machine.memory_mb


def test_a_disk_that_is_missing(vbox: VirtualBox, machine: Machine, folder: Path) -> None:
    """Its path is in the error."""
    disk = vbox.media.create(machine.folder / "gone.vdi", size_mb=1)
    machine.storage.attach(disk, controller="IDE")
    disk.location.rename(disk.location.with_suffix(".away"))
    try:
        with pytest.raises(StorageError, match=r"gone\.vdi") as caught:
            machine.export(folder / "a.ova")
        assert "disks are there" in (caught.value.hint or "")
    finally:
        disk.location.with_suffix(".away").rename(disk.location)


def test_passwords(vbox: VirtualBox, machine: Machine, folder: Path) -> None:
    """One that is missing and one that is wrong are told apart."""
    disk = vbox.media.create(machine.folder / "secret.vdi", size_mb=1)
    machine.storage.attach(disk, controller="IDE")
    disk.encrypt(password="right", password_id="it")
    with pytest.raises(PasswordError, match="password 'it', which is not given") as caught:
        machine.export(folder / "a.ova")
    assert "passwords={'it': ...}" in (caught.value.hint or "")
    with pytest.raises(PasswordError, match="incorrect"):
        machine.export(folder / "a.ova", passwords={"it": "wrong"})


class _StopError(Exception):
    pass


def _stop(progress: Progress) -> None:
    if progress.what == "export" and progress.percent > 5:
        raise _StopError


@pytest.mark.parametrize("name", ["a.ova", "a.ovf"])
@pytest.mark.parametrize("flavour", ["virtualbox", "vmware"])
def test_what_is_given_up_leaves_nothing(
    machine: Machine, folder: Path, name: str, flavour: Any
) -> None:
    """A hook that raises, a timeout, and Ctrl-C; afterwards it works."""
    with pytest.raises(_StopError):
        machine.export(folder / name, flavour=flavour, on_update=_stop)
    with pytest.raises(WaitTimeoutError):
        machine.export(folder / name, flavour=flavour, timeout=0.05)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        for _ in range(100):
            machine.export(folder / name, flavour=flavour, overwrite=True)
    timer.join()
    # One that had just become whole is there under its name.
    if any(folder.iterdir()):
        inspect(folder / name).check()
    assert [path for path in folder.iterdir() if path.name.startswith(".")] == []
    for path in folder.iterdir():
        path.unlink()
    done = machine.export(folder / name, flavour=flavour)
    assert {path.name for path in folder.iterdir()} == {path.name for path in done.files}
    for path in done.files:
        path.unlink()


def test_a_failure_at_the_last_moment_takes_all_back(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old appliance is there again as it was if the new one cannot be moved in."""
    machine.export(tmp_path / "a.ovf")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    machine.memory_mb += 4
    # The last thing to be moved, made a folder's name while nobody looks.
    real = type(tmp_path).replace

    def fail(self: Path, target: Path) -> Path:
        if target == tmp_path / "a.ovf" and self.parent.name == "new":
            raise OSError(28, os.strerror(28))
        return real(self, target)

    monkeypatch.setattr(type(tmp_path), "replace", fail)
    with pytest.raises(StorageError, match="No space left"):
        machine.export(tmp_path / "a.ovf", overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_on_a_full_disk_nothing_is_left(on_small_disk: Callable[[str], list[str]]) -> None:
    """VirtualBox's failure to write is a `StorageError`, and the disk has all its room again."""
    lines = on_small_disk(
        """
        import shutil
        from vboxkit.core import resources
        from vboxkit.errors import StorageError
        machine = vbox.appliances.import_(resources.resource("tiny/tiny.ova"), name="full")
        for name in ("a.ova", "a.ovf"):
            try:
                machine.export(f"{small}/{name}")
            except StorageError as error:
                print("DISK_FULL" in str(error))
        print(sorted(os.listdir(small)), shutil.disk_usage(small).used)
        machine.destroy()
        """
    )
    assert lines == ["True"] * 2 + ["[] 0"]
