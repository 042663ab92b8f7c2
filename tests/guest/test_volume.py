"""A hundred megabytes on both streams together: complete, and within bounded memory if streamed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes on each stream.
SIZE = 50_000_000
COMMAND = "cat out & cat err >&2; wait"
#: Runs in a process of its own, whose memory is that of the client alone.
CLIENT = """
import hashlib, json, sys
from vboxkit.guest import SSH, Address, Credentials

how, port, key, command = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
sums = {"stdout": hashlib.md5(usedforsecurity=False), "stderr": hashlib.md5(usedforsecurity=False)}

def memory():
    # Not getrusage(): what it tells of a new process is its parent's.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

with SSH(Address("127.0.0.1", port), Credentials("root", key_file=key)) as ssh:
    ssh.run("true")
    before = memory()
    if how == "chunks":
        for stream, data in ssh.stream(command, timeout=200).chunks():
            sums[stream].update(data)
    elif how == "lines":
        for line in ssh.stream(command, timeout=200):
            sums[line.stream].update(line.data)
    else:
        result = ssh.run(command, timeout=200)
        sums["stdout"].update(result.stdout_bytes)
        sums["stderr"].update(result.stderr_bytes)
    more = (memory() - before) * 1024
print(json.dumps([sums["stdout"].hexdigest(), sums["stderr"].hexdigest(), more]))
"""


@pytest.fixture
def content(guest: Any) -> list[str]:
    """Put a file for each stream into the guest, and return their checksums."""
    sums = []
    for number, name in enumerate(("out", "err")):
        data = random.Random(number).randbytes(SIZE)  # noqa: S311 - noise
        if name == "out":
            # Lines of about 60 bytes, as programs write them; the other has some of 256.
            data = data.hex("\n", 30).encode()[:SIZE]
        (guest.folder / name).write_bytes(data)
        sums.append(hashlib.md5(data, usedforsecurity=False).hexdigest())
    return sums


@pytest.mark.parametrize("how", ["chunks", "lines", "run"])
def test_a_hundred_megabytes(
    guest: Any, keys: dict[str, Path], content: list[str], how: str
) -> None:
    """All of it comes, and what is streamed never lies in memory."""
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, how, str(guest.port), str(keys["user"]), COMMAND],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=os.getcwd(),  # noqa: PTH109
    )
    assert done.returncode == 0, done.stderr
    *sums, more = json.loads(done.stdout)
    assert sums == content
    print(f"{how}: {more / 1e6:.1f} MB")
    if how == "run":
        assert more >= 2 * SIZE  # the figure measures something
    else:
        assert more < 40_000_000
