"""As whom a command runs in the guest: who logs in, or another user by ``su``, sudo or doas."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

__all__ = ["LOGIN", "WAYS", "Way", "probe"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*\$?\Z")

#: What `probe` ends with, and how a command is wrapped then.
WAYS: dict[int, str] = {
    101: "",
    102: "exec su -s /bin/sh -c {line} {user}",
    103: "exec sudo -n -H -u {user} -- /bin/sh -c {line}",
    104: "exec doas -n -u {user} /bin/sh -c {line}",
}
#: What it ends with where there is no way, and what is said then.
REFUSALS: dict[int, tuple[str, str]] = {
    111: ("there is no such user", "adduser in the guest makes one"),
    112: ("the guest has no su", "log in as that user: Credentials(user=...)"),
    113: (
        "who logs in is not root, and neither sudo nor doas lets them without a password",
        "log in as root, or allow it in the guest: 'NAME ALL=(ALL) NOPASSWD: ALL' for sudo",
    ),
}


@dataclass(frozen=True)
class Way:
    """How a command comes to run as somebody."""

    user: str = ""
    pattern: str = ""

    def wrap(self, line: str) -> str:
        """Return the shell line that runs this one as the user, in the user's home."""
        if not self.pattern:
            return line
        # A user may have a home that is not there, and must not be left in a folder that is not
        # theirs to enter.
        inner = f"cd 2>/dev/null || cd /; {line}"
        return self.pattern.format(line=shlex.quote(inner), user=self.user)


#: Who logs in.
LOGIN = Way()


def probe(user: str) -> str:
    """
    Return a shell line that finds out how to run something as a user, and says so by its exit code.

    Raises:
        ValueError: It is not the name of a user.
    """
    if not _NAME.match(user):
        raise ValueError(f"not the name of a user: {user!r}")
    quiet = "</dev/null >/dev/null"
    return (
        f"they=$(id -u {user} 2>/dev/null) || exit 111; me=$(id -u); "
        '[ "$me" = "$they" ] && exit 101; '
        'if [ "$me" = 0 ]; then command -v su >/dev/null || exit 112; '
        f"su -s /bin/sh -c : {user} {quiet} && exit 102; exit 119; fi; "
        f"command -v sudo >/dev/null && sudo -n -H -u {user} -- /bin/sh -c : {quiet} && exit 103; "
        f"command -v doas >/dev/null && doas -n -u {user} /bin/sh -c : {quiet} && exit 104; "
        "exit 113"
    )
