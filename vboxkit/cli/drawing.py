"""Pictures in terminals: by the terminal's own way, or as half blocks of two pixels each."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vboxkit.machines.screen import Pixels

__all__ = ["Way", "fitting", "half_blocks", "iterm", "kitty", "way"]

#: ``kitty`` and ``iterm`` show PNG files; the others are letters in 16 million, 256 or no colours.
Way = Literal["kitty", "iterm", "truecolor", "256", "plain"]

_Colour = tuple[int, int, int]
#: Bytes of Base64 that one escape sequence of kitty's may hold.
_CHUNK = 4096
#: Upper half, lower half, both and none, by whether the two pixels are light.
_PLAIN = {(True, False): "▀", (False, True): "▄", (True, True): "█", (False, False): " "}


def way(known: Mapping[str, str]) -> Way:
    """
    Choose how a terminal is shown a picture, by its environment.

    Args:
        known: The environment.
    """
    if known.get("NO_COLOR"):
        return "plain"
    term, program = known.get("TERM", ""), known.get("TERM_PROGRAM", "")
    # A multiplexer lets such pictures through only if it is told to.
    if not known.get("TMUX") and not term.startswith(("screen", "tmux")):
        if term in {"xterm-kitty", "xterm-ghostty"} or known.get("KITTY_WINDOW_ID"):
            return "kitty"
        if program in {"iTerm.app", "WezTerm", "mintty"} or known.get("LC_TERMINAL") == "iTerm2":
            return "iterm"
    if known.get("COLORTERM") in {"truecolor", "24bit"}:
        return "truecolor"
    return "256" if term != "dumb" else "plain"


def fitting(width: int, height: int, *, columns: int, lines: int) -> tuple[int, int]:
    """
    Return the columns and lines in which a picture fits with its proportions.

    A letter is taken for twice as high as it is wide.

    Args:
        width: The picture's, in pixels.
        height: The picture's, in pixels.
        columns: What there is.
        lines: What there is.
    """
    # Never larger than it is: a pixel becomes half a letter at most.
    wide = min(columns, width, lines * 2 * width // max(height, 1))
    wide = max(wide, 1)
    return wide, max(1, round(wide * height / max(width, 1) / 2))


def kitty(png: bytes, *, columns: int) -> Iterator[str]:
    """Yield the escape sequences of kitty's graphics protocol, which others know as well."""
    text = base64.standard_b64encode(png).decode("ascii")
    head = f"a=T,f=100,c={columns},"
    for place in range(0, len(text), _CHUNK):
        more = int(place + _CHUNK < len(text))
        yield f"\x1b_G{head}m={more};{text[place : place + _CHUNK]}\x1b\\"
        head = ""
    yield "\n"


def iterm(png: bytes, *, columns: int) -> Iterator[str]:
    """Yield the escape sequence of iTerm2's inline images."""
    text = base64.standard_b64encode(png).decode("ascii")
    head = f"inline=1;size={len(png)};width={columns};preserveAspectRatio=1"
    yield f"\x1b]1337;File={head}:{text}\a\n"


def half_blocks(picture: Pixels, *, colours: Way) -> Iterator[str]:
    """
    Yield lines of letters whose upper and lower halves are a pixel each.

    Args:
        picture: Its height is even, and its width what is shown of columns.
        colours: ``truecolor``, ``256`` or ``plain``.
    """
    rows = [picture.row(number) for number in range(picture.height)]
    lights = [_brightness(colour) for row in rows for colour in row] if colours == "plain" else []
    # Text that was made small is far from white: what counts is what else there is.
    middle = (min(lights) + max(lights)) / 2 if lights else 0.0
    for upper, lower in zip(rows[0::2], rows[1::2], strict=False):
        if colours == "plain":
            yield _plain(upper, lower, middle=middle)
        else:
            yield _coloured(upper, lower, exact=colours == "truecolor")


def _plain(upper: Sequence[_Colour], lower: Sequence[_Colour], *, middle: float) -> str:
    pairs = zip(upper, lower, strict=True)
    halves = (tuple(_brightness(colour) > middle for colour in pair) for pair in pairs)
    return "".join(_PLAIN[above, below] for above, below in halves).rstrip()


def _brightness(colour: _Colour) -> float:
    """Return how bright it is to the eye, 0 to 255."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _coloured(upper: Sequence[_Colour], lower: Sequence[_Colour], *, exact: bool) -> str:
    parts: list[str] = []
    before: tuple[str, str] | None = None
    for pair in zip(upper, lower, strict=True):
        above, below = (_code(colour, exact=exact) for colour in pair)
        if before is None or above != before[0]:
            parts.append(f"\x1b[38;{above}m")
        if before is None or below != before[1]:
            parts.append(f"\x1b[48;{below}m")
        before = above, below
        parts.append("▀")
    return "".join(parts) + "\x1b[0m"


def _code(colour: _Colour, *, exact: bool) -> str:
    red, green, blue = colour
    if exact:
        return f"2;{red};{green};{blue}"
    if max(colour) - min(colour) < 12:
        # The 24 greys are finer than the cube.
        grey = round((sum(colour) / 3 - 8) / 10)
        return f"5;{16 if grey < 0 else 231 if grey > 23 else 232 + grey}"
    r, g, b = (round(part / 255 * 5) for part in colour)
    return f"5;{16 + 36 * r + 6 * g + b}"
