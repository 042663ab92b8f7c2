"""What is to be seen of a private network: its frames, and how many met what."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

    from vboxkit.lab.network_internal import Internal
    from vboxkit.net.process import SwitchProcess

__all__ = ["Recording", "Seen"]


class Seen:
    """The part of `PrivateNetwork` that shows what goes through it."""

    _switch: SwitchProcess | Internal
    _recording: Recording | None = None

    def record(self, path: Path | str) -> Recording:
        """
        Write all frames into a pcap file, which is made new, as they were sent, faults or not.

        There is one recording at a time: a former one stops.

        Args:
            path: Its folder must exist.

        Raises:
            StorageError: The file cannot be written; a former recording goes on.

        Example:
            ``with net.record("net.pcap"): ...``
        """
        recording = Recording(self, Path(path).absolute())
        self._switch.record(recording.path)
        self._recording = recording
        return recording

    def _stop(self, recording: Recording) -> None:
        if self._recording is recording:
            self._recording = None
            self._switch.record(None)

    def counts(self) -> Counter[tuple[str, ...]]:
        """
        Return how many frames met what, since the network was made.

        Keys are ``("a", "received")`` (by the switch, from a), ``("a", "sent")`` (to a), and of
        those that met a fault ``("a", "b", "drop")``, with the method's name or ``cut`` for a
        partition and ``overrun`` for what was too much for a bandwidth.
        """
        found = self._switch.counts()
        rows = [*found["ports"], *found["faults"]]
        return Counter({tuple(row[:-1]): row[-1] for row in rows})


class Recording:
    """
    A pcap file that frames are written to; a context manager that stops it.

    Attributes:
        path: The file.
    """

    def __init__(self, network: Seen, path: Path) -> None:
        self._network = network
        self.path = path

    def stop(self) -> None:
        """Write no more frames; doing it twice does no harm."""
        self._network._stop(self)  # noqa: SLF001 - of the same package

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Recording {self.path} of {self._network!r}>"
