"""
How a command gets into a sandbox: what is mounted where, with which environment.

All of it is worked out here and done by ``enter.sh`` in a mount namespace that ends with the
command.
"""

from __future__ import annotations

import configparser
import getpass
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from vboxkit.core.resources import resource
from vboxkit.errors import SetupError
from vboxkit.settings import cache_dir, environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "MARK",
    "Package",
    "check_namespaces",
    "entry_command",
    "inside_environment",
    "namespace",
    "visible_folders",
]

#: The variable that tells a command that it runs inside, and in which folder's sandbox.
MARK = "VBOXKIT_SANDBOX"

_VENV = "/opt/vboxkit"
_PATH = f"{_VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Always bound. VirtualBox's sockets live in /tmp, so both sides see one VBoxSVC.
_ALWAYS = ("/proc", "/sys", "/dev", "/tmp")  # noqa: S108 - it is shared, not written to

# The network's and pip's settings are the host's at the time of the run.
_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs")

# Host programs and libraries do not fit the root's; its locales are few.
_DROPPED = ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONHOME", "LANGUAGE", "LC_")
_DROPPED_VIRTUALBOX = ("VBOX_INSTALL_PATH", "VBOX_APP_HOME", "VBOX_PROGRAM_PATH", "VBOX_SDK_PATH")

# All ids of the user's range: a distribution's packages have files of several owners.
_USER_NAMESPACE = ("unshare", "--user", "--map-root-user", "--map-auto")


@dataclass(frozen=True)
class Package:
    """
    The vboxkit that runs now, to be the one inside.

    Attributes:
        folder: The package's folder.
        metadata: Its ``dist-info`` folder (entry points, dependencies).
    """

    folder: Path
    metadata: Path

    @classmethod
    def running(cls) -> Package:
        """
        Find it.

        Raises:
            SetupError: It is not installed, not even as a link to a checkout.
        """
        folder = Path(__file__).resolve().parents[1]
        try:
            files = metadata.distribution("vboxkit").files or []
        except metadata.PackageNotFoundError:
            files = []
        for file in files:
            if file.name == "METADATA":
                return cls(folder, Path(str(file.locate())).parent.resolve())
        raise SetupError(
            f"vboxkit runs from {folder} without being installed: its entry points are unknown",
            hint=f"python -m pip install -e {shlex.quote(str(folder.parent))}",
        )

    @property
    def checkout(self) -> Path | None:
        """The folder of its source tree, if it runs from one."""
        top = self.folder.parent
        return top if (top / "pyproject.toml").is_file() else None


def namespace() -> tuple[str, ...]:
    """Return what, in front of a command, gives it a mount namespace of its own."""
    # Inside a sandbox all mounts are private, and its root, no mount point, cannot be made so.
    own = ("--mount", "--propagation", "unchanged" if environment().get(MARK) else "private")
    return ("unshare", *own) if os.geteuid() == 0 else (*_USER_NAMESPACE, *own)


def check_namespaces() -> None:
    """
    See whether this user may have namespaces: root may, others where the kernel allows it.

    Raises:
        SetupError: The user may not; the hint says what would change that.
    """
    if os.geteuid() == 0:
        return
    user = getpass.getuser()
    if not shutil.which("newuidmap"):
        raise SetupError(
            "without root a sandbox needs newuidmap", hint="sudo apt-get install uidmap"
        )
    if not all(_has_range(Path(path), user) for path in ("/etc/subuid", "/etc/subgid")):
        raise SetupError(
            f"without root a sandbox needs user ids of its own: {user} has none in /etc/subuid",
            hint=f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
        )
    trial = subprocess.run(
        [*_USER_NAMESPACE, "true"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if trial.returncode == 0:
        return
    said = trial.stderr.strip() or f"exit code {trial.returncode}"
    raise SetupError(
        f"without root a sandbox needs user namespaces, which are refused here: {said}",
        hint=_namespace_hint(said),
    )


def _has_range(path: Path, user: str) -> bool:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(line.startswith((f"{user}:", f"{os.getuid()}:")) for line in lines)


def _namespace_hint(said: str) -> str:
    if "map-auto" in said:
        return "run it as root, or install util-linux 2.38 or later"
    for name, value in (
        ("kernel.apparmor_restrict_unprivileged_userns", "0"),
        ("kernel.unprivileged_userns_clone", "1"),
    ):
        switch = Path("/proc/sys", *name.split("."))
        if switch.exists() and switch.read_text().strip() != value:
            return f"sudo sysctl -w {name}={value}"
    return "run it as root: sudo vboxkit sandbox ..."


def inside_environment(
    root: Path, base: Mapping[str, str], changes: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return a command's environment inside: the host's, less what only fits the host."""
    kept = {
        name: value
        for name, value in base.items()
        if not name.startswith(_DROPPED) and name not in _DROPPED_VIRTUALBOX
    }
    kept |= {"PATH": _PATH, "VIRTUAL_ENV": _VENV, "LANG": "C.UTF-8", MARK: str(root)}
    return kept | dict(changes or {})


def visible_folders(
    root: Path, base: Mapping[str, str], *, cwd: Path, extra: Iterable[Path] = ()
) -> list[Path]:
    """
    Return the host's folders (and files) that a command sees at their own paths.

    Those that would hide a part of the root itself are left out, and those inside another one.
    """
    home = Path(base.get("HOME") or Path.home())
    wanted = {cache_dir(), *_pip_folders(base, home), *(_top(root, p) for p in (cwd, *extra))}
    wanted |= {Path(base[name]) for name in ("XDG_CACHE_HOME", "TMPDIR") if base.get(name)}
    wanted |= {Path(value) for name, value in base.items() if "CERT" in name or "CA_" in name}
    wanted = {path for path in wanted if path.is_absolute() and not _hides(root, path)}
    # The root has a /root of its own, with nothing in it that is needed.
    if home == Path("/root") or not _hides(root, home):
        wanted.add(home)
    chosen: list[Path] = []
    for path in sorted(wanted, key=lambda path: (len(path.parts), path)):
        seen = (*map(Path, _ALWAYS), *chosen)
        if path.exists() and not any(path.is_relative_to(other) for other in seen):
            chosen.append(path)
    return chosen


def _top(root: Path, path: Path) -> Path:
    """Return the widest folder around a path that hides nothing of the root."""
    for place in (*reversed(path.parents), path):
        if not _hides(root, place):
            return place
    return path


def _hides(root: Path, path: Path) -> bool:
    """Tell whether the root has something of its own at a path (an empty place is ours)."""
    target = root / path.relative_to(path.anchor)
    try:
        if target.is_symlink():
            return True
        if target.is_dir():
            return any(target.iterdir())
        return target.exists() and target.stat().st_size > 0
    except OSError:
        return True


def _pip_folders(base: Mapping[str, str], home: Path) -> list[Path]:
    """Return the local folders that pip takes packages from."""
    texts = [value for name, value in base.items() if name.startswith("PIP_")]
    for file in (Path("/etc/pip.conf"), home / ".config/pip/pip.conf", home / ".pip/pip.conf"):
        settings = configparser.RawConfigParser(strict=False)
        try:
            settings.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip will say so, better than we could
        texts += [value for part in settings.sections() for value in dict(settings[part]).values()]
    folders = []
    for word in " ".join(texts).split():
        if word.startswith("file://"):
            # The pages of an index link to files beside it.
            folders.append(Path(unquote(urlsplit(word).path).rstrip("/")).parent)
        elif word.startswith("/"):
            folders.append(Path(word))
    return folders


def entry_command(
    root: Path,
    command: Sequence[str],
    *,
    cwd: Path,
    base: Mapping[str, str] | None = None,
    package: Package | None = None,
    extra: Iterable[Path] = (),
) -> list[str]:
    """
    Return the command line that enters a root and becomes `command` there.

    Args:
        root: The root's folder.
        command: The command and its arguments, looked up inside.
        cwd: The folder it starts in.
        base: The environment that says what must be visible.
        package: The vboxkit to be importable inside.
        extra: More folders to be visible.

    Raises:
        SetupError: `cwd` cannot be seen inside.
    """
    given = environment() if base is None else base
    extra = list(extra)
    if package and package.checkout:
        extra.append(package.checkout)
    folders = visible_folders(root, given, cwd=cwd, extra=extra)
    seen = (*map(Path, _ALWAYS), *folders)
    if not any(cwd.is_relative_to(path) for path in seen) and not _hides(root, cwd):
        raise SetupError(f"{cwd} is not visible in a sandbox", hint="cd to a folder that exists")
    # The root may be inside a bound folder: bound before anything else, that folder does not
    # carry the root's other mounts along.
    folders.sort(key=lambda path: not root.is_relative_to(path))
    operations = [("bind", str(path), str(path)) for path in folders]
    operations += [("bind", path, path) for path in (*_ALWAYS, *_FILES) if Path(path).exists()]
    if package:
        operations += _link(package)
    return [
        *namespace(),
        "sh",
        str(resource("sandbox/enter.sh")),
        str(root),
        str(cwd),
        *(word for operation in operations for word in operation),
        "--",
        *command,
    ]


def _link(package: Package) -> list[tuple[str, str, str]]:
    """Put the running vboxkit where the environment inside looks for it."""
    place = f"{_VENV}/link"
    info = f"{place}/{package.metadata.name}"
    link = ("tmpfs", "-", place), ("bind", str(package.metadata), info)
    if package.checkout:
        # A link and not a mount: the fixtures are found beside what it points to.
        return [*link, ("link", str(package.folder), f"{place}/vboxkit")]
    return [*link, ("bind", str(package.folder), f"{place}/vboxkit")]
