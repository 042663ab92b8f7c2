"""A switch in a process of its own, as its owner sees it."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from vboxkit import errors
from vboxkit.core.waiting import Deadline
from vboxkit.errors import StorageError, SwitchError, VBoxKitError
from vboxkit.net.directory import Directory

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from typing_extensions import Self

    from vboxkit.core.waiting import Timeout

__all__ = ["Joined", "SwitchProcess"]

#: Seconds for an answer; the first one waits until Python has started, beside busy machines.
_PATIENCE = 60.0


class Joined:
    """
    What a switch says of a new member.

    Attributes:
        ip: Its address.
        port: The UDP port on 127.0.0.1 to which its machine sends.
    """

    def __init__(self, ip: str, port: int) -> None:
        self.ip = ip
        self.port = port


class SwitchProcess:
    """
    A switch in a process of its own, which ends with this one; a context manager.

    This does not wait until it has started: the first order does, and says so if it has not.

    Args:
        name: The network's name, for messages.
        subnet: Its addresses; the first one is the switch's own.
        domain: Its members' domain.
        seed: Of its faults.
        timeout: Seconds for each answer.

    Attributes:
        name: What was given.
        pid: The process.

    Raises:
        SettingsError: The subnet cannot be.

    Example:
        >>> with SwitchProcess("lab", subnet="10.77.0.0/24") as switch:
        ...     switch.join("a", mac="08:00:27:00:00:01", peer=20_001).ip
        '10.77.0.2'
    """

    def __init__(
        self,
        name: str,
        *,
        subnet: str,
        domain: str = "internal",
        seed: int = 0,
        timeout: Timeout = _PATIENCE,
    ) -> None:
        Directory(subnet, domain=domain)  # it would be the other process that refuses it
        self.name = name
        self._timeout = timeout
        self._lock = threading.Lock()
        self._number = 0
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # What Python says if it cannot start it; nobody else sees the file.
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vboxkit.net.server", subnet, domain, str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            # Ctrl-C in the terminal is for the owner, which ends this one.
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._end = weakref.finalize(self, _end, self._process, self._said)
        threading.Thread(
            target=_read,
            args=(self._process, self._answers),
            name=f"switch of {name}",
            daemon=True,
        ).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<SwitchProcess {self.name!r}, process {self.pid}>"

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def join(self, name: str, *, mac: str, peer: int, ip: str | None = None) -> Joined:
        """
        Add a member.

        Args:
            name: Its name.
            mac: Its card's address.
            peer: The UDP port on 127.0.0.1 from which its machine sends.
            ip: Its address; the lowest that is free if left out.

        Raises:
            SettingsError: The name or address cannot be.
            AlreadyExistsError: There is such a member.
        """
        return Joined(**self._ask("join", name=name, mac=mac, peer=peer, ip=ip))

    def leave(self, name: str) -> None:
        """Remove a member; doing it twice does no harm."""
        self._ask("leave", name=name)

    def fault(
        self, kind: str, amount: float | None, between: Sequence[str] = (), *, jitter: float = 0.0
    ) -> None:
        """Set a fault, see `Faults.set`; with `None` end it, see `Faults.unset`."""
        self._ask("fault", kind=kind, amount=amount, between=list(between), jitter=jitter)

    def partition(self, groups: Sequence[Collection[str]]) -> None:
        """Cut the network, see `Faults.partition`."""
        self._ask("partition", groups=[sorted(group) for group in groups])

    def heal(self) -> None:
        """End all faults."""
        self._ask("heal")

    def record(self, path: Path | None) -> None:
        """
        Write all frames into a pcap file, which is made new; with `None`, no more.

        Raises:
            StorageError: The file cannot be written; what was recorded before goes on.
        """
        self._ask("record", path=None if path is None else str(Path(path).absolute()))

    def counts(self) -> dict[str, list[list[Any]]]:
        """
        Return how many frames met what.

        Returns:
            ``ports``: lists of port, fate, number; ``faults``: of source, target, fate, number.
        """
        found: dict[str, list[list[Any]]] = self._ask("counts")
        return found

    def close(self) -> None:
        """End the process, and wait until it is gone; doing it twice does no harm."""
        self._end()

    def _ask(self, what: str, **arguments: Any) -> Any:
        with self._lock:
            self._number += 1
            order = {"number": self._number, "do": what, **arguments}
            pipe = self._process.stdin
            assert pipe is not None  # noqa: S101 - as it was started
            try:
                pipe.write(json.dumps(order).encode() + b"\n")
                pipe.flush()
            except (OSError, ValueError) as error:
                raise self._gone() from error
            deadline = Deadline(self._timeout)
            while True:
                try:
                    line = self._answers.get(timeout=deadline.remaining)
                except queue.Empty as error:
                    raise SwitchError(
                        f"network {self.name!r}: its switch (process {self.pid}) does not answer",
                        hint="is this host out of CPU time? close the network and make it anew",
                    ) from error
                if line is None:
                    self._answers.put(None)  # for the next who asks
                    raise self._gone()
                answer = json.loads(line)
                if answer["number"] == self._number:  # not of one whose caller was interrupted
                    break
        if "error" in answer:
            raise _as_error(self.name, answer)
        return answer["value"]

    def _gone(self) -> SwitchError:
        said = ""
        with suppress(OSError, ValueError):
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip()
        ended = "was closed" if not self._end.alive else "has ended"
        return SwitchError(
            f"network {self.name!r}: its switch (process {self.pid}) {ended}"
            + (f":\n{said[-2000:]}" if said else ""),
            hint="make the network anew",
        )


def _read(process: subprocess.Popen[bytes], answers: queue.SimpleQueue[str | None]) -> None:
    assert process.stdout is not None  # noqa: S101 - as it was started
    with process.stdout as pipe, suppress(ValueError, OSError):
        for line in pipe:
            answers.put(line.decode())
    answers.put(None)


def _end(process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    said.close()


def _as_error(network: str, answer: dict[str, Any]) -> VBoxKitError:
    """Make the error anew that was raised in the other process."""
    message, hint = f"network {network!r}: {answer['message']}", answer["hint"]
    if answer["error"] == "OSError":
        return StorageError(message, text=answer["message"], operation="record frames", hint=hint)
    kind: type[VBoxKitError] = getattr(errors, answer["error"])
    error = kind.__new__(kind)
    more = {k: tuple(v) if isinstance(v, list) else v for k, v in answer["more"].items()}
    error.args = (message,)
    error.__dict__.update(more, message=message, hint=hint)
    return error
