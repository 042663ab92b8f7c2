"""
A pool of machines that are forked, connected and waiting.

Every process keeps connected members of its own; where it has none it adopts one of another
process's, which then costs a new connection. What is in a pool is told by a file for each member,
changed under one lock per home; the member's lease says whose it is.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from vboxkit.core.locks import lock_file
from vboxkit.core.waiting import Deadline
from vboxkit.errors import (
    ApiError,
    CleanupError,
    InvalidStateError,
    VBoxKitError,
    WaitTimeoutError,
)
from vboxkit.lab.members import (
    Member,
    adopt,
    all_members,
    answers,
    claim,
    offer,
    offered,
    own_up,
    require_room,
    wake,
    well,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from vboxkit.core.waiting import Timeout
    from vboxkit.lab.images import Image
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.vm import VM

__all__ = ["Pool"]

#: Seconds between attempts to fork after one that failed, at first and at most.
_RETRY = (0.5, 30.0)
#: Seconds between two looks at members that wait: whether they are well, and idle for too long.
_LOOK = 5.0
#: Seconds between two commands' round trips through a member that waits running.
_ROUND_TRIP = 30.0
#: Seconds after a take before the next fork begins, unless somebody waits for it: it would take
#: the CPU that the first command of the one just taken needs.
_BREATH = 0.3
#: Seconds by which a member's lease outlives its time in the pool, so that whoever takes it at the
#: last moment has it.
_GRACE = 60.0


class Pool:
    """
    Forks of an image that wait to be used; a context manager that destroys those left.

    Forks are made in the background, up to `size`, and again after each that is taken. The one
    that waits is paused, which takes no CPU.

    Args:
        lab: Where they are made.
        image: What they are forks of.
        size: How many are to wait.
        paused: Whether they wait paused. Running ones are a few milliseconds faster to take, and
            an idle emulated guest uses a tenth of a CPU.
        most: The most that may wait in this home, of all processes and images; no limit if left
            out.
        memory_mb: No more are made while less RAM than this is free on the host.
        load: Nor while more processes than this want each of its CPUs, on the average of the last
            minute; an emulated guest that works is one. No limit if left out, and on Windows.
        idle: Seconds without a `take` after which members are destroyed, one at a time, until
            one is left; never if `None`.
        ttl: Seconds after which one that waits is replaced by a fresh one. Should this process
            hang, the reaper of another one removes it a minute later. Never if `None`.

    Example:
        ``with lab.pool("tiny", size=2) as pool, pool.take() as vm: vm.ssh.succeed("true")``
    """

    def __init__(
        self,
        lab: Lab,
        image: Image,
        *,
        size: int,
        paused: bool = True,
        most: int | None = None,
        memory_mb: int = 1024,
        load: float | None = None,
        idle: float | None = 300.0,
        ttl: float | None = None,
    ) -> None:
        if ttl is not None and ttl <= 0:
            raise ApiError(
                f"members that may wait {ttl!r} s make no sense",
                symbol="E_INVALIDARG",
                operation="make a pool",
                hint="ttl=600, or None for no limit",
            )
        if type(size) is not int or size < 1 or (most is not None and most < 1):
            raise ApiError(
                f"a pool of {size!r} (at most {most!r}) makes no sense",
                symbol="E_INVALIDARG",
                operation="make a pool",
                hint="1 or more",
            )
        self.image = image
        self.size = size
        self._lab = lab
        self._paused = paused
        self._most = most
        self._memory_mb = memory_mb
        self._load = load
        self._idle = idle
        self._ttl = ttl
        self._ready: list[VM] = []
        self._changed = threading.Condition()
        self._closed = False
        self._used = time.monotonic()
        self._target = size
        self._error: Exception | None = None
        self._making = 0
        self._wanted = 0
        self._rest_until = 0.0
        self._born: dict[str, float] = {}
        self._tried: dict[str, float] = {}
        self._thread = threading.Thread(target=self._keep_full, name="vboxkit pool", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Pool of {self.image.name}: {len(self._ready)} of {self.size} ready>"

    def __len__(self) -> int:
        """Return how many wait in this process."""
        return len(self._ready)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Taking and giving back

    def take(self, *, timeout: Timeout | None = None) -> VM:
        """
        Return a machine that runs, with SSH connected; it is the caller's from now on.

        Takes some milliseconds if one waits here; a connection if one of another process waits;
        otherwise waits until one is made.

        Args:
            timeout: Seconds; `Settings.boot_timeout` if left out.

        Raises:
            InvalidStateError: The pool is closed.
            WaitTimeoutError: None came in time; its cause is what went wrong with the last fork.
        """
        deadline = Deadline(timeout if timeout is not None else self._lab.settings.boot_timeout)
        while True:
            if self._closed:
                raise InvalidStateError(
                    f"{self!r} is closed", state="closed", operation="take a machine"
                )
            vm = self._own() or self._others(deadline)
            if vm is not None:
                return vm
            with self._changed:
                if deadline.expired:
                    raise WaitTimeoutError(
                        f"a machine of {self!r}",
                        waited=deadline.elapsed,
                        last_seen=self._error or f"{self._making} being made",
                        hint="a larger pool, or a longer timeout",
                    ) from self._error
                if not self._ready and not self._closed:
                    with self._in_want():
                        self._changed.wait(min(deadline.remaining, _LOOK))

    def give_back(self, vm: VM) -> None:
        """Destroy a used machine; another one takes its place in the background."""
        vm.destroy()

    def wait_full(self, *, timeout: Timeout | None = None) -> Self:
        """
        Wait until as many machines wait as should.

        Raises:
            WaitTimeoutError: Not in time.
        """
        deadline = Deadline(timeout if timeout is not None else self._lab.settings.boot_timeout)
        with self._changed, self._in_want():
            while len(self._ready) < self.size:
                if deadline.expired or self._closed:
                    raise WaitTimeoutError(
                        f"{self!r} to be full",
                        waited=deadline.elapsed,
                        last_seen=self._error or f"{len(self._ready)} ready",
                    ) from self._error
                self._changed.wait(min(deadline.remaining, _LOOK))
        return self

    def close(self) -> None:
        """
        Destroy the machines that wait, also the one being made. Those taken stay the caller's.

        Raises:
            CleanupError: Some could not be removed; all were tried.
        """
        left = []
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        while self._ready:
            vm = self._ready.pop()
            try:
                if self._claim(vm):
                    vm.destroy()
            except VBoxKitError as error:
                left.append(f"{vm!r}: {error}")
        if left:
            raise CleanupError(f"{self!r} could not be emptied:", left=left, hint="vboxkit gc")

    # Members

    def _own(self) -> VM | None:
        """Return a member of this process that is well, or `None`."""
        while True:
            with self._changed:
                if self._closed or not self._ready:
                    return None
                vm = self._ready.pop(0)
                self._used = time.monotonic()
                self._rest_until = self._used + _BREATH
                self._target = self.size
                self._changed.notify_all()
            stale = self._stale(vm)
            if not self._claim(vm):
                continue  # another process has adopted it
            if not stale and well(vm) and wake(vm):
                if self._ttl is not None:
                    own_up(self._lab.places, vm)
                return vm
            with suppress(VBoxKitError):  # its lease stays, for the reaper
                vm.destroy()

    def _others(self, deadline: Deadline) -> VM | None:
        """Adopt a member of another process, or `None`."""
        folder = self._lab.places.pool
        for member in all_members(folder):
            wanted = member.image == self.image.digest and not member.stale
            if wanted and claim(folder, member.name):
                vm = adopt(self._lab, member.name, deadline)
                if vm is not None:
                    return vm
        return None

    def _offer(self, vm: VM) -> None:
        now = time.time()
        member = Member(
            name=vm.name,
            image=self.image.digest,
            since=now,
            until=None if self._ttl is None else now + self._ttl,
        )
        offer(self._lab.places.pool, member)
        self._born[member.name] = self._tried[member.name] = time.monotonic()

    def _stale(self, vm: VM) -> bool:
        born = self._born.get(vm._name, 0.0)  # noqa: SLF001
        return self._ttl is not None and time.monotonic() - born > self._ttl

    def _claim(self, vm: VM) -> bool:
        """Take a member of ours out of the pool; `False` if somebody else has adopted it."""
        name = vm._name  # noqa: SLF001 - it may be gone, and then has no live name
        self._born.pop(name, None)
        self._tried.pop(name, None)
        if claim(self._lab.places.pool, name):
            return True
        vm._hang_up()  # noqa: SLF001 - the connection is not ours any more
        return False

    @contextmanager
    def _in_want(self) -> Iterator[None]:
        """Have members made without a rest while somebody waits for one."""
        self._wanted += 1
        self._changed.notify_all()
        try:
            yield
        finally:
            self._wanted -= 1

    # In the background

    def _keep_full(self) -> None:
        retry = _RETRY[0]
        while True:
            with self._changed:
                if self._closed:
                    return
                full = len(self._ready) >= self._target
                rest = 0.0 if self._wanted else self._rest_until - time.monotonic()
                if full or rest > 0:
                    self._changed.wait(_LOOK if full else rest)
            if not full and rest > 0:
                continue
            if full:
                with suppress(VBoxKitError):  # at the next look
                    self._look_after()
                continue
            made = False
            try:
                made = self._make()
                self._error, retry = None, _RETRY[0]
            except Exception as error:  # a full disk, for one: take() tells
                self._error, retry = error, min(retry * 2, _RETRY[1])
            with self._changed:
                if not made and not self._closed:
                    self._changed.wait(retry)

    def _make(self) -> bool:
        """Make one more member; `False` where there is no room for it."""
        require_room(self._memory_mb, self._load)
        with ExitStack() as stack:
            if self._most is not None:
                # Until it is in the pool: of two that count at once, both would find room.
                lock = self._lab.places.locks / "pool.lock"
                stack.enter_context(lock_file(lock, what="another pool's fork", timeout=60))
                if len(list(all_members(self._lab.places.pool))) >= self._most:
                    return False
            self._making = 1
            stack.callback(setattr, self, "_making", 0)
            lease = None if self._ttl is None else self._ttl + _GRACE
            vm = self._lab.fork(self.image, ttl=lease)
            done = False
            try:
                if not answers(vm, timeout=self._lab.settings.ssh_timeout):
                    raise InvalidStateError(
                        f"{vm!r} runs, and does not answer",
                        operation="fill a pool",
                        hint="the next one is tried; a longer ssh_timeout for a slow guest",
                    )
                if self._paused:
                    vm.pause()
                with self._changed:  # or take() would adopt it as if it were another process's
                    self._offer(vm)
                    self._ready.append(vm)
                    self._changed.notify_all()
                done = True
            finally:
                if not done:
                    vm.destroy()
            return True

    def _look_after(self) -> None:
        """Replace members that are not well or too old, and one that nobody has long wanted."""
        with self._changed:
            waiting = list(self._ready)
        # Not under the lock, for it takes a moment: who takes such a one shares its connection.
        ill = [vm for vm in waiting if not self._paused and not self._answers(vm)]
        doomed = []
        with self._changed:
            for vm in list(self._ready):
                # One that another process has adopted is replaced as well.
                there = offered(self._lab.places.pool, vm._name)  # noqa: SLF001
                if vm in ill or self._stale(vm) or not there or not well(vm):
                    self._ready.remove(vm)
                    doomed.append(vm)
            idle = self._idle is not None and time.monotonic() - self._used > self._idle
            if idle and len(self._ready) > 1:
                self._target = len(self._ready) - 1
                doomed.append(self._ready.pop())
        for vm in doomed:
            if self._claim(vm):
                with suppress(VBoxKitError):  # its lease stays, for the reaper
                    vm.destroy()

    def _answers(self, vm: VM) -> bool:
        """Send a command through a member that waits running, every now and then."""
        name = vm._name  # noqa: SLF001
        now = time.monotonic()
        if now - self._tried.get(name, now) < _ROUND_TRIP:
            return True
        self._tried[name] = now
        return answers(vm, timeout=10)
