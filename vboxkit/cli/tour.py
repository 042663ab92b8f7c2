"""What ``vboxkit demo`` does: every part of the main job, once, on real machines."""

from __future__ import annotations

import contextvars
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from vboxkit.cli.leftovers import Leftovers, survey
from vboxkit.core.steps import Step, step
from vboxkit.errors import VBoxKitError
from vboxkit.lab import images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from vboxkit.lab.images import Image
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.vm import VM

__all__ = ["Part", "Tour"]

T = TypeVar("T")
A = TypeVar("A")

#: Asked of every fork, in one go, with few processes: an emulated guest takes 40 ms for each.
_QUESTIONS = "uname -sr; hostname; cat /proc/uptime /proc/[0-9]*/stat 2>/dev/null; true"
_FILE = "/root/written-by-the-demo"


@dataclass
class Part:
    """A part of the tour: what was done, and how it ended."""

    title: str
    seconds: float = 0.0
    ok: bool = False
    result: str = ""


@dataclass
class Tour:
    """
    The whole job.

    Attributes:
        lab: Where.
        image: Of which image.
        forks: How many forks of it.
        fresh: Remove the image first.
        parts: What was done.
        guests: What the forks said of themselves.
        left: What is left of it all.
        error: What went wrong, if something did.
    """

    lab: Lab
    image: str
    forks: int
    fresh: bool
    parts: list[Part] = field(default_factory=list)
    guests: list[dict[str, Any]] = field(default_factory=list)
    left: Leftovers | None = None
    error: VBoxKitError | None = None

    @property
    def ok(self) -> bool:
        """Whether all went well, and nothing is left."""
        return self.error is None and self.left is not None and not self.left

    def walk(self) -> None:
        """Do it all; what goes wrong is kept in `error`, and the rest is cleaned up."""
        before = survey(self.lab)
        try:
            try:
                image = self._image()
                vms = self._fork(image)
                self._talk(vms)
                self._roll_back(vms[0])
                self._end(vms)
            finally:
                if self.lab.vms():
                    with step("clean up"):
                        self.lab.destroy_all()
        except VBoxKitError as error:
            self.error = error
        try:
            with self._part("look for anything left") as (part, _):
                self.left = survey(self.lab) - before
                part.result = f"nothing left: {self.left}"
                if self.left:
                    raise VBoxKitError(f"something is left: {self.left}", hint="vboxkit gc")
        except VBoxKitError as error:
            self.error = self.error or error

    @contextmanager
    def _part(self, title: str) -> Iterator[tuple[Part, Step]]:
        part = Part(title)
        self.parts.append(part)
        begin = time.monotonic()
        try:
            with step(title) as this:
                yield part, this
                this.note = part.result
            part.ok = True
        except VBoxKitError as error:
            part.result = error.message
            raise
        finally:
            part.seconds = time.monotonic() - begin

    def _image(self) -> Image:
        source = images.source_of(self.image)
        with self._part(f"image {source.name}") as (part, _):
            if self.fresh:
                digest = source.digest(self.lab.vbox.version)
                for image in self.lab.images():
                    if image.digest == digest:
                        with step("remove the image"):
                            self.lab.remove_image(image)
            begin = time.time()
            image = self.lab.image(source)
            built = image.created >= begin
            part.result = (
                "imported, booted, given a key of its own, snapshot taken while it runs"
                if built
                else f"built before, in {image.build_seconds:.1f} s"
            )
        return image

    def _fork(self, image: Image) -> list[VM]:
        many = f"{self.forks} running machines" if self.forks > 1 else "a running machine"
        with self._part(f"fork {many}") as (part, _):
            vms = _at_once(lambda _: self.lab.fork(image, test="vboxkit demo"), range(self.forks))
            part.result = "resumed, not booted; each with SSH ready"
        return vms

    def _talk(self, vms: list[VM]) -> None:
        with self._part("run commands on each over SSH") as (part, _):
            self.guests = _at_once(_ask, vms)
            # The kernel's boot id will not do: it is made up when it is first read.
            shared = set.intersection(*(guest.pop("processes") for guest in self.guests))
            if not shared:
                raise VBoxKitError("the forks share no process: they are not of one running guest")
            pid, start = min(shared)
            part.result = f"process {pid}, {start / 100:.2f} s after their one boot, is in all"

    def _roll_back(self, vm: VM) -> None:
        with self._part("snapshot, change, roll back") as (part, _):
            with step("take a snapshot of the running guest"):
                snapshot = vm.snapshots.take("demo")
            with step(f"write {_FILE}"):
                vm.ssh.write_text(_FILE, "changed\n")
                vm.ssh.succeed(["test", "-s", _FILE])
            with step("roll back"):
                vm.power_off()
                snapshot.restore()
                vm.start()
                vm.wait_ready()
            with step(f"see that {_FILE} is gone"):
                vm.ssh.fail(["test", "-e", _FILE])
            with step("delete the snapshot"):
                vm.power_off()
                snapshot.delete()
            part.result = "the change was there, and is gone"

    def _end(self, vms: list[VM]) -> None:
        with self._part("power off and destroy") as (part, _):
            _at_once(_remove, vms)
            part.result = f"{len(vms)} machines"


def _ask(vm: VM) -> dict[str, Any]:
    with step(f"ask {vm.name}") as this:
        begin = time.monotonic()
        kernel, host, uptime, *stats = vm.ssh.succeed(_QUESTIONS).splitlines()
        this.note = kernel
        return {
            "name": vm.name,
            "ssh_port": vm.ssh_port,
            "kernel": kernel,
            "hostname": host,
            "uptime_seconds": float(uptime.split()[0]),
            "processes": set(filter(None, map(_process, stats))),
            "answered_seconds": round(time.monotonic() - begin, 3),
        }


def _process(stat: str) -> tuple[int, int] | None:
    """Return pid and start (hundredths of a second after the boot) of a process of user space."""
    pid = stat.split(" ", 1)[0]
    # A name may hold anything, so the rest is counted from its end.
    rest = stat.rpartition(")")[2].split()
    # Kernel threads start at the same moment of every boot, and so does init.
    return (int(pid), int(rest[19])) if len(rest) > 19 and rest[1] not in {"0", "2"} else None


def _remove(vm: VM) -> None:
    with step(f"destroy {vm.name}"):
        if vm.running:
            vm.power_off()
        vm.destroy()


def _at_once(work: Callable[[A], T], items: Iterable[A]) -> list[T]:
    """Do something to each in a thread of its own, with the steps where they belong."""
    jobs = list(items)
    pool = ThreadPoolExecutor(max_workers=len(jobs), thread_name_prefix="demo")
    try:
        # A thread knows its place among the steps only by the context that it is given.
        futures = [pool.submit(contextvars.copy_context().run, work, job) for job in jobs]
        wait(futures)
    finally:
        # After a Ctrl-C as well: what is not there yet cannot be cleaned up.
        pool.shutdown(wait=True, cancel_futures=True)
    return [future.result() for future in futures]
