"""Into VirtualBox by XPCOM (COM on Windows): the only user of vboxapi."""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
import threading
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit import settings
from vboxkit.com import installation, lifetime, versions
from vboxkit.com.api import ForeignError
from vboxkit.core.locks import lock_file
from vboxkit.errors import (
    SetupError,
    UnsupportedVersionError,
    VirtualBoxNotFoundError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vboxkit.com.interfaces import ISession, IVirtualBox
    from vboxkit.core.audit import AuditLog

__all__ = ["XpcomApi", "isolation", "open_api"]

OLDEST = (7, 0)

#: The result codes of VirtualBox's own (SDK reference, "Error codes"), all versions together.
_RESULT_CODES = (
    "VBOX_E_OBJECT_NOT_FOUND",
    "VBOX_E_INVALID_VM_STATE",
    "VBOX_E_VM_ERROR",
    "VBOX_E_FILE_ERROR",
    "VBOX_E_IPRT_ERROR",
    "VBOX_E_PDM_ERROR",
    "VBOX_E_INVALID_OBJECT_STATE",
    "VBOX_E_HOST_ERROR",
    "VBOX_E_NOT_SUPPORTED",
    "VBOX_E_XML_ERROR",
    "VBOX_E_INVALID_SESSION_STATE",
    "VBOX_E_OBJECT_IN_USE",
    "VBOX_E_PASSWORD_INCORRECT",
    "VBOX_E_MAXIMUM_REACHED",
    "VBOX_E_GSTCTL_GUEST_ERROR",
    "VBOX_E_TIMEOUT",
    "VBOX_E_DND_ERROR",
    "VBOX_E_PLATFORM_ARCH_NOT_SUPPORTED",
    "VBOX_E_RECORDING_ERROR",
)

#: The other side is gone: what a call gives after VBoxSVC or a VM process died. E_ABORT is what
#: XPCOM's transport gives; it is not used for anything else by the calls we make.
_LOST = frozenset(
    {
        0x80004004,  # NS_ERROR_ABORT
        0x800706BA,  # RPC_S_SERVER_UNAVAILABLE
        0x800706BE,  # RPC_S_CALL_FAILED
        0x80010108,  # RPC_E_DISCONNECTED
        0x8001010A,  # RPC_E_SERVERCALL_RETRYLATER
    }
)


def isolation(home: Path) -> dict[str, str]:
    """
    Return the environment that gives a VirtualBox home a VBoxSVC of its own.

    Every process that uses the same home computes the same socket name, and so they meet.
    """
    digest = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    return {"VBOX_USER_HOME": str(home), "VBOX_IPC_SOCKETID": f"vboxkit-{digest}"}


class XpcomApi:
    """The process's one connection by vboxapi. Any thread may use it."""

    def __init__(self, manager: Any, home: Path | None, folder: Path) -> None:
        self._manager = manager
        self._constants = manager.constants
        self._names: dict[str, dict[Any, str]] = {}
        self._pid = os.getpid()
        self.home = home
        self.installation = folder
        self.environment = isolation(home) if home else {}
        self.audit: AuditLog | None = None
        # xpcom.Exception, or pywin32's com_error; not known before vboxapi has loaded them.
        self._exception: type[BaseException] = manager.oXcptClass
        self._virtualbox: IVirtualBox = manager.getVirtualBox()
        self._symbols = _symbols(manager)
        self.version = _version(str(self._virtualbox.version))

    def __reduce__(self) -> tuple[Any, ...]:
        return open_api, (self.home,)  # unpickled, it is that process's own connection

    @property
    def virtualbox(self) -> IVirtualBox:
        if os.getpid() != self._pid:
            # XPCOM's threads and sockets do not survive fork(): the first call would hang.
            raise SetupError(
                f"this process was forked from one ({self._pid}) that is connected to VirtualBox",
                hint="use the multiprocessing start method 'spawn' (or 'forkserver')",
            )
        return self._virtualbox

    def session(self) -> ISession:
        """See `Api`."""
        session: ISession = self._manager.getSessionObject(self.virtualbox)
        return session

    def value(self, enumeration: str, name: str) -> Any:
        """See `Api`."""
        try:
            return self._values(enumeration)[name]
        except KeyError:
            version = ".".join(map(str, self.version))
            known = ", ".join(self.names(enumeration))
            raise UnsupportedVersionError(
                f"VirtualBox {version} has no {enumeration} {name!r}",
                hint=f"one of {known}" if known else "it has no such enumeration at all",
            ) from None

    def _values(self, enumeration: str) -> dict[str, Any]:
        known = versions.enumeration(self.version, enumeration)
        values: dict[str, Any] = self._constants.all_values(known)
        return values

    def name(self, enumeration: str, value: Any) -> str:
        """See `Api`."""
        table = self._names.get(enumeration)
        if table is None:
            values = self._values(enumeration)
            # Bounds such as FirstOnline share their value with a state's own name.
            bounds = [name for name in values if name.startswith(("First", "Last"))]
            ordered = [*bounds, *(name for name in values if name not in bounds)]
            table = self._names[enumeration] = {values[name]: name for name in ordered}
        return table.get(value) or f"{enumeration}({value})"

    def names(self, enumeration: str) -> Sequence[str]:
        """See `Api`."""
        return sorted(self._values(enumeration))

    def array(self, obj: Any, attribute: str) -> list[Any]:
        """See `Api`."""
        return list(self._manager.getArray(obj, attribute))

    def set_array(self, obj: Any, attribute: str, values: Sequence[Any]) -> None:
        """See `Api`."""
        self._manager.setArray(obj, attribute, list(values))

    def cast(self, obj: Any, interface: str) -> Any:
        """See `Api`."""
        return self._manager.queryInterface(obj, interface)

    def symbol(self, code: int) -> str:
        """See `Api`."""
        return self._symbols.get(code, f"0x{code:08x}")

    def forget_words(self) -> None:
        """See `Api`."""
        manager = _exceptions()
        if manager is not None:
            manager.setCurrentException(None)

    def last_words(self) -> ForeignError | None:
        """See `Api`."""
        manager = _exceptions()
        said = None if manager is None else manager.getCurrentException()
        if said is None:
            return None
        code = int(said.result) & 0xFFFFFFFF
        return ForeignError(
            code=code, symbol=self.symbol(code), text=str(said.message), lost=code in _LOST
        )

    def foreign(self, error: BaseException) -> ForeignError | None:
        """See `Api`."""
        if not isinstance(error, self._exception):
            return None
        code = int(self._manager.xcptGetStatus(error)) & 0xFFFFFFFF
        return ForeignError(
            code=code,
            symbol=self.symbol(code),
            text=str(self._manager.xcptGetMessage(error) or ""),
            lost=code in _LOST,
        )


def _exceptions() -> Any:
    """Return XPCOM's keeper of this thread's last exception; `None` where COM has its own way."""
    try:
        # By name: what there is of it depends on the installation.
        native = import_module("xpcom._xpcom")
        components = import_module("xpcom.components")
    except ImportError:
        return None
    service = native.GetServiceManager().getServiceByContractID(
        "@mozilla.org/exceptionservice;1", components.interfaces.nsIExceptionService
    )
    return service.currentExceptionManager


_guard = threading.RLock()
if hasattr(os, "register_at_fork"):
    # A child that was forked while another thread connected would wait for it for ever.
    os.register_at_fork(
        before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_guard.release
    )
_open: XpcomApi | None = None


def _server(manager: Any) -> object | None:
    try:
        return manager.getVirtualBox()  # type: ignore[no-any-return]  # vboxapi has no types
    except Exception:  # XPCOM's own class, which there is once it is loaded
        return None


def open_api(home: Path | None = None) -> XpcomApi:
    """
    Connect this process to VirtualBox.

    XPCOM reads the home and the name of its socket once, when it is loaded: a process sees one
    VirtualBox, and asking for another home later is an error.

    Args:
        home: A VirtualBox home of its own, with a VBoxSVC of its own; the user's if left out.

    Raises:
        VirtualBoxNotFoundError: No VirtualBox, or none that this Python can load.
        UnsupportedVersionError: It is older than 7.0.
        SetupError: VBoxSVC did not start, or this process is connected to another home.
        WaitTimeoutError: Another process has been connecting for 60 s.
    """
    global _open  # noqa: PLW0603 - XPCOM is one per process
    with _guard:
        if _open is not None:
            if _open.home != home:
                raise SetupError(
                    f"this process is connected to VirtualBox home {_open.home or 'of the user'},"
                    f" and cannot use {home or 'the home of the user'} as well",
                    hint="use another process for the other home",
                )
            return _open
        found = installation.find()
        if home is not None:
            try:
                home.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SetupError(
                    f"cannot make the VirtualBox home {home}: {error}",
                    hint=f"check who may write to {home.parent}, or set VBOXKIT_HOME",
                ) from error
            if not os.access(home, os.W_OK | os.X_OK):
                raise SetupError(
                    f"the VirtualBox home {home} cannot be written to by this user",
                    hint=f"set VBOXKIT_HOME to another folder, or: sudo chown -R $USER {home}",
                )
            for name, value in isolation(home).items():
                settings.set_environment(name, value)
        vboxapi = installation.import_vboxapi()
        said, cried = io.StringIO(), io.StringIO()
        try:
            # It prints what goes wrong, also to standard output, and goes on.
            with (
                _one_at_a_time(home),
                warnings.catch_warnings(),
                redirect_stdout(said),
                redirect_stderr(cried),
            ):
                # "builtin type nsISupports has no __module__ attribute", a dozen times: XPCOM's
                # C module is older than that rule, and nobody who tests with -W error can help it.
                warnings.simplefilter("ignore", DeprecationWarning)
                manager = vboxapi.VirtualBoxManager(None, None)
        except WaitTimeoutError:  # an OSError as well
            raise
        except (ImportError, OSError, NameError) as error:
            raise VirtualBoxNotFoundError(
                f"VirtualBox in {found.folder} cannot be loaded by this Python: {error}",
                hint="vboxkit sandbox run -- COMMAND uses a VirtualBox with a Python of its own",
            ) from error
        except Exception as error:  # XPCOM's own class, which there is once it is loaded
            raise SetupError(
                f"VBoxSVC, VirtualBox's server process, cannot be reached: {error}",
                hint=f"try again in a new process, and read {_log(home)}",
            ) from error
        lifetime.protect(manager)
        if _server(manager) is None:
            why = said.getvalue().strip().splitlines()[-1:]
            raise SetupError(
                ": ".join(["VBoxSVC, VirtualBox's server process, did not start", *why]),
                hint=f"read {_log(home)}",
            )
        # What others have printed meanwhile.
        sys.stdout.write(said.getvalue())
        sys.stderr.write(cried.getvalue())
        api = XpcomApi(manager, home, found.folder)
        if api.version < OLDEST:
            version = ".".join(map(str, api.version))
            raise UnsupportedVersionError(
                f"VirtualBox {version} in {found.folder} is older than 7.0",
                hint="install VirtualBox 7",
            )
        _open = api
        return api


@contextmanager
def _one_at_a_time(home: Path | None) -> Iterator[None]:
    """
    Let one process after the other connect.

    Where no VBoxSVC runs, each starts one, and who meets a server that is on its way gets
    NS_ERROR_FAILURE, for good: of 60 processes that connected by fours, 7 did.
    """
    folder = home if home is not None else settings.cache_dir()
    try:
        (folder / "locks").mkdir(parents=True, exist_ok=True)
    except OSError:  # a folder that is nobody's to write in must not keep us from connecting
        yield
        return
    with lock_file(
        folder / "locks" / "connect.lock",
        what="another process's connecting to VirtualBox",
        timeout=60.0,
    ):
        yield


def _log(home: Path | None) -> str:
    return f"{home or '~/.config/VirtualBox'}/VBoxSVC.log"


def _symbols(manager: Any) -> dict[int, str]:
    """Return the names of the result codes, with the running version's numbers."""
    platform = {k: v for k, v in vars(manager.statuses).items() if isinstance(v, int)}
    # vboxapi tells the value of a name, but lists only the platform's names.
    own = {name: getattr(manager.constants, name, None) for name in _RESULT_CODES}
    return {value & 0xFFFFFFFF: name for name, value in {**platform, **own}.items() if value}


def _version(text: str) -> tuple[int, int, int]:
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    if match is None:
        raise UnsupportedVersionError(
            f"VirtualBox calls its version {text!r}", hint="install VirtualBox 7"
        )
    return int(match[1]), int(match[2]), int(match[3])
