"""Characters and key names as scan codes."""

from __future__ import annotations

import string

import pytest

from vboxkit.errors import NotFoundError
from vboxkit.machines.keyboard_layouts import KEYS, LAYOUTS, layout_named, split_combination


def codes(layout: str, text: str) -> list[list[int]]:
    """Return the scan codes of each stroke of a text."""
    return [stroke.scancodes() for stroke in layout_named(layout).strokes_of(text)]


@pytest.mark.parametrize(
    ("layout", "text", "wanted"),
    [
        ("us", "a", [[0x1E, 0x9E]]),
        ("us", "A", [[0x2A, 0x1E, 0x9E, 0xAA]]),
        ("us", "@", [[0x2A, 0x03, 0x83, 0xAA]]),
        ("us", "\n", [[0x1C, 0x9C]]),
        ("us", "\r\n", [[0x1C, 0x9C]]),
        ("uk", "@", [[0x2A, 0x28, 0xA8, 0xAA]]),
        ("gb", "\u00a3", [[0x2A, 0x04, 0x84, 0xAA]]),
        ("gb", "#", [[0x2B, 0xAB]]),
        ("gb", "\\", [[0x56, 0xD6]]),
        ("de", "zy", [[0x15, 0x95], [0x2C, 0xAC]]),
        ("de", "@", [[0xE0, 0x38, 0x10, 0x90, 0xE0, 0xB8]]),
        ("de", "^", [[0x29, 0xA9], [0x39, 0xB9]]),
        ("de", "\u00ea", [[0x29, 0xA9], [0x12, 0x92]]),
        ("de", "|", [[0xE0, 0x38, 0x56, 0xD6, 0xE0, 0xB8]]),
        ("fr", "a1", [[0x10, 0x90], [0x2A, 0x02, 0x82, 0xAA]]),
        ("fr", "\u00e9", [[0x03, 0x83]]),
        ("fr", "\u00ef", [[0x2A, 0x1A, 0x9A, 0xAA], [0x17, 0x97]]),
    ],
)
def test_characters(layout: str, text: str, wanted: list[list[int]]) -> None:
    """A character is the keys of its layout: Shift, AltGr and dead keys included."""
    assert codes(layout, text) == wanted


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_has_all_of_ascii(name: str) -> None:
    """Each printable character of ASCII can be typed in each layout, each in another way."""
    seen = {str(codes(name, char)): char for char in sorted(set(string.printable) - set("\r\v\f"))}
    assert len(seen) == len(set(string.printable) - set("\r\v\f"))


def test_what_goes_down_comes_up() -> None:
    """Each stroke lets go of every key that it pressed."""
    for layout in LAYOUTS.values():
        for stroke in layout.strokes.values():
            sent = [code for code in stroke.scancodes() if code != 0xE0]
            assert sorted(c for c in sent if c < 0x80) == sorted(c - 0x80 for c in sent if c > 0x7F)


def test_unknown_characters_are_listed_at_once() -> None:
    """The error has all characters that the layout lacks, and a layout that has them."""
    with pytest.raises(NotFoundError, match="nothing was typed") as caught:
        codes("us", "stra\u00dfe \u00fcber")
    assert caught.value.wanted == "\u00df\u00fc"
    assert "layout='de'" in str(caught.value)
    with pytest.raises(NotFoundError, match="SSH"):
        codes("us", "\u4e2d")


def test_unknown_layout_and_key() -> None:
    """The errors list the layouts there are, and the keys that were meant."""
    with pytest.raises(NotFoundError, match="us, gb, de, fr"):
        layout_named("xx")
    with pytest.raises(NotFoundError, match=r"did you mean .*pageup"):
        layout_named("us").key("pagup")


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ("ctrl-alt-del", ["ctrl", "alt", "del"]),
        ("ctrl+c", ["ctrl", "c"]),
        ("ctrl--", ["ctrl", "-"]),
        ("ctrl-+", ["ctrl", "+"]),
        ("-", ["-"]),
        ("kp-", ["kp-"]),
        ("f12", ["f12"]),
    ],
)
def test_combinations(keys: str, wanted: list[str]) -> None:
    """A combination is split at its separators, not at the keys minus and plus."""
    assert split_combination(keys) == wanted


def test_named_keys() -> None:
    """Keys have one code, or one after the prefix 0xE0; aliases and capitals do not matter."""
    assert all(len(code) == 1 or code[0] == 0xE0 for code in KEYS.values())
    us = layout_named("us")
    assert us.key("Escape") == us.key("esc") == (0x01,)
    assert us.key("Delete") == KEYS["del"] == (0xE0, 0x53)
    assert us.key("f10") == (0x44,)
    assert us.key("kp0") == (0x52,)
