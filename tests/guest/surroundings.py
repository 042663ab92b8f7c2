"""What conditions are looked for in: this machine as the guest, and what happens to it."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vboxkit.guest.console import SerialLog
from vboxkit.guest.waiting import Surroundings, wait_for

__all__ = ["Place", "later", "server"]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vboxkit.guest import SSH


class Place:
    """A guest's surroundings, and what is done to them."""

    def __init__(self, client: SSH, folder: Path) -> None:
        self.folder = folder
        self.console = SerialLog(folder / "serial.log")
        self.alive: Callable[[], object] = lambda: None
        self.address: Callable[[], str | None] = lambda: None
        self.forwarded = 0
        self.client = client

    def _address(self) -> str | None:
        return self.address()  # a test may change it while this waits

    def _alive(self) -> object:
        return self.alive()

    def wait(self, condition: Any, timeout: float = 20) -> Any:
        """Wait as `VM.wait` does."""
        around = Surroundings(
            ssh=self.client,
            console=self.console,
            forward=lambda _: ("127.0.0.1", self.forwarded),
            address=self._address,
            alive=self._alive,
            evidence=lambda: "the evidence",
            name="machine 'web'",
        )
        return wait_for(condition, around, timeout=timeout)


@contextmanager
def later(seconds: float, action: Callable[[], object]) -> Iterator[None]:
    """Do something after a while."""
    timer = threading.Timer(seconds, action)
    timer.start()
    try:
        yield
    finally:
        timer.join()


@contextmanager
def server(greeting: bytes = b"", answer: bytes = b"") -> Iterator[int]:
    """Listen on a port; greet who connects, or answer what he says."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    one, _ = sock.accept()
                except OSError:
                    return
                with one:
                    if greeting:
                        one.sendall(greeting)
                    elif answer and one.recv(100):
                        one.sendall(answer)
                    else:
                        over.wait(5)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            over.set()
            sock.shutdown(socket.SHUT_RDWR)
            thread.join()
