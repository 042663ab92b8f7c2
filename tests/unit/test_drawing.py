"""Pictures in terminals."""

from __future__ import annotations

import base64
import re

import pytest

from vboxkit.cli import drawing
from vboxkit.machines.screen import Pixels

#: Two columns of two lines: white over black, red over red, and below blue over grey, black.
_PICTURE = Pixels(
    bytes.fromhex("ffffff00 ff000000 00000000 ff000000 0000ff00 00000000 80808000 00000000"),
    2,
    4,
)


@pytest.mark.parametrize(
    ("known", "way"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        (
            {"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app", "COLORTERM": "truecolor"},
            "iterm",
        ),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm"),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "iTerm.app", "COLORTERM": "24bit"}, "truecolor"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux", "COLORTERM": "truecolor"}, "truecolor"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "truecolor"),
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "dumb"}, "plain"),
        ({"TERM": "xterm-kitty", "NO_COLOR": "1"}, "plain"),
    ],
)
def test_way(known: dict[str, str], way: str) -> None:
    """Each terminal's own way; none through a multiplexer; letters alone without colours."""
    assert drawing.way(known) == way


@pytest.mark.parametrize(
    ("size", "there", "wanted"),
    [
        ((640, 480), (80, 24), (64, 24)),
        ((640, 480), (80, 100), (80, 30)),
        ((720, 400), (200, 50), (180, 50)),
        ((40, 20), (80, 24), (40, 10)),
        ((640, 480), (10, 1), (2, 1)),
        ((0, 0), (80, 24), (1, 1)),
    ],
)
def test_fitting(size: tuple[int, int], there: tuple[int, int], wanted: tuple[int, int]) -> None:
    """It fits, keeps its proportions, and is never made larger."""
    width, height = size
    columns, lines = there
    assert drawing.fitting(width, height, columns=columns, lines=lines) == wanted


def test_half_blocks_in_16_million_colours() -> None:
    """The upper pixel is the letter's colour, the lower its ground."""
    assert list(drawing.half_blocks(_PICTURE, colours="truecolor")) == [
        "\x1b[38;2;255;255;255m\x1b[48;2;0;0;0m▀\x1b[38;2;255;0;0m\x1b[48;2;255;0;0m▀\x1b[0m",
        "\x1b[38;2;0;0;255m\x1b[48;2;128;128;128m▀\x1b[38;2;0;0;0m\x1b[48;2;0;0;0m▀\x1b[0m",
    ]


def test_half_blocks_in_256_colours() -> None:
    """Greys by the ramp, colours by the cube."""
    first, second = drawing.half_blocks(_PICTURE, colours="256")
    assert re.findall(r";5;(\d+)m", first) == ["231", "16", "196", "196"]
    assert re.findall(r";5;(\d+)m", second) == ["21", "244", "16", "16"]


def test_half_blocks_without_colours() -> None:
    """What is brighter than the middle, and no escape sequence."""
    assert list(drawing.half_blocks(_PICTURE, colours="plain")) == ["▀", "▄"]


def test_kitty() -> None:
    """The PNG in chunks, each but the last with more to come, the first with the size."""
    png = bytes(range(256)) * 40
    parts = list(drawing.kitty(png, columns=64))
    found = [re.fullmatch(r"\x1b_G(.*?);(.*)\x1b\\", part, re.DOTALL) for part in parts[:-1]]
    heads = [one[1] for one in found if one]
    assert heads[0] == "a=T,f=100,c=64,m=1"
    assert heads[1:] == ["m=1"] * (len(heads) - 2) + ["m=0"]
    assert all(len(one[2]) <= 4096 for one in found if one)
    assert base64.b64decode("".join(one[2] for one in found if one)) == png
    assert parts[-1] == "\n"


def test_iterm() -> None:
    """One sequence with the PNG and its size."""
    (part,) = drawing.iterm(b"PNG", columns=64)
    head = "inline=1;size=3;width=64;preserveAspectRatio=1"
    assert part == f"\x1b]1337;File={head}:{base64.b64encode(b'PNG').decode()}\a\n"
