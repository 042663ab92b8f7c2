"""Keyboard layouts: which keys, as scan codes of set 1, make which character."""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

from vboxkit.errors import NotFoundError

__all__ = ["KEYS", "LAYOUTS", "Layout", "layout_named", "split_combination"]

#: The scan codes of the keys that make characters, row by row: the key below Escape to the one
#: left of Backspace; the three rows of letters, the key beside Enter at the end of the third, the
#: key right of the left Shift (which keyboards of the United States lack) at the start of the last.
_CODES = (0x29, *range(0x02, 0x0E), *range(0x10, 0x1C), *range(0x1E, 0x29), 0x2B, 0x56)
_CODES = (*_CODES, *range(0x2C, 0x36))

_EXTENDED = 0xE0

#: Every key that has a name, with its scan codes.
KEYS: dict[str, tuple[int, ...]] = {
    "esc": (0x01,),
    "backspace": (0x0E,),
    "tab": (0x0F,),
    "enter": (0x1C,),
    "ctrl": (0x1D,),
    "shift": (0x2A,),
    "rshift": (0x36,),
    "alt": (0x38,),
    "space": (0x39,),
    "capslock": (0x3A,),
    "numlock": (0x45,),
    "scrolllock": (0x46,),
    "rctrl": (_EXTENDED, 0x1D),
    "altgr": (_EXTENDED, 0x38),
    "home": (_EXTENDED, 0x47),
    "up": (_EXTENDED, 0x48),
    "pageup": (_EXTENDED, 0x49),
    "left": (_EXTENDED, 0x4B),
    "right": (_EXTENDED, 0x4D),
    "end": (_EXTENDED, 0x4F),
    "down": (_EXTENDED, 0x50),
    "pagedown": (_EXTENDED, 0x51),
    "insert": (_EXTENDED, 0x52),
    "del": (_EXTENDED, 0x53),
    "win": (_EXTENDED, 0x5B),
    "rwin": (_EXTENDED, 0x5C),
    "menu": (_EXTENDED, 0x5D),
    "print": (_EXTENDED, 0x37),
    **{f"f{n}": (0x3A + n,) for n in range(1, 11)},
    "f11": (0x57,),
    "f12": (0x58,),
    **dict(
        zip(
            (f"kp{key}" for key in "789-456+1230."),
            ((code,) for code in range(0x47, 0x54)),
            strict=True,
        )
    ),
    "kp*": (0x37,),
    "kp/": (_EXTENDED, 0x35),
    "kpenter": (_EXTENDED, 0x1C),
}
_ALIASES = {
    "escape": "esc",
    "return": "enter",
    "control": "ctrl",
    "delete": "del",
    "ins": "insert",
    "pgup": "pageup",
    "pgdn": "pagedown",
    "super": "win",
    "meta": "win",
    "bksp": "backspace",
}

#: The accents of dead keys, by the accent alone.
_ACCENTS = {"^": "\u0302", "\u00b4": "\u0301", "`": "\u0300", "¨": "\u0308"}


@dataclass(frozen=True)
class Stroke:
    """A key, and the keys that are held while it is pressed."""

    codes: tuple[int, ...]
    held: tuple[str, ...] = ()

    def scancodes(self) -> list[int]:
        """Return the codes of pressing and letting go of all of it."""
        down = [code for key in self.held for code in KEYS[key]]
        up = [code for key in reversed(self.held) for code in released(KEYS[key])]
        return [*down, *self.codes, *released(self.codes), *up]


def released(codes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the codes of letting a key go."""
    return (*codes[:-1], codes[-1] | 0x80)


@dataclass(frozen=True)
class Layout:
    """
    A keyboard layout: what the guest takes the keys for.

    Attributes:
        name: Its name, as ``de``.
        plain: What the keys make alone, in the order of the keyboard; a space for nothing.
        shift: With Shift.
        altgr: With AltGr: the plain character of the key, and what it makes then.
        dead: The characters among these that wait for a letter, to put an accent on it.
    """

    name: str
    plain: str
    shift: str
    altgr: dict[str, str]
    dead: str = ""

    @cached_property
    def strokes(self) -> dict[str, Stroke]:
        """How each character is typed that one key makes, dead ones included."""
        table = {" ": Stroke(KEYS["space"]), "\n": Stroke(KEYS["enter"])}
        table |= {"\t": Stroke(KEYS["tab"]), "\b": Stroke(KEYS["backspace"])}
        table |= {"\x1b": Stroke(KEYS["esc"])}
        for codes, char in zip(_CODES, self.plain, strict=True):
            table.setdefault(char, Stroke((codes,)))
        for codes, char in zip(_CODES, self.shift, strict=True):
            table.setdefault(char, Stroke((codes,), ("shift",)))
        for key, char in self.altgr.items():
            table.setdefault(char, Stroke(table[key].codes, ("altgr",)))
        return table

    def typed(self, char: str) -> list[Stroke] | None:
        """Return the strokes that make a character, or `None` if none do."""
        if char in self.dead:
            return [self.strokes[char], self.strokes[" "]]
        if char in self.strokes:
            return [self.strokes[char]]
        base, *marks = list(unicodedata.normalize("NFD", char))
        for accent in self.dead:
            if marks == [_ACCENTS[accent]] and base in self.strokes:
                return [self.strokes[accent], self.strokes[base]]
        return None

    def strokes_of(self, text: str) -> list[Stroke]:
        """
        Return the strokes that make a text; a line break is Enter.

        Raises:
            NotFoundError: The layout lacks characters of it; the error lists them all.
        """
        text = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
        found = {char: self.typed(char) for char in dict.fromkeys(text)}
        missing = [char for char, strokes in found.items() if strokes is None]
        if missing:
            shown = " ".join(repr(char) for char in missing)
            others = [
                other.name
                for other in LAYOUTS.values()
                if all(other.typed(char) is not None for char in found)
            ]
            raise NotFoundError(
                f"the keyboard layout {self.name!r} has no {shown}; nothing was typed",
                kind="character",
                wanted="".join(missing),
                available=[char for char in self.strokes if char.isprintable()],
                operation="type it",
                hint=f"layout={others[0]!r} has them, if the guest uses that one"
                if others
                else "write a file by SSH or over the serial console, which take any character",
            )
        return [stroke for char in text for stroke in found[char] or ()]

    def key(self, name: str) -> tuple[int, ...]:
        """
        Return the codes of a key by its name, or by the character that it makes alone.

        Raises:
            NotFoundError: There is no such key.
        """
        folded = name.casefold()
        folded = _ALIASES.get(folded, folded)
        if folded in KEYS:
            return KEYS[folded]
        stroke = self.strokes.get(folded)
        if stroke is not None and not stroke.held:
            return stroke.codes
        known = [*KEYS, *_ALIASES]
        near = difflib.get_close_matches(folded, known, n=3)
        raise NotFoundError(
            f"there is no key {name!r} in the keyboard layout {self.name!r}",
            kind="key",
            wanted=name,
            available=known,
            operation="press it",
            hint=f"did you mean {' or '.join(near)}?" if near else f"a character, or {known}",
        )


def split_combination(keys: str) -> list[str]:
    """
    Return the keys of a combination: ``ctrl-alt-del``, ``ctrl+c``, ``ctrl--``.

    Example:
        >>> split_combination("ctrl-alt-f2"), split_combination("ctrl--"), split_combination("-")
        (['ctrl', 'alt', 'f2'], ['ctrl', '-'], ['-'])
    """
    if keys.casefold() in KEYS:  # "kp-"
        return [keys]
    return re.split(r"(?<=[^-+])[-+](?=.)", keys)


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "us",
            "`1234567890-=qwertyuiop[]asdfghjkl;'\\\\zxcvbnm,./",
            '~!@#$%^&*()_+QWERTYUIOP{}ASDFGHJKL:"||ZXCVBNM<>?',
            {},
        ),
        Layout(
            "gb",
            "`1234567890-=qwertyuiop[]asdfghjkl;'#\\zxcvbnm,./",
            '¬!"£$%^&*()_+QWERTYUIOP{}ASDFGHJKL:@~|ZXCVBNM<>?',
            {"`": "¦", "4": "€", "e": "é", "u": "ú", "i": "í", "o": "ó", "a": "á"},
        ),
        Layout(
            "de",
            "^1234567890ß\u00b4qwertzuiopü+asdfghjklöä#<yxcvbnm,.-",
            "°!\"§$%&/()=?`QWERTZUIOPÜ*ASDFGHJKLÖÄ'>YXCVBNM;:_",
            {
                "2": "²",
                "3": "³",
                "7": "{",
                "8": "[",
                "9": "]",
                "0": "}",
                "ß": "\\",
                "q": "@",
                "e": "€",
                "+": "~",
                "<": "|",
                "m": "µ",
            },
            dead="^\u00b4`",
        ),
        Layout(
            "fr",
            "²&é\"'(-è_çà)=azertyuiop^$qsdfghjklmù*<wxcvbn,;:!",
            " 1234567890°+AZERTYUIOP¨£QSDFGHJKLM%µ>WXCVBN?./§",
            {
                "é": "~",
                '"': "#",
                "'": "{",
                "(": "[",
                "-": "|",
                "è": "`",
                "_": "\\",
                "à": "@",
                ")": "]",
                "=": "}",
                "e": "€",
                "$": "¤",
            },
            dead="^¨",
        ),
    )
}


def layout_named(name: str) -> Layout:
    """
    Return a layout: ``us``, ``gb`` (or ``uk``), ``de``, ``fr``.

    Raises:
        NotFoundError: There is no such layout; the error lists them.
    """
    found = LAYOUTS.get({"uk": "gb", "en": "us"}.get(name.casefold(), name.casefold()))
    if found is None:
        raise NotFoundError(
            f"there is no keyboard layout {name!r}, only {', '.join(LAYOUTS)}",
            kind="keyboard layout",
            wanted=name,
            available=list(LAYOUTS),
            operation="choose the keyboard layout",
            hint=f"one of {', '.join(LAYOUTS)}",
        )
    return found
