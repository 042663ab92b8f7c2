"""
What a network does to frames on purpose.

Which frames are hit depends on nothing but the seed and the number of a frame: counted from the
moment at which the fault was set, for each direction of each pair and each Ethernet type by itself
(so that an ARP request more or less does not shift what happens to IP). A run that fails repeats.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from vboxkit.errors import SettingsError

__all__ = ["KINDS", "Faults", "Rule"]

#: What can be set, and the unit of its amount.
KINDS = {
    "drop": "percent",
    "corrupt": "percent",
    "duplicate": "percent",
    "reorder": "percent",
    "bandwidth": "kbit/s",
    "delay": "ms",
}
#: Seconds of traffic that wait for a narrow link; what comes on top is lost, as in a router.
_BACKLOG = 1.0
#: Seconds for which a frame is held back, to let those behind it overtake.
_HELD_BACK = 0.05


@dataclass
class Rule:
    """
    A fault of one kind between some members.

    Attributes:
        kind: One of `KINDS`.
        amount: In its unit.
        jitter: Of a delay: how many ms more or less it may be.
        key: What its random decisions depend on, besides the seed.
    """

    kind: str
    amount: float
    jitter: float
    key: str
    _counts: Counter[tuple[str, str, bytes]] = field(default_factory=Counter)

    def dice(self, seed: int, source: str, target: str, frame: bytes) -> random.Random:
        """Return the source of the random decisions about the next frame of a pair."""
        kind = frame[12:14]
        number = self._counts[source, target, kind]
        self._counts[source, target, kind] = number + 1
        # A frame's decision is its own: another use of chance before it does not shift it.
        return random.Random(  # noqa: S311 - no secret
            f"{seed}/{self.key}/{source}/{target}/{kind.hex()}/{number}"
        )


class Faults:
    """
    The faults of a network.

    Args:
        seed: The same seed gives the same decisions about the same frames.

    Attributes:
        seed: What was given.
        active: Whether any fault is set.
        counts: How many frames met what: by source, target and fate.

    Example:
        >>> faults = Faults(seed=1)
        >>> faults.set("drop", 100, "a", "b")
        >>> faults.apply("a", "b", bytes(60), now=0.0)
        []
        >>> len(faults.apply("a", "c", bytes(60), now=0.0))
        1
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.active = False
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self._rules: dict[tuple[str, frozenset[str]], Rule] = {}
        self._times: Counter[tuple[str, frozenset[str]]] = Counter()
        self._groups: dict[str, int] = {}
        self._chosen: dict[tuple[str, str], dict[str, Rule]] = {}
        self._free_at: dict[tuple[str, str], float] = {}
        self._last_due: dict[tuple[str, str], float] = {}

    def set(self, kind: str, amount: float, *between: str, jitter: float = 0.0) -> None:
        """
        Set a fault; the same kind between the same members is replaced.

        What is set for a pair counts more than what is set for one of the two, and that more than
        what is set for all. So an amount of 0 for a pair makes an exception of it.

        Args:
            kind: One of `KINDS`.
            amount: In its unit; of bandwidth 0 means as fast as it goes.
            *between: Two members; or one, towards all others; all if none is given.
            jitter: Of a delay: each frame is delayed by up to so many ms more or less.

        Raises:
            SettingsError: There is no such kind, or the amount cannot be.
        """
        if kind not in KINDS:
            raise SettingsError(f"there is no fault {kind!r}", hint=f"one of {', '.join(KINDS)}")
        unit = KINDS[kind]
        most = 100.0 if unit == "percent" else float("inf")
        if not 0 <= amount <= most or amount == float("inf") or not 0 <= jitter < float("inf"):
            limit = "0 to 100" if unit == "percent" else "0 or more"
            raise SettingsError(f"{kind}: {amount} {unit} cannot be", hint=f"{limit} {unit}")
        if len(between) > 2 or len(set(between)) != len(between):
            raise SettingsError(
                f"{kind}: between {', '.join(between)}?", hint="two members, one, or none for all"
            )
        place = kind, frozenset(between)
        self._times[place] += 1
        # How often it was set is part of the key: the second time other frames are hit.
        key = f"{kind}/{'/'.join(sorted(between))}/{self._times[place]}"
        self._rules[place] = Rule(kind, amount, jitter, key)
        self._changed()

    def unset(self, kind: str, *between: str) -> None:
        """End a fault, so that what is set for more members counts for these as well."""
        self._rules.pop((kind, frozenset(between)), None)
        self._changed()

    def partition(self, groups: Sequence[Collection[str]]) -> None:
        """
        Cut the network: what is in different groups does not hear each other.

        Who is in no group hears all. The former partition ends; no groups is none.

        Raises:
            SettingsError: Somebody is in two groups, or there is but one group.
        """
        found: dict[str, int] = {}
        for number, group in enumerate(groups):
            for name in group:
                if name in found:
                    raise SettingsError(f"partition: {name!r} is in two groups")
                found[name] = number
        if len(groups) == 1:
            raise SettingsError("partition: one group is cut from nobody", hint="give two or more")
        self._groups = found
        self._changed()

    def heal(self) -> None:
        """Let all frames pass, at once and whole. What is on its way still comes late."""
        self._rules.clear()
        self._groups.clear()
        self._changed()

    def _changed(self) -> None:
        self._chosen.clear()
        self._free_at.clear()
        self._last_due.clear()
        self.active = bool(self._groups) or any(
            rule.amount or rule.jitter for rule in self._rules.values()
        )

    def apply(
        self, source: str, target: str, frame: bytes, now: float
    ) -> list[tuple[float, bytes]]:
        """
        Decide about a frame.

        Args:
            source: The member that sent it.
            target: The member that is to get it.
            frame: The frame.
            now: The time, in seconds.

        Returns:
            What is to be delivered, and when: nothing, the frame, or it twice.
        """
        groups = self._groups
        if groups and source in groups and target in groups and groups[source] != groups[target]:
            self.counts[source, target, "cut"] += 1
            return []
        rules = self._chosen.get((source, target))
        if rules is None:
            rules = self._choose(source, target)
        if not rules:
            return [(now, frame)]
        hit = {
            kind: (rule, dice)
            for kind in ("drop", "corrupt", "duplicate", "reorder")
            if (rule := rules.get(kind)) is not None
            and (dice := rule.dice(self.seed, source, target, frame)).random() * 100 < rule.amount
        }
        for kind in hit:
            self.counts[source, target, kind] += 1
        if "drop" in hit:
            return []
        if "corrupt" in hit:
            frame = _corrupted(frame, hit["corrupt"][1])
        due = self._due(source, target, frame, now, rules)
        if due is None:
            self.counts[source, target, "overrun"] += 1
            return []
        if "reorder" in hit:
            due += _HELD_BACK
        else:
            # Jitter alone does not let frames overtake each other.
            due = max(due, self._last_due.get((source, target), 0.0))
            self._last_due[source, target] = due
        return [(due, frame)] * (2 if "duplicate" in hit else 1)

    def _due(
        self, source: str, target: str, frame: bytes, now: float, rules: dict[str, Rule]
    ) -> float | None:
        due = now
        narrow = rules.get("bandwidth")
        if narrow is not None:
            begins = max(now, self._free_at.get((source, target), 0.0))
            if begins - now > _BACKLOG:
                return None
            due = begins + len(frame) * 8 / (narrow.amount * 1000)
            self._free_at[source, target] = due
        late = rules.get("delay")
        if late is not None:
            ms = late.amount
            if late.jitter:
                dice = late.dice(self.seed, source, target, frame)
                ms += dice.uniform(-late.jitter, late.jitter)
            due += max(0.0, ms) / 1000
        return due

    def _choose(self, source: str, target: str) -> dict[str, Rule]:
        """Return the rules that count for a direction of a pair: of each kind the most special."""
        found = {}
        for kind in KINDS:
            for place in ({source, target}, {source}, {target}, ()):
                rule = self._rules.get((kind, frozenset(place)))
                if rule is not None:
                    if rule.amount or rule.jitter:
                        found[kind] = rule
                    break
        self._chosen[source, target] = found
        return found


def _corrupted(frame: bytes, dice: random.Random) -> bytes:
    """Return a frame with one bit turned, behind the Ethernet header: it arrives where it was."""
    if len(frame) <= 14:
        return frame
    changed = bytearray(frame)
    changed[dice.randrange(14, len(frame))] ^= 1 << dice.randrange(8)
    return bytes(changed)
