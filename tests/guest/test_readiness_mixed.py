"""Conditions that are put together, and what is looked at from this host."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.guest.surroundings import Place, later, server
from vboxkit.core.waiting import wait_until
from vboxkit.errors import WaitTimeoutError
from vboxkit.guest.readiness import all_of, any_of, console_text, file, ip, port, ssh

if TYPE_CHECKING:
    from guest_server import Plan  # type: ignore[import-not-found]
else:
    from sys import modules

    Plan = modules["guest_server"].Plan


@pytest.mark.parametrize(
    ("server_says", "send", "value"),
    [
        ({"greeting": b"220 hello\r\n"}, None, b"220 hello\r\n"),
        ({"answer": b"HTTP/1.0 200"}, b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 200"),
        ({}, None, b""),
    ],
)
def test_a_port_through_the_forward(
    place: Place, server_says: dict[str, bytes], send: bytes | None, value: bytes
) -> None:
    """A server's greeting, its answer, or that it keeps a silent connection."""
    condition = port(80, where="host", send=send)
    with server(**server_says) as place.forwarded:
        assert place.wait(condition)[condition] == value


def test_a_forward_with_nobody_behind_it(place: Place) -> None:
    """A connection that is closed at once, as by NAT, or refused, is not ready."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        place.forwarded = sock.getsockname()[1]

        def turn_away() -> None:
            with suppress(OSError):
                while True:
                    sock.accept()[0].close()

        thread = threading.Thread(target=turn_away)
        thread.start()
        try:
            with pytest.raises(WaitTimeoutError) as caught:
                place.wait(port(80, where="host"), timeout=0.5)
        finally:
            sock.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert "nobody who speaks" in caught.value.last_seen


def test_all_of_waits_for_the_last(place: Place) -> None:
    """Each part has to hold, in whatever order they come."""
    one, two = place.folder / "1", place.folder / "2"
    one.touch()
    with later(0.4, two.touch):
        met = place.wait(all_of(file(str(one)), file(str(two))))
        assert two.exists()
    assert file(str(one)) in met
    assert file(str(two)) in met


def test_any_of_tells_which(place: Place) -> None:
    """One is enough, and it is named."""
    there = file(str(place.folder))
    met = place.wait(any_of(file("/nowhere"), there))
    assert there in met
    assert file("/nowhere") not in met


def test_all_kinds_together(place: Place) -> None:
    """What the guest looks at and what this host looks at, nested."""
    path = place.folder / "x"

    def go() -> None:
        place.console.path.write_text("booting\r\nlogin: ")
        path.touch()

    text = console_text(r"log(in)")
    place.address = lambda: "10.0.2.15" if path.exists() else None
    with later(0.4, go):
        met = place.wait(all_of(any_of(file("/nowhere"), file(str(path))), text, ip()))
    assert met[text][1] == "in"
    assert met[ip()] == "10.0.2.15"
    assert not [t for t in threading.enumerate() if t.name == "vboxkit-wait"]


def test_the_console_may_win(place: Place) -> None:
    """Of any_of(...) the host's part may come first; the guest's thread ends."""
    with later(0.3, lambda: place.console.path.write_text("panic")):
        met = place.wait(any_of(file("/nowhere"), console_text("panic")))
    assert console_text("panic") in met
    assert not [t for t in threading.enumerate() if t.name == "vboxkit-wait"]


def test_a_timeout_of_all_kinds_together(place: Place) -> None:
    """Each part says for itself what was there."""
    place.console.path.write_text("first\nlast line")
    there = file(str(place.folder))
    with pytest.raises(WaitTimeoutError) as caught:
        place.wait(all_of(there, file("/nowhere"), console_text("never")), timeout=3)
    seen = caught.value.last_seen
    assert f"{there}: is there" in seen
    assert "no such file" in seen
    assert "last line" in seen


def test_who_has_what_he_waited_for_is_not_held_up(place: Place) -> None:
    """The guest's loop is told that nobody waits any more; it is not waited for until its turn."""
    late = []
    for number in range(5):
        said = f"panic {number}"
        made: list[float] = []

        def panic(said: str = said, made: list[float] = made) -> None:
            made.append(time.monotonic())
            with place.console.path.open("a") as console:
                console.write(said)

        with later(0.3 + number / 9, panic):
            place.wait(any_of(file("/nowhere"), console_text(said)))
            late.append(time.monotonic() - made[0])
    assert sorted(late)[2] < 0.4  # 0.05 s on a machine with nothing else to do; once 0.5 s


def test_a_silent_server_holds_nobody_up(place: Place) -> None:
    """A connection that has to be watched for a while is watched beside what else is looked at."""
    made = []

    def say() -> None:
        made.append(time.monotonic())
        place.console.path.write_text("login: ")

    silent = port(80, where="host", send=b"hello?")
    with server() as place.forwarded, later(0.3, say):
        met = place.wait(any_of(silent, console_text("login")))
        late = time.monotonic() - made[0]
    assert silent not in met
    assert late < 2  # the server is given 5 s


def test_a_guest_without_ssh_holds_nobody_up(place: Place, guest: Any) -> None:
    """Who waits for SSH or a panic sees the panic, also while nobody answers to SSH."""
    guest.plans[:] = [Plan("accept", "hang") for _ in range(50)]
    made = []

    def panic() -> None:
        made.append(time.monotonic())
        place.console.path.write_text("Kernel panic")

    with later(0.5, panic):
        met = place.wait(any_of(ssh(), console_text("panic")))
        late = time.monotonic() - made[0]
    assert console_text("panic") in met
    assert late < 0.9  # a silent connection is given 1 s
    wait_until(
        lambda: not [t for t in threading.enumerate() if t.name == "vboxkit-wait"] or None,
        what="the thread to end",
        timeout=20,
    )
