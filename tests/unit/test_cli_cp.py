"""``vboxkit cp``: what it takes for a machine's path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from vboxkit.cli.__main__ import main
from vboxkit.cli.cp import _apart, _get


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("web:/tmp/x", ("web", "/tmp/x")),
        ("web:", ("web", ".")),
        ("web:a:b", ("web", "a:b")),
        ("file", ("", "file")),
        ("./web:x", ("", "./web:x")),
        ("/a/b:c", ("", "/a/b:c")),
        (":x", ("", ":x")),
    ],
)
def test_what_is_a_machines_path(text: str, parts: tuple[str, str]) -> None:
    """A name and a colon, without a slash before it, as scp has it."""
    assert _apart(text) == parts


@pytest.mark.parametrize("words", [("a", "b"), ("web:a", "web:b")])
def test_one_side_is_a_machine(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Two paths here, and two paths there, are wrong usage."""
    assert main(["cp", *words]) == 2
    assert "NAME:PATH" in capsys.readouterr().err


def test_nothing_is_written_above_the_target(tmp_path: Path) -> None:
    """A source that ends in two dots has no name under which the target could take it."""
    nobody: Any = None
    with pytest.raises(click.UsageError, match="give TARGET one"):
        _get(nobody, "/srv/..", tmp_path, recursive=True, tell=lambda *_: None)
