"""What `mkdocs.yml` needs beside mkdocs: docstrings and the changelog as the site wants them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import griffe

if TYPE_CHECKING:
    from mkdocs.structure.pages import Page

__all__ = ["Docstrings", "on_page_markdown"]


class Docstrings(griffe.Extension):
    """Reads ``Example:`` as the section it is, and ``::`` before a block of code as ``:``."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring before it is parsed."""
        if obj.docstring is not None:
            text = re.sub(r"(?m)^( *)Example:$", r"\1Examples:", obj.docstring.value)
            text = re.sub(r"::\n\n", ":\n\n", text)
            # A tree that is drawn keeps its lines.
            parts = [f"```\n{part}\n```" if "├──" in part else part for part in text.split("\n\n")]
            obj.docstring.value = "\n\n".join(parts)


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Put CHANGELOG.md, which stands beside docs/, into the page that is for it."""
    if page.file.src_uri != "changes.md":
        return markdown
    text = (Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
    return text.replace("](docs/", "](")
