"""What is gathered while a descriptor is read: problems, or the error that ends the reading."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from vboxkit.errors import OvfError
from vboxkit.ovf.model import Place, Problem
from vboxkit.ovf.units import LARGEST, HugeNumberError, number, unit

if TYPE_CHECKING:
    from fractions import Fraction

    from vboxkit.ovf.model import Severity
    from vboxkit.ovf.tree import Node

__all__ = ["Findings"]

_MOST = 1000
_ORDER = ("error", "warning", "note")
TRUST = "do not import it; ask who made it"


class Findings:
    """
    Collects problems of one descriptor.

    Args:
        path: The appliance, for errors.
        descriptor: The descriptor's name, for places.
    """

    def __init__(self, path: str, descriptor: str) -> None:
        self.path = path
        self.descriptor = descriptor
        self._problems: list[Problem] = []
        self._counts: Counter[str] = Counter()

    def add(
        self,
        severity: Severity,
        code: str,
        node: Node | str,
        sentence: str,
        remedy: str,
    ) -> None:
        """
        Note a problem.

        Args:
            severity: See `Problem`.
            code: See `Problem`.
            node: The element, or the name of a file.
            sentence: What is wrong.
            remedy: What to do.
        """
        # Of each severity: a thousand notes shall not hide an error.
        self._counts[severity] += 1
        if self._counts[severity] > _MOST:
            return
        if isinstance(node, str):
            place = Place(file=node)
        else:
            place = Place(file=self.descriptor, line=node.line, element=node.path)
        self._problems.append(
            Problem(severity=severity, code=code, place=place, sentence=sentence, remedy=remedy)
        )

    def refuse(self, node: Node, reason: str) -> OvfError:
        """Return the error for what is an attack, or beyond what can be read."""
        return OvfError(self.path, reason, element=node.where, hint=TRUST)

    def number(self, node: Node, text: str | None, what: str) -> int | None:
        """
        Return a number of the descriptor; `None` if it is not there, a problem if it is none.

        Raises:
            OvfError: It is beyond 64 bits.
        """
        if text is None or not text.strip():
            return None
        if text.strip().startswith("${"):
            return None  # a property decides
        try:
            value = number(text)
        except HugeNumberError as error:
            raise self.refuse(node, f"{what}: {error}") from error
        if value is None:
            self.add(
                "error",
                "not-a-number",
                node,
                f"{what} is {text.strip()[:40]!r}, which is no number of 0 or more",
                "write a whole number",
            )
        return value

    def unit(self, node: Node, text: str | None) -> tuple[str, Fraction] | None:
        """
        Return base unit and factor, `None` if nothing is said; a problem if it is no unit.

        Raises:
            OvfError: Its factor is beyond 64 bits.
        """
        if text is None or not text.strip():
            return None
        try:
            found = unit(text.strip()[:200])
        except HugeNumberError as error:
            raise self.refuse(node, str(error)) from error
        if found is None:
            self.add(
                "warning",
                "unit-unknown",
                node,
                f"the unit {text.strip()[:40]!r} is not known",
                "write byte, byte * 2^10, byte * 2^20, byte * 2^30 or hertz * 10^6",
            )
        return found

    def product(self, node: Node, value: int, factor: Fraction, what: str) -> int:
        """
        Return a number in its base unit.

        Raises:
            OvfError: It is beyond 64 bits.
        """
        amount = int(value * factor)
        if amount > LARGEST:
            raise self.refuse(node, f"{what} is {value} times {factor}: over 2^64")
        return amount

    def sorted(self) -> tuple[Problem, ...]:
        """Return the problems, the worst first, then by line."""
        return tuple(
            sorted(
                self._problems,
                key=lambda one: (_ORDER.index(one.severity), one.place.file, one.place.line),
            )
        )
