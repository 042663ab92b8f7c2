"""Connecting: host keys, log in, readiness, and a cut or silence at every point."""

from __future__ import annotations

import pickle
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import (
    CommandTimeoutError,
    GuestAuthError,
    GuestConnectionError,
    GuestError,
    HostKeyError,
    WaitTimeoutError,
)
from vboxkit.guest import SSH, Address, Credentials
from vboxkit.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.guest.conftest import MakeGuest, MakeSSH


def plan(at: str, how: str = "close") -> Any:
    """Say how one connection goes wrong."""
    from guest_server import Plan  # type: ignore[import-not-found]

    return Plan(at, how)


def public(path: Path) -> str:
    """Return a public key as ``type base64``."""
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


def test_lazy_and_closed(guest: Any, make_ssh: MakeSSH) -> None:
    """Nothing is connected before the first use, nor after the end; another use connects again."""
    with make_ssh(guest) as ssh:
        assert not ssh.connected
        ssh.run("true")
        assert ssh.connected
    assert not ssh.connected
    ssh.close()
    assert ssh.run("true").ok


def test_pinned_key_is_accepted(guest: Any, make_ssh: MakeSSH, keys: dict[str, Path]) -> None:
    """The key that is expected may have a comment."""
    ssh = make_ssh(guest, host_key=keys["host"].with_name("host.pub").read_text())
    assert ssh.run("true").ok


def test_changed_key_is_refused_before_anything_is_sent(
    guest: Any, make_ssh: MakeSSH, keys: dict[str, Path]
) -> None:
    """Another key than the pinned one: both fingerprints are named, no credentials leave."""
    ssh = make_ssh(guest, host_key=public(keys["other"]), password="secret")
    with pytest.raises(HostKeyError) as caught:
        ssh.run("true")
    assert str(caught.value).count("SHA256:") == 2
    assert caught.value.expected == public(keys["other"])
    assert caught.value.seen == public(keys["host"])
    assert guest.offers == 0
    assert pickle.loads(pickle.dumps(caught.value)).seen == caught.value.seen  # noqa: S301


def test_learned_key_is_pinned(
    make_guest: MakeGuest, make_ssh: MakeSSH, keys: dict[str, Path]
) -> None:
    """The first key seen is kept, and a later other one is refused."""
    first = make_guest()
    ssh = make_ssh(first)
    assert ssh.host_key is None
    ssh.connect()
    assert ssh.host_key == public(keys["host"])
    other = make_guest(host=keys["other"])
    ssh.close()
    ssh.address = Address("127.0.0.1", other.port)
    with pytest.raises(HostKeyError):
        ssh.connect()
    assert ssh.host_key == public(keys["host"])


def test_key_of_a_guest_that_refused_us_is_not_learned(
    guest: Any, make_ssh: MakeSSH, keys: dict[str, Path]
) -> None:
    """Only a guest that let us in has its key pinned."""
    ssh = make_ssh(guest, key_file=keys["stranger"])
    with pytest.raises(GuestAuthError):
        ssh.connect()
    assert ssh.host_key is None


def test_wrong_key(guest: Any, make_ssh: MakeSSH, keys: dict[str, Path]) -> None:
    """The error says who, with what, and what the server takes."""
    with pytest.raises(GuestAuthError, match=r"did not let 'root' in with key .*stranger"):
        make_ssh(guest, key_file=keys["stranger"]).connect()


def test_missing_and_damaged_key_file(guest: Any, make_ssh: MakeSSH, tmp_path: Path) -> None:
    """A key file that cannot be used is told by its name."""
    with pytest.raises(GuestAuthError, match="nokey for machine 'web' does not exist"):
        make_ssh(guest, key_file=tmp_path / "nokey").connect()
    (tmp_path / "damaged").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    with pytest.raises(GuestAuthError, match="damaged for machine 'web' cannot be read"):
        make_ssh(guest, key_file=tmp_path / "damaged").connect()


def test_password(make_guest: MakeGuest, make_ssh: MakeSSH, keys: dict[str, Path]) -> None:
    """A password is used when there is no key, or when the key is refused."""
    guest = make_guest(password="geheim")
    assert make_ssh(guest, key_file=None, password="geheim").run("true").ok
    assert make_ssh(guest, key_file=keys["stranger"], password="geheim").run("true").ok


def test_password_is_never_shown(guest: Any, make_ssh: MakeSSH) -> None:
    """Neither a repr nor an error has the password."""
    ssh = make_ssh(guest, key_file=None, password="geheim")
    with pytest.raises(GuestAuthError) as caught:
        ssh.connect()
    shown = [repr(ssh), repr(ssh.credentials), str(ssh.credentials), str(caught.value)]
    shown += [repr(caught.value), str(vars(caught.value))]
    assert "geheim" not in "".join(shown)


def test_refused_connection(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """Nobody listens: said at once, with the address and what to try."""
    with pytest.raises(GuestConnectionError, match=r"refused.*\n.*wait_ready"):
        make_ssh(make_guest(listen=False)).connect()


def test_unknown_host() -> None:
    """A name that does not resolve is told as such."""
    with pytest.raises(GuestConnectionError, match="no such host"):
        SSH(Address("nowhere.invalid", 22), Credentials()).connect()


BEFORE = ["accept", "banner", "key exchange", "login"]


@pytest.mark.parametrize("at", BEFORE)
def test_cut_while_connecting(make_guest: MakeGuest, make_ssh: MakeSSH, at: str) -> None:
    """A connection that breaks while it is made is an error at once that names the stage."""
    ssh = make_ssh(make_guest(plans=[plan(at)]))
    with pytest.raises(GuestConnectionError, match=at.replace("accept", "banner")) as caught:
        ssh.connect(timeout=30)
    assert not isinstance(caught.value, GuestAuthError)
    assert not ssh.connected
    assert ssh.run("true").ok


@pytest.mark.parametrize("at", BEFORE)
def test_silence_while_connecting(make_guest: MakeGuest, make_ssh: MakeSSH, at: str) -> None:
    """A server that falls silent is given up in time."""
    ssh = make_ssh(make_guest(plans=[plan(at, "hang")]))
    begin = time.monotonic()
    with pytest.raises(GuestConnectionError, match="no answer in time") as caught:
        ssh.connect(timeout=0.4)
    assert not isinstance(caught.value, GuestAuthError)
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("at", ["exec", "output"])
def test_cut_while_running(make_guest: MakeGuest, make_ssh: MakeSSH, at: str) -> None:
    """A command whose connection breaks is not sent again."""
    guest = make_guest(plans=[plan(at)])
    with pytest.raises(GuestConnectionError, match="in the middle of 'echo a; sleep 9'"):
        make_ssh(guest).run("echo a; sleep 9")
    assert len(guest.commands) == 1
    assert guest.accepted == 1


def test_cut_while_opening_connects_once_more(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """Before the command was sent, a dead connection is replaced, once."""
    guest = make_guest(plans=[plan("open")])
    assert make_ssh(guest).succeed("echo a") == "a\n"
    assert guest.accepted == 2
    guest = make_guest(plans=[plan("open"), plan("open")])
    with pytest.raises(GuestConnectionError, match="opening a channel"):
        make_ssh(guest).run("true")
    assert guest.accepted == 2


@pytest.mark.parametrize("at", ["open", "exec", "output"])
def test_silence_while_running(
    make_guest: MakeGuest, make_ssh: MakeSSH, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest that stops talking in the middle is a timeout that says what is known."""
    monkeypatch.setattr("vboxkit.guest.commands.ORDER", 0.3)
    ssh = make_ssh(make_guest(plans=[plan(at, "hang")]))
    ssh.connect()
    begin = time.monotonic()
    with pytest.raises(CommandTimeoutError, match=r"may still run|did not even start"):
        ssh.run("echo a; sleep 1", timeout=0.3)
    assert time.monotonic() - begin < 15
    ssh.close()
    assert ssh.run("true").ok


def test_dead_transport_is_replaced_once(ssh: SSH, guest: Any) -> None:
    """A connection that died unused costs the next command one more, and no error."""
    ssh.run("true")
    guest.disconnect()
    assert ssh.run("true").ok
    assert guest.accepted == 2


def test_stuck_sender_is_freed(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """A guest that takes no more bytes does not hold a command beyond its timeout and grace."""
    ssh = make_ssh(make_guest())
    with pytest.raises(GuestError):
        ssh.run("sleep 30", input=b"x" * 20_000_000, timeout=0.3)
    assert ssh.run("true").ok


def test_ready_when_the_server_comes_later(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """Refused connections are tried again until somebody listens."""
    guest = make_guest(listen=False)
    timer = threading.Timer(0.3, guest.start)
    timer.start()
    begin = time.monotonic()
    ssh = make_ssh(guest).wait_ready(timeout=60)
    timer.join()
    assert ssh.connected
    assert 0.25 < time.monotonic() - begin < 20


def test_ready_after_some_broken_attempts(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """Closed, garbled and cut connections are "not yet"."""
    guest = make_guest(plans=[plan("accept"), plan("accept"), plan("banner"), plan("key exchange")])
    assert make_ssh(guest).wait_ready(timeout=60).connected
    assert guest.accepted == 5


def test_silent_connection_is_kept(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """An accepted but silent connection is waited on, not followed by more of them."""
    guest = make_guest(plans=[plan("accept", "hang")])
    with pytest.raises(WaitTimeoutError, match=r"no answer in time \(banner\)") as caught:
        make_ssh(guest, evidence=lambda: "last words of the console").wait_ready(timeout=0.5)
    assert guest.accepted == 1
    assert "last words of the console" in str(caught.value)
    assert isinstance(caught.value.__cause__, GuestConnectionError)


def test_silent_connection_is_given_up_for_a_new_one(
    make_guest: MakeGuest, make_ssh: MakeSSH, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that was lost does not hold us for good."""
    monkeypatch.setattr("vboxkit.guest.connection.BANNER_PATIENCE", (0.2, 1.0))
    guest = make_guest(plans=[plan("accept", "hang")])
    assert make_ssh(guest).wait_ready(timeout=60).connected
    assert guest.accepted == 2


def test_ready_passes_hopeless_errors(guest: Any, make_ssh: MakeSSH, keys: dict[str, Path]) -> None:
    """A wrong key, ours or the guest's, will not get better by waiting."""
    begin = time.monotonic()
    with pytest.raises(GuestAuthError):
        make_ssh(guest, key_file=keys["stranger"]).wait_ready(timeout=30)
    with pytest.raises(HostKeyError):
        make_ssh(guest, host_key=public(keys["other"])).wait_ready(timeout=30)
    assert time.monotonic() - begin < 25


def test_not_ready_says_where_it_stands(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """A refused port is told as such."""
    with pytest.raises(WaitTimeoutError) as caught:
        make_ssh(make_guest(listen=False)).wait_ready(timeout=0.2)
    assert "refused" in caught.value.last_seen


def test_noise_of_paramiko_is_not_heard(
    make_guest: MakeGuest, make_ssh: MakeSSH, caplog: pytest.LogCaptureFixture
) -> None:
    """Broken banners leave no tracebacks in anybody's log."""
    with pytest.raises(GuestConnectionError):
        make_ssh(make_guest(plans=[plan("banner")])).connect(timeout=30)
    assert not [r for r in caplog.records if r.name == "vboxkit.guest.paramiko"]


def test_threads_connect_only_once(ssh: SSH, guest: Any) -> None:
    """Threads that find no connection make one together."""
    threads = [threading.Thread(target=ssh.run, args=("true",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert guest.accepted == 1


def test_default_settings_are_used(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """Timeouts that are left out come from the settings."""
    ssh = make_ssh(make_guest(), settings=Settings(command_timeout=0.2))
    with pytest.raises(CommandTimeoutError, match=r"within 0\.2 s"):
        ssh.run("sleep 20")
