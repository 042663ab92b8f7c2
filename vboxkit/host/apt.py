"""What recipes need of the host's apt: where its mirror is, mmdebstrap and other tools."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.core.steps import step
from vboxkit.errors import SetupError
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["distribution", "install_builder", "mirrors"]

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def distribution(file: Path = Path("/etc/os-release")) -> tuple[str, str]:
    """Return the host's ``("debian", "bookworm")``: ``ID`` and code name, empty if unknown."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return "", ""
    pairs = dict(line.split("=", 1) for line in lines if "=" in line)
    values = {name: value.strip().strip("\"'") for name, value in pairs.items()}
    name = values.get("ID", "")
    if name not in {"debian", "ubuntu"}:
        likes = values.get("ID_LIKE", "").split()
        name = next((like for like in ("ubuntu", "debian") if like in likes), name)
    return name, values.get("VERSION_CODENAME", "")


def mirrors(folder: Path = Path("/etc/apt"), *, codename: str) -> list[str]:
    """
    Return the addresses of the Debian archive in a Debian host's apt sources, best first.

    They can be private, so the host's own are better than any default. Security and third-party
    archives are left out as far as they can be told by their suites and components.
    """
    main = {codename, "stable", "testing", "unstable", "sid"} - {""}
    scored: dict[str, int] = {}
    for uris, suites, components in _entries(folder):
        if "main" not in components or not main & set(suites):
            continue
        # Only the distribution's own archive has these; others use just its code name.
        score = sum(suite.endswith(("-updates", "-backports")) for suite in suites)
        score += "contrib" in components
        for uri in uris:
            address = uri.rstrip("/")
            scored[address] = scored.get(address, 0) + score
            scored[address] += address.endswith("/debian")
    return sorted(scored, key=lambda address: -scored[address])


def _entries(folder: Path) -> list[tuple[list[str], list[str], list[str]]]:
    """Return (addresses, suites, components) of each entry for binary packages."""
    found = []
    for file in [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]:
        for line in _text(file).splitlines():
            match = re.match(r"\s*deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+(\S+)\s+([^#]*)", line)
            if match:
                found.append(([match[1]], [match[2]], match[3].split()))
    for file in sorted(folder.glob("sources.list.d/*.sources")):
        text = "\n".join(x for x in _text(file).splitlines() if not x.startswith("#"))
        for stanza in re.split(r"\n\s*\n", text):
            fields = {
                key.lower(): " ".join(value.split())
                for key, value in re.findall(r"^(\S+?):(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE)
            }
            if "deb" in fields.get("types", "").split() and fields.get("enabled") != "no":
                found.append(
                    (
                        fields.get("uris", "").split(),
                        fields.get("suites", "").split(),
                        fields.get("components", "").split(),
                    )
                )
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def source_lines(suite: str = "sid") -> list[str]:
    """Return what a root's ``sources.list`` gets, or nothing to leave it to mmdebstrap."""
    name, codename = distribution()
    found = mirrors(codename=codename) if name == "debian" else []
    signed = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
    return [f"deb {signed}{found[0]} {suite} main contrib"] if found else []


def install_builder(
    what: str = "a sandbox",
    more: Mapping[str, str] | None = None,
    *,
    elsewhere: str = "install VirtualBox 7 from virtualbox.org",
) -> None:
    """
    See to it that mmdebstrap is there, and other tools.

    Args:
        what: What is to be made with them.
        more: Programs and their packages.
        elsewhere: What to do where it cannot be made.

    Raises:
        SetupError: The host is no Debian or Ubuntu on x86-64, or we are not root and something is
            missing, or apt could not install it.
    """
    name, _ = distribution()
    machine = platform.machine().lower()
    if name not in {"debian", "ubuntu"} or not shutil.which("apt-get"):
        raise SetupError(f"{what} can be made on Debian and Ubuntu only", hint=elsewhere)
    if machine not in {"x86_64", "amd64"}:
        raise SetupError(f"{what} is for x86-64 only, and this machine is {machine}")
    # A user's PATH often lacks these folders.
    path = f"{environment().get('PATH', os.defpath)}:/usr/sbin:/sbin"
    # The smallest roots have no mount.
    tools = {"mmdebstrap": "mmdebstrap", "mount": "mount", **(more or {})}
    packages = [package for tool, package in tools.items() if not shutil.which(tool, path=path)]
    if not _KEYRING.exists():
        packages.append("debian-archive-keyring")
    if not packages:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0:
        needed = " ".join(packages if shutil.which("newuidmap") else [*packages, "uidmap"])
        raise SetupError(f"{needed} is missing", hint=f"sudo apt-get install {needed}")
    with step(f"install {' and '.join(packages)}"):
        # The lists are missing in fresh containers and outdated elsewhere: fetch them when
        # they turn out to be needed.
        if _run(command).returncode == 0:
            return
        update = _run(["apt-get", "update"])
        install = _run(command)
        if install.returncode != 0:
            said = "\n".join((update.stderr + install.stderr).strip().splitlines()[-8:])
            raise SetupError(
                f"apt-get could not install {' '.join(packages)}:\n{said}",
                hint=f"apt-get update && {' '.join(command)}",
            )


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["env", "DEBIAN_FRONTEND=noninteractive", *command],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    )
