"""Long operations of VirtualBox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline, Timeout, wait_until
from vboxkit.errors import ConnectionLostError, ProgressCanceledError, ProgressFailedError
from vboxkit.machines.base import Attribute, ComObject, api_call

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.com.api import Api

__all__ = ["Progress"]

#: How long one call of waitForCompletion() may take: percent is told this often.
_SLICE_MS = 250
#: How long an operation that was canceled may take to stop.
_STOP_MS = 10_000


class Progress(ComObject):
    """
    A long operation: how far it is, and how it ends.

    Args:
        what: Completes the sentence "cannot ...".
        subject: The object it works on, for messages.
    """

    percent = Attribute("percent", int, "How much is done, 0 to 100.")
    operation_text = Attribute("operationDescription", str, "VirtualBox's words for this part.")
    completed = Attribute("completed", bool, "Whether it has ended, in whichever way.")

    def __init__(self, api: Api, com: Any, *, what: str, subject: str) -> None:
        super().__init__(api, com)
        self.what = what
        self.subject = subject

    def _subject(self) -> str:
        return self.subject

    def __repr__(self) -> str:
        return f"<Progress {self.subject}: {self.what}>"

    @api_call("cancel the operation")
    def cancel(self) -> None:
        """
        Ask VirtualBox to stop the operation; `wait` then raises `ProgressCanceledError`.

        Raises:
            ApiError: This operation cannot be canceled.
        """
        self.com.cancel()

    def wait(
        self, *, timeout: Timeout, on_update: Callable[[Progress], None] | None = None
    ) -> None:
        """
        Wait until the operation has ended well.

        Args:
            timeout: Seconds, `timedelta` or `Deadline`.
            on_update: Called about four times a second.

        Raises:
            ProgressCanceledError: It was canceled.
            ProgressFailedError: It failed.
            WaitTimeoutError: It still runs; it is asked to stop.
        """
        deadline = Deadline(timeout)
        with step(f"{self.subject}: {self.what}") as this:

            def probe() -> bool | None:
                left = max(1, int(min(_SLICE_MS, deadline.remaining * 1000)))
                self.com.waitForCompletion(left)
                if self.com.completed:
                    return True
                this.update(percent=int(self.com.percent), note=str(self.com.operationDescription))
                if on_update is not None:
                    on_update(self)
                return None

            done = False
            try:
                with self._translated(self.what):
                    wait_until(
                        probe,
                        what=f"{self.subject} to {self.what}",
                        timeout=deadline,
                        poll=0,
                        last_seen=lambda: f"{self.percent} %, {self.operation_text}",
                    )
                done = True
            finally:
                if not done:
                    self._try_cancel()
            self._raise_failure()

    def _try_cancel(self) -> None:
        """Stop what nobody waits for any more, where VirtualBox lets us."""
        try:
            if self.com.cancelable and not self.com.completed:
                self.com.cancel()
            # What it made can be removed only after it has stopped making it.
            self.com.waitForCompletion(_STOP_MS)
        except Exception as error:
            if self._api.foreign(error) is None:
                raise

    def _raise_failure(self) -> None:
        with self._translated(self.what):
            code = int(self.com.resultCode) & 0xFFFFFFFF
            canceled = bool(self.com.canceled)
            chain: list[str] = []
            info = self.com.errorInfo if code else None
            while info is not None and len(chain) < 10:
                if info.text:
                    chain.append(str(info.text).strip())
                info = info.next
        if not code and not canceled:
            return
        text = "; ".join(chain) or ("it was canceled" if canceled else "no reason given")
        if not canceled and code == 0x80004004:
            raise ConnectionLostError(
                f"{self.subject}: cannot {self.what}: {text}",
                code=code,
                text=text,
                operation=self.what,
            )
        symbol = self._api.symbol(code)
        cls = ProgressCanceledError if canceled else ProgressFailedError
        raise cls(
            f"{self.subject}: cannot {self.what}: {text} [{symbol}]",
            chain=chain,
            code=code,
            symbol=symbol,
            text=text,
            operation=self.what,
        )
