"""What of VirtualBox is installed on this machine, and whether its parts fit each other."""

from __future__ import annotations

import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.com import installation
from vboxkit.errors import SetupError
from vboxkit.host import remedies
from vboxkit.host.findings import Finding
from vboxkit.host.sandbox import Sandbox, inside_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.host.findings import Host

__all__ = ["extension_packs", "python", "virtualbox"]

_OLDEST = (7, 0)


def python(_: Host) -> Iterator[Finding]:
    """Look at the Python that runs, and the vboxkit in it."""
    version = platform.python_version()
    good = sys.version_info >= (3, 10)
    detail = f"{version} ({sys.executable})"
    yield Finding("Python", "ok" if good else "problem", detail, None if good else "Python 3.10+")


def virtualbox(host: Host) -> Iterator[Finding]:
    """Look at VirtualBox, the Python package that goes with it, and its extension packs."""
    try:
        found = installation.find()
    except SetupError as error:
        yield _only_sandbox(host, error)
        return
    version = found.version
    if version is None:
        detail = f"{found.folder}: VBoxManage tells no version"
        yield Finding("VirtualBox", "warning", detail, f"{found.folder / 'VBoxManage'} --version")
    elif tuple(map(int, version.split(".")[:2])) < _OLDEST:
        detail = f"{version} in {found.folder} is older than 7.0"
        yield Finding("VirtualBox", "problem", detail, remedies.virtualbox(host))
    else:
        yield Finding("VirtualBox", "ok", f"{version} in {found.folder}")
    yield _vboxapi()
    yield from extension_packs(host, found.folder, version)


def _only_sandbox(host: Host, error: SetupError) -> Finding:
    sandbox = Sandbox().status()
    if inside_sandbox():
        # Its own is broken: that outside of it there is none as well helps nobody.
        return Finding(
            "VirtualBox",
            "problem",
            f"the sandbox has none: {error.message}",
            "exit; vboxkit sandbox create --force",
        )
    if sandbox.exists:
        detail = f"only in the sandbox: {sandbox.virtualbox}"
        return Finding("VirtualBox", "ok", detail, "vboxkit sandbox run -- COMMAND")
    return Finding("VirtualBox", "problem", error.message, remedies.virtualbox(host))


def _vboxapi() -> Finding:
    try:
        module = installation.import_vboxapi()
    except SetupError as error:
        return Finding("vboxapi", "problem", error.message, error.hint)
    folder = Path(module.__file__ or "").parent
    try:
        packaged = f"vbox-sdk {metadata.version('vbox-sdk')}"
    except metadata.PackageNotFoundError:
        packaged = "no vbox-sdk of PyPI, and none is needed"
    own = not folder.is_relative_to(Path(sys.prefix))
    detail = f"VirtualBox's own, {folder}" if own else f"{packaged}, {folder}"
    return Finding("vboxapi", "ok", detail)


def extension_packs(host: Host, folder: Path, version: str | None) -> Iterator[Finding]:
    """Look at the extension packs of an installation: each is for one version of VirtualBox."""
    packs = sorted((folder / "ExtensionPacks").glob("*/ExtPack.xml"))
    if not packs:
        yield Finding("extension packs", "ok", "none; vboxkit needs none")
    for file in packs:
        told = file.read_text(encoding="utf-8", errors="replace")
        name = _tag(told, "Name") or file.parent.name
        theirs = _tag(told, "Version")
        if theirs == version or version is None or not theirs:
            yield Finding("extension pack", "ok", f"{name} {theirs}".strip())
        else:
            yield Finding(
                "extension pack",
                "warning",
                f"{name} {theirs} does not fit VirtualBox {version}: VirtualBox leaves it out",
                remedies.extension_pack(host, name, version),
            )


def _tag(text: str, name: str) -> str:
    found = re.search(rf"<{name}\b[^>]*>([^<]*)</{name}>", text)
    return found[1].strip() if found else ""
