"""
Listening to events of VirtualBox.

Listeners are passive: VBoxSVC (or the VM process, for events of a console) keeps a queue for each,
and no code of ours is called from a foreign thread. When 1,000 events wait in its queue, a listener
is dropped, and nobody told. That a listener's process is gone is not noticed: an abandoned one
costs memory up to then, and if it listens to a kind that can be forbidden, it costs whoever causes
such an event three seconds each time. So every listener here is given back: when its stream is
closed, when nobody refers to it any more, and when the process ends.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vboxkit.com.translation import translation
from vboxkit.core.waiting import Deadline, Timeout
from vboxkit.errors import EventsLostError, VBoxKitError, WaitTimeoutError
from vboxkit.machines.event_base import Event, read
from vboxkit.machines.handing_back import HandBack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import NoReturn

    from typing_extensions import Self

    from vboxkit.com.api import Api

__all__ = ["Event", "EventStream", "Listener", "Subscription", "listen"]

E = TypeVar("E", bound=Event)

#: Seconds that one wait in native code may take; Python's signal handlers run in between.
_SLICE = 0.25
#: Of several queues each is looked at this often.
_TURN = 0.05
#: How many exceptions of callbacks are kept.
_KEPT = 100
#: Seconds that closing waits for a callback which is running.
_PATIENCE = 5.0

_log = logging.getLogger("vboxkit.events")
_streams: weakref.WeakSet[EventStream[Any]] = weakref.WeakSet()


def _after_fork() -> None:
    # A thread that was fetching is not there any more, and would never let go.
    for stream in tuple(_streams):
        stream._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Listener:
    """
    A queue of raw events in VirtualBox, given back when it is closed or nobody refers to it.

    Args:
        source: The raw object whose ``eventSource`` is listened to.
        kinds: Names of ``VBoxEventType``.
        machine_id: The machine, for events of its console.
    """

    def __init__(
        self, api: Api, source: Any, kinds: Sequence[str], *, machine_id: str | None = None
    ) -> None:
        self.api = api
        self.machine_id = machine_id
        self._events = source.eventSource
        self._raw = self._events.createListener()
        values = [api.value("VBoxEventType", kind) for kind in kinds]
        self._events.registerListener(self._raw, values, False)
        self._end = HandBack(self, api, self._events.unregisterListener, self._raw)

    def __reduce__(self) -> NoReturn:
        msg = "a listener to events cannot be pickled: it belongs to this process's connection"
        raise TypeError(msg)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._end.done

    def close(self) -> None:
        """Give it back; a thread that waits in `get` then returns at once."""
        self._end.now()

    def get(self, seconds: float) -> Any:
        """
        Wait for the next raw event, and return it, or `None`.

        It is told to be done with at once: who fires it may be waiting for that.
        """
        event = self._events.getEvent(self._raw, max(0, int(seconds * 1000)))
        if event is not None:
            self._events.eventProcessed(self._raw, event)
        return event

    def take(self, seconds: float) -> Event | None:
        """Wait for the next event, and return it with all its values, or `None`."""
        # Not get(): of events that VirtualBox uses again (GuestMouse) the values are only ours
        # until they are said to be processed.
        raw = self._events.getEvent(self._raw, max(0, int(seconds * 1000)))
        if raw is None:
            return None
        try:
            return read(self.api, raw, self.machine_id)
        finally:
            self._events.eventProcessed(self._raw, raw)


@contextmanager
def listen(api: Api, source: Any, *kinds: str) -> Iterator[Callable[[float], Any]]:
    """
    Listen to events of some kinds while the block runs.

    ``getEvent`` blocks only the thread that calls it.

    Args:
        api: The way in.
        source: The raw object whose ``eventSource`` is listened to.
        *kinds: Names of ``VBoxEventType``.

    Yields:
        A function that waits up to so many seconds for the next event and returns the raw event,
        or `None` if there was none.
    """
    listener = Listener(api, source, kinds)
    try:
        yield lambda seconds: listener.get(max(0.001, seconds))
    finally:
        listener.close()


class EventStream(Generic[E]):
    """
    Events as they come: iterate over it, or ask for one with `next` or `wait_for`.

    It listens from the moment it is made until it is closed, dropped, or left as a context manager,
    so nothing that happens in between is missed. Any thread may use it; each event is given once.

    VirtualBox keeps at most 1,000 events for who does not fetch them, and then drops the stream:
    `EventsLostError`.

    Example:
        ``for event in vbox.events("OnMachineStateChanged", timeout=60): print(event)``
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        *,
        what: str,
        timeout: Timeout | None = None,
        keep: Callable[[Event], bool] | None = None,
    ) -> None:
        self._listeners = list(listeners)
        self._what = what
        self._deadline = None if timeout is None else Deadline(timeout)
        self._keep = keep
        self._waiting: deque[Event] = deque()
        # Held while events are fetched, not while somebody works on one.
        self._lock = threading.Lock()
        _streams.add(self)

    def __repr__(self) -> str:
        return f"<EventStream of {self._what}{' (closed)' if self.closed else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether it gives no new events any more."""
        return all(listener.closed for listener in self._listeners)

    def close(self) -> None:
        """Stop listening; who waits for an event, in whichever thread, gets the end at once."""
        for listener in list(self._listeners):
            listener.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> E:
        event = self.next()
        if event is None:
            raise StopIteration
        return event

    def next(self, *, timeout: Timeout | None = None) -> E | None:
        """
        Wait for the next event and return it; `None` if there is none in time, or no more at all.

        Args:
            timeout: Seconds, `timedelta` or `Deadline`; until the stream's own timeout, or for
                ever, if left out.

        Raises:
            EventsLostError: More than 1,000 events waited, and VirtualBox dropped the stream.
            ConnectionLostError: VirtualBox's server process is gone.
        """
        mine = None if timeout is None else Deadline(timeout)
        while True:
            ends = [d.remaining for d in (mine, self._deadline) if d is not None]
            # Another thread may fetch for a while; our time is up all the same.
            if not self._lock.acquire(timeout=min([_SLICE, *ends])):
                if ends and min(ends) <= _SLICE:
                    return None
                continue
            try:
                if self._waiting:
                    return self._waiting.popleft()  # type: ignore[return-value]  # by its kinds
                if self.closed:
                    return None
                self._fetch(min([_SLICE, *ends]))
                if not self._waiting and ends and min(ends) <= 0:
                    return None
            finally:
                self._lock.release()

    def wait_for(
        self, condition: Callable[[E], bool] | None = None, *, timeout: Timeout, what: str = ""
    ) -> E:
        """
        Wait until an event comes that fits, and return it; the ones before it are dropped.

        Args:
            condition: Whether an event fits; the first one does if left out.
            timeout: Seconds, `timedelta` or `Deadline`.
            what: What is awaited, for the error.

        Raises:
            WaitTimeoutError: None came in time, or the stream ended.

        Example:
            ``stream.wait_for(lambda event: event.state == "Saved", timeout=30)``
        """
        deadline = Deadline(timeout)
        last: E | None = None
        while (event := self.next(timeout=deadline)) is not None:
            if condition is None or condition(event):
                return event
            last = event
        raise WaitTimeoutError(
            what or f"an event of {self._what}",
            waited=deadline.elapsed,
            last_seen=last or ("the stream is closed" if self.closed else "no event"),
            hint="give a longer timeout, or listen to more kinds",
        )

    def _fetch(self, seconds: float) -> None:
        """Wait so long for an event, and take all there are: the queues are kept short."""
        live = [listener for listener in self._listeners if not listener.closed]
        share = min(seconds, _TURN) if len(live) > 1 else seconds
        for listener in live:
            wait = 0.0 if self._waiting else share
            while (event := self._take(listener, wait)) is not None:
                if self._keep is None or self._keep(event):
                    self._waiting.append(event)
                wait = 0.0

    def _take(self, listener: Listener, seconds: float) -> Event | None:
        try:
            return listener.take(seconds)
        except Exception as error:
            foreign = listener.api.foreign(error)
            if foreign is None or listener.closed:
                if listener.closed:
                    return None
                raise
            listener.close()
            if foreign.lost and listener.machine_id is not None:
                return None  # a console ends with its VM process
            if foreign.symbol == "VBOX_E_OBJECT_NOT_FOUND":
                raise EventsLostError(
                    f"events of {self._what}: VirtualBox has dropped this listener, for 1,000"
                    " events waited to be fetched",
                    code=foreign.code,
                    symbol=foreign.symbol,
                    text=foreign.text,
                    operation="fetch events",
                    hint="fetch them faster, in a thread of their own, or listen to fewer kinds",
                ) from error
            raise translation(foreign, operation="fetch events", subject=self._what) from error


class Subscription:
    """
    A callback that is called with each event, one after the other, from a thread of vboxkit's.

    It goes on until it is closed or the process ends; also if nobody refers to it. An exception of
    the callback is logged (logger ``vboxkit.events``) and kept in `errors`, and the next event is
    delivered as if nothing had happened.

    Example:
        ``with vbox.on_event(print, "OnMachineStateChanged"): machine.start()``
    """

    def __init__(
        self, open_stream: Callable[[], EventStream[Any]], callback: Callable[[Any], object]
    ) -> None:
        if not callable(callback):
            raise TypeError(f"a callback is a function, not {callback!r}")
        self._open = open_stream
        self._callback = callback
        self._closing = False
        self._errors: deque[BaseException] = deque(maxlen=_KEPT)
        # Here and not in the thread: what happens after this returns is not missed.
        self._stream = open_stream()
        self._thread = threading.Thread(
            target=self._run, name=f"vboxkit-events-{self._stream._what}", daemon=True
        )
        self._thread.start()

    def __repr__(self) -> str:
        state = "" if self.active else " (closed)"
        return f"<Subscription to {self._stream._what}{state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def active(self) -> bool:
        """Whether events are delivered."""
        return self._thread.is_alive() and not self._closing

    @property
    def errors(self) -> tuple[BaseException, ...]:
        """The last 100 exceptions, of the callback and of fetching events."""
        return tuple(self._errors)

    def close(self) -> None:
        """
        Stop listening; doing it twice does no harm.

        The callback is not called any more once this returns. One that is running is waited for, up
        to 5 seconds; not if it is the one that calls this.
        """
        self._closing = True
        self._stream.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while not self._closing:
            try:
                event = self._stream.next()
                if event is None:
                    return
            except EventsLostError as error:
                self._note(error, "events were lost")
                self._stream = self._open()
                continue
            except VBoxKitError as error:
                if not self._closing:
                    self._note(error, "no more events")
                return
            if self._closing:
                return
            try:
                self._callback(event)
            except Exception as error:
                self._note(error, f"the callback failed for {event}")

    def _note(self, error: Exception, text: str) -> None:
        self._errors.append(error)
        _log.error("%s: %s", self._stream._what, text, exc_info=error)
