"""
The seam between vboxkit and a way into VirtualBox.

`vboxkit.machines` sees VirtualBox only through an `Api`. `vboxkit.com.xpcom` is one; a second one
(the web service, say) has to give the same: raw objects with VirtualBox's attributes and methods,
and the few things below, which differ from one way in to the next. Methods with out-parameters
give what vboxapi's XPCOM binding gives: the return value and then the out-parameters, in one
sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vboxkit.com.interfaces import ISession, IVirtualBox
    from vboxkit.core.audit import AuditLog

__all__ = ["Api", "ForeignError"]


@dataclass(frozen=True)
class ForeignError:
    """
    What a foreign exception says.

    Attributes:
        code: The result code, unsigned.
        symbol: Its name in the running version, or the code in hexadecimal.
        text: VirtualBox's words.
        lost: Whether the other side is gone.
    """

    code: int
    symbol: str
    text: str
    lost: bool = False


class Api(Protocol):
    """One way into one VirtualBox."""

    #: The folder of the installation.
    installation: Path
    #: The VirtualBox home, if it is not the user's own.
    home: Path | None
    #: The environment which processes need in order to meet the same VBoxSVC.
    environment: dict[str, str]
    #: Where changes are written down, if they are.
    audit: AuditLog | None

    @property
    def virtualbox(self) -> IVirtualBox:
        """The raw ``IVirtualBox``."""
        ...

    @property
    def version(self) -> tuple[int, int, int]:
        """The running version."""
        ...

    def session(self) -> ISession:
        """Return a new raw ``ISession``."""
        ...

    def value(self, enumeration: str, name: str) -> Any:
        """
        Return the running version's value of ``MachineState``, ``Running``.

        Raises:
            UnsupportedVersionError: The running version has no such name.
        """
        ...

    def name(self, enumeration: str, value: Any) -> str:
        """Return the name of a value of an enumeration in the running version."""
        ...

    def names(self, enumeration: str) -> Sequence[str]:
        """Return all names of an enumeration in the running version."""
        ...

    def array(self, obj: Any, attribute: str) -> list[Any]:
        """Return an attribute that is an array."""
        ...

    def set_array(self, obj: Any, attribute: str, values: Sequence[Any]) -> None:
        """Set an attribute that is an array."""
        ...

    def cast(self, obj: Any, interface: str) -> Any:
        """Return the same object as another of its interfaces."""
        ...

    def symbol(self, code: int) -> str:
        """Return the name of an unsigned result code, or its hexadecimal digits."""
        ...

    def forget_words(self) -> None:
        """Forget what VirtualBox last said in this thread; see `last_words`."""
        ...

    def last_words(self) -> ForeignError | None:
        """
        Return what VirtualBox last said in this thread, if that can be asked for.

        Some calls (``openMedium`` for one) fail with a code other than the one in their error
        information, and an exception then has the code only. `forget_words` before the call.
        """
        ...

    def foreign(self, error: BaseException) -> ForeignError | None:
        """Read an exception of this way in; `None` for an exception that is not foreign."""
        ...
