"""What VirtualBox is asked to keep for an object of ours, and is told to forget with it."""

from __future__ import annotations

import atexit
import weakref
from typing import TYPE_CHECKING, Any

from vboxkit.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.com.api import Api

__all__ = ["HandBack"]

_open: set[HandBack] = set()


class HandBack:
    """
    Calls a function once: when asked to, when nobody refers to the owner any more, or at exit.

    VirtualBox being gone by then is no error: what it kept is gone as well.

    Args:
        owner: The object; neither the function nor its arguments may refer to it.
        api: The way in.
        function: Tells VirtualBox to forget.
    """

    def __init__(
        self, owner: object, api: Api, function: Callable[..., object], *args: object
    ) -> None:
        self._api = api
        self._end = weakref.finalize(owner, self._call, function, args)
        # Its own turn at exit may come after that of the connection.
        self._end.atexit = False
        if not _open:
            # Registered after the connection's, and so called before it.
            atexit.unregister(_at_exit)
            atexit.register(_at_exit)
        _open.add(self)

    @property
    def done(self) -> bool:
        """Whether it was called."""
        return not self._end.alive

    def now(self) -> None:
        """Call the function, if that has not been done."""
        self._end()

    def cancel(self) -> None:
        """Forget the function: what it would do has been done otherwise, or needs no doing."""
        _open.discard(self)
        self._end.detach()

    def _call(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        _open.discard(self)
        try:
            function(*args)
        except (SetupError, SystemExit):
            return  # a fork of the process, which has no part in this; or a thread while that ends
        except Exception as error:
            if self._api.foreign(error) is None:
                raise


def _at_exit() -> None:
    for each in tuple(_open):
        each.now()
