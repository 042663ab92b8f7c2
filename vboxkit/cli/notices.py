"""Warnings of vboxkit as one dim line each, not as Python's warnings."""

from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from vboxkit.errors import EmulatedWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["shown", "terminal_only"]

_quiet = [False]


def terminal_only() -> None:
    """Say nothing unless somebody looks: standard error belongs to the guest's command."""
    _quiet[0] = not sys.stderr.isatty()


@contextmanager
def shown() -> Iterator[None]:
    """Show an `EmulatedWarning` once, and all others as Python does."""
    said: list[Warning | str] = []
    _quiet[0] = False
    with warnings.catch_warnings():
        warnings.simplefilter("always", EmulatedWarning)
        others = warnings.showwarning

        def show(  # noqa: PLR0917 - the signature of warnings.showwarning
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not issubclass(category, EmulatedWarning):
                others(message, category, filename, lineno, file, line)
            elif not said:
                said.append(message)
                if not _quiet[0]:
                    from vboxkit.cli import output

                    output.err().print(str(message), style="dim", soft_wrap=True)

        warnings.showwarning = show
        yield
