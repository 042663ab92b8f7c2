"""Which events are listened to where: the verbs `events` and `on_event`."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar, Union, overload

from vboxkit.machines.base import ComObject, api_call
from vboxkit.machines.event_base import Event
from vboxkit.machines.event_base import kinds as known_kinds
from vboxkit.machines.events import EventStream, Listener, Subscription
from vboxkit.machines.locks import locked
from vboxkit.machines.parts import choose, invalid
from vboxkit.machines.properties import MachineProperties
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.metric_values import HostMetrics
    from vboxkit.machines.metrics import MetricsStream

__all__ = ["WatchedMachine", "WatchedVirtualBox"]

E = TypeVar("E", bound=Event)
Kind = Union[str, "type[Event]"]

#: Who causes one of these waits, up to three seconds, until every listener has dealt with it.
_WAITED_FOR = frozenset({"OnExtraDataCanChange", "OnCanShowWindow", "OnEventSourceChanged"})

#: Where in a console the sources are; what the user sends to the guest is told only if asked for.
_CONSOLE = {
    "console": lambda console: console,
    "guest": lambda console: console.guest,
    "keyboard": lambda console: console.keyboard,
    "mouse": lambda console: console.mouse,
}
_USUAL = ("console", "guest")


def _names(obj: ComObject, kinds: Sequence[Kind]) -> list[str]:
    """Return VirtualBox's names of kinds, all but those that others wait for if there are none."""
    if not kinds:
        every = obj._api.names("VBoxEventType")
        return [name for name in every if name.startswith("On") and name not in _WAITED_FOR]
    names: list[str] = []
    for kind in kinds:
        if isinstance(kind, str):
            choose(obj, "VBoxEventType", kind)
            names.append(kind)
            continue
        given: object = kind
        if not (isinstance(given, type) and issubclass(given, Event)):
            msg = f"{obj._subject()}: a kind of event is a name or a class of events, not {kind!r}"
            raise TypeError(msg)
        # A base class stands for the kinds below it.
        below = [name for name, cls in known_kinds().items() if issubclass(cls, kind)]
        known = obj._api.names("VBoxEventType")
        if kind is Event:
            return _names(obj, ())
        names += [name for name in below if name in known and name not in _WAITED_FOR - {kind.KIND}]
        if not names:
            choose(obj, "VBoxEventType", kind.KIND or kind.__name__)
    return names


def _source(name: str) -> str | None:
    cls = known_kinds().get(name)
    return None if cls is None else cls.SOURCE


def _about_machines(cls: type[Event]) -> bool:
    return any(each.name == "machine_id" and each.metadata for each in fields(cls))


class _OnlyOf:
    """Keeps the events of one machine; refers to no machine, so that a stream can be collected."""

    def __init__(self, machine_id: str) -> None:
        self._id = machine_id

    def __call__(self, event: Event) -> bool:
        return event.machine_id == self._id


def _what(obj: ComObject, kinds: Sequence[Kind]) -> str:
    shown = [kind if isinstance(kind, str) else kind.__name__ for kind in kinds]
    return f"{obj._subject()} ({', '.join(shown) or 'all'})"


class WatchedVirtualBox(ComObject):
    """The part of `VirtualBox` that tells what happens."""

    @overload
    def events(self, *kinds: str, timeout: Timeout | None = None) -> EventStream[Event]: ...
    @overload
    def events(self, *kinds: type[E], timeout: Timeout | None = None) -> EventStream[E]: ...
    @overload
    def events(
        self, *kinds: str | type[Event], timeout: Timeout | None = None
    ) -> EventStream[Event]: ...
    @api_call("listen to events")
    def events(self, *kinds: Any, timeout: Timeout | None = None) -> EventStream[Any]:
        """
        Listen to what happens in VirtualBox, from now on.

        Args:
            *kinds: Names of kinds (``"OnMachineStateChanged"``) or classes of events
                (`MachineStateChangedEvent`; `SnapshotEvent` for all about snapshots). All if left
                out, but for the few that whoever causes them waits for (``OnExtraDataCanChange``).
            timeout: Seconds, `timedelta` or `Deadline` after which the stream ends; it goes on for
                ever if left out.

        Raises:
            ApiError: There is no such kind; the hint has the near ones. Or it is one that a running
                machine tells of: `Machine.events`.

        Example:
            ``for event in vbox.events("OnMachineRegistered", timeout=60): print(event.machine_id)``
        """
        names = _names(self, kinds)
        if kinds:
            for name in names:
                if _source(name) not in {None, "virtualbox"}:
                    raise invalid(
                        self,
                        f"events of kind {name} come from a running machine",
                        hint=f"machine.events({name!r})",
                        operation="listen to events",
                    )
        listener = Listener(self._api, self._api.virtualbox, names)
        return EventStream([listener], what=_what(self, kinds), timeout=timeout)

    @overload
    def on_event(self, callback: Callable[[E], object], *kinds: type[E]) -> Subscription: ...
    @overload
    def on_event(
        self, callback: Callable[[Event], object], *kinds: str | type[Event]
    ) -> Subscription: ...
    def on_event(self, callback: Callable[[Any], object], *kinds: Any) -> Subscription:
        """
        Call a function with each event from now on, from a thread of vboxkit's own.

        Args:
            callback: Called with one event after the other. What it raises is logged, and kept in
                `Subscription.errors`.
            *kinds: As for `events`.

        Returns:
            The subscription: ``close()`` it, or use it as a context manager.

        Raises:
            ApiError: As `events`.
        """
        return Subscription(lambda: self.events(*kinds), callback)

    @api_call("measure the host")
    def metrics(self, *, timeout: Timeout = 10) -> HostMetrics:
        """
        Measure what the host does, once; takes about two seconds.

        Args:
            timeout: Seconds, `timedelta` or `Deadline`.

        Raises:
            WaitTimeoutError: VirtualBox gave no values in time.

        Example:
            ``vbox.metrics().ram_free_mb``
        """
        from vboxkit.machines import metrics

        return metrics.measure_host(self, timeout)

    @api_call("measure the host")
    def metrics_stream(
        self, *, period: float = 1, timeout: Timeout | None = None
    ) -> MetricsStream[HostMetrics]:
        """
        Measure again and again what the host does.

        Args:
            period: Whole seconds, 1 to 60: how often, and over how long each is averaged.
            timeout: Seconds, `timedelta` or `Deadline` after which the stream ends.

        Raises:
            ApiError: A period that VirtualBox cannot do.
        """
        from vboxkit.machines import metrics

        return metrics.host_stream(self, period, timeout)


class WatchedMachine(MachineProperties):
    """The part of `Machine` that tells what happens to it."""

    @overload
    def events(self, *kinds: str, timeout: Timeout | None = None) -> EventStream[Event]: ...
    @overload
    def events(self, *kinds: type[E], timeout: Timeout | None = None) -> EventStream[E]: ...
    @overload
    def events(
        self, *kinds: str | type[Event], timeout: Timeout | None = None
    ) -> EventStream[Event]: ...
    @api_call("listen to events")
    def events(self, *kinds: Any, timeout: Timeout | None = None) -> EventStream[Any]:
        """
        Listen to what happens to this machine, from now on.

        Some kinds come from VirtualBox (states, snapshots, settings), at any time; others from the
        running VM (the guest's keyboard lights, its network adapters, ...): these end with the VM,
        also those that were not fetched by then, and the stream with them if it has no others.

        Args:
            *kinds: Names of kinds, or classes of events, as for `VirtualBox.events`. All if left
                out, those of the VM only if it runs now; the keys and mouse movements that are sent
                to the guest (``OnGuestKeyboard``, ``OnGuestMouse``) only if named.
            timeout: Seconds, `timedelta` or `Deadline` after which the stream ends; it goes on for
                ever if left out.

        Raises:
            InvalidStateError: A kind of the running VM, and it does not run.
            ApiError: There is no such kind, or it is not about machines.

        Example:
            ``machine.events(KeyboardLedsChangedEvent).next(timeout=5)``
        """
        names = _names(self, kinds)
        for name in names if kinds else ():
            cls = known_kinds().get(name)
            if cls is not None and cls.SOURCE == "virtualbox" and not _about_machines(cls):
                raise invalid(
                    self,
                    f"events of kind {name} are not about a machine",
                    hint=f"vbox.events({name!r})",
                    operation="listen to events",
                )
        if kinds:
            wanted = {_source(name) or "console" for name in names} - {"virtualbox"}
        else:
            wanted = set(_USUAL) if self.state in ONLINE else set()
        listeners: list[Listener] = []
        # First of all: what happens from here on is not missed.
        if mine := [name for name in names if _source(name) in {None, "virtualbox"}]:
            listeners.append(Listener(self._api, self._api.virtualbox, mine))
        if wanted:
            # The lock is only needed to get at the console; listening goes on without it.
            with locked(self, timeout=self.settings.lock_timeout, needs_vm=True) as session:
                console = session.console
                for source in sorted(wanted):
                    mine = [name for name in names if _source(name) in {None, source}]
                    at = _CONSOLE[source](console)
                    listeners.append(Listener(self._api, at, mine, machine_id=self.id))
        return EventStream(
            listeners,
            what=_what(self, kinds),
            timeout=timeout,
            keep=_OnlyOf(self.id),
        )

    @overload
    def on_event(self, callback: Callable[[E], object], *kinds: type[E]) -> Subscription: ...
    @overload
    def on_event(
        self, callback: Callable[[Event], object], *kinds: str | type[Event]
    ) -> Subscription: ...
    def on_event(self, callback: Callable[[Any], object], *kinds: Any) -> Subscription:
        """
        Call a function with each event of this machine, as `VirtualBox.on_event` does.

        Args:
            callback: Called with one event after the other, from a thread of vboxkit's own.
            *kinds: As for `events`.
        """
        return Subscription(lambda: self.events(*kinds), callback)
