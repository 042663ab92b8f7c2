"""What an examination of this machine finds, and the machine as it looks at it."""

from __future__ import annotations

import os
import platform as platform_module
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = ["Finding", "Host", "Status", "System"]

Status = Literal["ok", "warning", "problem"]

#: Systems whose commands differ; of Linux the families of distributions.
System = Literal["debian", "ubuntu", "fedora", "arch", "suse", "linux", "macos", "windows"]

#: IDs of os-release, own ones and those of ``ID_LIKE``, each with its family.
_FAMILIES: dict[str, System] = {
    "ubuntu": "ubuntu",
    "linuxmint": "ubuntu",
    "debian": "debian",
    "fedora": "fedora",
    "rhel": "fedora",
    "centos": "fedora",
    "arch": "arch",
    "suse": "suse",
    "opensuse": "suse",
}


@dataclass(frozen=True)
class Finding:
    """
    One thing looked at.

    Attributes:
        name: What was looked at.
        status: ``ok``; ``warning``: works, but not as well as it could; ``problem``: does not.
        detail: What was found.
        remedy: The command (or advice) that mends it, or `None`.
    """

    name: str
    status: Status
    detail: str
    remedy: str | None = None


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a number without a name, as containers have
        return str(os.getuid()) if hasattr(os, "getuid") else "you"


@dataclass(frozen=True)
class Host:
    """
    The machine that is looked at: this one, or one laid out in a folder.

    Attributes:
        root: Where its ``/proc``, ``/sys``, ``/dev`` and ``/etc`` are.
        platform: As `sys.platform`.
        kernel: The kernel's release, as ``6.12.48-amd64``.
        user: Who asks.
        uid: That user's number; 0 is root. Also on Windows.
        groups: The numbers of the groups that this process has.
    """

    root: Path = Path("/")
    platform: str = sys.platform
    kernel: str = field(default_factory=platform_module.release)
    user: str = field(default_factory=_user)
    uid: int = field(default_factory=lambda: os.geteuid() if hasattr(os, "geteuid") else 0)
    groups: frozenset[int] = field(
        default_factory=lambda: frozenset(os.getgroups() if hasattr(os, "getgroups") else ())
    )

    @property
    def is_linux(self) -> bool:
        """Whether it has ``/proc`` and ``/sys``."""
        return self.platform.startswith("linux")

    @property
    def system(self) -> System:
        """Whose commands it understands."""
        if self.platform == "darwin":
            return "macos"
        if self.platform == "win32":
            return "windows"
        told = self.read("etc/os-release") or self.read("usr/lib/os-release") or ""
        values = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
        words = " ".join(values.get(name, "") for name in ("ID", "ID_LIKE")).replace('"', "")
        for word in words.split():
            for known, family in _FAMILIES.items():
                if word == known or word.startswith(f"{known}-"):
                    return family
        return "linux"

    @property
    def is_container(self) -> bool:
        """Whether it is a container, which has the kernel of another machine."""
        marks = (".dockerenv", "run/.containerenv", "run/systemd/container")
        return any(self.path(mark).exists() for mark in marks)

    @property
    def kernel_version(self) -> tuple[int, int]:
        """The first two numbers of the kernel's release; (0, 0) if it has none."""
        parts = self.kernel.split("-")[0].split(".")
        with suppress(ValueError, IndexError):
            return int(parts[0]), int(parts[1])
        return 0, 0

    def path(self, name: str) -> Path:
        """Return where a path without its leading ``/`` is."""
        return self.root / name

    def read(self, name: str) -> str | None:
        """Return a file's text without blanks around it, or `None` if it cannot be read."""
        try:
            return self.path(name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None
