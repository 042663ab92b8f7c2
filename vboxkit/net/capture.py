"""Frames written to a pcap file, for tcpdump and Wireshark."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from dpkt import pcap

__all__ = ["Capture"]


class Capture:
    """
    A pcap file that is written; it is made new.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        # Not dpkt's 1500, which no frame with its header fits.
        self._writer: Any = pcap.Writer(self._file, snaplen=65_535)
        self._file.flush()
        self._fresh = False

    def write(self, frame: bytes) -> None:
        """Write a frame, with the time of day."""
        # Rounded before dpkt cuts the second off: it would write a fraction of 1,000,000 µs.
        self._writer.writepkt_time(frame, round(time.time(), 6))
        self._fresh = True

    def flush(self) -> None:
        """Let readers see all that was written."""
        if self._fresh:
            self._file.flush()
            self._fresh = False

    def close(self) -> None:
        """Write no more; doing it twice does no harm."""
        self._file.close()
