"""
The work that `vboxkit.lab.measuring` gives a guest and this host: shell lines, with marks.

Nothing is brought into the guest: its own `sh`, `dd` and `sha256sum` work. The host's clock tells
the time, between two marks that the work writes, for an emulated guest's own is not exact.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree, which
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from vboxkit.core.steps import step
from vboxkit.errors import GuestError
from vboxkit.lab.measurement import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vboxkit.guest.ssh import SSH

__all__ = [
    "WORKS",
    "GuestPlace",
    "HostPlace",
    "Place",
    "Work",
    "WorkFailedError",
    "host_place",
    "rows",
]

_BEGIN, _END = b"vbk-begin", b"vbk-end"
#: Seconds that one run shall take at least; shorter ones are made longer first.
_LONG_ENOUGH = 0.4
#: Seconds: what takes longer is measured once.
_LONG = 15.0
_ROUNDS = 16
#: Seconds after which a run is given up.
_TOO_LONG = 120.0


class WorkFailedError(Exception):
    """A piece of work ended with an error, here or there; its row says so."""


@dataclass(frozen=True)
class Work:
    """
    A piece of work, as a shell line.

    Attributes:
        group: As of `Row`.
        name: As of `Row`.
        unit: As of `Row`: a rate.
        line: What is done `$n` times or to so many blocks; `$dir`, `$mem` and `$cpus` are set.
        first: `$n` of the first try.
        each: How much of `unit` each of the `$n` is.
        before: What is done before the clock starts.
        tool: What does the work, beside the shell.
        most: A variable of the place that `$n` may not exceed; none, if left out.
        note: Of the row.
    """

    group: str
    name: str
    unit: str
    line: str
    first: int
    each: float
    before: str = ":"
    tool: str = "sh"
    most: str = ""
    note: str = ""


_LOOP = "i=0; while [ $i -lt $n ]; do i=$((i+1)); done"
_BLOCK = 65536
_MB = _BLOCK / 1e6

#: In the order in which it is done: what is read was written by the one before.
WORKS = (
    Work("cpu", "shell loop", "loops/s", _LOOP, 500, 1.0),
    Work(
        "cpu", "shell loop, all CPUs", "loops/s",
        f"c=0; while [ $c -lt $cpus ]; do ({_LOOP}) & c=$((c+1)); done; wait", 500, 1.0,
    ),
    Work(
        "cpu", "SHA-256", "MB/s", "dd if=/dev/zero bs=4096 count=$n | sha256sum", 16, 4096e-6,
        tool="sha256sum",
    ),
    Work(
        "cpu", "process start", "starts/s",
        'i=0; while [ $i -lt $n ]; do "$true"; i=$((i+1)); done', 5, 1.0, tool="true",
        before="true=/bin/true; [ -x $true ] || true=/usr/bin/true",
    ),
    Work(
        "memory", "fill", "MB/s", f"dd if=/dev/zero of=/dev/null bs={_BLOCK} count=$n", 64, _MB,
        tool="dd",
    ),
    Work(
        "memory", "write a file in RAM", "MB/s",
        f"dd if=/dev/zero of=$mem/ram bs={_BLOCK} count=$n", 16, _MB, tool="dd", most="ram",
        before="rm -f $mem/ram",
    ),
    Work(
        "memory", "read a file in RAM", "MB/s",
        f"dd if=$mem/ram of=/dev/null bs={_BLOCK} count=$n", 16, _MB, tool="dd", most="ram",
        before=f"[ -s $mem/ram.$n ] || {{ rm -f $mem/ram*; dd if=/dev/zero of=$mem/ram.$n"
        f" bs={_BLOCK} count=$n; ln -s ram.$n $mem/ram; }}",
    ),
    Work(
        "disk", "write with fsync", "MB/s",
        f"dd if=/dev/zero of=$dir/disk bs={_BLOCK} count=$n conv=fsync", 16, _MB, tool="dd",
        most="disk", before="rm -f $mem/ram* $dir/disk; sync",
    ),
    Work(
        "disk", "read", "MB/s",
        f"dd if=$dir/disk of=/dev/null bs={_BLOCK} count=$n", 16, _MB, tool="dd", most="disk",
        before=f"[ -s $dir/disk.$n ] || {{ rm -f $dir/disk*; dd if=/dev/zero of=$dir/disk.$n"
        f" bs={_BLOCK} count=$n conv=fsync; ln -s disk.$n $dir/disk; }}; $drop",
    ),
    Work(
        "disk", "4 KiB with fsync", "writes/s",
        "i=0; while [ $i -lt $n ]; do dd if=/dev/zero of=$dir/small bs=4096 count=1 conv=fsync"
        " 2>/dev/null; i=$((i+1)); done", 4, 1.0, tool="dd",
        note="each with the start of a dd",
    ),
)  # fmt: skip


class Place(Protocol):
    """Where work is done: the guest, or this host."""

    variables: dict[str, str]
    limits: dict[str, int]
    shell: str

    def clock(self, line: str) -> float:
        """Return the seconds between the two marks that a shell line writes."""
        ...


class _Marks:
    """Notes when the two marks come."""

    def __init__(self) -> None:
        self._seen = b""
        self.begin = 0.0
        self.end = 0.0

    def __call__(self, piece: bytes) -> None:
        now = time.perf_counter()
        self._seen += piece
        if not self.begin and _BEGIN in self._seen:
            self.begin = now
        if not self.end and _END in self._seen:
            self.end = now

    def seconds(self, errors: bytes) -> float:
        if not self.end or _END + b" 0" not in self._seen:
            said = errors.decode(errors="replace").strip().splitlines()
            raise WorkFailedError(said[-1] if said else "the shell ended before the work did")
        return self.end - self.begin


class GuestPlace:
    """
    The guest, with a folder of ours on its disk and in its memory.

    Args:
        ssh: The way in.
        variables: What the shell lines use.
        limits: How much may be written, in blocks, by the names of `Work.most`.
        shell: The shell's name.
    """

    def __init__(
        self, ssh: SSH, variables: dict[str, str], limits: dict[str, int], shell: str
    ) -> None:
        self._ssh = ssh
        self.variables = variables
        self.limits = limits
        self.shell = shell

    def clock(self, line: str) -> float:
        """Return the seconds between the two marks that a shell line writes."""
        marks = _Marks()
        try:
            result = self._ssh.run(
                line,
                timeout=_TOO_LONG,
                on_output=lambda stream, piece: marks(piece) if stream == "stdout" else None,
            )
        except GuestError as error:
            raise WorkFailedError(error.message) from error
        return marks.seconds(result.stderr_bytes)


class HostPlace:
    """
    The host, with a folder of ours beside the machine's disks; where it has a POSIX shell.

    Args:
        folder: For the files that are written.
        limits: As the guest's.
        shell: The name of the guest's shell: where it is busybox, this host's is taken, too, if
            it has one.
        cpus: How many loops run at once: as many as in the guest.

    Raises:
        WorkFailedError: This host has no such shell.
    """

    def __init__(self, folder: Path, limits: dict[str, int], shell: str, cpus: str) -> None:
        busybox = which("busybox") if shell == "busybox" else None
        found = busybox or which("sh")
        if found is None:
            raise WorkFailedError("this host has no POSIX shell")
        # Applets come before the programs of the path, where busybox is built so.
        self._command = [found, "sh", "-c"] if busybox else [found, "-c"]
        self.shell = "busybox" if busybox else os.path.basename(os.path.realpath(found))  # noqa: PTH119 - a name
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else str(folder)  # noqa: S108 - a folder of our own in it
        self.variables = {
            "dir": str(folder),
            "mem": f"{memory}/{folder.name}",
            "cpus": cpus,
            "drop": "dd if=$dir/disk iflag=nocache count=0",
        }
        self.limits = limits

    def clock(self, line: str) -> float:
        """Return the seconds between the two marks that a shell line writes."""
        marks = _Marks()
        with subprocess.Popen(
            [*self._command, line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        ) as process:
            try:
                assert process.stdout is not None  # noqa: S101 - it is a pipe
                assert process.stderr is not None  # noqa: S101
                while piece := process.stdout.read(1 << 16):
                    marks(piece)
                errors = process.stderr.read()
            except BaseException:
                process.kill()
                raise
        return marks.seconds(errors)


@contextmanager
def host_place(folder: Path, limits: dict[str, int], guest: Place) -> Iterator[HostPlace]:
    """Make this host a place for the block; the folders that it uses are removed."""
    with TemporaryDirectory(prefix=".vboxkit-bench-", dir=folder) as made:
        place = HostPlace(Path(made), limits, guest.shell, guest.variables["cpus"])
        try:
            yield place
        finally:
            rmtree(place.variables["mem"], ignore_errors=True)


def rows(works: Sequence[Work], guest: Place, host: Place | None, *, runs: int) -> Iterator[Row]:
    """
    Do each piece of work so many times in the guest and on the host, in turn.

    How much is done is found out first, apart for each: enough for the clock.
    """
    for work in works:
        if "$cpus" in work.line and guest.variables["cpus"] == "1":
            continue  # it is the row before
        with step(f"{work.group}: {work.name}"):
            yield _row(work, guest, host, runs)


def _row(work: Work, guest: Place, host: Place | None, runs: int) -> Row:
    how = f"{work.tool} of {guest.shell}" if work.tool != "sh" else f"sh ({guest.shell})"
    row = Row(group=work.group, name=work.name, unit=work.unit, how=how, note=work.note)
    mine: list[float] = []
    theirs: list[float] = []
    notes = [work.note] if work.note else []
    try:
        amount, took = _enough(work, guest)
        if took > _LONG and runs > 1:
            runs, notes = 1, [*notes, "measured once, as it takes long"]
        other = 0
        if host is not None:
            try:
                other, _ = _enough(work, host)
            except WorkFailedError as error:
                notes = [*notes, f"not on the host: {error}"]
        for _ in range(runs):
            mine.append(_rate(work, guest, amount))
            if other and host is not None:
                theirs.append(_rate(work, host, other))
    except WorkFailedError as error:
        return _noted(row, f"not measured: {error}")
    if theirs and host is not None and host.shell != guest.shell:
        how = f"{how}; host: {host.shell}"
    return Row(
        group=row.group,
        name=row.name,
        unit=row.unit,
        values=mine,
        host_values=theirs,
        how=how,
        note="; ".join(notes),
    )


def _noted(row: Row, note: str) -> Row:
    return Row(group=row.group, name=row.name, unit=row.unit, how=row.how, note=note)


def _enough(work: Work, place: Place) -> tuple[int, float]:
    """Return how much is to be done so that it takes long enough, and seconds that it took."""
    most = place.limits.get(work.most, 0) if work.most else 1 << 40
    amount = min(work.first, most)
    if amount < 1:
        raise WorkFailedError(f"too little room: {most} blocks of 64 KiB")
    took = 0.0
    for _ in range(_ROUNDS):
        took = _seconds(work, place, amount)
        if took >= _LONG_ENOUGH or amount == most:
            break
        # What was too short is no measure yet.
        factor = min(max(_LONG_ENOUGH * 1.3 / max(took, 1e-4), 2.0), 8.0)
        amount = min(int(amount * factor), most)
    return amount, took


def _rate(work: Work, place: Place, amount: int) -> float:
    done = amount * work.each * (int(place.variables["cpus"]) if "$cpus" in work.line else 1)
    return done / max(_seconds(work, place, amount), 1e-6)


def _seconds(work: Work, place: Place, amount: int) -> float:
    values = " ".join(f"{name}='{value}'" for name, value in place.variables.items())
    # `drop` uses other variables, and is no word of its own.
    before = work.before.replace("$drop", place.variables.get("drop", ":"))
    return place.clock(
        f"{values} n={amount}; mkdir -p $mem $dir; {{ {before}; }} >/dev/null 2>&1;"
        f" echo {_BEGIN.decode()}; {{ {work.line}; }} >/dev/null; echo {_END.decode()} $?"
    )
