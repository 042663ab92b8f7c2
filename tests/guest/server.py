"""
An SSH server in this process that does what a test wants, at the point that it wants.

It runs shell commands on this machine, serves files under one folder by SFTP, and can break off or
fall silent at any point of a connection.
"""

# ruff: noqa: D102 - most methods are paramiko's

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_PARTIALLY_SUCCESSFUL,
    AUTH_SUCCESSFUL,
    OPEN_SUCCEEDED,
    cMSG_CHANNEL_REQUEST,
)
from paramiko.server import InteractiveQuery

from tests.guest.forwarding import Forwarding
from tests.guest.served_files import Folder
from tests.guest.terminals import Terminals

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

How = Literal["close", "hang"]
Point = Literal["accept", "banner", "key exchange", "login", "open", "exec", "output", "file"]
_BYTES: dict[str, int] = {"accept": 0, "banner": 5, "key exchange": 200}


class FaultySocket:
    """A socket whose sending side can be cut after some bytes: closed, or silent from then on."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.left: int | None = None
        self.how: How = "close"
        self.tripped = threading.Event()
        #: While it is not set, nothing that comes in is heard.
        self.hears = threading.Event()
        self.hears.set()

    def recv(self, size: int) -> bytes:
        self.hears.wait(60)
        return self.sock.recv(size)

    def trip(self, how: How, after: int = 0) -> None:
        """Cut after so many more bytes."""
        self.how, self.left = how, after
        if after == 0:
            self._cut()

    def _cut(self) -> None:
        self.tripped.set()
        if self.how == "close":
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)

    def send(self, data: bytes) -> int:
        if self.left is None:
            return self.sock.send(data)
        if self.left > 0:
            self.left -= self.sock.send(data[: self.left])
            if self.left == 0:
                self._cut()
        if self.how == "close" and self.left == 0:
            raise BrokenPipeError
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


@dataclass
class Plan:
    """How one connection goes wrong; without a point it does not."""

    at: Point | None = None
    how: How = "close"


@dataclass
class Guest:
    """The server; a context manager."""

    folder: Path
    key: paramiko.PKey
    user_key: paramiko.PKey | None = None
    password: str | None = None
    #: What it asks for in a conversation, with the answer.
    questions: dict[str, str] = field(default_factory=dict)
    #: Whether a key is only half of the way in.
    key_is_half: bool = False
    auths: str = "publickey,password"
    sftp: bool = True
    posix_rename: bool = True
    #: What the next connections do, in order; those after them do nothing wrong.
    plans: list[Plan] = field(default_factory=list)
    #: Commands that are not run: exit code, standard output, standard error; -n is a signal.
    scripted: dict[str, tuple[int, bytes, bytes]] = field(default_factory=dict)
    forbidden: Path | None = None
    terminals: bool = True
    #: A folder whose programs come before those of this machine.
    path: Path | None = None
    listen: bool = True
    full_after: int | None = None

    def __post_init__(self) -> None:
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.accepted = 0
        self.offers = 0
        self.commands: list[str] = []
        self.transports: list[paramiko.Transport] = []
        self.sockets: list[FaultySocket] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.threads: list[threading.Thread] = []
        self.files: list[Any] = []
        #: Of tunnels: the targets asked for, sockets, and what ends a connection that hangs.
        self.asked: list[tuple[str, int]] = []
        self.ends: list[socket.socket] = []
        self.silence = threading.Event()
        self.closing = False

    def __enter__(self) -> Self:
        if self.listen:
            self.start()
        return self

    def start(self) -> None:
        """Begin to listen."""
        self.socket.listen(20)
        self.spawn(self._accept)

    def spawn(self, target: Callable[..., object], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def __exit__(self, *_: object) -> None:
        self.closing = True
        for sock in self.sockets:
            sock.hears.set()
        with suppress(OSError):  # ends accept()
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self.disconnect()
        self.silence.set()
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in [*self.threads, *self.transports]:
            if thread.ident is not None:
                thread.join(5)
                assert not thread.is_alive(), thread
        for file in (*self.files, *self.ends):
            file.close()

    def disconnect(self) -> None:
        """Cut every connection."""
        for sock in self.sockets:
            with suppress(OSError):  # wakes paramiko's thread, which close() does not
                sock.sock.shutdown(socket.SHUT_RDWR)
        for transport in self.transports:
            transport.packetizer.complete_handshake()
            transport.close()
        for sock in self.sockets:
            sock.sock.close()

    def _accept(self) -> None:
        while not self.closing:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            self.accepted += 1
            plan = self.plans.pop(0) if self.plans else Plan()
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock = FaultySocket(plain)
            self.sockets.append(sock)
            if plan.at == "accept":
                if plan.how == "close":
                    plain.close()
                continue
            if plan.at in _BYTES:
                sock.trip(plan.how, _BYTES[plan.at])
            transport = paramiko.Transport(sock)  # type: ignore[arg-type]
            transport.set_log_channel("vboxkit.tests.server")
            transport.add_server_key(self.key)
            if self.sftp:
                transport.set_subsystem_handler(
                    "sftp", paramiko.SFTPServer, Folder, self, sock, plan
                )
            self.transports.append(transport)
            server = _Server(self, sock, plan)
            server.transport = transport
            with suppress(paramiko.SSHException, EOFError):
                transport.start_server(event=threading.Event(), server=server)


class _Server(Terminals, Forwarding):
    def __init__(self, guest: Guest, sock: FaultySocket, plan: Plan) -> None:
        super().__init__()
        self.guest, self.sock, self.plan = guest, sock, plan
        self.finish = _finish

    def _reached(self, point: Point) -> None:
        if self.plan.at == point:
            self.sock.trip(self.plan.how)

    def get_allowed_auths(self, username: str) -> str:
        return str(self.guest.auths)

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.guest.offers += 1
        self._reached("login")
        good = self.guest.user_key is not None and key.asbytes() == self.guest.user_key.asbytes()
        if good and self.guest.key_is_half:
            return AUTH_PARTIALLY_SUCCESSFUL
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:
        self.guest.offers += 1
        self._reached("login")
        good = self.guest.password is not None and password == self.guest.password
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def check_auth_interactive(self, username: str, submethods: str) -> Any:
        self.guest.offers += 1
        prompts = [(prompt, prompt == "Name:") for prompt in self.guest.questions]
        return InteractiveQuery("", "", *prompts) if prompts else AUTH_FAILED

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        good = responses == list(self.guest.questions.values())
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        self._reached("open")
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        text = command.decode()
        self.guest.commands.append(text)
        self._reached("exec")  # last: from here on the client may look
        if text.endswith("; refuse"):
            return False
        terminal = channel.chanid in self.terminals
        self.guest.spawn(self.in_terminal if terminal else self._run, channel, text)
        return True

    def _run(self, channel: paramiko.Channel, text: str) -> None:
        with suppress(OSError, EOFError):
            for name, (code, out, err) in self.guest.scripted.items():
                if text.endswith("; " + name):
                    channel.sendall(out)
                    channel.sendall_stderr(err)
                    _finish(channel, code)
                    return
            self._real(channel, text)

    def _real(self, channel: paramiko.Channel, text: str) -> None:
        process = subprocess.Popen(
            ["/bin/sh", "-c", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.guest.folder,
            env={**os.environ, "PATH": f"{self.guest.path or ''}:{os.environ['PATH']}"},
            start_new_session=True,
        )
        self.guest.processes.append(process)
        if self.guest.closing:  # nobody else will end it
            os.killpg(process.pid, signal.SIGKILL)
        assert process.stdin is not None
        stdin = process.stdin

        def feed() -> None:
            with suppress(OSError, EOFError), stdin:
                while block := channel.recv(1 << 16):
                    stdin.write(block)
                    stdin.flush()

        def drain(stream: Any, send: Callable[[bytes], object]) -> None:
            with suppress(OSError, EOFError), stream:
                while block := stream.read1(1 << 16):
                    send(block)
                    self._reached("output")

        self.guest.spawn(feed)
        drains = [
            threading.Thread(target=drain, args=(process.stdout, channel.sendall)),
            threading.Thread(target=drain, args=(process.stderr, channel.sendall_stderr)),
        ]
        for thread in drains:
            thread.start()
        for thread in drains:
            thread.join()
        _finish(channel, process.wait())


def _finish(channel: paramiko.Channel, code: int) -> None:
    if code >= 0:
        channel.send_exit_status(code)
    else:
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string("exit-signal")
        message.add_boolean(False)
        message.add_string(signal.Signals(-code).name.removeprefix("SIG"))
        message.add_boolean(False)
        message.add_string("")
        message.add_string("")
        channel.transport._send_user_message(message)  # type: ignore[union-attr]
    channel.close()
