"""The mouse of a machine that runs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from vboxkit.errors import InvalidStateError, NotFoundError
from vboxkit.machines.live import LivePart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.com.interfaces import IMouse
    from vboxkit.machines.machine import Machine

__all__ = ["Button", "Mouse"]

Button = Literal["left", "right", "middle"]

#: VirtualBox's ``MouseButtonState``, which is a set of bits, not an enumeration of values.
_BITS = {"left": 1, "right": 2, "middle": 4}


class Mouse(LivePart):
    """
    The mouse of a machine that runs: ``machine.mouse``.

    What it can do is up to the guest: `relative` needs a driver of the guest for the mouse,
    `absolute` a tablet (``machine.pointing = "USBTablet"``) or the Guest Additions.

    Example:
        >>> vm.mouse.move_to(320, 200)                                      # doctest: +SKIP
        >>> vm.mouse.click()                                                # doctest: +SKIP
    """

    noun = "mouse"

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._held = 0

    @property
    def relative(self) -> bool:
        """Whether the guest takes movements from where the pointer is."""
        with self._session("read what the mouse can do") as session:
            return bool(session.console.mouse.relativeSupported)

    @property
    def absolute(self) -> bool:
        """Whether the guest takes positions on the screen."""
        with self._session("read what the mouse can do") as session:
            return bool(session.console.mouse.absoluteSupported)

    def move(self, right: int, down: int) -> None:
        """
        Move the pointer from where it is; negative numbers for left and up.

        Args:
            right: In steps of the mouse, which the guest may make longer or shorter.
            down: Likewise.

        Raises:
            InvalidStateError: The guest has no driver for the mouse; or it does not run.
        """
        self._move(right, down, 0, 0)

    def move_to(self, x: int, y: int) -> None:
        """
        Put the pointer at a place of the screen.

        Args:
            x: Pixels from the left edge.
            y: Pixels from the upper edge.

        Raises:
            InvalidStateError: The guest cannot do that; or it does not run.
        """
        with self._running("put the pointer somewhere") as console:
            mouse = console.mouse
            if not mouse.absoluteSupported:
                raise self._cannot(
                    "takes no positions, only movements",
                    'machine.pointing = "USBTablet" while it is off, or Guest Additions; or move()',
                )
            # VirtualBox counts from 1.
            mouse.putMouseEventAbsolute(x + 1, y + 1, 0, 0, self._held)

    def click(self, button: Button = "left", *, times: int = 1) -> None:
        """Press a button and let it go, so many times."""
        bit = self._bit(button)
        with self._running("click") as console:
            mouse = self._moved(console.mouse)
            for _ in range(times):
                mouse.putMouseEvent(0, 0, 0, 0, self._held | bit)
                mouse.putMouseEvent(0, 0, 0, 0, self._held)

    def scroll(self, down: int, *, right: int = 0) -> None:
        """Turn the wheel by so many notches; negative ones for up and left."""
        self._move(0, 0, down, right)

    @contextmanager
    def hold(self, button: Button = "left") -> Iterator[None]:
        """
        Hold a button while the block runs, to drag something.

        Example:
            ``with vm.mouse.hold(): vm.mouse.move(100, 0)``
        """
        bit = self._bit(button)
        before, self._held = self._held, self._held | bit
        try:
            self._move(0, 0, 0, 0)
        except BaseException:
            self._held = before
            raise
        try:
            yield
        finally:
            self._held = before
            self._move(0, 0, 0, 0)

    def _move(self, right: int, down: int, wheel: int, sideways: int) -> None:
        with self._running("move the mouse") as console:
            self._moved(console.mouse).putMouseEvent(right, down, wheel, sideways, self._held)

    def _moved(self, mouse: IMouse) -> IMouse:
        if not (mouse.relativeSupported or mouse.absoluteSupported):
            # VirtualBox would take the event, and lose it.
            raise self._cannot(
                f"does not listen to the mouse ({self._machine.pointing})",
                "its kernel needs a driver for that mouse; see machine.pointing for other kinds",
            )
        return mouse

    def _cannot(self, why: str, hint: str) -> InvalidStateError:
        return InvalidStateError(
            f"{self._subject()} ({self._state()}): the guest {why}",
            state=self._state(),
            operation="use the mouse",
            hint=hint,
        )

    def _bit(self, button: str) -> int:
        if button not in _BITS:
            raise NotFoundError(
                f"{self._subject()} has no button {button!r}, only {', '.join(_BITS)}",
                kind="mouse button",
                wanted=button,
                available=list(_BITS),
                operation="click",
                hint=f"one of {', '.join(_BITS)}",
            )
        return _BITS[button]
