"""How trees pass through the guest's shell: the line that unpacks, and the pipe out of one."""

from __future__ import annotations

import os
import tarfile
import threading
from typing import TYPE_CHECKING

from vboxkit.guest.file_errors import OutsideError
from vboxkit.guest.shell_files import word
from vboxkit.guest.tarballs import MARKER

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.guest.tarballs import Unpacker

__all__ = ["TREE", "through_pipe", "unpack_line"]

#: What the tree is called in the archive.
TREE = "tree"

# Each file gets its place at once; what is no folder on one side must be none on the other. `mv`
# would follow a link to a folder.
_MERGE = r"""merge() {
for e in "$1"/* "$1"/.[!.]* "$1"/..?*; do
[ -e "$e" ] || [ -L "$e" ] || continue
t=$2/${e##*/}
if [ -d "$e" ] && [ ! -L "$e" ]; then
if [ -d "$t" ]; then merge "$e" "$t" || return 1
elif [ -e "$t" ] || [ -L "$t" ]; then echo "$t: Not a directory" >&2; return 1
else mv "$e" "$t" || return 1; fi
else
if [ -d "$t" ]; then
if [ -L "$t" ]; then rm -f "$t"; else echo "$t: Is a directory" >&2; return 1; fi
fi
mv -f "$e" "$t" || return 1
fi
done
}
"""


def unpack_line(stage: str, target: str, mode: int) -> str:
    """Return the line that unpacks an archive into a new folder, and brings it to its place."""
    part, final, tree = word(stage), word(target), word(f"{stage}/{TREE}")
    return (
        f"{_MERGE}part={part}; final={final}; tree={tree}\n"
        'drop() { rm -rf "$part"; }; trap "drop; exit 1" HUP TERM PIPE\n'
        'bring() { if [ -d "$final" ]; then merge "$tree" "$final"; '
        'elif [ -e "$final" ] || [ -L "$final" ]; then '
        'echo "$final: Not a directory" >&2; return 1; '
        f'else mv "$tree" "$final" && chmod {mode:o} "$final"; fi; }}\n'
        'mkdir -m 700 "$part" || exit 1\n'
        f'if tar -xopf - -C "$part" && [ -e "$part/{MARKER}" ] && '
        f'( cd "$part" && . ./{MARKER} ) && bring; '
        "then drop; else drop; exit 1; fi"
    )


def through_pipe(
    run: Callable[[Callable[[bytes], object]], tuple[int | None, str]], unpacker: Unpacker
) -> tuple[int | None, str]:
    """Unpack what a command writes in a thread of its own, while the command is read in ours."""
    reading, writing = os.pipe()
    failed: list[Exception] = []

    def unpack() -> None:
        try:
            with open(reading, "rb") as stream:  # noqa: PTH123
                unpacker.unpack(stream)
                while stream.read(1 << 16):
                    pass  # what pads the archive
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=unpack, name="vboxkit-unpack", daemon=True)
    thread.start()

    def sink(block: bytes) -> None:
        view = memoryview(block)
        try:
            while view:
                view = view[os.write(writing, view) :]
        except BrokenPipeError as error:
            raise OutsideError(error) from error

    closed = False
    try:
        code, said = run(sink)
    except OutsideError as error:
        os.close(writing)
        closed = True
        thread.join()
        raise _unpacked(failed[0] if failed else error.cause) from error
    finally:
        if not closed:
            os.close(writing)
            thread.join()
    if failed and not code:
        raise _unpacked(failed[0]) from failed[0]
    return code, said


def _unpacked(cause: Exception) -> Exception:
    """Return the guest's error for an archive that is none, and ours for what happened here."""
    if isinstance(cause, tarfile.TarError):
        return OSError(f"what its tar sends is damaged: {cause}")
    return OutsideError(cause)
