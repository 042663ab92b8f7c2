"""
A file to the guest and back, against OpenSSH's scp and sftp; ``FILE_MB`` says how large (64).

Their own connection and login is on their clock, as it is on ours. OpenSSH's client and the guest
agree on ChaCha20, which an emulated guest computes without help of its processor; "AES" is the same
client told to use what vboxkit uses. "scp -O" has a server of its own in the guest; without it, scp
speaks as sftp does.

What vboxkit put there is what all then get, and the checksum of each copy that came back is
compared with the file's, off the clock; another one is an error. (The guest computes no sums: its
sha256sum takes ten times as long as the copy.) A copy of 64 MB takes an emulated guest some minutes
each way: ``RUNS=1`` does, and from 16 MB on there is no round to warm up.
``FILE_RIVALS=scp-O-AES,sftp`` picks the rivals.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from figures import Figure, in_turn, rows

import vboxkit
from vboxkit import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import VM

#: No more than this many times as long as the quicker of the rivals.
MOST = 1 / 0.9
_AES = ("-o", "Ciphers=aes128-ctr", "-o", "MACs=hmac-sha2-256")
#: By name: the tool, and its options.
_RIVALS: dict[str, tuple[str, ...]] = {
    "sftp": ("sftp",),
    "sftp-AES": ("sftp", *_AES),
    "scp": ("scp",),
    "scp-AES": ("scp", *_AES),
    "scp-O": ("scp", "-O"),
    "scp-O-AES": ("scp", "-O", *_AES),
}
_THERE = "/data/bench"
#: MB from which on the first round counts.
_LARGE = 16


def bench(runs: int) -> list[Figure]:
    """Measure, in the home that the settings say."""
    environment = settings.environment()
    size = int(environment.get("FILE_MB", "64"))
    rivals = environment.get("FILE_RIVALS", "sftp,sftp-AES,scp-O,scp-O-AES").split(",")
    with (
        tempfile.TemporaryDirectory(prefix="vboxkit-bench-") as folder,
        vboxkit.Lab() as lab,
        lab.fork("tiny") as vm,
    ):
        copies = Copies(vm, Path(folder), size)
        found = []
        for verb in ("put", "get"):
            ours = f"{verb} {size} MB"
            ways: dict[str, Callable[[], Callable[[], None]]] = {ours: copies.ours(verb)}
            for name in rivals:
                ways[f"{ours}: {name.replace('-AES', ', AES').replace('-O', ' -O')}"] = (
                    copies.theirs(verb, *_RIVALS[name])
                )
            found += rows(
                in_turn(ways, runs, warm_up=size < _LARGE),
                ours=ours,
                target=">= 0.9 of their throughput",
                met=lambda ratio, names=tuple(ways): min(map(ratio, names)) >= 1 / MOST,  # type: ignore[misc]
            )
    return found


class Copies:
    """The same file, copied in each way."""

    def __init__(self, vm: VM, folder: Path, size: int) -> None:
        self._vm = vm
        self._here = folder / "here"
        self._back = folder / "back"
        self._here.write_bytes(os.urandom(size << 20))
        self._sum = hashlib.sha256(self._here.read_bytes()).hexdigest()
        way = vm.credentials
        (folder / "known").write_text(f"[127.0.0.1]:{vm.ssh_port} {way.host_key}\n")
        self._options = [
            *("-F", "none", "-P", str(vm.ssh_port), "-i", str(way.key_file)),
            *("-o", f"UserKnownHostsFile={folder / 'known'}", "-o", "LogLevel=ERROR"),
            *("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
        ]
        self._remote = f"{way.user}@127.0.0.1"

    def ours(self, verb: str) -> Callable[[], Callable[[], None]]:
        """Return what copies as vboxkit does, over a connection of its own."""

        def copy() -> Callable[[], None]:
            self._vm.ssh.close()
            if verb == "put":
                self._vm.ssh.put(self._here, _THERE)
            else:
                self._vm.ssh.get(_THERE, self._back)
            return self._check(verb, _THERE)

        return copy

    def theirs(self, verb: str, tool: str, *options: str) -> Callable[[], Callable[[], None]]:
        """Return what copies with a tool of OpenSSH's client."""
        line, batch = [tool, *self._options, *options], None
        if tool == "scp":
            put = [str(self._here), f"{self._remote}:{_THERE}.put"]
            line += put if verb == "put" else [f"{self._remote}:{_THERE}", str(self._back)]
        else:
            files = [self._here, f"{_THERE}.put"] if verb == "put" else [_THERE, self._back]
            line += ["-b", "-", self._remote]
            batch = shlex.join([verb, *map(str, files)]) + "\n"

        def copy() -> Callable[[], None]:
            subprocess.run(line, input=batch, text=True, check=True, stdout=subprocess.DEVNULL)
            return self._check(verb, f"{_THERE}.put")

        return copy

    def _check(self, verb: str, there: str) -> Callable[[], None]:
        def check() -> None:
            if verb == "put":
                same = self._vm.ssh.stat(there).size == self._here.stat().st_size
                if there != _THERE:
                    self._vm.ssh.remove(there)
            else:
                same = hashlib.sha256(self._back.read_bytes()).hexdigest() == self._sum
                self._back.unlink()
            if not same:
                raise RuntimeError(f"{verb}: the copy is another file")

        return check
