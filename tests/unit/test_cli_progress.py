"""What long work shows in a terminal: percent, speed, and how long it still takes."""

from __future__ import annotations

import io
import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from tests.guest.terminals import set_size
from vboxkit.cli import bars, live, output
from vboxkit.cli.live import _Tree
from vboxkit.core.steps import Step, moving, step, subscribe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def since(seconds: float, **more: Any) -> Step:
    """Return a step that began so many seconds ago."""
    return Step("copy", started=time.time() - seconds, **more)


def test_speed_and_what_is_left() -> None:
    """Of percents and the bytes that they are of."""
    it = since(10, percent=25, moves=400_000_000)
    assert it.bytes_per_second == pytest.approx(10_000_000, rel=0.05)
    assert it.seconds_left == pytest.approx(30, rel=0.05)
    unsized = since(10, percent=50)
    assert unsized.bytes_per_second is None
    assert unsized.seconds_left == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize(
    ("seconds", "more"),
    [
        (0.1, {"percent": 50}),
        (10, {}),
        (10, {"percent": 1}),
        (10, {"percent": 100}),
        (10, {"percent": 50, "duration": 9.0}),
    ],
    ids=["just begun", "no percent", "too little", "all", "ended"],
)
def test_nobody_guesses_too_early(seconds: float, more: dict[str, Any]) -> None:
    """Nor when it is over."""
    it = since(seconds, moves=1000, **more)
    assert (it.bytes_per_second, it.seconds_left) == (None, None)


def test_only_the_steps_inside_move() -> None:
    """Blocks nest; outside of them nothing is known."""
    with moving(5), step("outer") as outer:
        with moving(None), step("inner") as inner:
            pass
        with step("another") as another:
            pass
    with step("later") as later:
        pass
    assert [it.moves for it in (outer, inner, another, later)] == [5, None, 5, None]


def test_the_view_tells_them() -> None:
    """In the line of the step; a narrow terminal cuts the line, and wraps none."""
    for width in (120, 40):
        file = io.StringIO()
        console = Console(file=file, width=width, highlight=False)
        tree = _Tree(console, keep=True)
        with subscribe(tree), moving(400_000_000), step("import box.ova") as this:
            this.started -= 10
            this.update(percent=25, note="disk1.vmdk")
            console.print(tree)
        (line,) = (
            it for it in file.getvalue().splitlines() if "import box.ova" in it and "%" in it
        )
        assert len(line.rstrip()) <= width
        wanted = r"import box\.ova  25 %  (10\.0|9\.\d) MB/s"
        if width == 120:
            wanted += r"  10\.\d s, about 3\d s left  disk1\.vmdk"
        assert re.search(wanted, line), line


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Callable[[], str]]]:
    """Let standard error be a terminal of some columns; what is returned says what it shows."""
    master, slave = os.openpty()
    file = os.fdopen(slave, "w", encoding="utf-8")

    def be(columns: int) -> Callable[[], str]:
        set_size(slave, columns, 24)
        for name in ("COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("NO_COLOR", "1")
        console = Console(file=file, width=columns, force_terminal=True, highlight=False)
        monkeypatch.setattr(output, "err", lambda: console)
        monkeypatch.setattr(live, "may_be_terminal", lambda: True)
        return lambda: os.read(master, 1 << 20).decode()

    yield be
    file.close()
    os.close(master)


@pytest.mark.parametrize("columns", [40, 72, 80, 120])
def test_a_bar_of_bytes(terminal: Callable[[int], Callable[[], str]], columns: int) -> None:
    """Percent, speed and time left in any width; bar and bytes where there is room."""
    shown = terminal(columns)
    with bars.bar("images/a-file-with-a-name-that-is-rather-long.img") as tell:
        assert tell is not None
        for done in (0, 30_000_000, 50_000_000):
            tell(done, 100_000_000, "images/a-file-with-a-name-that-is-rather-long.img")
            time_passes()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", shown())
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    assert max(map(len, lines)) <= columns
    last = lines[-1]
    assert last.startswith("a-file-")
    assert re.search(r" 50% +[\d.]+ [kMG]B/s +\d\d:\d\d", last), last
    assert ("50.0/100.0 MB" in last) is (columns >= 80)


def time_passes() -> None:
    """Let the clock by which a speed is told go on."""
    begin = time.monotonic()
    while time.monotonic() - begin < 0.05:
        pass


def test_a_bar_that_nobody_sees(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a pipe nothing is written, and nobody is told."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    with bars.bar("x") as tell:
        assert tell is None
    assert capsys.readouterr() == ("", "")
