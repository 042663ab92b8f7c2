"""How a sandbox is made: the recipe, its digest, and the two scripts that follow it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.core.resources import resource
from vboxkit.core.steps import step
from vboxkit.errors import SetupError
from vboxkit.host import apt, recipes
from vboxkit.host.sandbox_entry import (
    check_namespaces,
    entry_command,
    inside_environment,
    namespace,
)
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vboxkit.core.steps import Step

__all__ = ["Marker", "build", "erase", "leftovers", "recipe_digest", "requirements"]

#: In the root's top folder; a root without it is not finished.
MARKER = "vboxkit-sandbox.json"

# What decides what is in a root. enter.sh does not: it is read at each run.
_RECIPE = (
    "build.sh",
    "setup.sh",
    "packages.txt",
    "requirements.txt",
    "no-kernel-module.control",
)

_NEEDED_MB = 1600

# What mmdebstrap and pip say, and how far the work is then.
_MILESTONES = (
    (r"running apt-get update", "fetch the package lists", 2),
    (r"downloading packages", "download the base system", 8),
    (r"extracting archives", "unpack the base system", 16),
    (r"installing essential packages", "install the base system", 24),
    (r"installing remaining packages", "install VirtualBox", 35),
    (r"cleaning package lists", "tidy up", 75),
    (r"^Collecting ", "collect Python packages", 85),
    (r"^Installing collected", "install Python packages", 93),
)


@dataclass(frozen=True)
class Marker:
    """What a finished root says of itself; see `SandboxStatus`."""

    digest: str
    created: float
    virtualbox: str
    python: str
    size_mb: int

    @classmethod
    def read(cls, root: Path) -> Marker | None:
        """Return a root's marker, or `None` where there is no finished root."""
        try:
            return cls(**json.loads((root / MARKER).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, root: Path) -> None:
        """Mark a root as finished."""
        (root / MARKER).write_text(json.dumps(asdict(self)), encoding="utf-8")


def requirements() -> list[str]:
    """
    Return what is installed with pip: vboxkit's own dependencies and the recipe's.

    The ``vboxapi`` of the sandbox's own VirtualBox fits best, so PyPI's is left out.
    """
    own = metadata.requires("vboxkit") or []
    lines = resource("sandbox/requirements.txt").read_text(encoding="utf-8").splitlines()
    return [
        line.strip()
        for line in (*own, *lines)
        if line.strip()
        and not re.search(r";.*\bextra\s*==", line)
        and not re.match(r"vbox[-_]sdk\b|#", line.strip())
    ]


def recipe_digest() -> str:
    """
    Return a digest of all that decides what a new sandbox holds.

    Raises:
        SetupError: vboxkit is not installed, so that its dependencies are unknown.
    """
    digest = hashlib.sha256()
    for name in _RECIPE:
        digest.update(name.encode() + b"\0" + resource(f"sandbox/{name}").read_bytes() + b"\0")
    try:
        digest.update("\n".join(sorted(requirements())).encode())
    except metadata.PackageNotFoundError as error:
        raise SetupError(
            "vboxkit is not installed: its dependencies are unknown",
            hint="python -m pip install -e .",
        ) from error
    digest.update(platform.machine().encode())
    return digest.hexdigest()[:16]


def build(folder: Path, *, downloads: Path, log: Path, created: float) -> None:
    """
    Make a root and put it in place of `folder` once it is finished.

    Args:
        folder: Where it goes; what is there now is replaced.
        downloads: Packages are kept here for the next time.
        log: All that the tools say.
        created: The moment, in seconds since the epoch, for the marker.

    Raises:
        SetupError: The host lacks something, or a tool failed.
    """
    apt.install_builder()
    check_namespaces()
    digest = recipe_digest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free // 2**20
    if free < _NEEDED_MB:
        raise SetupError(
            f"{folder.parent} has {free} MB free; making a sandbox needs {_NEEDED_MB}",
            hint="free some space, or set VBOXKIT_CACHE_DIR to another disk",
        )
    for old in leftovers(folder):
        with step(f"remove what an interrupted create left ({old.name})"):
            erase(old)
    log.unlink(missing_ok=True)
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    try:
        with step("make a root with VirtualBox") as this:
            script = str(resource("sandbox/build.sh"))
            arguments = [str(partial), str(downloads), *apt.source_lines()]
            _watch([*namespace(), *_FAMILY, "sh", script, *arguments], this, log)
        with step("make its Python environment") as this:
            text = resource("sandbox/setup.sh").read_text(encoding="utf-8")
            command = ["sh", "-c", text, "setup.sh", *requirements()]
            entry = entry_command(partial, command, cwd=Path("/"))
            front = len(namespace())
            seen = _watch([*entry[:front], *_FAMILY, *entry[front:]], this, log, root=partial)
        size = _size_mb(partial)
        Marker(digest, created, seen["virtualbox"], seen["python"], size).write(partial)
        if folder.exists():
            # Still a leftover by its name if we die before it is erased.
            old = folder.with_name(f"{folder.name}.partial-old-{os.getpid()}")
            folder.rename(old)
            partial.rename(folder)
            erase(old)
        else:
            partial.rename(folder)
    except BaseException:
        for left in leftovers(folder):
            erase(left)
        raise


_FAMILY = recipes.FAMILY


def leftovers(folder: Path) -> list[Path]:
    """Return the unfinished roots beside `folder`."""
    return sorted(folder.parent.glob(f"{folder.name}.partial-*"))


def erase(folder: Path) -> None:
    """
    Remove a root; nothing happens if there is none.

    Raises:
        SetupError: Something of it stays.
    """
    if not folder.is_symlink() and not folder.exists():
        return
    # Without root, its files belong to user ids that only a user namespace may touch.
    # --one-file-system: never follow something that was mounted into it by hand.
    command = [*namespace(), "rm", "-rf", "--one-file-system", "--", str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if folder.exists():
        said = done.stderr.strip().splitlines()
        raise SetupError(
            f"{folder} cannot be removed: {said[-1] if said else 'files keep coming'}",
            hint=f"sudo rm -rf --one-file-system {shlex.quote(str(folder))}",
        )


def _size_mb(root: Path) -> int:
    command = [*namespace(), "du", "--summarize", "--one-file-system", "--block-size=1M", str(root)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return int(said[0]) if said else 0


def _watch(
    command: Sequence[str], this: Step, log: Path, *, root: Path | None = None
) -> dict[str, str]:
    inherited = environment()
    return recipes.watch(
        command,
        this,
        log,
        environment=inside_environment(root, inherited) if root else inherited,
        milestones=_MILESTONES,
        failed="the sandbox could not be made",
        hint=f"see {log}, then: vboxkit sandbox create",
    )
