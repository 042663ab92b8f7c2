"""
The types of VirtualBox's API are in ``interfaces.pyi`` beside this, for editors and type checkers.

At run time there are none: every name is `typing.Any`, so that an annotation can be evaluated.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return Any
