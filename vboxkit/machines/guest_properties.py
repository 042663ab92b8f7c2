"""Guest properties: names and values that host and guest both can read and write."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import InvalidStateError
from vboxkit.machines.base import api_call
from vboxkit.machines.events import listen
from vboxkit.machines.mappings import LiveMapping, require_printable
from vboxkit.machines.parts import invalid, require_text
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vboxkit.core.waiting import Timeout

__all__ = ["GuestProperties", "GuestProperty", "GuestPropertyFlag"]

#: ``TRANSIENT``: gone when the machine stops. ``TRANSRESET``: also when it resets.
#: ``RDONLYGUEST``: only the host may change it. ``RDONLYHOST``: only the guest may.
#: ``READONLY``: nobody may.
GuestPropertyFlag = Literal["TRANSIENT", "TRANSRESET", "RDONLYGUEST", "RDONLYHOST", "READONLY"]

_FLAGS = ("TRANSIENT", "TRANSRESET", "RDONLYGUEST", "RDONLYHOST", "READONLY")
_FLEETING = {"TRANSIENT", "TRANSRESET"}
#: VirtualBox's limits, in bytes and without the NUL.
_LONGEST_NAME = 63
_LONGEST_VALUE = 1023
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
#: How long to trust the events alone before the value is looked at again.
_LOOK = 1.0


@dataclass(frozen=True)
class GuestProperty:
    """
    A guest property as it was when it was read.

    Attributes:
        name: Its name, as ``/VirtualBox/GuestInfo/OS/Product``.
        value: Its value; may be empty.
        timestamp: When it was last written, in UTC.
        flags: What may be done with it; see `GuestPropertyFlag`.
    """

    name: str
    value: str
    timestamp: datetime
    flags: frozenset[GuestPropertyFlag] = frozenset()


class GuestProperties(LiveMapping[str]):
    """
    The guest properties of a machine, as a `dict` of texts; running or not.

    On a running machine a change holds at once, and is not undone with `Machine.edit`. In the
    guest, ``VBoxControl guestproperty get NAME`` of the Guest Additions reads them.

    Example:
        ``machine.guest_properties["/ci/job"] = "4711"``
    """

    noun = "guest property"

    def _all(self) -> dict[str, str]:
        return {name: entry.value for name, entry in self._entries("").items()}

    def _entries(self, patterns: str) -> dict[str, GuestProperty]:
        rows = zip(*self._current().enumerateGuestProperties(patterns), strict=True)
        return {str(name): _property(name, *rest) for name, *rest in rows}

    def _find(self, name: str) -> GuestProperty | None:
        value, timestamp, flags = self._current().getGuestProperty(name)
        # A missing one reads as an empty text of time 0; an empty one has a time.
        return _property(name, value, timestamp, flags) if timestamp else None

    def _read(self, name: str) -> str | None:
        found = self._find(name) if name else None
        return None if found is None else found.value

    def _check(self, name: str, value: Any) -> None:
        require_printable(self, "guest property's name", name, longest=_LONGEST_NAME)
        if set(name) & set("*?|"):
            raise invalid(
                self,
                f"a guest property cannot be named {name!r}",
                hint="* ? and | are for patterns only",
                operation="set it",
            )
        require_text(self, "guest property's value", value, longest=_LONGEST_VALUE)

    def _write(self, name: str, value: Any) -> None:
        found = self._find(name)
        flags = ", ".join(sorted(found.flags)) if found is not None else ""
        with _Refusal(self, name), self._changing() as com:
            # Not setGuestPropertyValue(): it keeps the flags, but not while the machine is off.
            com.setGuestProperty(name, value, flags)

    def _remove(self, name: str) -> None:
        with _Refusal(self, name), self._changing() as com:
            com.deleteGuestProperty(name)

    @api_call("read it")
    def entry(self, name: str) -> GuestProperty:
        """
        Return a property with its time and flags.

        Raises:
            NotFoundError: There is none of that name.
        """
        found = self._find(name)
        if found is None:
            raise self._missing(name)
        return found

    @api_call("list them")
    def matching(self, *patterns: str) -> dict[str, GuestProperty]:
        """
        Return the properties whose names match one of these patterns; all without a pattern.

        ``*`` and ``?`` are VirtualBox's, and match any characters, also ``/``.

        Example:
            ``machine.guest_properties.matching("/VirtualBox/GuestInfo/Net/*")``
        """
        return self._entries("|".join(patterns))

    def set(self, name: str, value: str, *, flags: Iterable[GuestPropertyFlag] = ()) -> None:
        """
        Write a property with flags; ``properties[name] = value`` keeps those that it has.

        Args:
            name: At most 63 bytes, without ``*``, ``?`` and ``|``.
            value: At most 1,023 bytes.
            flags: See `GuestPropertyFlag`.

        Raises:
            InvalidStateError: Its flags let only the guest change it, or it is to be transient
                and the machine does not run.
        """
        self._check(name, value)
        wanted = [flags] if isinstance(flags, str) else sorted(flags)
        if bad := [flag for flag in wanted if flag not in _FLAGS]:
            raise invalid(
                self,
                f"there is no guest property flag {bad[0]!r}",
                hint=f"of {', '.join(_FLAGS)}",
                operation="set it",
            )
        state = self._owner._state()
        if _FLEETING & set(wanted) and state not in ONLINE:
            raise InvalidStateError(
                f"{self._owner._subject()} is {state}: it has no {' or '.join(wanted)}"
                " properties while it does not run",
                state=state,
                needed=["Running", "Paused"],
                operation="set it",
                hint="start() it first, or leave the flag out",
            )
        with self._translated(f"set {name!r}"), _Refusal(self, name), self._changing() as com:
            com.setGuestProperty(name, value, ", ".join(wanted))

    def wait_for(
        self, name: str, *, timeout: Timeout, value: str | None = None, change: bool = False
    ) -> GuestProperty:
        """
        Wait until a property is there, and return it. Waits on VirtualBox's events.

        Args:
            name: Its name.
            timeout: Seconds, `timedelta` or `Deadline`.
            value: Wait until it has this value; any will do if left out.
            change: What it is now will not do: wait until it is written anew.

        Raises:
            WaitTimeoutError: It did not come in time; the error says what was there.
        """
        deadline = Deadline(timeout)
        owner = self._owner
        with (
            self._translated(f"wait for {name!r}"),
            listen(self._api, self._api.virtualbox, "OnGuestPropertyChanged") as event,
        ):
            first = self._find(name) if change else None

            def probe() -> GuestProperty | None:
                found = self._find(name)
                if found is not None and found != first and value in {None, found.value}:
                    return found
                event(min(_LOOK, deadline.remaining))
                return None

            return wait_until(
                probe,
                what=f"guest property {name!r} of {owner._subject()}"
                + ("" if value is None else f" to be {value!r}"),
                timeout=deadline,
                poll=0,
                last_seen=lambda: self._read(name),
                hint="give a longer timeout; a guest needs its Guest Additions to set one",
            )


class _Refusal:
    """Says why VirtualBox denies the host a change: the property's flags."""

    def __init__(self, properties: GuestProperties, name: str) -> None:
        self._properties = properties
        self._name = name

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        foreign = None if error is None else self._properties._api.foreign(error)
        if foreign is None or foreign.symbol != "E_ACCESSDENIED":
            return
        found = self._properties._find(self._name)
        flags = ", ".join(sorted(found.flags)) if found is not None else ""
        owner = self._properties._owner
        raise InvalidStateError(
            f"{owner._subject()} ({owner._state()}): guest property {self._name!r} is {flags}:"
            " the host cannot change it",
            code=foreign.code,
            symbol=foreign.symbol,
            text=foreign.text,
            state=flags,
            operation="change it",
            hint="only the guest can",
        ) from error


def _property(name: Any, value: Any, timestamp: Any, flags: Any) -> GuestProperty:
    # Nanoseconds; a float of seconds would lose the microseconds.
    when = _EPOCH + timedelta(microseconds=int(timestamp) // 1000)
    names = [flag.strip() for flag in str(flags).split(",") if flag.strip()]
    return GuestProperty(str(name), str(value), when, frozenset(names))  # type: ignore[arg-type]
