"""Long operations of VirtualBox, and hooks that follow them."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from contextlib import contextmanager
from itertools import chain, repeat
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from vboxkit.com.api import ForeignError
from vboxkit.com.translation import error_class, remedy
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline, Timeout, wait_until
from vboxkit.errors import ConnectionLostError, ProgressCanceledError, ProgressFailedError
from vboxkit.machines.base import Attribute, ComObject, api_call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.com.api import Api
    from vboxkit.com.interfaces import IProgress

__all__ = ["Progress", "ProgressHook", "progress_hook", "unhooked"]

#: How long one call of waitForCompletion() may take: a hook is called this often. Short at first,
#: so that short operations are seen on their way, too.
_SLICES_MS = (20, 50, 100, 250)
#: A step tells of what takes longer than so many seconds.
_WORTH_TELLING = 0.25
#: How long an operation that was canceled may take to stop, and one that cannot be, to end.
_STOP_MS = 10_000
_END_MS = 60_000

#: What follows operations: a function of the `Progress`; see `progress_hook`.
ProgressHook = Callable[["Progress"], object]

_hooks: contextvars.ContextVar[tuple[ProgressHook, ...]] = contextvars.ContextVar(
    "vboxkit_progress_hooks", default=()
)


@contextmanager
def progress_hook(hook: ProgressHook | None) -> Iterator[None]:
    """
    Call a function with the `Progress` of every long operation in the block.

    It is called in the thread that waits: when an operation begins, at least four times a second
    while it runs, and once more with 100 % when it has ended well. A verb of several operations
    shows each. If the function raises, the operation is canceled, what it made is removed, and
    the exception passes; one that VirtualBox cannot cancel (restoring, deleting a snapshot) comes
    to its end first. Blocks nest, and ``on_update=`` of a verb is such a block around that verb.
    Other threads have hooks of their own.

    Args:
        hook: The function; `None` does nothing.

    Example:
        ``with vboxkit.progress_hook(lambda p: print(p.what, p.percent)): machine.clone("copy")``
    """
    if hook is None:
        yield
        return
    if not callable(hook):
        raise TypeError(f"a progress hook is a function of the progress, not {hook!r}")
    token = _hooks.set((*_hooks.get(), hook))
    try:
        yield
    finally:
        _hooks.reset(token)


@contextmanager
def unhooked() -> Iterator[None]:
    """Keep the hooks out of the block: a hook that has canceled must not cancel the undoing."""
    token = _hooks.set(())
    try:
        yield
    finally:
        _hooks.reset(token)


class Progress(ComObject):
    """
    A long operation: how far it is, and how it ends.

    Attributes:
        what: What is done, as "clone to 'web'".
        subject: The object it is done to, as "machine 'base'".

    Args:
        what: Completes the sentence "cannot ...".
        subject: The object it works on, for messages.
    """

    com: IProgress

    # VirtualBox 7.2 counts the merging of a snapshot up to 200 %.
    percent = Attribute("percent", lambda raw: min(100, int(raw)), "How much is done, 0 to 100.")
    operation_text = Attribute("operationDescription", str, "VirtualBox's words for this part.")
    operation_count = Attribute("operationCount", int, "Of how many parts it consists.")
    operation_percent = Attribute("operationPercent", int, "How much of this part is done.")
    completed = Attribute("completed", bool, "Whether it has ended, in whichever way.")
    canceled = Attribute("canceled", bool, "Whether somebody has canceled it.")
    cancelable = Attribute("cancelable", bool, "Whether `cancel` can stop it.")

    def __init__(self, api: Api, com: Any, *, what: str, subject: str) -> None:
        super().__init__(api, com)
        self.what = what
        self.subject = subject
        self._final: SimpleNamespace | None = None

    def _subject(self) -> str:
        return self.subject

    def __repr__(self) -> str:
        return f"<Progress {self.subject}: {self.what}>"

    def _current(self) -> Any:
        return self._final or self.com

    @property
    @api_call("read the part's number")
    def operation_number(self) -> int:
        """Which part is under way, from 1 to `operation_count`."""
        return int(self._current().operation) + 1

    @property
    @api_call("read the time that is left")
    def seconds_left(self) -> int | None:
        """VirtualBox's guess of the seconds it still takes, or `None` while it has none."""
        left = int(self._current().timeRemaining)
        # -1, as an unsigned number: nothing has been done of which it could be told.
        return left if 0 <= left < 1 << 31 else None

    @api_call("cancel the operation")
    def cancel(self) -> None:
        """
        Ask VirtualBox to stop the operation; `wait` then raises `ProgressCanceledError`.

        Raises:
            ApiError: This operation cannot be canceled.
        """
        self.com.cancel()

    def wait(self, *, timeout: Timeout, on_update: ProgressHook | None = None) -> None:
        """
        Wait until the operation has ended well.

        Args:
            timeout: Seconds, `timedelta` or `Deadline`.
            on_update: Called meanwhile; see `progress_hook`.

        Raises:
            ProgressCanceledError: It was canceled.
            ProgressFailedError: It failed.
            WaitTimeoutError: It still runs; it is asked to stop.
        """
        deadline = Deadline(timeout)
        slices = chain(_SLICES_MS, repeat(_SLICES_MS[-1]))
        with step(f"{self.subject}: {self.what}") as this, progress_hook(on_update):

            def probe() -> bool | None:
                left = max(1, int(min(next(slices), deadline.remaining * 1000)))
                self.com.waitForCompletion(left)
                if self.com.completed:
                    return True
                if deadline.elapsed > _WORTH_TELLING:
                    this.update(percent=self.percent, note=self.operation_text)
                self._tell_hooks()
                return None

            done = False
            try:
                with self._translated(self.what):
                    self._tell_hooks()
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
            self._final = self._ended()
            this.update(percent=100)
            self._tell_hooks()

    def _tell_hooks(self) -> None:
        for hook in _hooks.get():
            # What a hook itself does in VirtualBox is not told to hooks.
            with unhooked():
                hook(self)

    def _ended(self) -> SimpleNamespace:
        """
        Return what a hook reads of an operation that has ended well.

        The object of a VM process's operation goes with that process.
        """
        ended = SimpleNamespace(
            percent=100,
            completed=True,
            canceled=False,
            cancelable=False,
            operation=0,
            operationCount=1,
            operationDescription="",
            operationPercent=100,
            timeRemaining=0,
        )
        try:
            ended.operationDescription = str(self.com.operationDescription)
            ended.operationCount = int(self.com.operationCount)
            ended.operation = ended.operationCount - 1
        except Exception as error:
            if self._api.foreign(error) is None:
                raise
        return ended

    def _try_cancel(self) -> None:
        """Stop what nobody waits for any more, where VirtualBox lets us."""
        try:
            cancelable = bool(self.com.cancelable)
            if cancelable and not self.com.completed:
                self.com.cancel()
            # What it made can be removed only after it has stopped making it; and a snapshot that
            # is restored or merged must not lose its lock meanwhile.
            self.com.waitForCompletion(_STOP_MS if cancelable else _END_MS)
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
        kind = error_class(ForeignError(code, symbol, text))
        cls = ProgressCanceledError if canceled else ProgressFailedError
        raise cls(
            f"{self.subject}: cannot {self.what}: {text} [{symbol}]",
            chain=chain,
            code=code,
            symbol=symbol,
            text=text,
            operation=self.what,
            hint=None if canceled else remedy(kind),
        )
