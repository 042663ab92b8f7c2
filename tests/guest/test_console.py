"""The serial log, keys, and what importing costs."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import paramiko
import pytest

from vboxkit.errors import WaitTimeoutError
from vboxkit.guest import Address, SerialLog, generate_key

if TYPE_CHECKING:
    from pathlib import Path


def test_log_that_is_not_there_yet(tmp_path: Path) -> None:
    """Before the machine runs there is no file, which is an empty log."""
    log = SerialLog(tmp_path / "serial.log")
    assert (log.text(), log.tail(), log.mark()) == ("", "", 0)


def test_wait_for_text_that_grows(tmp_path: Path) -> None:
    """Text is found though it comes in pieces, and in a file that comes later."""
    log = SerialLog(tmp_path / "serial.log")

    def speak() -> None:
        with log.path.open("wb", buffering=0) as file:
            file.write(b"Linux version 6\r\nvb")
            file.write(b"ox login: ")

    timer = threading.Timer(0.1, speak)
    timer.start()
    match = log.wait_for(r"(\w+) login: ", timeout=30)
    timer.join()
    assert match.group(1) == "vbox"


def test_mark_leaves_out_what_was(tmp_path: Path) -> None:
    """After a mark, old text does not count; a log begun anew counts whole."""
    log = SerialLog(tmp_path / "serial.log")
    log.path.write_bytes(b"login: " * 3)
    start = log.mark()
    with pytest.raises(WaitTimeoutError):
        log.wait_for("login", timeout=0.05, start=start)
    with log.path.open("ab") as file:
        file.write(b"login again")
    assert log.wait_for("login", timeout=1, start=start).string == "login again"
    log.path.write_bytes(b"login")
    assert log.wait_for("login", timeout=1, start=start).string == "login"


def test_timeout_shows_the_end_of_the_log(tmp_path: Path) -> None:
    """The error has the last lines, and survives bytes that are no text."""
    log = SerialLog(tmp_path / "serial.log")
    log.path.write_bytes(b"\xffone\r\nKernel panic\r\n")
    with pytest.raises(WaitTimeoutError, match="Kernel panic") as caught:
        log.wait_for("login", timeout=0.05)
    assert "one" in caught.value.evidence


def test_generated_key_is_usable_and_private(tmp_path: Path) -> None:
    """A pair in OpenSSH format; the private half is for its owner only."""
    path = generate_key(tmp_path / "deep" / "key", comment="of a test")
    key = paramiko.PKey.from_path(str(path))
    kind, blob, comment = (tmp_path / "deep" / "key.pub").read_text().split(maxsplit=2)
    assert (kind, blob, comment) == ("ssh-ed25519", key.get_base64(), "of a test\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(p.name for p in path.parent.iterdir()) == ["key", "key.pub"]


def test_key_comment_is_one_line(tmp_path: Path) -> None:
    """A line break would make a second line of authorized_keys."""
    with pytest.raises(ValueError, match="one line"):
        generate_key(tmp_path / "key", comment="a\nb")
    assert list(tmp_path.iterdir()) == []


def test_address_is_readable() -> None:
    """IPv6 addresses get their brackets."""
    assert str(Address("127.0.0.1", 2222)) == "127.0.0.1:2222"
    assert str(Address("::1")) == "[::1]:22"


def test_import_is_light() -> None:
    """Importing the package does not load paramiko; using it does."""
    code = (
        "import sys, vboxkit.guest as g; assert 'paramiko' not in sys.modules; g.Address; g.SSH; "
        "assert 'paramiko' in sys.modules; assert 'SSH' in dir(g)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_earlier_file_is_the_beginning(tmp_path: Path) -> None:
    """Text, marks and searches go over both files, as if they were one."""
    log = SerialLog(tmp_path / "b", earlier=tmp_path / "a")
    (tmp_path / "a").write_bytes(b"one\r\ntw")
    (tmp_path / "b").write_bytes(b"o\r\nthree")
    assert log.text() == "one\r\ntwo\r\nthree"
    assert log.mark() == 15
    assert log.text(start=9) == "\nthree"
    assert log.text(start=3) == "\r\ntwo\r\nthree"
    assert log.wait_for(r"two\r\n(\w+)", timeout=0)[1] == "three"
    assert log.text(start=99) == log.text()


def test_lines_are_followed_as_they_come(tmp_path: Path) -> None:
    """Whole lines come at once, the prompt at the end when the time is up."""
    log = SerialLog(tmp_path / "log")
    log.path.write_bytes(b"old\n")

    def speak() -> None:
        with log.path.open("ab", buffering=0) as file:
            file.write("one\r\nt\u00e4".encode()[:-1])
            file.write("\u00e4".encode()[1:] + b"o\r\nlogin: ")

    timer = threading.Timer(0.1, speak)
    timer.start()
    assert list(log.follow(timeout=3)) == ["one", "t\u00e4o", "login: "]
    timer.join()
    assert next(log.follow(start=0, timeout=0)) == "old"
