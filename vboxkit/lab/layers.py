"""
The layers of an image: each step is one, keyed by what it is done to and what is done.

A layer is a machine of its own, forked from the golden snapshot of the layer below while that
stands still: the running guest goes on, the step is done, and a snapshot of it is the layer's own
golden one. So an added step starts where the last one ended, and costs itself and two seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from vboxkit.core.locks import lock_file
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline
from vboxkit.errors import (
    CommandFailedError,
    CommandTimeoutError,
    GuestConnectionError,
    NotFoundError,
    ProvisioningError,
    SettingsError,
)
from vboxkit.lab import catalogue, golden, images
from vboxkit.lab.provisioning import Step, digest_of
from vboxkit.lab.records import Image
from vboxkit.lab.vm import VM
from vboxkit.machines.fork import fork
from vboxkit.machines.states import MachineState

if TYPE_CHECKING:
    from vboxkit.guest.credentials import Credentials
    from vboxkit.lab.images import ImageSource
    from vboxkit.lab.lab import Lab

__all__ = ["ensure"]

#: Raise it when the way a layer is built changes.
_RECIPE = 1
#: How often a build is begun anew because somebody removed what it stood on.
_TRIES = 3


@dataclass(frozen=True)
class _Layer:
    """One layer: of `source`, `step` and `image` it has the one that it is made of."""

    digest: str
    content: str = ""
    source: ImageSource | None = None
    step: Step | None = None
    image: Image | None = None


class _GoneError(Exception):
    """The layer below was removed meanwhile."""


def ensure(lab: Lab, source: ImageSource) -> Image:
    """
    Return an image, building those of its layers that are not there.

    Raises:
        ProvisioningError: A step failed; the layers before it stay for the next try.
        NotFoundError: The image that it is based on was removed.
    """
    for _ in range(_TRIES):
        layers, name = _plan(lab, source)
        try:
            image = _build(lab, layers, name)
        except _GoneError:
            continue
        catalogue.ask_for(lab.places, image, name)
        return image.named(name).of_lab(lab)
    raise NotFoundError(
        f"image {source.name!r}: another process removes what it stands on",
        kind="image",
        wanted=source.name,
        hint="build it when nothing removes images",
    )


def _plan(lab: Lab, source: ImageSource) -> tuple[list[_Layer], str]:
    """Return the layers, the first one first, and the image's name."""
    base = lab._source(source.base) if isinstance(source.base, str) else source.base  # noqa: SLF001 - of the same package
    below = source.name
    if base is None:
        content = golden.content_of(lab.vbox, source)
        digest = source.digest(lab.vbox.version, content=content)
        layers = [_Layer(digest, content, source=source)]
    elif isinstance(base, Image):
        if source.hardware:
            raise SettingsError(
                f"image {base.name!r} runs, and cannot be given other hardware"
                f" ({', '.join(source.hardware)})",
                hint="give it to what the image is built from",
            )
        layers, below = [_Layer(base.digest, image=base)], base.name
    else:
        layers, below = _plan(lab, replace(base, **source.hardware))  # type: ignore[arg-type]  # of two of its fields
    for one in source.own_steps:
        layers.append(_Layer(digest_of(_RECIPE, layers[-1].digest, one.digest()), step=one))
    if source.name:
        return layers, source.name
    if not source.own_steps and not source.hardware:
        return layers, below
    return layers, f"{below.partition('+')[0]}+{layers[-1].digest[:6]}"


def _build(lab: Lab, layers: list[_Layer], name: str) -> Image:
    """Build what is missing above the highest layer that is there."""
    image, missing = None, list(layers)
    done = 0
    for done in range(len(layers), 0, -1):
        image = golden.valid(lab.vbox, lab.places, layers[done - 1].digest)
        if image is not None:
            break
    if image is not None:
        missing = layers[done:]
        if not missing:
            return image
    with step(f"build image {name}"):
        for layer in missing:
            if layer.source is not None:
                image = golden.build_first(
                    lab.vbox,
                    lab.places,
                    layer.source,
                    digest=layer.digest,
                    content=layer.content,
                )
            elif layer.step is not None and image is not None:
                where = f"step {layers.index(layer)} of {len(layers) - 1}"
                image = _build_step(lab, layer, layer.step, image, name=name, where=where)
            elif layer.image is not None:
                raise NotFoundError(
                    f"image {layer.image.name!r} ({layer.digest[:12]}) is not there any more",
                    kind="image",
                    wanted=layer.image.name,
                    available=[it.name for it in lab.images()],
                    hint="build it again, from what it was built from",
                )
    assert image is not None  # noqa: S101 - there is a first layer
    return image


def _build_step(
    lab: Lab, layer: _Layer, what: Step, below: Image, *, name: str, where: str
) -> Image:
    vbox, places = lab.vbox, lab.places
    with lock_file(
        places.image_lock(layer.digest),
        what=f"image {name!r}, which another process builds",
        timeout=vbox.settings.image_timeout,
    ):
        image = golden.valid(vbox, places, layer.digest)
        if image is not None:
            return image
        with (
            step(f"{where}: {what.title}"),
            golden.building(vbox, places, name=name, digest=layer.digest) as build,
        ):
            build.machine = vm = _fork(lab, build, below)
            vm.start_in_turn(vbox.settings.boot_timeout)
            vm.wait_ready(timeout=vbox.settings.boot_timeout)
            credentials = _provision(vm, layer, what, name=name, where=where)
            image = build.finish(
                vm, credentials, name=name, content="", parent=below.digest, step=what.title
            )
            for forward in vm.forwards.values():
                forward.release()
            folder = images.folder_of(places, layer.digest)
            folder.mkdir(parents=True, exist_ok=True)
            images.write(places, image)
        return image


def _fork(lab: Lab, build: golden.Build, below: Image) -> VM:
    deadline = Deadline(lab.vbox.settings.boot_timeout)
    with lock_file(lab.places.clone_lock, what="another process's fork", timeout=deadline):
        # Who removes images holds this lock as well: what is there now is there until we have it.
        if golden.valid(lab.vbox, lab.places, below.digest) is None:
            raise _GoneError
        machine = lab.vbox.machines[below.machine]
        return fork(
            machine,
            build.name,
            snapshot=machine.snapshots[below.snapshot],
            start=False,
            timeout=deadline,
            kind=partial(VM, image=below, places=lab.places),
            folder=lab.places.machine_folder,
            extra_data=build.tags,
        )


def _provision(vm: VM, layer: _Layer, what: Step, *, name: str, where: str) -> Credentials:
    """Do a step, and see that the guest runs and lets us in; return the way in."""

    def failed(text: str, error: BaseException | None = None, *, hint: str) -> ProvisioningError:
        command = isinstance(error, (CommandFailedError, CommandTimeoutError))
        lost = isinstance(error, GuestConnectionError)
        return ProvisioningError(
            f"image {name!r}: {where}, {what.title!r}, {text}",
            image=name,
            step=what.title,
            result=error.result if command else None,  # type: ignore[union-attr]
            evidence=vm.evidence() if lost else "",
            hint=hint,
        )

    try:
        what.apply(vm)
    except Exception as error:
        # The machine's name in its message is of no more use: the machine goes.
        seen = (
            error.result.describe()
            if isinstance(error, CommandFailedError)
            else f"{type(error).__name__}: {error}"
        )
        raise failed(
            f"failed: {seen}",
            error,
            hint="mend the step: those before it are not done again",
        ) from error
    if digest_of(_RECIPE, vm.image.digest, what.digest()) != layer.digest:
        raise failed(
            "changed while it was done: nobody knows which of both is in the guest",
            hint="build again when its files are written",
        )
    for other in list(vm._forks):  # noqa: SLF001 - what a function forked and left
        other.destroy()
    state = vm.state
    if state is not MachineState.RUNNING:
        raise failed(
            f"left the machine {state}, and an image is a running guest",
            hint="vm.start() and vm.wait_ready() at its end",
        )
    try:
        return _come_again(vm)
    except Exception as error:
        raise failed(
            f"left a guest that does not let us in: {error}",
            error,
            hint="a step must leave the SSH server and the user's ~/.ssh/authorized_keys",
        ) from error


def _come_again(vm: VM) -> Credentials:
    """Log in as a fork will; the step may have changed the guest's host key."""
    from vboxkit.guest.ssh import SSH  # paramiko takes 0.15 s to load

    vm.ssh.close()
    credentials = replace(vm.image.credentials, host_key=None)
    ssh = SSH(
        images.address(vm.ssh_port),
        credentials,
        settings=vm.settings,
        name=vm._subject(),  # noqa: SLF001 - as messages call it
    )
    return replace(credentials, host_key=golden.warm_up(ssh, vm.settings.boot_timeout))
