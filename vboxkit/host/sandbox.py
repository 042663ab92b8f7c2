"""
A sandbox: a root of its own with the distribution's VirtualBox, for hosts that have none.

Example:
    >>> from vboxkit.host.sandbox import Sandbox
    >>> sandbox = Sandbox()
    >>> sandbox.create()                                            # doctest: +SKIP
    >>> sandbox.run(["VBoxManage", "--version"])                    # doctest: +SKIP
    0
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vboxkit.core import processes
from vboxkit.core.locks import lock_file
from vboxkit.core.steps import step, subscribe
from vboxkit.core.waiting import wait_until
from vboxkit.errors import SetupError, WaitTimeoutError
from vboxkit.host.sandbox_build import Marker, build, erase, leftovers, recipe_digest
from vboxkit.host.sandbox_entry import MARK, Package, entry_command, inside_environment
from vboxkit.settings import cache_dir, environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vboxkit.core.steps import Listener

__all__ = ["Sandbox", "SandboxStatus", "inside_sandbox"]

# VBoxSVC stays for 5 s after its last client.
_LINGER = 15.0


def inside_sandbox() -> bool:
    """Tell whether this process runs inside a sandbox."""
    return bool(environment().get(MARK))


@dataclass(frozen=True)
class SandboxStatus:
    """
    What is there.

    Attributes:
        folder: The root's folder.
        exists: Whether it is finished and can be entered.
        stale: Whether the recipe has changed since.
        digest: Of the recipe that it was made by, or empty.
        size_mb: When it was made.
        virtualbox: The version of its VirtualBox, or empty.
        python: The version of its Python, or empty.
        created: Seconds since the epoch, or `None`.
    """

    folder: Path
    exists: bool = False
    stale: bool = False
    digest: str = ""
    size_mb: int = 0
    virtualbox: str = ""
    python: str = ""
    created: float | None = None


class Sandbox:
    """
    A root with VirtualBox, made once and entered at will.

    Inside, the home folder, the cache, the current project and ``/tmp`` are at the same paths as
    outside, and the vboxkit that runs outside can be imported. Nothing stays mounted.

    Args:
        folder: Where it is; ``sandbox`` in the user's cache folder if left out.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or cache_dir() / "sandbox").absolute()
        #: Downloaded packages, kept so that the next create is faster.
        self.downloads = self.folder.with_name(f"{self.folder.name}-debs")
        #: What the tools said at the last create.
        self.log = self.folder.with_name(f"{self.folder.name}.log")

    def __repr__(self) -> str:
        return f"<Sandbox {self.folder}>"

    def status(self) -> SandboxStatus:
        """Tell what is there, without entering it."""
        marker = Marker.read(self.folder)
        if marker is None:
            return SandboxStatus(self.folder)
        return SandboxStatus(
            self.folder,
            exists=True,
            stale=marker.digest != recipe_digest(),
            digest=marker.digest,
            size_mb=marker.size_mb,
            virtualbox=marker.virtualbox,
            python=marker.python,
            created=marker.created,
        )

    def create(self, *, force: bool = False, progress: Listener | None = None) -> SandboxStatus:
        """
        Make the sandbox unless it is there and not stale; about a minute, 600 MB.

        What an interrupted create left is removed, and its downloads are used.

        Args:
            force: Make it anew in any case.
            progress: Called for each step that begins, moves on or ends.

        Raises:
            SetupError: The host cannot have one, or the making failed; the hint says what to do.
            WaitTimeoutError: Another process has been making it for 15 minutes.

        Example:
            >>> Sandbox().create().virtualbox                       # doctest: +SKIP
            '7.2.22'
        """
        if inside_sandbox():
            return self.status()
        with ExitStack() as stack:
            if progress:
                stack.enter_context(subscribe(progress))
            stack.enter_context(self._lock(timeout=900))
            now = self.status()
            if now.exists and not now.stale and not force:
                return now
            with step("create the sandbox"):
                if now.exists:
                    self._wait_unused()
                build(self.folder, downloads=self.downloads, log=self.log, created=time.time())
        return self.status()

    def remove(self, *, keep_downloads: bool = False) -> None:
        """
        Remove the sandbox, what interrupted creates left, and the downloads.

        Args:
            keep_downloads: Leave the downloaded packages for the next create.

        Raises:
            SetupError: A process still runs inside after 15 s.
        """
        with self._lock(timeout=60), step("remove the sandbox"):
            self._wait_unused()
            folders = [self.folder, *leftovers(self.folder)]
            for folder in folders if keep_downloads else [*folders, self.downloads]:
                erase(folder)
            self.log.unlink(missing_ok=True)

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        binds: Iterable[Path] = (),
    ) -> int:
        """
        Run a command inside and wait for it; input and output are this process's.

        Args:
            command: Looked up inside; vboxkit's Python is ``python``.
            cwd: Where it starts; the current folder if left out.
            env: Changes to its environment.
            binds: More folders that it shall see at their own paths.

        Returns:
            Its exit code; 128 and the signal's number if a signal ended it.

        Raises:
            SetupError: There is no sandbox, or it cannot be entered.

        Example:
            >>> Sandbox().run(["python", "-c", "import vboxkit"])   # doctest: +SKIP
            0
        """
        line, inside, folder = self._entry(command, cwd, env, binds)
        with subprocess.Popen(line, env=inside, cwd=folder) as process:
            while True:
                try:
                    code = process.wait()
                    break
                except KeyboardInterrupt:
                    # A terminal sends Ctrl-C to the command as well; what to do is its decision.
                    continue
        return code if code >= 0 else 128 - code

    def replace_process(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        binds: Iterable[Path] = (),
    ) -> NoReturn:
        """
        Become a command inside: same process id, signals and exit code are its own.

        Takes what `run` takes.

        Raises:
            SetupError: There is no sandbox, or it cannot be entered.
        """
        line, inside, folder = self._entry(command, cwd, env, binds)
        os.chdir(folder)
        try:
            os.execvpe(line[0], line, inside)  # noqa: S606 - no shell is wanted
        except OSError as error:
            raise SetupError(f"{line[0]} cannot be started: {error.strerror}") from error

    def shell(self) -> int:
        """Run an interactive shell inside and return its exit code."""
        return self.run(["bash", "--norc", "-i"], env={"PS1": r"(vboxkit sandbox) \w\$ "})

    def users(self) -> list[int]:
        """Return the ids of the processes that run inside now."""
        try:
            mine = self.folder.stat()
        except OSError:
            return []
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                root = (entry / "root").stat()
                if (root.st_dev, root.st_ino) == (mine.st_dev, mine.st_ino):
                    found.append(int(entry.name))
        return found

    def _entry(
        self,
        command: Sequence[str],
        cwd: Path | None,
        env: Mapping[str, str] | None,
        binds: Iterable[Path],
    ) -> tuple[list[str], dict[str, str], Path]:
        folder = (cwd or Path.cwd()).resolve()
        base = environment()
        if inside_sandbox():
            return list(command), base | dict(env or {}), folder
        if Marker.read(self.folder) is None:
            raise SetupError(f"there is no sandbox in {self.folder}", hint="vboxkit sandbox create")
        line = entry_command(
            self.folder,
            command,
            cwd=folder,
            base=base,
            package=Package.running(),
            extra=[path.absolute() for path in binds],
        )
        return line, inside_environment(self.folder, base, env), folder

    def _lock(self, *, timeout: float) -> ExitStack:
        stack = ExitStack()
        path = self.folder.with_name(f"{self.folder.name}.lock")
        stack.enter_context(lock_file(path, what="the sandbox's making", timeout=timeout))
        return stack

    def _wait_unused(self) -> None:
        try:
            wait_until(
                lambda: None if self.users() else True,
                what="the sandbox's processes to end",
                timeout=_LINGER,
                poll=0.2,
            )
        except WaitTimeoutError as error:
            names = ", ".join(processes.describe(pid) for pid in self.users()[:5])
            raise SetupError(f"the sandbox is in use: {names}", hint="end them first") from error
