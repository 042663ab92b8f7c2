"""Listening to a guest that does not listen itself."""

from __future__ import annotations

import hashlib
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from vboxkit.core.waiting import wait_until
from vboxkit.errors import GuestConnectionError

if TYPE_CHECKING:
    from tests.guest.conftest import MakeSSH

#: More than a channel's window, so that it fills the socket first.
PLENTY = bytes(1 << 20)


def stuck(ssh: Any) -> bool:
    """Tell whether somebody writes over the connection all the time."""
    lock = ssh._transport.clear_to_send_lock
    return all(lock.locked() and not threading.Event().wait(0.01) for _ in range(20))


def test_it_is_heard_while_a_write_is_stuck(guest: Any, make_ssh: MakeSSH) -> None:
    """While a guest takes nothing, what it says still comes, the end of a command first."""
    ssh = make_ssh(guest)
    go = guest.folder / "go"
    wait = "echo ready; while [ ! -e go ]; do sleep 0.02; done"
    with (
        ssh.start("cat >/dev/null") as takes,
        ssh.start(f"{wait}; echo ended") as ends,
        ssh.start(f"{wait}; sleep 0.5; echo heard; sleep 60") as says,
    ):
        assert ends.read_line(timeout=20) == says.read_line(timeout=20) == "ready"
        ssh._transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)  # type: ignore[union-attr]
        guest.sockets[0].hears.clear()

        def pour() -> None:
            with suppress(GuestConnectionError):
                takes.write(PLENTY, timeout=60)

        writer = threading.Thread(target=pour)
        writer.start()
        try:
            wait_until(lambda: stuck(ssh) or None, what="the write to be stuck", timeout=20)
            go.touch()
            # Behind the end of the other one, which wants an answer.
            assert says.read_line(timeout=7) == "heard"
            assert writer.is_alive()
        finally:
            guest.sockets[0].hears.set()
            writer.join(20)
        assert not writer.is_alive()
        assert ends.wait(timeout=20).stdout == "ready\nended\n"
    assert ssh.run("true").ok
    assert guest.accepted == 1


def test_it_is_heard_while_new_keys_are_due_and_a_write_is_stuck(
    guest: Any, make_ssh: MakeSSH
) -> None:
    """The wish for new keys waits for a write that is stuck, and what the guest says does not."""
    ssh = make_ssh(guest)
    go = guest.folder / "go"
    with (
        ssh.start("md5sum") as takes,
        ssh.start("echo ready; while [ ! -e go ]; do sleep 0.02; done; echo heard") as says,
    ):
        assert says.read_line(timeout=20) == "ready"
        transport: Any = ssh._transport
        transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)
        keys = transport.H
        guest.sockets[0].hears.clear()
        writer = threading.Thread(target=takes.write, args=(PLENTY,), kwargs={"timeout": 60})
        writer.start()
        try:
            wait_until(lambda: stuck(ssh) or None, what="the write to be stuck", timeout=20)
            transport.packetizer._trigger_rekey()  # as after 512 MB
            wait_until(
                lambda: not transport.clear_to_send.is_set() or None,
                what="the wish for new keys",
                timeout=20,
            )
            go.touch()
            assert says.read_line(timeout=7) == "heard"
            assert writer.is_alive()
            assert keys == transport.H
        finally:
            guest.sockets[0].hears.set()
            writer.join(20)
        assert not writer.is_alive()
        wait_until(lambda: keys != transport.H or None, what="the new keys", timeout=20)
        takes.close_stdin()
        digest = hashlib.md5(PLENTY, usedforsecurity=False).hexdigest()
        assert takes.wait(timeout=20).stdout.split()[0] == digest
    assert ssh.run("true").ok
    assert guest.accepted == 1
