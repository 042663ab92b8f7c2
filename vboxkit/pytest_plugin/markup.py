"""What others say, as HTML that is that text and nothing else."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

__all__ = ["badge", "search", "text"]

#: What a terminal would take as an order: colours, places of the cursor, titles.
_ORDERS = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])"
)
#: Control characters, and those that turn the direction of reading around.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
#: Halves of characters, and what is none.
_HALVES = re.compile(r"[\ud800-\udfff\ufffe\uffff]")


def text(said: object) -> str:
    r"""
    Return a text as HTML.

    A terminal's orders are left out; other control characters, and those that turn the direction
    of reading around, are shown by number.

    Example:
        >>> text("<b>\x1b[1mhello\x1b[0m\x07")
        '&lt;b&gt;hello[U+0007]'
    """
    plain = _ORDERS.sub("", str(said)).replace("\r\n", "\n").replace("\r", "\n")
    plain = _UNSEEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", plain)
    return html.escape(_HALVES.sub("\ufffd", plain), quote=True)


def search(words: str) -> str:
    """
    Return a link to the page as it is when these words are looked for.

    Example:
        >>> search("web 1")
        '<a class="name" href="#search=web%201">web 1</a>'
    """
    # Not even halves of characters, which no address can have, keep it from being made.
    address = quote(words, errors="replace")
    return f'<a class="name" href="#search={address}">{text(words)}</a>'


def badge(outcome: str) -> str:
    """Return a test's outcome as a mark; nothing if there is none."""
    return f'<span class="badge {text(outcome)}">{text(outcome)}</span>' if outcome else ""
