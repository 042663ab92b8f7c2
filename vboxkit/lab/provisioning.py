"""
What is done to a guest while its image is built: commands, files, functions.

Each step is a layer of the image, keyed by what goes into it: one that is as it was is not done
again. Steps are values: made anywhere, compared, pickled, and done only when an image needs them.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import shlex
import stat
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from vboxkit.errors import SettingsError, StorageError

if TYPE_CHECKING:
    import os

    from vboxkit.lab.vm import VM

__all__ = ["AnyStep", "Call", "Put", "Run", "Step", "as_steps", "digest_of"]

_LONGEST_TITLE = 60


def digest_of(*parts: object) -> str:
    """Return a digest of texts, numbers and lists; what they are runs into each other nowhere."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _title(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_TITLE else f"{line[: _LONGEST_TITLE - 3]}..."


class Step(ABC):
    """
    What is done to a running guest while an image is built: `Run`, `Put`, `Call`, or your own.

    A step of your own is a value, too: a frozen dataclass.
    """

    @property
    @abstractmethod
    def title(self) -> str:
        """What it does, for people: one line."""

    @abstractmethod
    def digest(self) -> str:
        """Return a digest of all that goes into it: another digest is another image."""

    @abstractmethod
    def apply(self, vm: VM) -> None:
        """Do it; whatever is raised fails the build."""


@dataclass(frozen=True)
class Run(Step):
    """
    Run a command in the guest; the build fails if it does.

    The image depends on all of these but the timeout.

    Attributes:
        command: A shell line, or a list of arguments that no shell interprets.
        env: More environment variables.
        cwd: The folder to run in; the user's home if left out.
        input: What it reads from standard input.
        timeout: Seconds; `Settings.command_timeout` if left out.

    Example:
        ``Run("apt-get install -y nginx", timeout=1800)``
    """

    command: str | Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict, kw_only=True, hash=False)
    cwd: str | None = field(default=None, kw_only=True)
    input: bytes | str = field(default=b"", kw_only=True)
    timeout: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.command, str):
            object.__setattr__(self, "command", tuple(map(str, self.command)))
        if not self.command or (isinstance(self.command, str) and not self.command.strip()):
            raise SettingsError(f"a step's command is empty: {self.command!r}")

    @property
    def title(self) -> str:
        """What it does, for people."""
        command = self.command
        return _title(f"run {command if isinstance(command, str) else shlex.join(command)}")

    def digest(self) -> str:
        """Return a digest of all that goes into it."""
        text = self.input if isinstance(self.input, bytes) else self.input.encode()
        return digest_of("run", self.command, sorted(self.env.items()), self.cwd, text.hex())

    def apply(self, vm: VM) -> None:
        """
        Do it.

        Raises:
            CommandFailedError: The command ended with another exit code than 0.
            CommandTimeoutError: It did not end in time.
        """
        vm.ssh.succeed(
            self.command,
            env=dict(self.env),
            cwd=self.cwd,
            input=self.input or None,
            timeout=self.timeout,
        )


@dataclass(frozen=True)
class Put(Step):
    """
    Bring a file, or a folder with all in it, into the guest.

    The image depends on contents, permissions and names, not on times, and not on where the source
    is. Symbolic links stay what they are. All belongs to the user who logs in.

    Attributes:
        source: A file or folder of this machine; a relative path starts at the current folder.
        target: Its path in the guest. Folders on the way are made. A file's target that ends with
            ``/`` is the folder to put it into. A folder's content is put into the target, beside
            what is there.
        mode: A file's permissions (such as ``0o755``); the source's if left out.
        owner: Who it shall belong to instead, as ``www-data`` or ``www-data:www-data``.

    Example:
        ``Put("site", "/srv/www", owner="www-data")``
    """

    source: str | os.PathLike[str]
    target: str
    mode: int | None = field(default=None, kw_only=True)
    owner: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not self.target:
            raise SettingsError(f"a step puts {str(self.source)!r} nowhere: its target is empty")
        object.__setattr__(self, "source", Path(self.source).expanduser().absolute())

    @property
    def title(self) -> str:
        """What it does, for people."""
        return _title(f"put {Path(self.source).name} to {self.target}")

    def digest(self) -> str:
        """
        Return a digest of all that goes into it.

        Raises:
            StorageError: The source cannot be read.
            SettingsError: A folder is given the permissions of a file.
        """
        source = Path(self.source)
        if self.mode is not None and source.is_dir():
            raise SettingsError(
                f"{source} is a folder, and its files have permissions of their own",
                hint="leave out mode=, or add Run('chmod ...')",
            )
        return digest_of("put", self._path(), self.mode, self.owner, list(_contents(source)))

    def apply(self, vm: VM) -> None:
        """
        Do it.

        Raises:
            GuestFileError: No room in the guest, for one.
            CommandFailedError: The guest does not know the owner.
        """
        source, target = Path(self.source), self._path()
        folder = target.rstrip("/").rpartition("/")[0]
        if folder:
            vm.ssh.succeed(["mkdir", "-p", "--", folder])
        if source.is_dir():
            vm.ssh.put_tree(source, target)
        else:
            vm.ssh.put(source, target, mode=self.mode)
        if self.owner is not None:
            vm.ssh.succeed(["chown", "-R", "--", self.owner, target])

    def _path(self) -> str:
        source = Path(self.source)
        if self.target.endswith("/") and not source.is_dir():
            return self.target + source.name
        return self.target


@dataclass(frozen=True)
class Call(Step):
    """
    Call a function with the running machine: ``def provision(vm: VM) -> None``.

    The image depends on the function's name, its own source text and `version`. It does NOT see
    what the function uses: other functions, values from around it, files. When one of those
    changes, give another `version`.

    Attributes:
        function: The function; what it returns is not looked at, what it raises fails the build.
        version: A text or number that you change when the source text does not tell of a change.

    Example:
        ``Call(provision, version=3)``
    """

    function: Callable[[VM], object]
    version: str | int = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise SettingsError(f"a step calls {self.function!r}, which is no function")

    @property
    def title(self) -> str:
        """What it does, for people."""
        return _title(f"call {self._name()}")

    def digest(self) -> str:
        """
        Return a digest of name, source text and version.

        Raises:
            SettingsError: There is no source text to see (typed at a prompt, written in C, an
                object), and no version either.
        """
        try:
            source = textwrap.dedent(inspect.getsource(self.function))
        except (OSError, TypeError) as error:
            if not self.version:
                raise SettingsError(
                    f"a step calls {self._name()}, whose source text cannot be read: nobody could"
                    " tell when it changes",
                    hint="Call(function, version=1), and another version when it changes",
                ) from error
            source = ""
        return digest_of("call", self._name(), source, str(self.version))

    def apply(self, vm: VM) -> None:
        """Do it."""
        self.function(vm)

    def _name(self) -> str:
        # Without the module: a script is __main__ when it is run, and has a name when imported.
        return getattr(self.function, "__qualname__", type(self.function).__qualname__)


#: What stands for a step where steps are given: a text is a `Run`, a function a `Call`.
AnyStep = Union[Step, str, Callable[[Any], object]]


def as_steps(given: Sequence[AnyStep]) -> tuple[Step, ...]:
    """
    Return steps for what stands for them.

    Raises:
        SettingsError: It is none of those.
    """
    if isinstance(given, (str, Step)) or not isinstance(given, Sequence):
        raise SettingsError(
            f"steps are a list, not {type(given).__name__}", hint=f"steps=[{given!r}]"
        )
    return tuple(_as_step(one) for one in given)


def _as_step(one: AnyStep) -> Step:
    if isinstance(one, Step):
        return one
    if isinstance(one, str):
        return Run(one)
    if callable(one):
        return Call(one)
    raise SettingsError(
        f"a step cannot be {one!r}",
        hint="Run(command), Put(source, target), Call(function), or a shell line, or a function",
    )


# Files and folders


def _contents(source: Path) -> Iterator[list[object]]:
    """Yield what makes a file, or all of a folder: name, kind, permissions, content."""
    try:
        if not source.is_dir():
            yield ["", "file", stat.S_IMODE(source.stat().st_mode), _file_digest(source)]
            return
        for path in _below(source):
            name, found = path.relative_to(source).as_posix(), path.lstat()
            if path.is_symlink():
                yield [name, "link", 0, str(path.readlink())]
            elif path.is_dir():
                yield [name, "folder", stat.S_IMODE(found.st_mode), ""]
            elif stat.S_ISREG(found.st_mode):
                yield [name, "file", stat.S_IMODE(found.st_mode), _file_digest(path)]
            else:
                raise StorageError(
                    f"{path} is no file, folder or link, and cannot be put into a guest",
                    operation="read what to put",
                )
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"cannot read {error.filename or source}: {error.strerror}",
            operation="read what to put",
            hint="relative paths start at the current folder",
        ) from error


def _below(folder: Path) -> list[Path]:
    """Return all there is below a folder, in an order that is always the same."""
    found = []
    for path in sorted(folder.iterdir()):
        found.append(path)
        if path.is_dir() and not path.is_symlink():
            found += _below(path)
    return found


def _file_digest(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()
