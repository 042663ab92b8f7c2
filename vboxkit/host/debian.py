"""
The Debian guest: a stock Debian as an appliance, made by the recipe in ``fixtures/debian``.

It is made when it is first wanted (a minute or two, 110 MB of packages' downloads) and kept in the
user's cache folder, by the digest of the recipe. ``python -m vboxkit.host.debian`` makes it
beforehand and prints its path.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.core.locks import lock_file
from vboxkit.core.resources import resource
from vboxkit.core.steps import step
from vboxkit.errors import SetupError
from vboxkit.host import apt, recipes
from vboxkit.host.sandbox_build import erase
from vboxkit.host.sandbox_entry import check_namespaces, namespace
from vboxkit.settings import cache_dir, environment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["SUITE", "DebianAppliance", "appliance", "expected", "recipe_digest"]

SUITE = "bookworm"

#: Programs that the recipe calls, and their packages.
_TOOLS = {"mke2fs": "e2fsprogs", "mount": "mount", "nasm": "nasm", "python3": "python3"}

#: Nothing of these decides what is in the appliance.
_NOT_IN_RECIPE = {"README.md", "Makefile"}

_NEEDED_MB = 1500

_DIGEST = re.compile("[0-9a-f]{16}")

_MILESTONES = (
    (r"running apt-get update", "fetch the package lists", 2),
    (r"downloading packages", "download the packages", 8),
    (r"extracting archives", "unpack the base system", 20),
    (r"installing essential packages", "install the base system", 26),
    (r"installing remaining packages", "install kernel, systemd, OpenSSH", 36),
    (r"^debian: set up", "set it up", 70),
    (r"^debian: make the disk", "make the disk", 75),
)


@dataclass(frozen=True)
class DebianAppliance:
    """
    The appliance and the way into it.

    Attributes:
        folder: Where it is kept.
        content: The SHA-256 of the OVA, or empty if it is not there.
    """

    folder: Path
    content: str

    @property
    def ova(self) -> Path:
        """The appliance."""
        return self.folder / "debian.ova"

    @property
    def key_file(self) -> Path:
        """The private key that root is let in with; it was made with the appliance."""
        return self.folder / "id_ecdsa"

    @property
    def host_key(self) -> str | None:
        """The public key of its SSH server, if it is there."""
        if not self.content:
            return None
        return (self.folder / "host_key.pub").read_text(encoding="utf-8").strip()


def recipe_files() -> Iterator[tuple[str, Path]]:
    """Return what decides what is in the appliance: names and files, always in the same order."""
    for name in ("appliance", "debian"):
        top = resource(name)
        for path in sorted(top.rglob("*")):
            inside = path.relative_to(top)
            # Python keeps what it has compiled beside the source.
            if path.is_file() and path.name not in _NOT_IN_RECIPE and path.suffix != ".pyc":
                yield f"{name}/{inside.as_posix()}", path


def recipe_digest() -> str:
    """Return a digest of the recipe."""
    digest = hashlib.sha256(SUITE.encode())
    for name, path in recipe_files():
        content = path.read_bytes()
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def appliance(*, keep: Collection[str] | None = None, timeout: float = 1800.0) -> DebianAppliance:
    """
    Return the Debian guest, making it first if there is none.

    Once per user and recipe, whichever process comes first; the others wait for it.

    Args:
        keep: Digests of older recipes whose appliances stay when this one is made; the others are
            removed. All stay if left out.
        timeout: Seconds to wait for another process that makes it.

    Raises:
        SetupError: The host lacks something, or a tool failed; the hint says what to do.
        WaitTimeoutError: Another process makes it and does not end.

    Example:
        >>> appliance().ova.name                                    # doctest: +SKIP
        'debian.ova'
    """
    found = expected()
    if found.content:
        return found
    top = found.folder.parent
    what = "the Debian guest, which another process makes"
    with lock_file(top / "build.lock", what=what, timeout=timeout):
        if not expected().content:
            with step("make the Debian guest"):
                _make(found.folder)
                if keep is not None:
                    _prune(top, {*keep, found.folder.name})
    return expected()


def expected() -> DebianAppliance:
    """Return the Debian guest as it is, or without `content` where it has not been made."""
    folder = cache_dir() / "debian" / recipe_digest()
    try:
        # Written last: with it, the folder counts as finished.
        content = (folder / "debian.ova.sha256").read_text(encoding="utf-8").split()[0]
    except (OSError, IndexError):
        content = ""
    made = content and (folder / "debian.ova").is_file()
    return DebianAppliance(folder, content if made else "")


def _prune(top: Path, keep: set[str]) -> None:
    """Remove the appliances of older recipes; an image that was built from one does not need it."""
    for folder in top.iterdir():
        if folder.is_dir() and _DIGEST.fullmatch(folder.name) and folder.name not in keep:
            erase(folder)


def _make(folder: Path) -> None:
    apt.install_builder(
        "the Debian guest",
        _TOOLS,
        elsewhere=f"make it on Debian or Ubuntu and copy it: {folder}",
    )
    check_namespaces()
    top = folder.parent
    for left in top.glob("*.partial*"):  # of one who died; we hold the lock
        erase(left)
    free = shutil.disk_usage(top).free // 2**20
    if free < _NEEDED_MB:
        raise SetupError(
            f"{top} has {free} MB free; making the Debian guest needs {_NEEDED_MB}",
            hint="free some space, or set VBOXKIT_CACHE_DIR to another disk",
        )
    log = top / "build.log"
    log.unlink(missing_ok=True)
    partial, work = folder.with_suffix(".partial"), folder.with_suffix(".partial-work")
    script = ["sh", str(resource("debian/build.sh")), str(work), str(partial)]
    try:
        with step("build the appliance") as this:
            recipes.watch(
                [*namespace(), *recipes.FAMILY, *script, *apt.source_lines(SUITE)],
                this,
                log,
                environment=environment(),
                milestones=_MILESTONES,
                failed="the Debian guest could not be made",
                hint=f"see {log}, then try again",
            )
        digest = hashlib.sha256()
        with (partial / "debian.ova").open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        name = f"{digest.hexdigest()}  debian.ova\n"
        (partial / "debian.ova.sha256").write_text(name, encoding="utf-8")
        erase(folder)  # half of one, if anything
        partial.rename(folder)
    finally:
        for left in (partial, work):
            erase(left)


if __name__ == "__main__":
    print(appliance().ova)  # noqa: T201 - for whoever calls it from a shell
