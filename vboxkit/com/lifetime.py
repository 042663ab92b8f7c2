"""
XPCOM at the end of a process, and in a process that was forked from one that uses it.

Both are places where a call, or merely dropping an object, would crash or hang in native code. What
is done here costs the calls in between nothing: when the time comes, the functions by which XPCOM's
Python binding reaches native code are replaced by one that raises.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import socket
import sys
import sysconfig
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core.waiting import wait_until
from vboxkit.errors import SetupError, WaitTimeoutError

if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

__all__ = ["protect"]

_ENDED = (
    "the connection to VirtualBox is closed: this process is ending",
    "call VirtualBox earlier: in a `with` block or a `finally`, not when Python has ended",
)
_THREAD = (
    "deinitPerThread() outside the main thread ends the whole process (SIGTRAP)",
    "leave it out: with XPCOM any thread may use the connection as it is",
)
#: Seconds to let calls of other threads come back before XPCOM is shut down.
_PATIENCE = 1.0


def protect(manager: Any) -> None:
    """
    Make the end of this process, forks of it, and threads' own endings safe for XPCOM.

    Args:
        manager: The process's ``VirtualBoxManager``.
    """
    atexit.register(_close, manager)
    if manager.type != "XPCOM":
        return  # COM has no fork(), and wants what follows
    # An assertion in nsEventQueue. Nobody needs it: threads are attached when they call.
    manager.deinitPerThread = _Refusal(*_THREAD)
    if hasattr(os, "register_at_fork"):
        parent = _Parent(manager)
        os.register_at_fork(after_in_child=parent.after_in_child)


class _Refusal:
    """
    Raises instead of calling; knows all it needs, for modules may be half gone by then.

    Args:
        error: What is raised, as class, message and hint.
        others: What threads get that are not the one which made this; the same if left out.
    """

    def __init__(
        self, message: str, hint: str, *, others: type[BaseException] | None = None
    ) -> None:
        self._message = message
        self._hint = hint
        self._others = others
        self._error = SetupError
        self._me = threading.get_ident()
        self._ident = threading.get_ident

    def __call__(self, *_: object, **__: object) -> NoReturn:
        if self._others is not None and self._ident() != self._me:
            raise self._others
        raise self._error(self._message, hint=self._hint)


class _Platform:
    """Stands where the manager has its way into XPCOM: it can read exceptions, and no more."""

    def __init__(self, platform: Any, refuse: _Refusal) -> None:
        self._platform = platform
        self._refuse = refuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._platform, name) if name.startswith("xcpt") else self._refuse

    def deinit(self) -> None:
        """Do nothing: it has been done, or must not be."""


def _cut(manager: Any, refuse: _Refusal) -> None:
    """Make every use of every raw object raise, from now on."""
    manager.platform = _Platform(manager.platform, refuse)
    client: Any = sys.modules.get("xpcom.client")
    if client is None:
        return
    # Every call, getter and setter goes through this one, by its global name.
    client.XPTC_InvokeByIndex = refuse
    component = client.Component
    component.QueryInterface = component.queryInterface = refuse
    component._build_all_supported_interfaces_ = refuse
    component.__repr__ = object.__repr__
    base = client._XPCOMBase  # noqa: SLF001 - has the operators that call the server
    for name in ("__eq__", "__hash__", "__str__"):
        setattr(base, name, getattr(object, name))


def _close(manager: Any) -> None:
    """Shut XPCOM down, once no thread is in it any more."""
    # Other threads that still run are daemons: they end without a word, as Python's own way is.
    refuse = _Refusal(*_ENDED, others=SystemExit)
    client: Any = sys.modules.get("xpcom.client")
    if client is not None:
        client.XPTC_InvokeByIndex = refuse
    # A daemon thread that is in a call while XPCOM goes down crashes, one time in three.
    try:
        wait_until(
            lambda: None if _others_call() else True,
            what="calls of other threads",
            timeout=_PATIENCE,
            poll=0.005,
        )
    except WaitTimeoutError:
        # It waits for something, with a raw object. XPCOM stays as it is, and ends with us.
        if _end_at_once(_libc()):
            _cut(manager, refuse)
            return
    # Without it VirtualBoxManager.__del__ prints an ImportError, when the modules it wants are gone
    # already. XPCOM calls Python for it, by objects that have to work until then.
    platform = manager.platform
    manager.deinit()
    manager.platform = platform
    _cut(manager, refuse)


def _others_call() -> bool:
    me = threading.get_ident()
    frames = sys._current_frames()  # noqa: SLF001 - documented, and there is no other way
    return any(_calls(frame) for ident, frame in frames.items() if ident != me)


def _calls(frame: FrameType) -> bool:
    """Whether a thread is inside the binding; its generated methods have names of their own."""
    code = frame.f_code
    return code.co_filename.startswith("<XPCOMObject") or "/xpcom/" in code.co_filename


class _Parent:
    """The process that is connected: what its forks have to know."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._pid = os.getpid()
        # Loaded now: the child of a process with threads had better not load anything.
        self._libc = _libc()

    def after_in_child(self) -> None:
        """
        Make a forked process one that cannot use XPCOM, and that can end.

        XPCOM's threads and its socket's protocol do not survive fork(): a call, dropping an object
        that belongs to the server, ``DeinitCOM`` and the C library's ``exit()`` each wait for ever
        for a thread that is not there.
        """
        if self._pid == os.getpid():
            return
        parent, self._pid = self._pid, os.getpid()
        refuse = _Refusal(
            f"this process was forked from one ({parent}) that is connected to VirtualBox",
            "use the multiprocessing start method 'spawn' (or 'forkserver'); a Machine can be"
            " given to such a process, where it connects anew",
        )
        _cut(self._manager, refuse)
        atexit.unregister(_close)
        self._keep()
        self._leave_server()
        _end_at_once(self._libc)

    def _keep(self) -> None:
        """Hold all of XPCOM's objects, until and beyond the interpreter's end."""
        client: Any = sys.modules.get("xpcom.client")
        if client is None:
            return
        base = client._XPCOMBase  # noqa: SLF001
        held = [obj for obj in gc.get_objects() if isinstance(obj, base)]
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))

    def _leave_server(self) -> None:
        """Close the connection: else the server holds the parent's locks until we end as well."""
        with suppress(OSError):
            nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            for number in _sockets():
                os.dup2(nothing, number, inheritable=False)
            os.close(nothing)


def _libc() -> Any:
    """Load the C library, where it is likely to be glibc."""
    return ctypes.CDLL(None) if sysconfig.get_platform().startswith("linux") else None


def _end_at_once(libc: Any) -> bool:
    """
    Skip what libraries do at the end, after Python has ended in order.

    VirtualBox's runtime waits there for its threads. ``on_exit`` hands over the exit code.

    Returns:
        Whether that can be done here.
    """
    if libc is None:
        return False
    try:
        libc.on_exit(libc._exit, None)  # noqa: SLF001 - their names in C
        # Called first, for the last one registered is: writes out what C code has printed.
        libc.__cxa_atexit(libc.fflush, None, None)  # noqa: SLF001
    except AttributeError:  # not glibc, with which VirtualBox comes
        return False
    return True


def _sockets() -> list[int]:
    """Find this process's connections to XPCOM's server."""
    found = []
    with suppress(OSError):
        for path in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                number = int(path.name)
                with socket.socket(fileno=os.dup(number)) as twin:
                    peer = twin.getpeername()
                if isinstance(peer, str) and "/.vbox-" in peer:
                    found.append(number)
    return found
