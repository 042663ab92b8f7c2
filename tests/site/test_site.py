"""The site as readers see it: built by ``make docs``, opened in a browser that has no window."""

from __future__ import annotations

import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.doc_stories import ROOT
from tests.site.browser import Browser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SITE = ROOT / "site"
#: What the site is made of.
SOURCES = ("docs/**/*.md", "docs/img/*", "mkdocs.yml", "CHANGELOG.md")


@pytest.fixture(scope="module")
def site() -> Path:
    """Return the folder of the site, which is not older than its pages."""
    front = SITE / "index.html"
    if not front.exists():
        pytest.fail("there is no site: `make docs` builds it")
    newer = [
        str(path.relative_to(ROOT))
        for pattern in SOURCES
        for path in ROOT.glob(pattern)
        if path.stat().st_mtime > front.stat().st_mtime
    ]
    if newer:
        pytest.fail(f"the site is older than {', '.join(newer)}: `make docs` builds it")
    return SITE


class _Handler(SimpleHTTPRequestHandler):
    """Serves files, and notes what was asked for, with which success."""

    asked: dict[str, int]

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Note it."""
        del size
        self.asked[self.path.partition("?")[0]] = int(code)


class Server:
    """The site on a port of this host."""

    def __init__(self, folder: Path) -> None:
        self.asked: dict[str, int] = {}
        handler = type("Handler", (_Handler,), {"asked": self.asked})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def server(site: Path) -> Iterator[Server]:
    """Serve the site."""
    served = Server(site)
    thread = threading.Thread(target=served.http.serve_forever, daemon=True)
    thread.start()
    yield served
    served.http.shutdown()
    thread.join(10)
    served.http.server_close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start a browser."""
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


def _failed(server: Server) -> dict[str, int]:
    return {path: code for path, code in server.asked.items() if code >= 400}


#: The pictures of the page that are not shown.
BROKEN = "Array.from(document.images).filter(i => !i.naturalWidth).map(i => i.src)"


def test_the_front_page(server: Server, browser: Browser) -> None:
    """It has its parts, its scripts have run, and all that it asks for is there."""
    browser.open(f"{server.url}/index.html")
    assert browser.value("document.querySelector('h1').innerText").startswith("vboxkit")
    tabs = browser.value("document.querySelector('.md-tabs').innerText").split("\n")
    assert [tab.strip() for tab in tabs if tab.strip()] == [
        "Start",
        "How to",
        "Concepts",
        "Troubleshooting",
        "Reference",
    ]
    # A script puts a button to copy beside each block of code.
    browser.until("document.querySelectorAll('.md-code__button').length >= 2")
    assert browser.value("document.images.length") == 1
    assert browser.value(BROKEN) == []
    assert server.asked["/img/fork.svg"] == 200
    assert _failed(server) == {}


@pytest.mark.parametrize(
    ("page", "pictures"),
    [
        ("concepts.html", 4),
        ("first-test.html", 0),
        ("troubleshooting.html", 0),
        ("reference/lab.html", 0),
        ("machines.html", 0),
    ],
)
def test_a_page_has_all_it_asks_for(
    server: Server, browser: Browser, page: str, pictures: int
) -> None:
    """Scripts, styles and drawings are there, and nothing is wider than the page."""
    browser.open(f"{server.url}/{page}")
    assert browser.value("document.querySelectorAll('article img').length") == pictures
    assert browser.value(BROKEN) == []
    assert browser.value("document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.value("getComputedStyle(document.querySelector('.md-header')).position") != (
        "static"
    ), "there is no style"
    assert _failed(server) == {}


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("LockedError", "troubleshooting.html"),
        ("rewind", "lab.html"),
        ("wait_for_port", "reference/"),
    ],
)
def test_the_search_finds(server: Server, browser: Browser, words: str, page: str) -> None:
    """What readers look for leads to the page that has it."""
    browser.open(f"{server.url}/index.html?q={words}")
    links = "Array.from(document.querySelectorAll('.md-search-result__link')).map(a => a.href)"
    browser.until(f"({links}).length > 0")
    found = browser.value(links)
    assert any(link.startswith(f"{server.url}/{page}") for link in found), found


def test_the_search_finds_nothing(server: Server, browser: Browser) -> None:
    """The check itself: not every word is found."""
    browser.open(f"{server.url}/index.html?q=xylophone")
    browser.until("/No matching/.test(document.querySelector('.md-search-result').textContent)")


def test_no_page_asks_another_host(site: Path) -> None:
    """No script, style, font or picture comes from elsewhere; links may lead there."""
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for tag in re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", text):
            assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", tag), f"{page}: {tag}"
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"""(?:@import|url\()\s*["']?(?:https?:)?//""", text), style
