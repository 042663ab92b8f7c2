"""
What one can wait for in a guest, and how these are put together.

A condition that is looked at inside the guest is a shell test. All of them that belong together
become one loop of one command, which ends when they hold: the guest looks every 20 ms itself, and
no SSH command is sent for a look. Nothing but a POSIX shell is needed. A look at a file starts no
process in the guest, which is what would take long there, if the shell is bash or busybox's, and
one at a port if it is bash; others need `sleep` with fractions (GNU) or ``usleep``, else it is
whole seconds.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Generator

    from vboxkit.guest.waiting import Surroundings

__all__ = [
    "AllOf",
    "AnyOf",
    "Condition",
    "GuestTest",
    "HostLook",
    "all_of",
    "any_of",
    "boot",
    "console_text",
    "file",
    "ip",
    "port",
    "ssh",
    "unit",
]


@dataclass(frozen=True)
class Condition:
    """Something that becomes true; made by `port`, `file`, `unit` and the other functions."""

    @property
    def what(self) -> str:
        """What is awaited, to complete "waiting for ..."."""
        raise NotImplementedError

    def leaves(self) -> Iterator[Condition]:
        """Give what it is put together from; itself, if from nothing."""
        yield self

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True)
class GuestTest(Condition):
    """
    A condition that the guest looks at itself.

    Attributes:
        text: What is awaited.
        test: Shell lines; the last one's exit code says whether it holds. ``never TEXT`` ends
            the waiting at once: it cannot come. They print nothing.
        seen: Shell lines that print what is there instead, for the error.
        listens: A port that somebody listens on if it holds: bash looks at it without a process.
    """

    text: str
    test: str = field(repr=False)
    seen: str = field(repr=False, default=":")
    listens: int | None = field(repr=False, default=None)

    @property
    def what(self) -> str:
        """See `Condition`."""
        return self.text


@dataclass(frozen=True)
class HostLook(Condition):
    """A condition that is looked at from this host."""

    #: Seconds between two looks.
    poll: ClassVar[float] = 0.02

    def looks(self, around: Surroundings) -> Generator[object | None, None, None]:
        """
        Look each time that it is asked for the next: a value if it holds, `None` if not yet.

        A look waits for nothing, so that others are not late; what is hopeless raises.
        """
        raise NotImplementedError

    def seen(self, around: Surroundings) -> str:
        """Return what is there instead."""
        del around
        return "not yet"


@dataclass(frozen=True)
class _Several(Condition):
    parts: tuple[Condition, ...]
    word: ClassVar[str]

    @property
    def what(self) -> str:
        """See `Condition`."""
        return f"{self.word} ({', '.join(part.what for part in self.parts)})"

    def leaves(self) -> Iterator[Condition]:
        """See `Condition`."""
        for part in self.parts:
            yield from part.leaves()


@dataclass(frozen=True)
class AllOf(_Several):
    """Holds when all its parts do."""

    word: ClassVar[str] = "all of"


@dataclass(frozen=True)
class AnyOf(_Several):
    """Holds when one of its parts does."""

    word: ClassVar[str] = "any of"


def all_of(*conditions: Condition) -> Condition:
    """
    Return the condition that all of these hold.

    They must hold at one time if the guest looks at all of them; where one is looked at from this
    host, each must have held once.

    Example:
        ``vm.wait(all_of(port(80), file("/run/app.pid")), timeout=30)``
    """
    return AllOf(_checked("all_of", conditions))


def any_of(*conditions: Condition) -> Condition:
    """
    Return the condition that at least one of these holds.

    Example:
        ``vm.wait(any_of(file("/run/done"), file("/run/failed")), timeout=30)``
    """
    return AnyOf(_checked("any_of", conditions))


def _checked(name: str, conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    if not conditions:
        raise ValueError(f"{name}() of nothing would never end")
    for each in conditions:
        if not isinstance(each, Condition):
            raise TypeError(f"{name}() takes conditions as port(80), not {each!r}")
    return conditions


def file(path: str) -> Condition:
    """Return the condition that a file, folder or socket of this name is in the guest."""
    if not path or "\0" in path:
        raise ValueError(f"not a path in the guest: {path!r}")
    quoted = shlex.quote(path if path.startswith("/") else f"./{path}")
    folder = shlex.quote(path.rpartition("/")[0] or ("/" if path.startswith("/") else "."))
    return GuestTest(
        f"the file {path}",
        f"[ -e {quoted} ]",
        f"[ -d {folder} ] && echo no such file || echo no such folder: {folder}",
    )


def port(
    number: int, *, where: Literal["guest", "host"] = "guest", send: bytes | None = None
) -> Condition:
    r"""
    Return the condition that a TCP server listens on a port.

    Args:
        number: The port in the guest.
        where: ``guest``: looked up in the guest's own list of sockets, which disturbs nobody.
            ``host``: connected to through the port forward, and the server heard: by the first
            bytes that it says, or answers.
        send: For ``host``: what a server that waits for a client to speak is told, as
            ``b"GET / HTTP/1.0\r\n\r\n"``. Without it such a server counts as ready if the
            connection stays open for a second.
    """
    if type(number) is not int or not 0 < number < 65536:
        raise ValueError(f"a port is 1 to 65535, not {number!r}")
    if where == "host":
        from vboxkit.guest.probes import HostPort

        return HostPort(number, send)
    if where != "guest":
        raise ValueError(f"where is 'guest' or 'host', not {where!r}")
    # 0A is listening; an address has as many digits as its kind of IP.
    pattern = f":{number:04X} [0-9A-F]*:0000 0A"
    return GuestTest(
        f"port {number} in the guest",
        f"grep -qs '{pattern}' /proc/net/tcp /proc/net/tcp6",
        "echo listening: $(sed -n 's/^[^:]*: [0-9A-F]*:\\([0-9A-F]*\\) [0-9A-F]*:0000 0A .*/\\1/p'"
        " /proc/net/tcp /proc/net/tcp6 2>/dev/null |"
        " while read -r p; do echo $((0x$p)); done | sort -nu)",
        number,
    )


def unit(name: str) -> Condition:
    """
    Return the condition that a systemd unit is active.

    A unit that failed, that there is none of, or a guest without systemd, ends the waiting at
    once, with its status and the end of its journal.
    """
    if not re.fullmatch(r"[A-Za-z0-9@:_.\\-]+", name):
        raise ValueError(f"not the name of a systemd unit: {name!r}")
    show = f"systemctl show {shlex.quote(name)}"
    status = (
        f"systemctl status --no-pager --full --lines=0 {shlex.quote(name)} 2>&1 | head -n 12;"
        f" journalctl --no-pager -n 15 -u {shlex.quote(name)} 2>&1"
    )
    return GuestTest(
        f"the unit {name}",
        # One process a look. The order of the lines is systemd's own.
        f"[ -d /run/systemd/system ] || never {shlex.quote(f'there is no systemd: {name}')};"
        f' case "$({show} -p LoadState -p ActiveState)" in'
        " *LoadState=not-found*) never 'there is no such unit' ;;"
        f" *ActiveState=failed*) never 'the unit failed' \"$({status})\" ;;"
        " *ActiveState=active*) true ;; *) false ;; esac",
        f"{show} -p ActiveState -p SubState",
    )


def boot() -> Condition:
    """
    Return the condition that the guest has started what it starts at boot.

    Where there is systemd: it has no jobs left (``running``, or ``degraded`` if units failed);
    where there is cloud-init, that has ended, too. Elsewhere: SSH lets us in.
    """
    return GuestTest(
        "the guest's boot to end",
        # stdin of its own: cloud-init reads it
        "if [ -d /run/systemd/system ]; then"
        ' case "$(systemctl is-system-running)" in running|degraded) ;;'
        " maintenance) never 'systemd is in maintenance mode' ;; *) false ;; esac; fi &&"
        " if command -v cloud-init >/dev/null; then"
        " case \"$(cloud-init status </dev/null)\" in *running*|*'not run'*) false ;; esac; fi",
        "systemctl is-system-running 2>/dev/null; systemctl list-jobs --no-legend 2>/dev/null"
        " | head -n 5",
    )


def ssh() -> Condition:
    """Return the condition that the guest lets us in over SSH."""
    return GuestTest("SSH", "true")


def console_text(pattern: str | re.Pattern[str], *, start: int = 0) -> Condition:
    """
    Return the condition that the guest has said something on its serial console.

    Args:
        pattern: A regular expression.
        start: Leave out what came before this mark; see `SerialLog.mark`.
    """
    from vboxkit.guest.probes import ConsoleText

    return ConsoleText(re.compile(pattern) if isinstance(pattern, str) else pattern, start)


def ip() -> Condition:
    """Return the condition that the guest's address is known."""
    from vboxkit.guest.probes import Address

    return Address()
