"""What was done in a guest, and what it answered: a tree, of which each example is a path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Action", "Counts", "Node"]

M = TypeVar("M")


@dataclass
class Counts:
    """
    What an exploration took.

    Attributes:
        examples: Sequences of rules that hypothesis tried, those while shrinking as well.
        done: Actions that were done in a guest for the first time.
        again: Actions that were done again, to reach a state that had no checkpoint.
        skipped: Actions that were not done, as their answer was known.
        forks: Machines that were made.
        checkpoints: Checkpoints that were made.
        dropped: Checkpoints that were given up for newer ones.
        seconds: How long it all took; hypothesis' own work is in it.
    """

    examples: int = 0
    done: int = 0
    again: int = 0
    skipped: int = 0
    forks: int = 0
    checkpoints: int = 0
    dropped: int = 0
    seconds: float = 0.0

    @property
    def executed(self) -> int:
        """Actions that were done in a guest, for the first time or again."""
        return self.done + self.again


@dataclass(frozen=True)
class Action(Generic[M]):
    """
    Something that is done with a machine.

    Attributes:
        key: Equal for actions that do the same.
        perform: Does it, and returns the answer.
        what: For messages.
        changes: Whether the guest is another one afterwards.
    """

    key: Hashable
    perform: Callable[[M], Any] = field(compare=False)
    what: str = field(compare=False)
    changes: bool = True


class Node(Generic[M]):
    """
    A state of the guest: what the actions on the way from the root lead to.

    Attributes:
        parent: The state before the last action; `None` for the root.
        action: The last action.
        answer: What it gave.
        seconds: How long it took.
        children: The states that are known to follow, by the action's key.
        answers: What actions that change nothing gave here, by key.
    """

    def __init__(
        self,
        parent: Node[M] | None = None,
        action: Action[M] | None = None,
        answer: Any = None,
        seconds: float = 0.0,
    ) -> None:
        self.parent = parent
        self.action = action
        self.answer = answer
        self.seconds = seconds
        self.children: dict[Hashable, Node[M]] = {}
        self.answers: dict[Hashable, Any] = {}

    def follow(self, action: Action[M], answer: Any, seconds: float) -> Node[M]:
        """Note what an action in this state gave; return the state that it leads to."""
        if not action.changes:
            self.answers[action.key] = answer
            return self
        node = Node(self, action, answer, seconds)
        self.children[action.key] = node
        return node

    def known(self, action: Action[M]) -> tuple[Node[M], Any] | None:
        """Return the state that an action leads to and its answer; `None` if it is new here."""
        if not action.changes:
            return (self, self.answers[action.key]) if action.key in self.answers else None
        child = self.children.get(action.key)
        return None if child is None else (child, child.answer)

    def way_from(self, start: Callable[[Node[M]], bool]) -> tuple[Node[M], list[Node[M]]] | None:
        """
        Return the nearest state upwards, this one included, that is a start, and the way from it.

        The way are the states to pass, this one last; `None` if there is no start.
        """
        way: list[Node[M]] = []
        node: Node[M] | None = self
        while node is not None and not start(node):
            way.insert(0, node)
            node = node.parent
        return None if node is None else (node, way)
