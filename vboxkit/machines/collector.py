"""
VirtualBox's performance collector.

It measures in VBoxSVC, once a second, what it was asked to by anybody: there is one switch for all.
So we switch it on for as long as somebody here wants values, and on again if somebody elsewhere
has switched it off meanwhile.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from vboxkit.core.waiting import Deadline
from vboxkit.machines.handing_back import HandBack

if TYPE_CHECKING:
    from typing import NoReturn

    from vboxkit.com.api import Api

__all__ = ["LONGEST", "Collector", "Values"]

#: How many seconds the collector remembers, and so the longest period.
LONGEST = 60
#: Seconds after which values that stand still were switched off by somebody.
_STALE = 3.5


class Collector:
    """The performance collector for one object, switched on for as long as somebody wants it."""

    # Collecting garbage may come here again, in the middle of anything.
    _lock = threading.RLock()
    _users: dict[str, int] = {}  # noqa: RUF012 - of the process, like the lock

    def __init__(self, api: Api, target: Any, key: str) -> None:
        self._raw = api.virtualbox.performanceCollector
        self._target = target
        self._key = key
        self._seen = -1
        self._moved = Deadline(_STALE)
        with self._lock:
            # What others here measure already must not begin anew.
            if not self._users.get(key):
                self._switch_on()
            self._users[key] = self._users.get(key, 0) + 1
        self._end = HandBack(self, api, self._leave, self._raw, target, key)

    def __reduce__(self) -> NoReturn:
        msg = "a measurement cannot be pickled: it belongs to this process's connection"
        raise TypeError(msg)

    def close(self) -> None:
        """Give up our interest; the last one here switches the collector off."""
        self._end.now()

    @classmethod
    def _leave(cls, raw: Any, target: Any, key: str) -> None:
        with cls._lock:
            left = cls._users.pop(key, 0) - 1
            if left > 0:
                cls._users[key] = left
                return
            raw.disableMetrics(["*"], [target])

    @classmethod
    def _after_fork(cls) -> None:
        # A thread that held it is not there any more; and nobody here wants anything yet.
        cls._lock, cls._users = threading.RLock(), {}

    def _switch_on(self) -> None:
        self._raw.setupMetrics(["*"], [self._target], 1, LONGEST)

    def read(self) -> Values:
        """Return the values of the last minute, as far as there are any."""
        data, names, _, _, scales, sequences, starts, lengths = self._raw.queryMetricsData(
            ["*"], [self._target]
        )
        values = {  # the oldest first
            name: [value / scale for value in data[start : start + length]]
            for name, scale, start, length in zip(names, scales, starts, lengths, strict=True)
            if ":" not in name  # sums over time, which we make ourselves
        }
        seen = max((s + n for s, n in zip(sequences, lengths, strict=True)), default=0)
        if seen != self._seen:
            self._seen, self._moved = seen, Deadline(_STALE)
        elif self._moved.expired:
            # Another process has switched it off; or the VM is a new one.
            self._moved = Deadline(_STALE)
            self._switch_on()
        return Values(values)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Collector._after_fork)


class Values:
    """What the collector remembers, by the names of its metrics."""

    def __init__(self, values: dict[str, list[float]]) -> None:
        self._values = values

    @property
    def count(self) -> int:
        """How many seconds are remembered."""
        return len(self._values.get("CPU/Load/User", ()))

    def mean(self, name: str, seconds: int) -> float:
        """Return the mean of a metric over the last seconds."""
        last = self._values[name][-seconds:]
        return round(sum(last) / len(last), 3)

    def last(self, name: str, divisor: int = 1) -> float:
        """Return the last value of a metric."""
        return round(self._values[name][-1] / divisor, 3)

    def has(self, name: str) -> bool:
        """Whether a metric has values."""
        return bool(self._values.get(name))

    def names(self, start: str, end: str) -> list[str]:
        """Return the names of metrics with values that start and end so."""
        return [n for n in self._values if n.startswith(start) and n.endswith(end) and self.has(n)]
