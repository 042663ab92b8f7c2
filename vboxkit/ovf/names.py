"""Names of files in a package: what may be opened, and what is an attack."""

from __future__ import annotations

import re
from urllib.parse import unquote

from vboxkit.errors import OvfError

__all__ = ["is_absolute", "is_remote", "require_inside", "require_plain"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_LONGEST = 1024
_TRUST = "do not import it; ask who made it"


def is_remote(name: str) -> bool:
    """Whether a name is a URL: it is never followed."""
    return bool(_SCHEME.match(name))


def is_absolute(name: str) -> bool:
    """Whether a name begins at the root, or on a drive, of some system."""
    return any(one.startswith(("/", "\\")) or bool(_DRIVE.match(one)) for one in _forms(name))


def require_inside(name: str, file: str, *, element: str) -> str:
    """
    Return a name if it does not lead out of the package's folder; it may be absolute.

    Raises:
        OvfError: It has ``..`` in it, also as ``%2e%2e``, a control character, or no end.
    """
    if not name or _CONTROL.search(unquote(name)):
        raise OvfError(file, f"the file name {name!r:.80} is none", element=element, hint=_TRUST)
    if len(name) > _LONGEST or any(len(part.encode()) > 255 for part in name.split("/")):
        raise OvfError(
            file,
            f"a file name has {len(name)} characters: {name[:40]!r}...",
            element=element,
            hint=_TRUST,
        )
    for one in _forms(name):
        if ".." in re.split(r"[/\\]", one):
            raise OvfError(
                file, f"the file name {name!r} leads out of it", element=element, hint=_TRUST
            )
    return name


def require_plain(name: str, file: str, *, element: str) -> str:
    """
    Return a name below the package's folder, without ``./``.

    Raises:
        OvfError: It is absolute, a URL, or what `require_inside` refuses.
    """
    require_inside(name, file, element=element)
    if is_absolute(name) or is_remote(name):
        raise OvfError(file, f"the file name {name!r} is absolute", element=element, hint=_TRUST)
    plain = "/".join(part for part in name.split("/") if part not in {"", "."})
    if not plain:
        raise OvfError(file, f"the file name {name!r} is none", element=element, hint=_TRUST)
    return plain


def _forms(name: str) -> set[str]:
    # A reference is a URI: some readers decode it, others do not.
    return {name, unquote(name), unquote(unquote(name))}
