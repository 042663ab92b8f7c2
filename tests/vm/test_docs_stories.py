"""The pages that tell a story: their files are written and their commands typed, in order."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.doc_blocks import prepare
from tests.doc_stories import ROOT, commands, fences, pages, play
from vboxkit import settings
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.vm

#: Pages whose commands have a test of their own, which names them.
OWN_TEST: set[str] = set()

#: What is not typed, and why. NAME stands for a machine's name.
SKIPPED = {
    "make ": "the make files' own stages",
    "vboxkit sandbox ": "the stage `sandbox` makes and enters one",
    "sudo ": "changes this machine",
}

STORIES = [
    page
    for page in pages()
    if page.name not in OWN_TEST
    and any(fence.language == "console" and fence.word != "not run" for fence in fences(page))
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Give a home of their own, in which all names are free; nothing of it stays."""
    home = tmp_path_factory.mktemp("home")
    mine = {
        **settings.environment(),
        "HOME": str(tmp_path_factory.mktemp("user")),  # no settings of whoever tests
        "VBOXKIT_CACHE_DIR": str(settings.cache_dir()),
        "VBOXKIT_HOME": str(home),
        "PYTHONWARNINGS": "ignore",
    }
    yield mine
    for words in (["gc", "--kept"], ["images", "prune", "--all"]):
        _vboxkit(mine, *words, check=False)
    for server, _ in processes.find(argument="--auto-shutdown", environment=isolation(home)):
        processes.kill(server)


@pytest.fixture
def clean(environment: dict[str, str]) -> Iterator[None]:
    """Leave no machine of a page behind: the next one may make its own of that name."""
    yield
    _vboxkit(environment, "gc", "--kept")
    for name in _names(environment, "other"):
        _vboxkit(environment, "destroy", name, "--yes")
    assert _names(environment, "fork", "other") == []


def _names(environment: dict[str, str], *kinds: str) -> list[str]:
    rows = json.loads(_vboxkit(environment, "ls", "--json"))
    return [row["name"] for row in rows if row["kind"] in kinds]


def _vboxkit(environment: dict[str, str], *words: str, check: bool = True) -> str:
    return subprocess.run(
        [sys.executable, "-m", "vboxkit", *words],
        env=environment,
        check=check,
        capture_output=True,
        text=True,
        timeout=100,
    ).stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("page", STORIES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_true(
    page: Path,
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each command ends as the page says, and prints what stands below it."""
    monkeypatch.chdir(tmp_path)
    prepare()
    ran = play(
        page, tmp_path, environment, skip=SKIPPED, name=lambda: _names(environment, "fork")[0]
    )
    typed = [
        command
        for fence in fences(page)
        if fence.language == "console" and fence.word != "not run"
        for command in commands(fence)
    ]
    assert ran == sum(not command.line.startswith(tuple(SKIPPED)) for command in typed)


def test_the_stories_are_found() -> None:
    """The pages that everybody reads first are among them."""
    assert {"README.md", "first-test.md", "index.md"} <= {page.name for page in STORIES}
