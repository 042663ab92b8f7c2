"""What was broken on purpose, and how it is mended."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from vboxkit.errors import VBoxKitError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Fault"]


class Fault:
    """
    Something that was broken on purpose; a context manager that mends it at its end.

    Attributes:
        what: What was broken, in words.

    Example:
        >>> with Fault("the light is off", lambda: print("on again")) as fault:
        ...     print(fault.what)
        the light is off
        on again
    """

    def __init__(self, what: str, mend: Callable[[], object]) -> None:
        self.what = what
        self._mend = mend
        self._mended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.mend()
            return
        # What the block raised counts, and may be why it cannot be mended.
        with suppress(VBoxKitError):
            self.mend()

    def __repr__(self) -> str:
        return f"<Fault {self.what!r}{', mended' if self._mended else ''}>"

    @property
    def mended(self) -> bool:
        """Whether it was mended by way of this object."""
        return self._mended

    def mend(self) -> None:
        """Mend it; doing it twice does no harm."""
        if not self._mended:
            self._mend()
            self._mended = True
