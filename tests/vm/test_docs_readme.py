"""The Python examples of ``README.md`` run, as their readers would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.doc_blocks import blocks
from vboxkit import settings
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.vm

PAGE = Path(__file__).parents[2] / "README.md"
#: None where only the tests are, as for the wheel.
BLOCKS = [block.code for block in blocks(PAGE)] if PAGE.exists() else []
TESTS = [code for code in BLOCKS if "def test_" in code]
SCRIPTS = [code for code in BLOCKS if code not in TESTS]

#: The built-in guest has no nginx: a stand-in that reads the file which the example puts there.
_CONFTEST = '''
import pytest


@pytest.fixture(autouse=True)
def nginx(request):
    if "vm" in request.fixturenames:
        request.getfixturevalue("vm").ssh.succeed("""
            mkdir -p /etc/nginx
            printf '#!/bin/sh\\\\ngrep -q "^events" /etc/nginx/nginx.conf\\\\n' > /usr/bin/nginx
            chmod +x /usr/bin/nginx
        """)
'''


def run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run something in a folder; return what it prints."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
        cwd=folder,
        env={**settings.environment(), **(environment or {})},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Give a VirtualBox home in which all names are free; its server is ended."""
    home = tmp_path / "home"
    home.mkdir()
    mine = isolation(home)
    # The home has no say in where machines go: else they stay in the user's folder.
    choose = "import sys, vboxkit; properties = vboxkit.connect().com.systemProperties"
    choose += "; properties.defaultMachineFolder = sys.argv[1]"
    run([sys.executable, "-c", choose, str(tmp_path / "machines")], tmp_path, mine)
    yield mine
    for server, _ in processes.find(argument="--auto-shutdown", environment=isolation(home)):
        processes.kill(server)


def test_the_tests_pass(tmp_path: Path) -> None:
    """Those for pytest, with nothing but the plugin."""
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    (tmp_path / "nginx.conf").write_text("events {}\n")
    for number, code in enumerate(TESTS):
        (tmp_path / f"test_{number}.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--vm-required"]
    assert f"{len(TESTS)} passed" in run(command, tmp_path)


def test_the_script_prints_what_it_should(tmp_path: Path) -> None:
    """The kernel's name, and the files that the rollback has brought back."""
    (code,) = (code for code in SCRIPTS if "Lab()" in code)
    said = run([sys.executable, "-W", "ignore", "-c", code], tmp_path).splitlines()
    assert said[0].startswith("Linux ")
    assert "passwd" in said


def test_machines_of_ones_own(tmp_path: Path, own_home: dict[str, str]) -> None:
    """The changes, the difference to the snapshot, and the tree of disks."""
    (code,) = (code for code in SCRIPTS if "vboxkit.connect()" in code)
    said = run([sys.executable, "-c", code], tmp_path, own_home)
    assert "memory_mb" in said
    assert "2048" in said
    assert "4096" in said
    assert "web" in said.splitlines()[-1] or ".vdi" in said
    assert (tmp_path / "machines" / "web" / "web.vbox").exists()


def test_every_example_was_found() -> None:
    """Each block of Python on the page is run by one of these."""
    if not PAGE.exists():
        pytest.fail("there is no README.md beside the tests")
    assert len(BLOCKS) == PAGE.read_text(encoding="utf-8").count("```python\n")
    assert (len(TESTS), len(SCRIPTS)) == (2, 2)
