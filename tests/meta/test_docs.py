"""The pages: each block of code is run by some test, each error is explained, the site has all."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import vboxkit
from tests.doc_stories import ROOT, commands, fences, pages
from tests.meta.test_coverage import resolve
from vboxkit import errors, guest, lab, ovf, testing
from vboxkit.cli.__main__ import COMMANDS

PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages()]
DOCS = ROOT / "docs"
TROUBLES = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")

#: What is code. What else stands in a block is something printed, or a drawing.
CODE = {"python", "console", "sh", "bash", "toml", "ini", "yaml", "json"}
#: A test whose name says that it plays a page.
PLAYERS = sorted((ROOT / "tests").glob("*/test_docs_*.py"))


@cache
def _named(path: Path) -> set[str]:
    """Return the texts in a test."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _players(page: Path) -> list[str]:
    return [path.name for path in PLAYERS if page.name in _named(path)]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_code_is_run(page: Path) -> None:
    """By a test that names the page, as a story (files and commands), or there is a reason."""
    found = fences(page)
    typed = " ".join(
        command.line
        for fence in found
        if fence.language == "console" and fence.word != "not run"
        for command in commands(fence)
    )
    for fence in found:
        place = f"{page.name}:{fence.line}"
        assert fence.language, f"{place}: a block has a language; `text` is what is printed"
        if fence.language not in CODE:
            continue
        if fence.word == "not run":
            assert len(fence.rest) > 10, f"{place}: why is it not run?"
        elif fence.language == "console":
            assert list(commands(fence)), f"{place}: a command begins with `$ `"
        elif fence.word == "file":
            read_by_itself = Path(fence.rest).name in {"conftest.py", "pyproject.toml"}
            assert read_by_itself or fence.rest in typed, f"{place}: nobody runs {fence.rest}"
        else:
            assert _players(page), f"{place}: no tests/*/test_docs_*.py names {page.name}"


@pytest.mark.parametrize("page", PAGES)
def test_all_blocks_are_seen(page: Path) -> None:
    """No fence is lost between the page and the tests: each opens and closes at a line's start."""
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(fences(page))
    assert not re.search(r"^\n {4}(\$|vboxkit|pytest|import|from) ", text, re.MULTILINE), "no fence"


def test_a_block_that_nobody_runs_is_found(tmp_path: Path) -> None:
    """The check itself."""
    page = tmp_path / "nobody-knows.md"
    page.write_text("# A page\n\n```python\nprint(1)\n```\n")
    with pytest.raises(AssertionError, match="no tests/"):
        test_every_block_of_code_is_run(page)
    page.write_text("# A page\n\n<!-- not run: no -->\n```console\n$ rm -rf /\n```\n")
    with pytest.raises(AssertionError, match="why is it not run"):
        test_every_block_of_code_is_run(page)


#: What examples call their objects.
NAMES = {"vm": "VM", "machine": "Machine", "lab": "Lab", "vbox": "VirtualBox", "image": "Image"}
INLINE = [
    pytest.param(page.name, code, id=f"{page.name}-{code}")
    for page in sorted(DOCS.glob("*.md"))
    # The left columns of coming-from.md are other people's.
    for text in [re.sub(r"(?m)^\|[^|]*\|", "|", page.read_text(encoding="utf-8"))]
    for code in sorted(set(re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)))
    if re.match(rf"(?:{'|'.join(NAMES)})\.\w|vboxkit [a-z]", code)
]


@pytest.mark.parametrize(("page", "code"), INLINE)
def test_names_in_the_text_exist(page: str, code: str) -> None:
    """Methods, attributes and commands that a page names in passing are there."""
    command = re.match(r"vboxkit ([a-z][\w-]*)", code)
    if command:
        assert command[1] in COMMANDS
        return
    names = re.match(r"(\w+)\.(\w+)", code)
    assert names
    resolve(f"{NAMES[names[1]]}.{names[2]}")  # fails if there is none


def test_a_name_that_is_not_there_is_found() -> None:
    """The check itself."""
    with pytest.raises(AssertionError):
        test_names_in_the_text_exist("a page", "vm.wait_for_godot()")
    with pytest.raises(AssertionError):
        test_names_in_the_text_exist("a page", "vboxkit frok tiny")


# Troubleshooting


def _letters(text: str) -> int:
    """Count the letters of a text, but for what is surely put in: quoted, numbers, paths."""
    return len(re.findall(r"[^\W\d]", re.sub(r"'[^']*'|\S*/\S*|\[[A-Z_]+\]", "", text)))


@cache
def _messages() -> list[tuple[str, re.Pattern[str], int]]:
    """Return what the code can say: a fixed part, the pattern of all, its fixed letters."""
    found = {}
    for path in Path(vboxkit.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts: list[ast.expr]
            if isinstance(node, ast.JoinedStr):
                parts = node.values
            elif isinstance(node, ast.Constant):
                parts = [node]
            else:
                continue
            fixed = [str(part.value) for part in parts if isinstance(part, ast.Constant)]
            if len("".join(fixed)) < 6:
                continue
            pattern = "".join(
                re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".*"
                for part in parts
            )
            found[pattern] = (
                max(fixed, key=len),
                re.compile(pattern, re.DOTALL),
                sum(map(_letters, fixed)),
            )
    return list(found.values())


def _said(text: str) -> bool:
    """Whether some text of the code gives this, much of it fixed; it may stand behind others."""
    for start in (0, *(match.end() for match in re.finditer(r"[:,] ", text))):
        rest = text[start:]
        enough = max(6, _letters(rest) * 0.3)
        for fixed, pattern, letters in _messages():
            if letters >= enough and fixed in rest and pattern.fullmatch(rest):
                return True
    return False


def _explained() -> dict[str, str]:
    """Return the section of each error."""
    parts = re.split(r"^### `(\w+)`.*$", TROUBLES, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name != "VBoxKitError"])
def test_every_error_is_explained(name: str) -> None:
    """With a message as it is printed, what it means, and what to do."""
    assert name in _explained(), f"docs/troubleshooting.md has no section ### `{name}`"
    section = _explained()[name]
    if name not in {"SetupError", "ApiError", "GuestError"}:  # those below them have messages
        assert "```text\n" in section
    assert len(re.sub(r"```.*?```", "", section, flags=re.DOTALL).split()) > 8


MESSAGES = [
    pytest.param(fence.body, id=f"line {fence.line}")
    for fence in fences(DOCS / "troubleshooting.md")
    if fence.language == "text"
]


@pytest.mark.parametrize("body", MESSAGES)
def test_every_message_is_one_of_ours(body: str) -> None:
    """What the page shows as printed is what the code can say, hints included."""
    message = body.splitlines()[0].partition(" ...")[0]
    assert _said(message), message
    for line in body.splitlines()[1:]:
        if line.startswith("  try: ") and len(line.split()) > 3:  # not only a name
            assert _said(line.removeprefix("  try: ")), line


def test_a_message_that_nobody_says_is_found() -> None:
    """The check itself."""
    assert _said("machine 'web' is Running: it cannot be started")
    assert not _said("machine 'web' has gone to the moon for good and never comes back")


# The examples, which tests/vm/test_examples.py runs

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_says_what_it_shows(path: Path) -> None:
    """One idea, said in its first line."""
    text = path.read_text(encoding="utf-8")
    said = ast.get_docstring(ast.parse(text))
    assert said
    assert len(said.splitlines()[0]) > 20
    assert text.count("\n") <= 70


def test_there_are_enough_examples() -> None:
    """The folder is found."""
    assert len(EXAMPLES) >= 10


# The site


def test_the_reference_has_every_public_name() -> None:
    """What can be imported from the packages for users is on a page made of docstrings."""
    shown = set()
    for page in (DOCS / "reference").glob("*.md"):
        shown |= set(re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE))
    names = {name.rpartition(".")[2] for name in shown}
    wanted = {
        *vboxkit.__all__,
        *guest.__all__,
        *lab.__all__,
        *ovf.__all__,
        *testing.__all__,
    }
    errors_of_all = set(errors.__all__) if "vboxkit.errors" in shown else set()
    assert wanted - names - errors_of_all - {"__version__"} == set()


def test_every_page_is_in_the_navigation() -> None:
    """Each page of docs/ once, and no page that is none."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    navigation = text.split("\nnav:")[1].split("\n\n")[0]
    listed = re.findall(r"[\w/-]+\.md", navigation)
    there = [str(page.relative_to(DOCS)) for page in sorted(DOCS.rglob("*.md"))]
    assert sorted(listed) == there
