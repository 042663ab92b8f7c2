"""What is never written to a log or shown in a message."""

from __future__ import annotations

import re

__all__ = ["masked"]

_SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token|credential|private.?key|api.?key", re.IGNORECASE
)
#: A password in a URL: user:password@host.
_IN_URL = re.compile(r"(\w+://[^\s/:@]*:)[^\s/@]+@")
#: A value behind a telling name in a text: password=x, --password x, "token": "x".
_IN_TEXT = re.compile(
    r"((?:passw(?:or)?d|passphrase|secret|token|api.?key)[\"']?\s*(?:=|:|\s+to\s)\s*)(\"[^\"]*\"|'[^']*'|\S+)",
    re.IGNORECASE,
)
_MASK = "***"


def masked(name: str, value: object) -> object:
    """
    Return a value as it may be written down.

    Args:
        name: What it is called; a name that tells of a secret hides all of it.
        value: The value.

    Example:
        >>> masked("VRDE property Password", "hunter2")
        '***'
        >>> masked("proxy", "http://me:hunter2@proxy:3128")
        'http://me:***@proxy:3128'
    """
    if value is None or isinstance(value, (bool, int, float)):
        return _MASK if _SECRET_NAME.search(name) and value is not None else value
    if _SECRET_NAME.search(name):
        return _MASK
    text = str(value)
    return _IN_TEXT.sub(rf"\1{_MASK}", _IN_URL.sub(rf"\1{_MASK}@", text))
