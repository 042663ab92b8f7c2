"""What a switch has learnt: which card is behind which port."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["MacTable"]


class MacTable:
    """
    The port behind which each card was seen last.

    Args:
        ageing: Seconds after which a card that was not heard is forgotten.
        most: Of so many cards; those not heard for the longest time go first. A guest that makes
            addresses up cannot fill our memory.
    """

    def __init__(self, *, ageing: float = 300.0, most: int = 4096) -> None:
        self._ageing = ageing
        self._most = most
        self._seen: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def learn(self, mac: bytes, port: str, now: float) -> None:
        """Note that a card was heard behind a port; it may have moved there."""
        self._seen[mac] = (port, now)
        self._seen.move_to_end(mac)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)

    def find(self, mac: bytes, now: float) -> str | None:
        """Return the port behind which a card is, or `None` if that is not known (any more)."""
        found = self._seen.get(mac)
        if found is None:
            return None
        port, heard = found
        if now - heard > self._ageing:
            del self._seen[mac]
            return None
        return port

    def forget(self, port: str) -> None:
        """Forget all cards behind a port."""
        for mac in [mac for mac, (where, _) in self._seen.items() if where == port]:
            del self._seen[mac]
