"""Commands over SSH that asyncio awaits."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import psutil
import pytest

from vboxkit.core.waiting import wait_until
from vboxkit.errors import CommandTimeoutError

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit.core.result import Result, StreamName
    from vboxkit.guest import SSH


def _gone(pid: int) -> bool | None:
    return None if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" else True


def test_the_same_result(ssh: SSH) -> None:
    """All options of `run`, its result, its transcript; an exit code is not judged."""

    async def main() -> Result:
        return await ssh.run_async(
            'cat; echo "$LEVEL" >&2; pwd; exit 3', cwd="/", env={"LEVEL": "a b"}, input="in\n"
        )

    result = asyncio.run(main())
    assert (result.exit_code, result.stdout, result.stderr) == (3, "in\n/\n", "a b\n")
    assert ssh.last_result == result
    assert [entry["exit_code"] for entry in ssh.transcript.entries()] == [3]


def test_the_loop_goes_on(ssh: SSH, tmp_path: Path) -> None:
    """Two commands that wait for each other, both awaited by one thread."""
    folder = tmp_path

    async def main() -> list[Result]:
        return list(
            await asyncio.gather(
                ssh.run_async(f"until [ -e {folder}/b ]; do sleep 0.05; done; touch {folder}/a"),
                ssh.run_async(f"touch {folder}/b; until [ -e {folder}/a ]; do sleep 0.05; done"),
            )
        )

    assert [it.ok for it in asyncio.run(main())] == [True, True]


def test_a_timeout_is_that_of_run(ssh: SSH) -> None:
    """The error of `run`, with what was written till then."""
    with pytest.raises(CommandTimeoutError, match="it was ended") as caught:
        asyncio.run(ssh.run_async("echo first; sleep 300", timeout=0.5))
    assert caught.value.result.stdout == "first\n"


@pytest.mark.parametrize("how", ["cancel", "wait_for"])
def test_cancelling_ends_the_command(ssh: SSH, how: str) -> None:
    """The command is gone when the await is over; others, and the connection, are left alone."""
    pids: list[int] = []
    started = threading.Event()

    def note(_: StreamName, piece: bytes) -> None:
        pids.append(int(piece))
        started.set()

    async def main() -> Result:
        other = asyncio.create_task(ssh.run_async("sleep 1; echo kept"))
        task = asyncio.create_task(ssh.run_async("echo $$; exec sleep 300", on_output=note))
        await asyncio.to_thread(started.wait, 20)
        if how == "cancel":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(task, 0.1)
        assert task.done()
        return await other

    assert asyncio.run(main()).stdout == "kept\n"
    (pid,) = pids
    assert wait_until(lambda: _gone(pid), what="its end", timeout=5)
    assert ssh.succeed("echo on") == "on\n"


def test_cancelled_before_it_began(ssh: SSH, tmp_path: Path) -> None:
    """A command that had no thread yet never reaches the guest."""

    async def main() -> None:
        task = asyncio.create_task(ssh.run_async(f"touch {tmp_path}/here"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ssh.succeed("echo on") == "on\n"
    assert not (tmp_path / "here").exists()
