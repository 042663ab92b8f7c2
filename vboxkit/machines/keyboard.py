"""Typing on the keyboard of a machine that runs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import ApiError
from vboxkit.machines.keyboard_layouts import layout_named, released, split_combination
from vboxkit.machines.live import LivePart

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vboxkit.com.interfaces import IConsole
    from vboxkit.machines.keyboard_layouts import Layout
    from vboxkit.machines.machine import Machine

__all__ = ["Keyboard"]

#: Keys a second. An emulated guest lost none at 200, and some at 250 in bursts of five; the rest
#: is for guests that are busy. VirtualBox's keyboard forgets what does not fit into its queue.
_RATE = 50.0


class Keyboard(LivePart):
    r"""
    The keyboard of a machine that runs: ``machine.keyboard``.

    The guest sees keys, not characters: `layout` says what it takes them for, and has to be the
    one that the guest uses.

    Example:
        >>> vm.keyboard.type("root\n")                                      # doctest: +SKIP
        >>> vm.keyboard.press("ctrl-alt-del")                               # doctest: +SKIP
    """

    noun = "keyboard"

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._layout = layout_named("us")

    @property
    def layout(self) -> str:
        """The layout that `type` and `press` go by: ``us``, ``gb``, ``de`` or ``fr``."""
        return self._layout.name

    @layout.setter
    def layout(self, name: str) -> None:
        self._layout = layout_named(name)

    def type(self, text: str, *, layout: str | None = None, rate: float = _RATE) -> None:
        r"""
        Type a text; a line break is Enter. Returns when the last key was pressed.

        Args:
            text: What to type. Accents of dead keys are typed as such.
            layout: Another one than the keyboard's, for this text.
            rate: Keys a second. A guest that is slower than that loses keys without a word.

        Raises:
            NotFoundError: The layout lacks characters of the text: nothing was typed.
            InvalidStateError: The machine does not run, or is paused.
            ApiError: The guest does not fetch keys: VirtualBox's queue is full.

        Example:
            ``vm.keyboard.type("ls | wc -l\n")``
        """
        if not rate > 0:
            raise ValueError(f"rate is keys a second, more than 0, not {rate!r}")
        chosen = self._chosen(layout)
        strokes = [stroke.scancodes() for stroke in chosen.strokes_of(text)]
        gap = Deadline(0)
        with self._running("type") as console:
            for codes in strokes:
                _wait(gap)
                gap = Deadline(1 / rate)
                self._put(console, codes)

    def press(self, *keys: str, layout: str | None = None) -> None:
        """
        Press keys together and let them go, in the reverse order.

        Args:
            *keys: ``"enter"``, or a combination, ``"ctrl-alt-del"`` or ``"ctrl+c"``. Several are
                pressed one after the other. A key is `vboxkit.machines.keyboard_layouts.KEYS`'s,
                or the character that it makes alone.
            layout: Another one than the keyboard's.

        Raises:
            NotFoundError: There is no such key; nothing was pressed.
            InvalidStateError: The machine does not run, or is paused.

        Example:
            ``vm.keyboard.press("alt-f2", "enter")``
        """
        chosen = self._chosen(layout)
        codes = [self._codes(chosen, key) for key in keys]
        gap = Deadline(0)
        with self._running("press keys") as console:
            for combination in codes:
                _wait(gap)
                gap = Deadline(1 / _RATE)
                down = [code for key in combination for code in key]
                up = [code for key in reversed(combination) for code in released(key)]
                self._put(console, [*down, *up])

    def down(self, key: str) -> None:
        """
        Press a key, or a combination, and leave it pressed, until `up` or `release_all`.

        Raises:
            NotFoundError: There is no such key.
            InvalidStateError: The machine does not run, or is paused.
        """
        codes = [code for each in self._codes(self._layout, key) for code in each]
        with self._running("press a key") as console:
            self._put(console, codes)

    def up(self, key: str) -> None:
        """Let a key, or a combination, go."""
        combination = self._codes(self._layout, key)
        codes = [code for each in reversed(combination) for code in released(each)]
        with self._running("let a key go") as console:
            self._put(console, codes)

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """
        Hold a key, or a combination, while the block runs.

        Example:
            ``with vm.keyboard.hold("shift"): vm.keyboard.press("f1")``
        """
        self.down(key)
        try:
            yield
        finally:
            self.up(key)

    def release_all(self) -> None:
        """Let go of every key that is still pressed."""
        with self._running("let all keys go") as console:
            console.keyboard.releaseKeys()

    @property
    def lights(self) -> frozenset[str]:
        """The lights that the guest has switched on: ``NumLock``, ``CapsLock``, ``ScrollLock``."""
        with self._session("read the keyboard's lights") as session:
            raw = self._api.array(session.console.keyboard, "keyboardLEDs")
        return frozenset(self._api.name("KeyboardLED", each) for each in raw)

    def _chosen(self, layout: str | None) -> Layout:
        return self._layout if layout is None else layout_named(layout)

    def _codes(self, layout: Layout, keys: str) -> list[tuple[int, ...]]:
        return [layout.key(key) for key in split_combination(keys)]

    def _put(self, console: IConsole, codes: Sequence[int]) -> None:
        keyboard = console.keyboard
        try:
            keyboard.putScancodes(list(codes))
        except Exception as error:
            foreign = self._api.foreign(error)
            if foreign is None or "NO_QUEUE_ITEMS" not in foreign.text:
                raise
            raise ApiError(
                f"{self._subject()} ({self._state()}): the guest does not fetch the keys, and"
                " VirtualBox can keep no more",
                code=foreign.code,
                symbol=foreign.symbol,
                text=foreign.text,
                operation="type",
                hint="look at screen.shot() whether the guest is alive; give a lower rate",
            ) from error


def _wait(gap: Deadline) -> None:
    if not gap.expired:
        wait_until(
            lambda: gap.expired or None,
            what="the next key",
            timeout=gap.remaining + 60,
            poll=gap.remaining,
        )
