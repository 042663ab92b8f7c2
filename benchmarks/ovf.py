"""Reading appliances without VirtualBox: all of one against sha256sum, and 20 GB by its headers."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from figures import Figure, in_turn, rows

from vboxkit.ovf import build, inspect, verify

if TYPE_CHECKING:
    from collections.abc import Callable

#: MiB of the disk that is compared with its manifest: bytes that cannot be compressed.
SIZE_MB = int(os.environ.get("OVF_MB", "512"))
#: Of the appliance of which only headers are read.
LARGE = 20_000_000_000
_BLOCK = 1 << 20


def bench(runs: int) -> list[Figure]:
    """Measure with files that the kernel holds in memory, as both sides read them again."""
    with tempfile.TemporaryDirectory(prefix="vboxkit-bench-") as name:
        folder = Path(name)
        found = []
        for digest in ("sha256", "sha512"):
            ova = _appliance(folder / digest, digest)
            ours = f"verify {SIZE_MB} MB {digest}"
            rival = f"{digest}sum"
            times = in_turn({ours: _verified(ova), rival: _summed(ova, rival)}, runs)
            found += rows(
                times,
                ours=ours,
                target=f">= 0.8 of the speed of {rival}",
                met=lambda ratio, rival=rival: ratio(rival) >= 0.8,
            )
            ova.unlink()
        return [*found, *_large(folder, runs)]


def _appliance(folder: Path, digest: str) -> Path:
    folder.mkdir()
    raw = folder / "disk.raw"
    with raw.open("wb") as file:
        for _ in range(SIZE_MB):
            file.write(os.urandom(_BLOCK))
    ova = build(raw, name="bench", target=folder / "bench.ova", digest=digest)
    raw.unlink()
    return ova


def _verified(ova: Path) -> Callable[[], None]:
    def work() -> None:
        if verify(ova).bytes < SIZE_MB << 20:
            raise RuntimeError(f"{ova} was not read whole")

    return work


def _summed(ova: Path, program: str) -> Callable[[], None]:
    def work() -> None:
        subprocess.run([program, ova], check=True, capture_output=True)

    return work


def _large(folder: Path, runs: int) -> list[Figure]:
    """Inspect a sparse OVA: the small one with its disk's size written anew."""
    small = _appliance_of_one_block(folder / "small")
    data = small.read_bytes()
    large = folder / "large.ova"
    with large.open("wb") as file:
        position = 0
        while position < len(data) - 1024:
            header = bytearray(data[position : position + 512])
            length = int(header[124:135], 8)
            body = data[position + 512 : position + 512 + length]
            name = header[:100].rstrip(b"\0").decode()
            if name.endswith(".vmdk"):
                header[124:136] = b"%011o\0" % LARGE if LARGE < 8**11 else _binary(LARGE)
                header[148:156] = b" " * 8
                header[148:156] = b"%06o\0 " % sum(header)
                file.write(header + body)
                file.seek(LARGE - length, os.SEEK_CUR)
                file.seek(-LARGE % 512, os.SEEK_CUR)
            else:
                file.write(header + body + bytes(-length % 512))
            position += 512 + length + -length % 512
        file.write(bytes(1024))
        file.truncate()
    ours = "inspect 20 GB"

    def work() -> None:
        if inspect(large).bytes < LARGE:
            raise RuntimeError("the large disk was not seen")

    return rows(
        in_turn({ours: work}, runs),
        ours=ours,
        unit="ms",
        scale=1000,
    )


def _appliance_of_one_block(folder: Path) -> Path:
    folder.mkdir()
    raw = folder / "disk.raw"
    raw.write_bytes(bytes(_BLOCK))
    return build(raw, name="bench", target=folder / "bench.ova")


def _binary(number: int) -> bytes:
    """Return a size beyond 8 GB as GNU tar writes it."""
    return b"\x80" + number.to_bytes(11, "big")
