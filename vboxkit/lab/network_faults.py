"""The faults of a private network, as its owner orders them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.core.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from vboxkit.lab.network_internal import Internal
    from vboxkit.net.process import SwitchProcess

__all__ = ["Faulty"]


#: Faults of one kind between the same members replace each other.
_Key = tuple[str, ...]


class Faulty:
    """
    The part of `PrivateNetwork` that injects faults.

    Each method returns a `Fault`: ``with net.drop(30): ...`` ends it at the end of the block.
    """

    _switch: SwitchProcess | Internal

    def __init__(self) -> None:
        self._faults: dict[_Key, Fault] = {}

    @property
    def closed(self) -> bool:
        """Whether it was ended."""
        raise NotImplementedError

    @property
    def faults(self) -> list[str]:
        """The faults that are in force, in words."""
        return [fault.what for fault in self._faults.values()]

    def _require(self, name: str) -> None:
        """Raise if there is no such member."""
        raise NotImplementedError

    def delay(
        self, a: str | None = None, b: str | None = None, ms: float = 0.0, *, jitter: float = 0.0
    ) -> Fault:
        """
        Let frames come late, in each direction: a ping takes twice that more.

        Args:
            a: A member; without `b` all that it sends and gets. Without both, all members.
            b: The other one.
            ms: By so many milliseconds; 0 is no more delay.
            jitter: By up to so many more or less. Frames do not overtake each other.

        Raises:
            NotFoundError: There is no such member.
            SettingsError: It cannot be so many.

        Example:
            ``net.delay("a", "b", 100)``, ``net.delay(ms=20, jitter=10)``
        """
        return self._fault("delay", ms, a, b, jitter=jitter)

    def drop(self, percent: float, a: str | None = None, b: str | None = None) -> Fault:
        """
        Lose frames; 0 is none any more. Whose: see `delay`.

        Example:
            ``net.drop(30)``, ``net.drop(100, "a", "b")``
        """
        return self._fault("drop", percent, a, b)

    def duplicate(self, percent: float, a: str | None = None, b: str | None = None) -> Fault:
        """Deliver frames twice; 0 is none any more. Whose: see `delay`."""
        return self._fault("duplicate", percent, a, b)

    def reorder(self, percent: float, a: str | None = None, b: str | None = None) -> Fault:
        """Hold frames back for 50 ms, so that later ones overtake them. Whose: see `delay`."""
        return self._fault("reorder", percent, a, b)

    def corrupt(self, percent: float, a: str | None = None, b: str | None = None) -> Fault:
        """Turn a bit of frames, behind their Ethernet header. Whose: see `delay`."""
        return self._fault("corrupt", percent, a, b)

    def bandwidth(self, kbit_s: float, a: str | None = None, b: str | None = None) -> Fault:
        """
        Let no more than so many kbit/s through, in each direction of each pair; 0 is no limit.

        What would wait for more than a second is lost. Whose: see `delay`.
        """
        return self._fault("bandwidth", kbit_s, a, b)

    def partition(self, *groups: Collection[str] | str) -> Fault:
        """
        Cut the network: members of different groups do not hear each other. None: whole again.

        Members that are in no group hear all.

        Raises:
            NotFoundError: There is no such member.
            SettingsError: Somebody is in two groups, or there is but one group.

        Example:
            ``net.partition({"a"}, {"b", "c"})``
        """
        sets = [{group} if isinstance(group, str) else set(group) for group in groups]
        for name in set().union(*sets):
            self._require(name)
        self._switch.partition(sets)
        parts = " from ".join("{" + ", ".join(sorted(names)) + "}" for names in sets)
        return self._note(
            ("partition",),
            f"partition {parts}" if sets else "",
            lambda: self._switch.partition([]),
        )

    def heal(self) -> None:
        """End all faults, the partition among them. What is on its way still comes late."""
        self._switch.heal()
        self._faults.clear()

    def _fault(
        self, kind: str, amount: float, a: str | None, b: str | None, *, jitter: float = 0.0
    ) -> Fault:
        between = [name for name in (a, b) if name is not None]
        for name in between:
            self._require(name)
        self._switch.fault(kind, amount, between, jitter=jitter)
        unit = {"delay": " ms", "bandwidth": " kbit/s"}.get(kind, " %")
        what = f"{kind} {amount:g}{unit}" + (f" +- {jitter:g}" if jitter else "")
        where = " " + ("between " if len(between) > 1 else "of ") + " and ".join(between)
        return self._note(
            (kind, *sorted(between)),
            what + (where if between else "") if amount or jitter or between else "",
            lambda: self._switch.fault(kind, None, between),
        )

    def _note(self, key: _Key, what: str, end: Callable[[], None]) -> Fault:
        """Remember a fault that is in force, in words; the former one of its key is over."""

        def mend() -> None:
            # Not that which came after it, and healed is healed.
            if self._faults.get(key) is fault:
                if not self.closed:
                    end()
                del self._faults[key]

        fault = Fault(what, mend)
        self._faults.pop(key, None)
        if what:
            self._faults[key] = fault
        return fault
