"""Files that appear under their names when they are all whole, or not at all."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.core.signals import held
from vboxkit.errors import AlreadyExistsError, StorageError, VBoxKitError
from vboxkit.ovf.packing import manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vboxkit.ovf.packing import Content
    from vboxkit.ovf.verifying import ProgressCall

__all__ = ["Stage", "staged"]

_OPERATION = "write an appliance"
_PIECE = 1 << 20


class Stage:
    """
    A folder beside the target, in which an appliance is made.

    Attributes:
        target: Where it is to appear.
        folder: Where it is made.
        file: The target's namesake in that folder.
    """

    def __init__(self, target: Path, folder: Path, *, overwrite: bool) -> None:
        self.target = target
        self.folder = folder / "new"
        self.file = self.folder / target.name
        self._before = folder / "old"
        self._overwrite = overwrite
        for one in (self.folder, self._before):
            one.mkdir()
        probe = folder / "probe"
        probe.touch()
        #: What the user's umask makes of a new file's; VirtualBox has ideas of its own.
        self._mode = probe.stat().st_mode & 0o777

    @property
    def packed(self) -> bool:
        """Whether it is an OVA."""
        return self.target.suffix.lower() == ".ova"

    @property
    def name(self) -> str:
        """The name without its suffix."""
        return self.target.stem

    def unpack(
        self,
        text: bytes,
        contents: Sequence[Content],
        *,
        digest: str | None,
        on_progress: ProgressCall | None = None,
    ) -> None:
        """Write a descriptor with its manifest and files; the arguments are those of `pack`."""
        found = {self.file.name: hashlib.new(digest or "sha256", text).hexdigest()}
        total, done = sum(one.size for one in contents), 0
        for one in contents:
            value = hashlib.new(digest or "sha256")
            with (self.folder / one.name).open("xb") as file:
                while piece := one.file.read(_PIECE):
                    value.update(piece)
                    file.write(piece)
                    done += len(piece)
                    if on_progress is not None:
                        on_progress(done, total, one.name)
            found[one.name] = value.hexdigest()
        if digest is not None:
            self.file.with_suffix(".mf").write_bytes(manifest(found, digest))
        self.file.write_bytes(text)

    def require_free(self, *names: str) -> None:
        """
        Refuse names that are taken beside the target, if nothing is to be replaced.

        Raises:
            AlreadyExistsError: One is.
        """
        taken = [name for name in names if (self.target.parent / name).exists()]
        if taken and not self._overwrite:
            raise _taken(self.target, self.target.parent / taken[0])

    def publish(self) -> list[Path]:
        """
        Move all files to where they belong, and return their places, the target last.

        Raises:
            AlreadyExistsError: One is there; nothing was moved.
            StorageError: It cannot be done; what was moved is taken back.
        """
        made = sorted(self.folder.iterdir(), key=lambda path: (path == self.file, path.name))
        self.require_free(*(path.name for path in made))
        places = [self.target.parent / path.name for path in made]
        moved: list[tuple[Path, Path]] = []
        with held():
            done = False
            try:
                for old in self._replaced(places):
                    kept = self._before / old.name
                    old.rename(kept)
                    moved.append((old, kept))
                for path, place in zip(made, places, strict=True):
                    path.chmod(self._mode)
                    # The last one is the target, which is replaced in one step.
                    path.replace(place)
                    moved.append((path, place))
                done = True
            finally:
                if not done:
                    for source, place in reversed(moved):
                        place.replace(source)
        return places

    def _replaced(self, places: Sequence[Path]) -> list[Path]:
        """Return the files that are in the way, or would belong to the new descriptor."""
        beside = [] if self.packed else [self.target.with_suffix(end) for end in (".mf", ".cert")]
        return [path for path in dict.fromkeys([*places[:-1], *beside]) if path.exists()]


@contextmanager
def staged(target: Path | str, *, overwrite: bool) -> Iterator[Stage]:
    """
    Give a folder beside a target, to make an appliance in; it goes away with what is in it.

    Args:
        target: The ``.ova`` or ``.ovf``.
        overwrite: Whether files that are there may be replaced.

    Raises:
        AlreadyExistsError: The target is there, or the manifest or certificate of its name.
        StorageError: It has another suffix, or its folder is missing or cannot be written.
    """
    place = Path(target).expanduser().absolute()
    if place.suffix.lower() not in {".ova", ".ovf"}:
        raise StorageError(
            f"cannot write {place}: an appliance ends in .ova or .ovf",
            operation=_OPERATION,
            hint="NAME.ova is one file, NAME.ovf has its files beside it",
        )
    if not place.parent.is_dir():
        raise StorageError(
            f"cannot write {place}: there is no folder {place.parent}",
            operation=_OPERATION,
            hint="make it first",
        )
    if place.is_dir():
        raise StorageError(
            f"cannot write {place}: it is a folder", operation=_OPERATION, hint="name a file"
        )
    beside = () if place.suffix.lower() == ".ova" else (".mf", ".cert")
    for path in (place, *(place.with_suffix(suffix) for suffix in beside)):
        if path.exists() and not overwrite:
            raise _taken(place, path)
    folder: Path | None = None
    try:
        with held():  # Ctrl-C in here comes when the folder is known
            folder = Path(tempfile.mkdtemp(prefix=".vboxkit-ovf-", dir=place.parent))
        yield Stage(place, folder, overwrite=overwrite)
    except OSError as error:
        if isinstance(error, VBoxKitError):
            raise
        raise StorageError(
            f"cannot write {place}: {error.strerror or error}",
            operation=_OPERATION,
            hint="check who may write there, and the space that is left",
        ) from error
    finally:
        if folder is not None:
            with held():
                shutil.rmtree(folder, ignore_errors=True)


def _taken(target: Path, path: Path) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"cannot write {target}: there is {path.name} already",
        kind="file",
        wanted=str(path),
        operation=_OPERATION,
        hint="choose another name, or overwrite it",
    )
