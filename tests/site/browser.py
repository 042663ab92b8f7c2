"""A browser without a window, led by Chrome's DevTools protocol over a pair of pipes."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import sys
from itertools import count
from typing import TYPE_CHECKING, Any

from vboxkit.core.waiting import Deadline

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

__all__ = ["Browser"]

NAMES = ("chromium-headless-shell", "chromium", "google-chrome")
#: Becomes the browser, which has the protocol's pipes as file descriptors 3 and 4.
_AS_3_AND_4 = """
import fcntl, os, sys
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1:3]]
for fd, wanted in zip(high, (3, 4)):
    os.dup2(fd, wanted)
os.execv(sys.argv[3], sys.argv[3:])
"""
#: Seconds for one answer: the machine may be busy.
PATIENCE = 60.0


class Browser:
    """
    A page of a browser; a context manager that ends the browser.

    Args:
        profile: A folder for its files.
    """

    def __init__(self, profile: Path) -> None:
        found = [path for name in NAMES if (path := shutil.which(name))]
        if not found:
            raise FileNotFoundError(f"there is no browser: one of {', '.join(NAMES)} is needed")
        self._numbers = count(1)
        self._left = b""
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _AS_3_AND_4, str(orders), str(answers)),
                *(found[0], "--headless", "--remote-debugging-pipe", f"--user-data-dir={profile}"),
                "--no-sandbox",  # needs rights that containers lack; the pages are ours
                *("--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,1600"),
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no other host
                "about:blank",
            ],
            pass_fds=(orders, answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(orders)
        os.close(answers)
        self._session = ""

    def __enter__(self) -> Self:
        try:
            target = self._order("Target.createTarget", url="about:blank")["targetId"]
            answer = self._order("Target.attachToTarget", targetId=target, flatten=True)
        except BaseException:
            self.__exit__()
            raise
        self._session = answer["sessionId"]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)
        os.close(self._orders)
        os.close(self._answers)

    def open(self, url: str) -> None:
        """Open a page, and wait until it is loaded."""
        failed = self._order("Page.navigate", url=url).get("errorText")
        assert not failed, f"{url}: {failed}"
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value(self, expression: str) -> Any:
        """Return what an expression of JavaScript gives; of a promise, what it becomes."""
        answer = self._order(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression of JavaScript is true."""
        done = self.value(
            "new Promise(done => { const begin = Date.now(); const look = () => {"
            f"if ({expression}) done(true);"
            f"else if (Date.now() - begin > {PATIENCE * 500}) done(false);"
            "else setTimeout(look, 20) }; look() })"
        )
        assert done, f"never true: {expression}; the page: {self.value('document.body.innerText')}"

    def _order(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        order = {"id": number, "method": method, "params": parameters}
        if self._session:
            order["sessionId"] = self._session
        os.write(self._orders, json.dumps(order).encode() + b"\0")
        deadline = Deadline(PATIENCE)
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while True:
                *whole, self._left = self._left.split(b"\0")
                for text in whole:
                    answer = json.loads(text)
                    if answer.get("id") == number:
                        assert "error" not in answer, (method, answer["error"])
                        result: dict[str, Any] = answer["result"]
                        return result
                assert selector.select(deadline.remaining), f"{method}: no answer"
                more = os.read(self._answers, 1 << 16)
                assert more, f"{method}: the browser has ended"
                self._left += more
