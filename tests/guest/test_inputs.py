"""An input that cannot be read: the caller's own error, at once, and the command is ended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from vboxkit.core.waiting import wait_until
from vboxkit.settings import Settings

if TYPE_CHECKING:
    from tests.guest.conftest import MakeSSH
    from vboxkit.guest import SSH

#: Reads its input to the end.
READER = "echo $$ > pid; cat > /dev/null; sleep 300"


class Damaged:
    """A file whose second block cannot be read, once the command runs."""

    def __init__(self, error: Exception, started: Path) -> None:
        self.error = error
        self.started = started
        self.read_once = False

    def read(self, _: int = -1) -> bytes:
        """Give a block, and raise then."""
        if self.read_once:
            wait_until(lambda: pid_in(self.started), what="the command", timeout=30, poll=0.01)
            raise self.error
        self.read_once = True
        return b"first"


def pid_in(file: Path) -> int | None:
    """Return the number that a file has, or `None` while it has none."""
    return int(file.read_text() or 0) or None if file.exists() else None


@pytest.fixture
def patient(guest: Any, make_ssh: MakeSSH) -> SSH:
    """Make a client that would wait for long."""
    return make_ssh(guest, settings=Settings(ssh_timeout=60, command_timeout=120))


@pytest.mark.parametrize(
    "error", [OSError(5, "bad block"), ValueError("closed")], ids=["os", "own"]
)
@pytest.mark.parametrize("how", ["run", "stream"])
def test_an_input_that_cannot_be_read(guest: Any, patient: SSH, how: str, error: Exception) -> None:
    """It is raised as it is, long before the command's time is up; the connection stays."""
    file = Path(guest.folder, "pid")
    source: Any = Damaged(error, file)
    with pytest.raises(type(error)) as caught:
        if how == "run":
            patient.run(READER, input=source)
        else:
            list(patient.stream(READER, input=source))
    assert caught.value is error
    pid = pid_in(file)
    assert pid is not None
    wait_until(lambda: not psutil.pid_exists(pid) or None, what="the command's end", timeout=30)
    assert patient.run("true").ok
    assert guest.accepted == 1
