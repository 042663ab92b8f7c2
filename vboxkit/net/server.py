"""
The process that runs a switch: orders come in on its standard input, a line of JSON each.

    python -m vboxkit.net.server SUBNET DOMAIN SEED

It ends with its owner: when its input ends, or when its parent is another one. It is a process of
its own, as Python's threads share one lock: beside an owner that computes all the time, a thread
passed on a third as many frames (15,000 a second and 44,000), and one of a hundred took 4 ms and
not 0.8 (two cores, shared with other work).
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.errors import VBoxKitError
from vboxkit.net.capture import Capture
from vboxkit.net.directory import Directory, mac_bytes
from vboxkit.net.faults import Faults
from vboxkit.net.services import Services
from vboxkit.net.switch import Switch

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

__all__ = ["Server", "main"]


class Server:
    """
    A switch with its services, as its owner orders it.

    Args:
        subnet: Its addresses.
        domain: Its members' domain.
        seed: Of its faults.
    """

    def __init__(self, subnet: str, domain: str, seed: int) -> None:
        self.directory = Directory(subnet, domain=domain)
        self.switch = Switch(faults=Faults(seed), services=Services(self.directory))

    def join(self, *, name: str, mac: str, ip: str | None, peer: int) -> dict[str, Any]:
        """Add a member; return its address, and the port for its machine to send to."""
        entry = self.directory.add(name, mac_bytes(mac), ip)
        try:
            port = self.switch.add_port(name, peer)
        except BaseException:
            self.directory.remove(name)
            raise
        return {"ip": str(entry.ip), "port": port}

    def leave(self, *, name: str) -> None:
        """Remove a member."""
        self.switch.remove_port(name)
        self.directory.remove(name)

    def fault(self, *, kind: str, amount: float | None, between: list[str], jitter: float) -> None:
        """Set a fault; `None` ends it."""
        if amount is None:
            self.switch.faults.unset(kind, *between)
            return
        self.switch.faults.set(kind, amount, *between, jitter=jitter)

    def partition(self, *, groups: list[list[str]]) -> None:
        """Cut the network."""
        self.switch.faults.partition(groups)

    def heal(self) -> None:
        """End all faults."""
        self.switch.faults.heal()

    def record(self, *, path: str | None) -> None:
        """Write frames into a file from now on, or to none."""
        new = Capture(Path(path)) if path is not None else None
        if self.switch.capture is not None:
            self.switch.capture.close()
        self.switch.capture = new

    def counts(self) -> dict[str, Any]:
        """Return how many frames met what."""
        return {
            "ports": [[*key, count] for key, count in self.switch.counts.items()],
            "faults": [[*key, count] for key, count in self.switch.faults.counts.items()],
        }

    def obey(self, line: str) -> dict[str, Any]:
        """Do what a line says, and return the answer to it."""
        order = json.loads(line)
        number = order.pop("number")
        do: Callable[..., Any] = getattr(self, order.pop("do"))
        try:
            return {"number": number, "value": do(**order)}
        except VBoxKitError as error:
            return {
                "number": number,
                "error": type(error).__name__,
                "message": error.message,
                "hint": error.hint,
                "more": {
                    key: value
                    for key, value in vars(error).items()
                    if key not in {"message", "hint"} and isinstance(value, (str, int, tuple))
                },
            }
        except OSError as error:
            return {
                "number": number,
                "error": "OSError",
                "message": str(error),
                "hint": None,
                "more": {},
            }


def main(arguments: list[str], orders: TextIO, answers: TextIO) -> int:
    """Run a switch until the orders end."""
    subnet, domain, seed = arguments
    server = Server(subnet, domain, int(seed))
    parent = os.getppid()

    def obey(line: str) -> None:
        answers.write(json.dumps(server.obey(line)) + "\n")
        answers.flush()

    def listen() -> None:
        for line in orders:
            server.switch.post(lambda line=line: obey(line))  # type: ignore[misc]  # bound now
        server.switch.stop()

    threading.Thread(target=listen, name="orders", daemon=True).start()
    try:
        # A child of the owner may have inherited our input's other end: then it does not end.
        server.switch.run(idle=lambda: os.getppid() == parent)
    except BrokenPipeError:
        pass  # the owner is gone, and does not wait for the answer
    finally:
        server.switch.close()
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:], sys.stdin, sys.stdout)
    # The thread may be reading still, and the interpreter would wait for the lock of the input.
    os._exit(code)
