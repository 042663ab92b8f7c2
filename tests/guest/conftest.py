"""A guest without a machine: an SSH server in this process."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import paramiko
import pytest

from tests.guest.surroundings import Place
from vboxkit.guest import SSH, Address, Credentials, generate_key
from vboxkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# Tests are not a package, and so are loaded by path; the server is loaded the same way.
if "guest_server" not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        "guest_server", Path(__file__).with_name("server.py")
    )
    assert _spec is not None
    assert _spec.loader is not None
    _module = importlib.util.module_from_spec(_spec)
    sys.modules["guest_server"] = _module
    _spec.loader.exec_module(_module)

from guest_server import Guest  # type: ignore[import-not-found]


class MakeGuest(Protocol):
    """Starts a server; the arguments are those of `Guest`."""

    def __call__(self, **knobs: Any) -> Any:
        """Start it."""


class MakeSSH(Protocol):
    """Makes a client of a server; the arguments are those of `SSH` and `Credentials`."""

    def __call__(self, guest: Any, **options: Any) -> SSH:
        """Make it."""


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make key files: of the user, of a stranger, and of two hosts."""
    folder = tmp_path_factory.mktemp("keys")
    return {name: generate_key(folder / name) for name in ("user", "stranger", "host", "other")}


@pytest.fixture
def make_guest(tmp_path: Path, keys: dict[str, Path]) -> Iterator[MakeGuest]:
    """Start servers that are ended, with all their threads and processes, after the test."""
    with ExitStack() as stack:

        def make(**knobs: Any) -> Any:
            folder = tmp_path / "guest"
            folder.mkdir(exist_ok=True)
            host = paramiko.PKey.from_path(str(knobs.pop("host", keys["host"])))
            user = paramiko.PKey.from_path(str(keys["user"]))
            return stack.enter_context(Guest(folder, host, user_key=user, **knobs))

        yield make


@pytest.fixture
def make_ssh(keys: dict[str, Path]) -> Iterator[MakeSSH]:
    """Make clients that are closed after the test."""
    with ExitStack() as stack:

        def make(guest: Any, **options: Any) -> SSH:
            who: dict[str, Any] = {
                "user": "root",
                "key_file": keys["user"],
                "password": None,
                "host_key": None,
                "passphrase": None,
                "agent": False,
                "answer": None,
            }
            who |= {name: options.pop(name) for name in list(options) if name in who}
            options.setdefault("settings", Settings(ssh_timeout=20, command_timeout=40))
            options.setdefault("name", "machine 'web'")
            ssh = SSH(Address("127.0.0.1", guest.port), Credentials(**who), **options)
            return stack.enter_context(ssh)

        yield make


@pytest.fixture
def guest(make_guest: MakeGuest) -> Any:
    """Start a server with which nothing is wrong."""
    return make_guest()


@pytest.fixture
def ssh(guest: Any, make_ssh: MakeSSH) -> SSH:
    """Make a client of `guest`, not yet connected."""
    return make_ssh(guest)


@pytest.fixture
def place(ssh: SSH, tmp_path: Path) -> Place:
    """Make the surroundings of a guest that lets us in."""
    return Place(ssh, tmp_path)
