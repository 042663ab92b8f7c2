"""The machines that stand at states: forks of checkpoints, as few of both as will do."""

from __future__ import annotations

import itertools
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from vboxkit.core.result import Result
from vboxkit.errors import CleanupError, GuestError, SettingsError, VBoxKitError
from vboxkit.machines.states import MachineState
from vboxkit.testing.tree import Counts, Node

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Self

    from vboxkit.lab.checkpoint import Checkpoint
    from vboxkit.lab.vm import VM
    from vboxkit.testing.tree import Action

__all__ = ["StateSpace"]

#: Seconds that are believed of forks and checkpoints until some were made.
_FORK, _CHECKPOINT = 1.5, 0.5
#: So many times the seconds of a checkpoint are worth one at once, not when they are spent again.
_AT_ONCE = 10.0


class _Holder:
    """A machine with the checkpoints that were made of it."""

    def __init__(self, vm: VM, parent: _Holder | None) -> None:
        self.vm = vm
        self.parent = parent
        self.nodes: dict[Node[VM], Checkpoint] = {}
        self.used = 0

    def needed_by(self, others: Iterable[_Holder]) -> bool:
        """Whether another machine stands on a checkpoint of this one."""
        return any(other.parent is self for other in others)


class StateSpace:
    """
    The states of a guest that were seen, from a running machine on; a context manager.

    All examples begin as the machine stands when the space is made. What leads to a state that was
    seen before is not done again. Who does something new there gets a fork of the nearest
    checkpoint before it, in which the rest of the way is gone once more. Checkpoints are made where
    that rest took longer than a checkpoint does, and at once after what took ten times as long.

    Args:
        vm: Where all examples begin; it is not changed, and stays as it is.
        checkpoint_every: Make a checkpoint after so many actions instead.
        most: So many checkpoints at most; those not used for the longest time go first.
        share: `False`: each example does all it does in a fork of `vm`, nothing is remembered; to
            compare with.
        confirm: Whether the failing example that hypothesis reports in the end is done once more
            from the beginning, with nothing remembered: then it is no matter of forks.

    Attributes:
        counts: What it took so far.

    Raises:
        InvalidStateError: The machine does not run.
        SettingsError: A number is wrong.

    Example:
        ``with StateSpace(vm) as space: space.explore(Store)``
    """

    def __init__(
        self,
        vm: VM,
        *,
        checkpoint_every: int | None = None,
        most: int = 16,
        share: bool = True,
        confirm: bool = True,
    ) -> None:
        for name, number in (("checkpoint_every", checkpoint_every), ("most", most)):
            if number is not None and number < 1:
                raise SettingsError(f"{name} cannot be {number}", hint="a whole number above 0")
        self.counts = Counts()
        self._every = checkpoint_every
        self._most = most
        self._share = share
        self._confirm = confirm
        self._vm = vm
        self._name = vm.name
        self._numbers = itertools.count(1)
        self._root: Node[VM] = Node()
        self._holders: list[_Holder] = []
        self._live: _Holder | None = None
        #: Where the example is, and where the machine that runs for it stands.
        self._here = self._at = self._root
        self._remembers = share
        self._clock = itertools.count(1)
        self._fork_seconds, self._checkpoint_seconds = _FORK, _CHECKPOINT
        self._start = vm.checkpoint(f"states-{secrets.token_hex(3)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<StateSpace of {self._name!r}: {self.checkpoints} checkpoints>"

    @property
    def checkpoints(self) -> int:
        """How many checkpoints there are, that of the beginning aside."""
        return sum(len(holder.nodes) for holder in self._holders)

    def explore(self, machine: Any, *, settings: Any = None) -> Counts:
        """
        Let hypothesis look for an example that fails; see `explore`.

        Args:
            machine: The class with the rules, a `VMStateMachine`.
            settings: Hypothesis' settings.

        Returns:
            What the space took so far.
        """
        from vboxkit.testing.states import run_in

        begin = time.monotonic()
        try:
            run_in(self, machine, settings)
        finally:
            self.counts.seconds += time.monotonic() - begin
        return self.counts

    def begin(self, *, final: bool = False) -> None:
        """
        Begin an example: the guest is at the beginning again.

        Args:
            final: Whether it is the failing one, done once more.
        """
        self.end()
        self.counts.examples += 1
        self._remembers = self._share and not (final and self._confirm)
        self._here = self._root if self._remembers else Node()

    def end(self) -> None:
        """End an example: its machine goes, unless there are checkpoints of it."""
        holder, self._live = self._live, None
        if holder is None:
            return
        if holder.nodes:
            self._holders.append(holder)
            holder.vm.ssh.close()
            if holder.vm.state == MachineState.RUNNING:
                holder.vm.power_off()  # its checkpoints need no more than its disks
        else:
            holder.vm.destroy()

    def act(self, action: Action[VM]) -> Any:
        """
        Do an action in the example's guest, or return the answer that is known.

        Raises:
            GuestError: The way to this state gave other answers than the first time.
        """
        known = self._here.known(action) if self._remembers else None
        if known is not None:
            self.counts.skipped += 1
            self._here, answer = known
            return answer
        vm = self._reach(self._here)
        answer, seconds = self._perform(vm, action)
        self.counts.done += 1
        self._here = self._at = self._here.follow(action, answer, seconds)
        if action.changes:
            self._keep(at_once=True)
        return answer

    def close(self) -> None:
        """
        Remove all machines and checkpoints; the machine of the beginning stays.

        Raises:
            CleanupError: Some could not be removed; each was tried.
        """
        left: list[str] = []
        holders = self._holders + ([self._live] if self._live is not None else [])
        self._holders, self._live = [], None
        # Younger ones may stand on older ones.
        for holder in reversed(holders):
            try:
                holder.vm.destroy()
            except VBoxKitError as error:
                left.append(f"{holder.vm!r}: {error}")
        if not left and not self._vm.gone:
            try:
                self._start.delete()
            except VBoxKitError as error:
                left.append(f"{self._start!r}: {error}")
        if left:
            raise CleanupError(f"{self!r}: not all could be removed:", left=left, hint="vboxkit gc")

    def _perform(self, vm: VM, action: Action[VM]) -> tuple[Any, float]:
        """Do an action; return its answer and the seconds."""
        begin = time.monotonic()
        done = False
        try:
            answer = action.perform(vm)
            done = True
        finally:
            if not done:
                self._give_up()
        return answer, time.monotonic() - begin

    def _give_up(self) -> None:
        """Let go of a machine of which nobody knows what was done in it."""
        with suppress(VBoxKitError):  # what went wrong with it is being raised
            self.end()

    def _reach(self, node: Node[VM]) -> VM:
        """Return a machine that stands at a state."""
        places = {place: holder for holder in self._all() for place in holder.nodes}
        near = node.way_from(lambda it: it in places or it.parent is None)
        assert near is not None  # noqa: S101 - every way ends at a root
        start, way = near
        ahead = node.way_from(lambda it: it is self._at) if self._live is not None else None
        if ahead is not None and _seconds(ahead[1]) <= self._fork_seconds + _seconds(way):
            way = ahead[1]
        else:
            self._go(start, places.get(start))
        holder = self._live
        assert holder is not None  # noqa: S101 - just made, or there before
        for passed in way:
            assert passed.action is not None  # noqa: S101 - only a root has none
            answer, passed.seconds = self._perform(holder.vm, passed.action)
            self.counts.again += 1
            _compare(passed, answer)
            self._at = passed
        self._at = node
        if way:
            self._keep(at_once=False)
        return holder.vm

    def _go(self, start: Node[VM], origin: _Holder | None) -> None:
        """Fork a checkpoint."""
        self.end()
        begin = time.monotonic()
        checkpoint = self._start
        if origin is not None:
            checkpoint = origin.nodes[start]
        name = f"{self._name}-state{next(self._numbers)}-{secrets.token_hex(3)}"
        vm = checkpoint.fork(name)
        self._live = _Holder(vm, origin)
        while origin is not None:
            origin.used = next(self._clock)
            origin = origin.parent
        vm.wait_ready()
        self._at = start
        self.counts.forks += 1
        self._fork_seconds = (self._fork_seconds + time.monotonic() - begin) / 2

    def _keep(self, *, at_once: bool) -> None:
        """Make a checkpoint where the machine stands, if that is worth it."""
        holder = self._live
        assert holder is not None  # noqa: S101 - it stands somewhere
        if not self._remembers or self._at in holder.nodes:
            return
        places = {place for other in self._all() for place in other.nodes}
        near = self._at.way_from(lambda it: it in places or it.parent is None)
        assert near is not None  # noqa: S101 - every way ends at a root
        way = near[1]
        if self._every is not None:
            worth = len(way) >= self._every
        else:
            factor = _AT_ONCE if at_once else 1.0
            worth = _seconds(way) >= factor * self._checkpoint_seconds
        if not worth or holder.vm.state != MachineState.RUNNING or not self._make_room():
            return
        begin = time.monotonic()
        holder.nodes[self._at] = holder.vm.checkpoint(f"state-{secrets.token_hex(3)}")
        holder.used = next(self._clock)
        self.counts.checkpoints += 1
        self._checkpoint_seconds = (self._checkpoint_seconds + time.monotonic() - begin) / 2

    def _all(self) -> list[_Holder]:
        return [*self._holders, self._live] if self._live is not None else self._holders

    def _make_room(self) -> bool:
        """Give up what was not used for the longest time; tell whether there is room for one."""
        while sum(len(holder.nodes) for holder in self._all()) >= self._most:
            everybody = self._all()
            free = [it for it in self._holders if not it.needed_by(everybody)]
            if not free:
                return False
            oldest = min(free, key=lambda it: it.used)
            self._holders.remove(oldest)
            self.counts.dropped += len(oldest.nodes)
            oldest.vm.destroy()
        return True


def _seconds(way: Iterable[Node[Any]]) -> float:
    return sum(node.seconds for node in way)


def _compare(node: Node[Any], answer: Any) -> None:
    """Refuse a guest that does not do the same again."""
    before = node.answer
    if (
        isinstance(answer, Result)
        and isinstance(before, Result)
        and answer.exit_code != before.exit_code
    ):
        raise GuestError(
            f"after the same actions {answer.command!r} ended with exit code {answer.exit_code},"
            f" and with {before.exit_code} the first time: the guest's states are not what its"
            " actions make them",
            hint="make the actions wait until what they begin is done, and depend on nothing else",
        )
