"""The faults of a private network, as its owner orders them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from vboxkit.lab.network_internal import Internal
    from vboxkit.net.process import SwitchProcess

__all__ = ["Faulty"]


class Faulty:
    """The part of `PrivateNetwork` that injects faults."""

    _switch: SwitchProcess | Internal

    def _require(self, name: str) -> None:
        """Raise if there is no such member."""
        raise NotImplementedError

    def delay(
        self, a: str | None = None, b: str | None = None, ms: float = 0.0, *, jitter: float = 0.0
    ) -> None:
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
        self._fault("delay", ms, a, b, jitter=jitter)

    def drop(self, percent: float, a: str | None = None, b: str | None = None) -> None:
        """
        Lose frames; 0 is none any more. Whose: see `delay`.

        Example:
            ``net.drop(30)``, ``net.drop(100, "a", "b")``
        """
        self._fault("drop", percent, a, b)

    def duplicate(self, percent: float, a: str | None = None, b: str | None = None) -> None:
        """Deliver frames twice; 0 is none any more. Whose: see `delay`."""
        self._fault("duplicate", percent, a, b)

    def reorder(self, percent: float, a: str | None = None, b: str | None = None) -> None:
        """Hold frames back for 50 ms, so that later ones overtake them. Whose: see `delay`."""
        self._fault("reorder", percent, a, b)

    def corrupt(self, percent: float, a: str | None = None, b: str | None = None) -> None:
        """Turn a bit of frames, behind their Ethernet header. Whose: see `delay`."""
        self._fault("corrupt", percent, a, b)

    def bandwidth(self, kbit_s: float, a: str | None = None, b: str | None = None) -> None:
        """
        Let no more than so many kbit/s through, in each direction of each pair; 0 is no limit.

        What would wait for more than a second is lost. Whose: see `delay`.
        """
        self._fault("bandwidth", kbit_s, a, b)

    def partition(self, *groups: Collection[str] | str) -> None:
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

    def heal(self) -> None:
        """End all faults, the partition among them. What is on its way still comes late."""
        self._switch.heal()

    def _fault(
        self, kind: str, amount: float, a: str | None, b: str | None, *, jitter: float = 0.0
    ) -> None:
        between = [name for name in (a, b) if name is not None]
        for name in between:
            self._require(name)
        self._switch.fault(kind, amount, between, jitter=jitter)
