"""Encryption of disks and machines; passwords are nowhere but in the call."""

from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.vbox.disks import fill, iso, read
from vboxkit.core.steps import subscribe
from vboxkit.errors import (
    ApiError,
    InvalidStateError,
    LockedError,
    ModuleMissingError,
    NotFoundError,
    PasswordError,
    SetupError,
)
from vboxkit.machines import encryption
from vboxkit.machines.encryption import Encryption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit import Machine, VirtualBox
    from vboxkit.machines.medium import Medium

pytestmark = pytest.mark.vbox

SECRET, OTHER = "correct horse battery", "staple of letters"


@pytest.fixture
def medium(vbox: VirtualBox, place: Path) -> Medium:
    """Make a disk with something on it."""
    disk = vbox.media.create(place / "disk.vdi", size_mb=1)
    fill(disk, b"hello" * 1000)
    return disk


@pytest.fixture
def machine(bare: Callable[[], Machine]) -> Machine:
    """Give a machine without any controller."""
    return bare()


def test_disk_is_encrypted_changed_and_decrypted(vbox: VirtualBox, medium: Medium) -> None:
    """What is in the file cannot be read without the password; with it, it is what it was."""
    medium.encrypt(SECRET, password_id="mine")
    assert medium.is_encrypted
    assert medium.encryption == Encryption("AES-XTS256-PLAIN64", "mine")
    assert b"hello" not in medium.location.read_bytes()
    assert medium.check_password(SECRET)
    assert not medium.check_password(OTHER)
    assert read(medium, 5, password=SECRET) == b"hello"
    medium.encrypt(OTHER, cipher="AES-XTS128-PLAIN64", old_password=SECRET)
    assert medium.encryption == Encryption("AES-XTS128-PLAIN64", medium.id)
    assert not medium.check_password(SECRET)
    medium.decrypt(OTHER)
    assert medium.encryption is None
    assert not medium.is_encrypted
    assert b"hello" in medium.location.read_bytes()


def test_wrong_passwords_change_nothing(medium: Medium) -> None:
    """Missing, wrong and empty ones are `PasswordError`s; the disk is as it was."""
    medium.encrypt(SECRET)
    verbs: list[tuple[Callable[[], object], str]] = [
        (lambda: medium.encrypt(OTHER), "was not given"),
        (lambda: medium.encrypt(OTHER, old_password=OTHER), "another password"),
        (lambda: medium.decrypt(OTHER), "another password"),
        (lambda: medium.decrypt(""), "is empty"),
        (lambda: medium.encrypt("", old_password=SECRET), "is empty"),
    ]
    for verb, message in verbs:
        with pytest.raises(PasswordError, match=message) as caught:
            verb()
        assert str(medium.location) in str(caught.value)
        assert caught.value.hint
    assert medium.check_password(SECRET)


def test_what_is_not_encrypted(medium: Medium, machine: Machine) -> None:
    """Decrypting, checking and changing the password say so, for disks and machines."""
    for thing in (medium, machine):
        verbs: list[Callable[[], object]] = [
            lambda thing=thing: thing.decrypt(SECRET),  # type: ignore[misc]  # bound here
            lambda thing=thing: thing.check_password(SECRET),  # type: ignore[misc]
            lambda thing=thing: thing.encrypt(OTHER, old_password=SECRET),  # type: ignore[misc]
        ]
        for verb in verbs:
            with pytest.raises(InvalidStateError, match="is not encrypted") as caught:
                verb()
            assert "encrypt(password)" in str(caught.value.hint)
        assert thing.encryption is None
    with pytest.raises(InvalidStateError, match="is not encrypted"):
        machine.forget_password()
    with pytest.raises(InvalidStateError, match="has no encrypted disk"):
        machine.add_password(SECRET)


def test_wrong_ciphers_and_media(
    vbox: VirtualBox, medium: Medium, machine: Machine, place: Path
) -> None:
    """Unknown ciphers list the known ones; DVDs are not encrypted; a password is text."""
    wrong: Any = "ROT13"
    with pytest.raises(ApiError, match="no such cipher") as caught:
        medium.encrypt(SECRET, cipher=wrong)
    assert caught.value.hint == "one of AES-XTS256-PLAIN64, AES-XTS128-PLAIN64"
    with pytest.raises(ApiError, match="no such cipher") as caught:
        machine.encrypt(SECRET, cipher=wrong)
    assert caught.value.hint == "one of AES-256, AES-128"
    with pytest.raises(ApiError, match="it is for a DVD"):
        vbox.media.open(iso(place / "x.iso")).encrypt(SECRET)
    number: Any = 123456789
    with pytest.raises(TypeError, match="a password is str, not int") as other:
        medium.encrypt(number)
    assert "123456789" not in str(other.value)
    assert (medium.encryption, machine.encryption) == (None, None)


def test_machine_is_encrypted_locked_unlocked_and_decrypted(
    vbox: VirtualBox, machine: Machine, medium: Medium
) -> None:
    """Its settings and disks; without the password it is inaccessible, with it as it was."""
    machine.description = "confidential"
    machine.storage.add("SATA").attach(medium)
    machine.encrypt(SECRET, password_id="mine")
    assert machine.encryption == Encryption("AES-256", "mine")
    assert machine.is_encrypted
    assert medium.encryption == Encryption("AES-XTS256-PLAIN64", "mine")
    assert "confidential" not in machine.settings_file.read_text()
    assert machine.check_password(SECRET)
    assert not machine.check_password(OTHER)
    with pytest.raises(PasswordError):
        machine.encrypt(OTHER)
    with machine.edit():
        # VBoxSVC dies of it while somebody has the lock.
        with pytest.raises(LockedError):
            machine.forget_password()
        machine.description = "still confidential"
    name, file = machine.name, machine.settings_file
    machine.forget_password()
    assert str(file) in vbox.machines.inaccessible()
    assert name not in vbox.machines
    # A wrong password that came as far as VirtualBox would hide the right one from then on.
    with pytest.raises(PasswordError, match="another password"):
        vbox.machines.unlock(name, password=OTHER)
    with pytest.raises(NotFoundError) as caught:
        vbox.machines.unlock("no such machine", password=SECRET)
    assert caught.value.available == (str(file),)
    again = vbox.machines.unlock(file, password=SECRET)
    assert again == machine
    assert again.description == "still confidential"
    assert vbox.machines.unlock(name, password="anything") == machine  # it is open already
    machine.decrypt(SECRET)
    assert machine.encryption is None
    # Locked, the machine has taken its media out of VirtualBox's sight: the object is a new one.
    assert machine.disks == [medium]
    assert machine.disks[0].encryption is None
    assert "still confidential" in file.read_text()


def test_machine_in_a_state_in_which_it_cannot_be_encrypted(
    machine: Machine, medium: Medium
) -> None:
    """Inside an edit, which could not undo it; with a disk that has a password of its own."""
    with machine.edit():
        with pytest.raises(InvalidStateError, match=r"no place in edit\(\)"):
            machine.encrypt(SECRET)
    machine.storage.add("SATA").attach(medium)
    medium.encrypt(OTHER)
    with pytest.raises(InvalidStateError, match="password of its own") as caught:
        machine.encrypt(SECRET)
    assert str(medium.location) in str(caught.value)
    assert machine.encryption is None
    with pytest.raises(InvalidStateError, match="no running VM"):
        machine.add_password(OTHER)
    with pytest.raises(PasswordError):
        machine.add_password(SECRET)


class _Without:
    """A raw object whose disks cannot be encrypted; everything else is VirtualBox."""

    def __init__(self, com: Any, error: BaseException) -> None:
        self._com = com
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._com, name)

    def createMedium(self, *arguments: Any) -> Any:  # noqa: N802 - VirtualBox's name
        return _Without(self._com.createMedium(*arguments), self._error)

    def changeEncryption(self, *_: Any) -> Any:  # noqa: N802
        raise self._error


@pytest.fixture
def without_module(vbox: VirtualBox, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let VirtualBox refuse to encrypt, as one does that lacks the extension pack."""
    api: Any = vbox._api
    words = "Encryption is not supported because the extension pack is missing"
    error = api._exception(0x80BB0009 - (1 << 32), words)
    monkeypatch.setattr(type(api), "virtualbox", property(lambda s: _Without(s._virtualbox, error)))
    encryption._able.discard(api)
    yield
    encryption._able.discard(api)


@pytest.mark.usefixtures("without_module")
def test_missing_module_is_found_before_anything_is_changed(
    vbox: VirtualBox, medium: Medium, machine: Machine
) -> None:
    """The error says which module, and how to get it; nothing of the try is left."""
    home = set(vbox.home.iterdir())
    for thing in (medium, machine):
        with pytest.raises(ModuleMissingError, match="cannot encrypt: Encryption is not") as caught:
            thing.encrypt(SECRET)
        assert isinstance(caught.value, SetupError)
        assert caught.value.module == "Oracle VirtualBox Extension Pack"
        assert "extpack install" in str(caught.value.hint)
        assert ".".join(map(str, vbox.version)) in str(caught.value)
        assert thing.encryption is None
    assert set(vbox.home.iterdir()) == home
    assert [m for m in vbox.media if vbox.home in m.location.parents and "try" in m.name] == []
    assert read(medium, 5) == b"hello"


def texts_of(error: BaseException | None) -> Iterator[str]:
    """Yield all that an error, and those that it came from, can show."""
    while error is not None:
        yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
        if isinstance(error, ApiError):
            yield repr(pickle.dumps(error, 0))
        error = error.__cause__ or error.__context__


def command_lines() -> Iterator[str]:
    """Yield the command lines of all processes."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield file.read_text(errors="replace")
        except OSError:
            continue


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads /proc")  # noqa: PTH112
def test_passwords_are_nowhere(
    vbox: VirtualBox, medium: Medium, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in logs, steps, errors and their causes, nor in process lists or files."""
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []

    def look(progress: object = None) -> None:
        seen.extend(command_lines())
        seen.extend((repr(progress), repr(vars(progress)) if progress else ""))

    with subscribe(lambda step: seen.append(repr(vars(step)))):
        machine.storage.add("SATA").attach(medium)
        medium.encrypt(SECRET, on_update=look)
        medium.check_password(OTHER)
        wrong: Any = SECRET
        verbs: list[Callable[[], object]] = [
            lambda: medium.encrypt(OTHER),
            lambda: medium.encrypt(SECRET, old_password=OTHER),
            # The password in the place of the cipher.
            lambda: medium.encrypt(SECRET, cipher=wrong, old_password=SECRET),
            lambda: medium.decrypt(OTHER),
            lambda: machine.encrypt(SECRET),
            lambda: machine.add_password(SECRET),
            lambda: machine.add_password(OTHER, password_id=medium.id),
            # What VirtualBox itself says of a wrong one.
            lambda: medium._drive(
                medium.com.changeEncryption(OTHER, "", "", ""), "decrypt", None, look
            ),
        ]
        for verb in verbs:
            with pytest.raises(ApiError) as caught:
                verb()
            seen.extend(texts_of(caught.value))
        medium.decrypt(SECRET, on_update=look)
    seen += [repr(vars(record)) for record in caplog.records]
    seen += [repr(medium), repr(vars(medium)), repr(machine), repr(vars(encryption))]
    seen += [p.read_text(errors="replace") for p in vbox.home.glob("*.log*")]
    seen += [p.read_text(errors="replace") for p in vbox.home.glob("*.xml*")]
    seen += [p.read_text(errors="replace") for p in machine.folder.glob("*.vbox*")]
    assert len(seen) > 50
    assert any("encrypt" in text for text in seen)
    assert not [text for text in seen if SECRET in text or OTHER in text]
