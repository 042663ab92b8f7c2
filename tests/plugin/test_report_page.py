"""``--vm-report``: the page of a run; and what JUnit's file says of machines."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from defusedxml import ElementTree

from vboxkit.core.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugin.conftest import Runs

#: A guest that would like to run a script in the page of whoever reads it.
_HOSTILE = """
    def test_good(vm):
        vm.ssh.succeed("true")

    def test_bad(vm):
        evil = "</pre><script>document.title = \\"owned\\"</script><img src=x onerror=alert(1)>"
        vm.ssh.succeed(f"echo '{evil}' > /dev/ttyS0")
        vm.ssh.succeed("printf 'a\\\\033[31mred\\\\033[0m\\\\007' > /dev/ttyS0")
        vm.console.wait_for("\\x07", timeout=20)
        assert vm.ssh.run(f"echo '{evil}'; exit 4").ok
"""


class _Tags(HTMLParser):
    """All tags of a page, as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of one."""
        self.found.append((tag, dict(attrs)))


def _check(page: str) -> None:
    """Check that a page needs nothing but itself, and has no more scripts than its own."""
    tags = _Tags(page).found
    names = [tag for tag, _ in tags]
    assert names.count("script") == 1
    assert not {"link", "iframe", "object", "embed", "base"} & set(names)
    for tag, attributes in tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in {"src", "href", "srcset", "action", "poster"} & set(attributes):
            assert str(attributes[name]).startswith(("#", "data:image/png;base64,")), attributes
    assert "url(" not in page
    assert "@import" not in page


def _page(run: Runs) -> str:
    """Return the page of a run, which must be the only file that its writing left."""
    folder = run.pytester.path
    assert [path.name for path in folder.rglob("*.html")] == ["report.html"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    _check(page)
    return page


def _rows(page: str) -> dict[str, str]:
    """Return the rows of a page's timeline, by machine."""
    rows = re.findall(r"<tr data-row(?:=\"\")? data-from.*?</tr>", page, re.DOTALL)
    return {re.findall(r"#search=([^\"]+)", row)[0]: row for row in rows}


@pytest.fixture
def browser(pytestconfig: pytest.Config, tmp_path: Path) -> Callable[..., str]:
    """Open a page in a real browser, and return what it has become."""
    names = ("chromium-headless-shell", "chromium", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        reason = f"no browser: none of {', '.join(names)}"
        if pytestconfig.getoption("vm_required"):
            pytest.fail(reason)
        pytest.skip(reason)

    def opened(page: Path, words: str = "", *options: str) -> str:
        done = subprocess.run(
            [
                *(program, "--no-sandbox", "--headless", "--disable-gpu"),
                *(f"--user-data-dir={tmp_path / 'browser'}", "--window-size=1300,1600"),
                *(*options, "--dump-dom", f"{page.as_uri()}{words}"),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    return opened


@pytest.mark.vm
def test_the_page_and_junit(vm_run: Runs) -> None:
    """Timeline, waits, and a failure with screenshot, console, log and commands; also in JUnit."""
    vm_run.pytester.makepyfile(_HOSTILE)
    vm_run.pytester.makeini("[pytest]\nvm_report = report.html\njunit_logging = system-out\n")
    result = vm_run("--junitxml=junit.xml", "--vm-artifacts=artifacts", "--vm-max=1")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([f"vboxkit: report: {vm_run.pytester.path}/report.html"])
    page = _page(vm_run)
    rows = _rows(page)
    [good] = [row for name, row in rows.items() if name.startswith("test-good-")]
    [bad] = [row for name, row in rows.items() if name.startswith("test-bad-")]
    for row in (good, bad):
        bars = re.findall(r'class="k-(\w+)" style="--t:([\d.]+);--d:([\d.]+)"', row)
        assert [kind for kind, _, _ in bars][1:4] == ["clone", "start", "ssh"]
        assert bars[-1][0] == "destroy"
        # One after the other, all of them in the time of the run.
        moments = [float(at) for kind, at, _ in bars if kind != "idle"]
        assert moments == sorted(moments)
    assert "badge passed" in good
    assert "badge failed" in bad
    assert "k-failed" in bad
    [article] = re.findall(r"<article.*?</article>", page, re.DOTALL)
    [picture] = re.findall(r"data:image/png;base64,([^\"]+)", article)
    assert base64.b64decode(picture).startswith(b"\x89PNG\r\n")
    assert re.search(r"&lt;script&gt;document\.title = &quot;owned", article)
    assert "ared[U+0007]" in article, "colours are left out, other control characters shown"
    assert "VBoxHeadless: starting event loop" in article or "VBox.log" in article
    assert re.search(r'exit 4</code></td><td class="number">4</td>', article)

    tree = ElementTree.fromstring((vm_run.pytester.path / "junit.xml").read_text())
    told = {
        case.get("name"): {p.get("name"): p.get("value") for p in case.iter("property")}
        for case in tree.iter("testcase")
    }
    for properties in told.values():
        assert float(properties["vboxkit.vm.fork_seconds"] or 0) > 0.1
        assert "vboxkit.vm.test_seconds" in properties
        assert "vboxkit.vm.destroy_seconds" in properties
    assert str(told["test_good"]["vboxkit.vm.name"]) in rows
    assert told["test_good"]["vboxkit.vm.last_command"] == "true"
    assert "vboxkit.vm.artifacts" not in told["test_good"]
    failed = told["test_bad"]
    assert failed["vboxkit.vm.exit_code"] == "4"
    assert str(failed["vboxkit.vm.last_command"]).endswith("exit 4")
    folder = Path(str(failed["vboxkit.vm.artifacts"]))
    assert folder.name == failed["vboxkit.vm.name"]
    screenshot = Path(str(failed["vboxkit.vm.screenshot"]))
    assert screenshot.read_bytes() == base64.b64decode(picture)
    [attached] = [it.text for it in tree.iter("system-out") if "ATTACHMENT" in str(it.text)]
    assert f"[[ATTACHMENT|{screenshot}]]" in str(attached)


@pytest.mark.vm
def test_in_a_browser(vm_run: Runs, browser: Callable[..., str]) -> None:
    """The rows are there, the filter of a link works, and what a guest said runs nowhere."""
    vm_run.pytester.makepyfile(_HOSTILE)
    vm_run("--vm-report=report.html").assert_outcomes(passed=1, failed=1)
    path = vm_run.pytester.path / "report.html"
    picture = vm_run.pytester.path / "page.png"
    names = list(_rows(_page(vm_run)))
    [good] = [name for name in names if name.startswith("test-good")]
    [bad] = [name for name in names if name.startswith("test-bad")]

    def shown(page: str) -> set[str]:
        return {name for name, row in _rows(page).items() if "hidden" not in row.split(">")[0]}

    whole = browser(path, "", f"--screenshot={picture}")
    assert shown(whole) == set(names)
    assert re.search(r'<form id="filter"[^>]*>', whole)
    assert not re.search(r'<form id="filter"[^>]* hidden', whole), "the script runs"
    assert "<title>owned" not in whole
    _check(whole)
    assert picture.stat().st_size > 10_000

    found = browser(path, f"#search={quote('test_BAD failed')}")
    assert shown(found) == {bad}
    assert not re.search(r"<article[^>]* hidden", found)
    counted = re.search(r"<output>(\d+) of (\d+)</output>", found)
    assert counted
    assert 0 < int(counted[1]) < int(counted[2])
    # The timeline is that of the rows that are left.
    assert re.search(r'<table class="lanes"[^>]* style="--from: [1-9]', found)
    linked = browser(path, f"#search={good}")
    assert shown(linked) == {good}
    assert re.search(r"<article[^>]* hidden", linked)
    assert shown(browser(path, "#search=no-such-thing")) == set()

    # A script that is not to the letter the page's own is not run.
    other = path.with_name("other.html")
    other.write_text(path.read_text(encoding="utf-8").replace("<script>", "<script>1;"))
    plain = browser(other, "#search=no-such-thing")
    assert shown(plain) == set(names), "all can be read without JavaScript"
    assert re.search(r'<form id="filter"[^>]* hidden', plain)


@pytest.mark.vm
def test_workers_write_one_page(vm_run: Runs) -> None:
    """Under xdist there is one page, by the controller, also when a worker was killed."""
    pytest.importorskip("xdist")
    vm_run.pytester.makepyfile(
        """
        import os, pytest, signal

        @pytest.mark.parametrize("number", range(2))
        def test_good(vm, number, worker_id):
            vm.ssh.succeed(f"echo {worker_id}")

        def test_bad(vm):
            vm.ssh.succeed("exit 3")

        def test_killed(vm):
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        test_next="def test_next(vm): pass",
    )
    result = vm_run("-n2", "--vm-report=report.html", "test_workers_write_one_page.py")
    result.assert_outcomes(passed=2, failed=2)
    page = _page(vm_run)
    groups = re.findall(r'<tr class="group"><th colspan="8">(\w+)</th>', page)
    assert {"gw0", "gw1"} <= set(groups)
    rows = _rows(page)
    [killed] = [row for name, row in rows.items() if name.startswith("test-killed")]
    assert "badge crashed" in killed
    assert "k-ssh" in killed, "what it did before is known"
    articles = re.findall(r"<article.*?</article>", page, re.DOTALL)
    assert len(articles) == 2
    [crash] = [article for article in articles if "badge crashed" in article]
    assert re.search(r"worker &#x27;gw\d&#x27; crashed while running", crash)
    [bad] = [article for article in articles if "badge failed" in article]
    # What a worker saw is in the controller's page.
    assert "data:image/png;base64," in bad
    vm_run("test_next.py").assert_outcomes(passed=1)


@pytest.mark.vm
@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_ctrl_c(vm_run: Runs, workers: str) -> None:
    """A run that Ctrl-C ends has a page: with the machine, and that it was destroyed."""
    pytest.importorskip("xdist")
    vm_run.pytester.makepyfile(
        """
        import pathlib

        def test_busy(vm):
            pathlib.Path("busy").touch()
            vm.ssh.run("sleep 1000")
        """
    )
    process = vm_run.start(workers, "--vm-report=report.html")
    vm_run.wait_for("busy", process)
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    page = _page(vm_run)
    assert "· interrupted</p>" in page
    [row] = [row for name, row in _rows(page).items() if name.startswith("test-busy")]
    assert "k-destroy" in row
    assert "badge unfinished" in row
    wait_until(
        lambda: None if vm_run.look()["leases"] else True, what="the machine to go", timeout=30
    )


@pytest.mark.parametrize("how", ["option", "ini"])
@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("", "no file is named"),
        ("missing/report.html", "there is no folder */missing"),
        ("folder", "*/folder is a folder"),
        ("/proc/report.html", "nothing can be written into /proc (*)"),
    ],
)
def test_wrong_file(run: Runs, how: str, value: str, wrong: str) -> None:
    """A page that could not be written is an error before anything runs."""
    run.pytester.mkdir("folder")
    run.pytester.makepyfile("def test_it(): pass")
    option = f"--vm-report={value}"
    if how == "ini":
        run.pytester.makeini(f"[pytest]\nvm_report = {value}")
        option = f"*tox.ini: vm_report = {value}"
    result = run(*([option] if how == "option" else []))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {option}: {wrong}; right: the path of a file*"])
    assert list(run.pytester.path.glob("**/*.html")) == []


def test_a_run_without_machines(run: Runs) -> None:
    """Its page says so, and shows what failed."""
    run.pytester.makepyfile(
        """
        def test_good(): pass
        def test_bad(): assert "<b>" == "other"
        """,
        test_broken="import no_such_module",
    )
    result = run("--vm-report=report.html", "--continue-on-collection-errors")
    result.assert_outcomes(passed=1, failed=1, errors=1)
    page = _page(run)
    assert "No machine ran." in page
    articles = re.findall(r"<article.*?</article>", page, re.DOTALL)
    assert len(articles) == 2
    assert "No module named &#x27;no_such_module&#x27;" in articles[0]
    assert "assert &#x27;&lt;b&gt;&#x27;" in articles[1]


def test_help(run: Runs) -> None:
    """``pytest --help`` lists the option and the ini value."""
    run("--help").stdout.fnmatch_lines(["*--vm-report=FILE*", "*vm_report (string):*"])
