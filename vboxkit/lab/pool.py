"""
A pool of machines that are forked, connected and waiting.

Every process keeps connected members of its own; where it has none it adopts one of another
process's, which then costs a new connection. What is in a pool is told by a file for each member,
changed under one lock per home; the member's lease says whose it is.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import msgspec

from vboxkit.core import processes
from vboxkit.core.locks import lock_file
from vboxkit.core.waiting import Deadline
from vboxkit.errors import (
    ApiError,
    CleanupError,
    InvalidStateError,
    VBoxKitError,
    WaitTimeoutError,
)
from vboxkit.lab import leases
from vboxkit.machines.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """What other processes are told of a member: its machine, image and since when it waits."""

    name: str
    image: str
    since: float


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
        idle: Seconds without a `take` after which members are destroyed, one at a time, until
            one is left; never if `None`.

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
        idle: float | None = 300.0,
    ) -> None:
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
        self._idle = idle
        self._ready: list[VM] = []
        self._changed = threading.Condition()
        self._closed = False
        self._used = time.monotonic()
        self._target = size
        self._error: Exception | None = None
        self._making = 0
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
        with self._changed:
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
        Destroy the machines that wait, and stop making more. Those taken stay the caller's.

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
                self._target = self.size
                self._changed.notify_all()
            if not self._claim(vm):
                continue  # another process has adopted it
            if self._well(vm) and self._wake(vm):
                return vm
            vm.destroy()

    def _others(self, deadline: Deadline) -> VM | None:
        """Adopt a member of another process, or `None`."""
        for member in self._members():
            if member.image == self.image.digest and self._unlink(member.name):
                vm = self._adopt(member.name, deadline)
                if vm is not None:
                    return vm
        return None

    def _adopt(self, name: str, deadline: Deadline) -> VM | None:
        places = self._lab.places
        leases.adopt(places.leases, name)
        try:
            vm = self._lab._remember(self._lab.vm(name))  # noqa: SLF001 - of the same package
        except VBoxKitError:
            if name not in self._lab.vbox.machines and not (places.machines / name).exists():
                leases.release(places.leases, name)  # who removed it was faster
            return None
        done = False
        with suppress(VBoxKitError):
            try:
                if self._wake(vm):
                    vm.wait_ready(timeout=deadline)
                    done = True
            finally:
                if not done:
                    vm.destroy()
        return vm if done else None

    def _well(self, vm: VM) -> bool:
        try:
            return vm.state in {MachineState.RUNNING, MachineState.PAUSED} and vm.ssh.connected
        except VBoxKitError:
            return False

    def _wake(self, vm: VM) -> bool:
        try:
            if vm.state == MachineState.PAUSED:
                vm.resume()
        except VBoxKitError:
            return False
        return True

    def _members(self) -> Iterator[Member]:
        for file in sorted(self._lab.places.pool.glob("*.json")):
            with suppress(FileNotFoundError, msgspec.DecodeError):
                yield msgspec.json.decode(file.read_bytes(), type=Member)

    def _claim(self, vm: VM) -> bool:
        """Take a member of ours out of the pool; `False` if somebody else has adopted it."""
        if self._unlink(vm._name):  # noqa: SLF001 - it may be gone, and then has no live name
            return True
        vm._hang_up()  # noqa: SLF001 - the connection is not ours any more
        return False

    def _unlink(self, name: str) -> bool:
        """Take a member out of the pool; `False` if somebody else was faster."""
        try:
            self._file(name).unlink()
        except FileNotFoundError:
            return False
        return True

    def _file(self, name: str) -> Path:
        return self._lab.places.pool / f"{name}.json"

    def _offer(self, vm: VM) -> None:
        self._lab.places.pool.mkdir(parents=True, exist_ok=True)
        member = Member(name=vm.name, image=self.image.digest, since=time.time())
        file = self._file(vm.name)
        draft = file.with_suffix(".tmp")
        draft.write_bytes(msgspec.json.encode(member))
        draft.replace(file)

    # In the background

    def _keep_full(self) -> None:
        retry = _RETRY[0]
        while True:
            with self._changed:
                if self._closed:
                    return
                full = len(self._ready) >= self._target
                if full:
                    self._changed.wait(_LOOK)
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
        if processes.available_memory_mb() < self._memory_mb:
            raise WaitTimeoutError(
                f"{self._memory_mb} MiB of free RAM",
                waited=0.0,
                last_seen=f"{processes.available_memory_mb()} MiB",
            )
        with ExitStack() as stack:
            if self._most is not None:
                # Until it is in the pool: of two that count at once, both would find room.
                lock = self._lab.places.locks / "pool.lock"
                stack.enter_context(lock_file(lock, what="another pool's fork", timeout=60))
                if len(list(self._members())) >= self._most:
                    return False
            self._making = 1
            stack.callback(setattr, self, "_making", 0)
            vm = self._lab.fork(self.image)
            done = False
            try:
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
        """Replace members that are not well, and destroy one that nobody has wanted for long."""
        doomed = []
        with self._changed:
            for vm in list(self._ready):
                # One that another process has adopted is replaced as well.
                if not self._file(vm._name).exists() or not self._well(vm):  # noqa: SLF001
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
