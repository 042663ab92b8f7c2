"""What goes wrong outside of the guest's SSH: names, known_hosts, a callback, a broken tar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.core.waiting import Deadline
from vboxkit.errors import GuestConnectionError, GuestError, GuestFileError
from vboxkit.guest import SSH, Address, Credentials
from vboxkit.lab import clock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.guest.conftest import MakeGuest, MakeSSH

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1SFzMdyCJ7hyRRjC6Gh4ELUIcYiPmKIs3SDoLaI4mR"


@pytest.mark.parametrize("host", ["a" * 70, "a..b", "\udc80"])
def test_a_name_that_can_be_none(host: str) -> None:
    """A name that no resolver takes is no such host, as any other that is not there."""
    with pytest.raises(GuestConnectionError, match="no such host"):
        SSH(Address(host), Credentials()).connect(timeout=30)


def test_a_damaged_line_of_known_hosts_is_none(tmp_path: Path) -> None:
    """As for OpenSSH, other lines count all the same; marks and odd letters do no harm."""
    known = tmp_path / "known hosts"
    known.write_bytes(
        b"# caf\xe9\nother ssh-ed25519 AAA!\n@revoked web.test ssh-ed25519 AAAA\n\n"
        + f"web.test,10.0.0.1 {KEY}\n".encode()
    )
    inner = tmp_path / "a=b  c"
    inner.write_text(f'Host web\n  HostName web.test\n  UserKnownHostsFile "{known}"\n')
    outer = tmp_path / "config"
    outer.write_text(f'Include="{inner}"\n')
    assert SSH.from_config("web", file=outer).host_key == KEY


@pytest.fixture(params=[True, False], ids=["sftp", "shell"])
def there(request: pytest.FixtureRequest, make_guest: MakeGuest, make_ssh: MakeSSH) -> Any:
    """Make a guest with SFTP, or without, and its client."""
    guest = make_guest(sftp=request.param)
    return guest, make_ssh(guest)


@pytest.mark.parametrize("verb", ["put", "get", "put_tree", "get_tree"])
def test_a_progress_callback_that_raises(there: Any, tmp_path: Path, verb: str) -> None:
    """It passes as it is, nothing is left on either side, and the connection stays."""
    guest, ssh = there
    mine = tmp_path / "mine"
    for top in (mine, guest.folder):
        (top / "tree").mkdir(parents=True)
        (top / "tree/file").write_bytes(bytes(300_000))
        (top / "file").write_bytes(bytes(300_000))

    class OddError(Exception):
        pass

    def tell(done: int, _total: int, _name: str) -> None:
        if done > 100_000:
            raise OddError

    name = "tree" if verb.endswith("tree") else "file"
    source = mine / name if verb.startswith("put") else str(guest.folder / name)
    target = str(guest.folder / "new") if verb.startswith("put") else mine / "new"
    with pytest.raises(OddError):
        getattr(ssh, verb)(source, target, progress=tell)
    assert ssh.exists(str(guest.folder / "file"))
    for top in (mine, guest.folder):
        assert sorted(it.name for it in top.iterdir()) == ["file", "tree"]
    assert guest.accepted == 1


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_a_tar_that_sends_something_else(
    make_guest: MakeGuest, make_ssh: MakeSSH, tmp_path: Path, size: int
) -> None:
    """What is no archive is an error of the guest's files, however much of it there is."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "tar").write_text(f"#!/bin/sh\nhead -c {size} /dev/zero | tr '\\0' x\n")
    (programs / "tar").chmod(0o755)
    guest = make_guest(path=programs)
    (guest.folder / "tree").mkdir()
    with pytest.raises(GuestFileError, match="its tar sends is damaged"):
        make_ssh(guest).get_tree("tree", tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_a_clock_that_cannot_be_read(
    make_guest: MakeGuest, make_ssh: MakeSSH, tmp_path: Path
) -> None:
    """A guest whose tools say something else is told as that, with what they say."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "date").write_text("#!/bin/sh\necho Monday\n")
    (programs / "date").chmod(0o755)
    with pytest.raises(GuestError, match="its clock cannot be read, it says 'Monday'"):
        clock.offset(make_ssh(make_guest(path=programs)), Deadline(30))
