"""What the guest shows."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core.waiting import wait_until
from vboxkit.errors import NotFoundError, StorageError
from vboxkit.machines import ocr
from vboxkit.machines.live import LivePart

if TYPE_CHECKING:
    from vboxkit.core.waiting import Timeout

__all__ = ["Pixels", "Screen", "Screenshot"]

#: Seconds between two looks: reading one takes about as long.
_POLL = 0.3


@dataclass(frozen=True)
class Screenshot:
    """
    What a screen showed at a moment.

    Attributes:
        png: The picture, as the bytes of a PNG file.
        width: In pixels.
        height: In pixels.
        subject: Whose screen it was.
    """

    png: bytes = field(repr=False)
    width: int
    height: int
    subject: str = ""

    def save(self, path: Path | str) -> Path:
        """
        Write it as a PNG file, and return the file's absolute path.

        Raises:
            StorageError: It cannot be written there.
        """
        target = Path(path).absolute()
        try:
            target.write_bytes(self.png)
        except OSError as error:
            raise StorageError(
                f"{self.subject}: cannot write the screenshot to {path}: {error.strerror}",
                operation="take a screenshot",
                hint="give a file in a folder that exists and can be written to",
            ) from error
        return target

    def image(self) -> Any:
        """
        Return it as an ``Image`` of Pillow's.

        Raises:
            ModuleMissingError: The package pillow is not installed.
        """
        return ocr.picture(self.png)

    def text(self, *, language: str = "eng") -> str:
        """
        Return the text on it, as OCR reads it: takes about a second, and mistakes 0 for O, l for 1.

        Args:
            language: Of tesseract's data, as ``deu``, or several, as ``eng+deu``.

        Raises:
            ModuleMissingError: pytesseract or the program tesseract is not installed; the hint
                says how it is.
        """
        return ocr.read_text(self.png, language=language)


@dataclass(frozen=True)
class Pixels:
    """
    What a screen showed at a moment, as colours.

    Attributes:
        rgba: Four bytes a pixel: red, green, blue, and one that says nothing; row by row from the
            top.
        width: In pixels.
        height: In pixels.
    """

    rgba: bytes = field(repr=False)
    width: int
    height: int

    def row(self, number: int) -> list[tuple[int, int, int]]:
        """Return the colours of a row, from the left; 0 is the topmost."""
        line = self.rgba[4 * self.width * number : 4 * self.width * (number + 1)]
        return list(zip(line[0::4], line[1::4], line[2::4], strict=True))


class Screen(LivePart):
    """
    The screen of a machine that runs: ``machine.screen``; paused ones show what they last did.

    Example:
        >>> vm.screen.shot().save("shot.png")                               # doctest: +SKIP
        >>> vm.screen.wait_for_text("login:", timeout=60)                   # doctest: +SKIP
    """

    noun = "screen"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the first monitor, in pixels."""
        with self._session("read the screen's size") as session:
            width, height, *_ = session.console.display.getScreenResolution(0)
        return int(width), int(height)

    def shot(self, *, monitor: int = 0) -> Screenshot:
        """
        Take a screenshot.

        Args:
            monitor: 0 for the first.

        Raises:
            InvalidStateError: There is no running VM.
            NotFoundError: There is no such monitor.
        """
        self._check(monitor)
        with self._session("take a screenshot") as session:
            display = session.console.display
            width, height, *_ = display.getScreenResolution(monitor)
            kind = self._api.value("BitmapFormat", "PNG")
            png = bytes(display.takeScreenShotToArray(monitor, width, height, kind))
        return Screenshot(png, int(width), int(height), f"{self._subject()} ({self._state()})")

    def pixels(self, *, width: int, height: int, monitor: int = 0) -> Pixels:
        """
        Take a screenshot of another size, as colours; VirtualBox scales it.

        Args:
            width: In pixels.
            height: In pixels.
            monitor: 0 for the first.

        Raises:
            InvalidStateError: There is no running VM.
            NotFoundError: There is no such monitor.

        Example:
            >>> vm.screen.pixels(width=80, height=50).row(0)[0]             # doctest: +SKIP
            (0, 0, 0)
        """
        self._check(monitor)
        with self._session("take a screenshot") as session:
            kind = self._api.value("BitmapFormat", "RGBA")
            taken = session.console.display.takeScreenShotToArray(monitor, width, height, kind)
        return Pixels(bytes(taken), width, height)

    def _check(self, monitor: int) -> None:
        count = self._machine.graphics.monitors
        if not 0 <= monitor < count:
            raise NotFoundError(
                f"{self._subject()}: there is no monitor {monitor}",
                kind="monitor",
                wanted=str(monitor),
                available=[str(n) for n in range(count)],
                operation="take a screenshot",
                hint=f"0 to {count - 1}; graphics.monitors is their number",
            )

    def image(self) -> Any:
        """Take a screenshot and return it as an image of Pillow's; see `Screenshot.image`."""
        return self.shot().image()

    def text(self, *, language: str = "eng") -> str:
        """Read the text on the screen by OCR; see `Screenshot.text`."""
        return self.shot().text(language=language)

    def wait_for_text(
        self,
        pattern: str | re.Pattern[str],
        *,
        timeout: Timeout,
        language: str = "eng",
        evidence: Path | str | None = None,
    ) -> re.Match[str]:
        """
        Wait until the screen shows a text; it is read anew only when the picture has changed.

        Args:
            pattern: A regular expression, searched for in all that OCR reads; leave it some room
                for OCR's mistakes.
            timeout: Seconds, `timedelta` or `Deadline`.
            language: See `Screenshot.text`.
            evidence: Where the last screenshot is written if the time is up; a temporary file if
                left out. The error names it.

        Returns:
            The first match.

        Raises:
            WaitTimeoutError: It did not show it in time; the error has the text it shows, and the
                path of the screenshot.
            InvalidStateError: There is no running VM (any more).
            ModuleMissingError: See `Screenshot.text`.
        """
        wanted = re.compile(pattern) if isinstance(pattern, str) else pattern
        last: Screenshot | None = None
        text = ""

        def look() -> re.Match[str] | None:
            nonlocal last, text
            shot = self.shot()
            if last is None or shot.png != last.png:
                last, text = shot, shot.text(language=language)
            return wanted.search(text)

        def tell() -> str:
            if last is None:
                return ""
            path = evidence
            if path is None:
                with tempfile.NamedTemporaryFile(
                    prefix="vboxkit-", suffix=".png", delete=False
                ) as file:
                    path = file.name
            return f"--- screen, {last.save(path)}\n{text}"

        return wait_until(
            look,
            what=f"{wanted.pattern!r} on the {self.noun} of {self._machine._subject()}",
            timeout=timeout,
            poll=_POLL,
            last_seen=lambda: repr(text[-60:]) if text else "a screen without text",
            evidence=tell,
            hint="look at the screenshot; OCR may have read it otherwise",
        )
