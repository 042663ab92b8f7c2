"""``vboxkit images``."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vboxkit.cli import output
from vboxkit.errors import InvalidStateError, NotFoundError, VBoxKitError

if TYPE_CHECKING:
    from vboxkit.cli.state import State
    from vboxkit.lab.images import Image
    from vboxkit.lab.lab import Lab

_EPILOG = """\b
Examples:
  vboxkit images ls
  vboxkit images build tiny
"""


@click.group(epilog=_EPILOG)
def images() -> None:
    """List, build and remove the images that forks are made of."""


@images.command("ls", epilog="Example: vboxkit images ls --json")
@output.json_option
@click.pass_obj
def list_images(state: State, *, as_json: bool) -> None:
    """List the images that were built, with their disk use."""
    rows = _rows(state.lab())
    if as_json:
        output.print_json(rows)
    elif not rows:
        output.out().print("no images; the first fork builds what it needs")
    else:
        output.table(
            "",
            ["name", "digest", "age>", "built in>", "disk>", "forks>", "machine"],
            [
                (
                    row["name"],
                    row["digest"][:12],
                    output.age(row["created"]),
                    output.duration(row["build_seconds"]),
                    output.size(row["disk_bytes"]),
                    len(row["forks"]),
                    row["machine_name"],
                )
                for row in rows
            ],
        )


@images.command(epilog="Example: vboxkit images build box.ova --user admin --key ~/.ssh/id_ed25519")
@click.argument("image", required=False)
@click.option("--user", default="root", show_default=True, help="Who logs in to an OVA.")
@click.option(
    "--key", type=click.Path(exists=True, dir_okay=False), help="A private key to log in with."
)
@output.json_option
@click.pass_obj
def build(state: State, *, image: str | None, user: str, key: str | None, as_json: bool) -> None:
    """
    Build an image now, unless it is there.

    IMAGE is 'tiny' (the default), or an OVA file.
    """
    from vboxkit.cli.live import showing

    with showing():
        lab = state.lab()
        from vboxkit.guest.credentials import Credentials

        key_file = Path(key).absolute() if key else None
        given = user != "root" or key_file is not None
        built = lab.image(
            image, credentials=Credentials(user=user, key_file=key_file) if given else None
        )
    if as_json:
        output.print_json(_row(lab, built))
    else:
        output.out().print(f"{built.name}: {built.machine_name}", soft_wrap=True)


@images.command(epilog="Example: vboxkit images rm tiny")
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def rm(state: State, *, names: tuple[str, ...]) -> None:
    """
    Remove images, by name, by digest, or by the name of their machine.

    An image that forks stand on stays, and is an error.
    """
    from vboxkit.cli.live import showing

    with showing(keep=False, plain=False):
        lab = state.lab()
        # All are found before one is removed: a typo removes nothing.
        chosen = [image for name in names for image in _find(lab, name)]
        for image in dict.fromkeys(chosen):
            lab.remove_image(image)
            output.err().print(f"removed {image.machine_name}", soft_wrap=True)


@images.command(epilog="Example: vboxkit images prune --dry-run")
@click.option("--all", "every", is_flag=True, help="All that no fork stands on.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@output.json_option
@click.pass_obj
def prune(state: State, *, every: bool, dry_run: bool, as_json: bool) -> None:
    """
    Remove images that nothing uses any more.

    These are images of an older VirtualBox or an older vboxkit, images that a newer one of the
    same name has replaced, and records of machines that are gone. What forks stand on stays.
    """
    lab = state.lab()
    removed = []
    for image in _unused(lab, every=every):
        if not dry_run:
            try:
                lab.remove_image(image)
            except InvalidStateError:
                continue  # a fork was made of it meanwhile
        removed.append(image.machine_name)
    if as_json:
        output.print_json({"dry_run": dry_run, "removed": removed})
        return
    for name in removed:
        output.out().print(f"{'would remove' if dry_run else 'removed'} {name}", soft_wrap=True)
    if not removed:
        output.out().print("nothing to remove")


def _forks(lab: Lab, image: Image) -> list[str]:
    machine = lab.vbox.machines.find(image.machine)
    return [] if machine is None else machine.linked_clones()


def _row(lab: Lab, image: Image) -> dict[str, Any]:
    machine = lab.vbox.machines.find(image.machine)
    return {
        "name": image.name,
        "digest": image.digest,
        "machine": image.machine,
        "machine_name": image.machine_name,
        "there": machine is not None,
        "created": image.created,
        "build_seconds": image.build_seconds,
        "disk_bytes": output.disk_use(machine.folder) if machine is not None else 0,
        "forks": _forks(lab, image),
    }


def _rows(lab: Lab) -> list[dict[str, Any]]:
    return [_row(lab, image) for image in lab.images()]


def _find(lab: Lab, name: str) -> list[Image]:
    known = lab.images()
    found = [
        image
        for image in known
        if name in {image.name, image.machine, image.machine_name}
        or (len(name) >= 6 and image.digest.startswith(name))
    ]
    if not found:
        names = sorted({image.name for image in known})
        raise NotFoundError(
            f"no image {name!r} was built, only {names}",
            kind="image",
            wanted=name,
            available=names,
            hint="vboxkit images ls",
        )
    return found


def _unused(lab: Lab, *, every: bool) -> list[Image]:
    from vboxkit.lab.images import source_of

    newest = {image.name: image.digest for image in lab.images()}  # the oldest come first
    if "tiny" in newest:
        with suppress(VBoxKitError):  # its OVA cannot be read: nobody can say what is old
            newest["tiny"] = source_of("tiny").digest(lab.vbox.version)
    unused = []
    for image in lab.images():
        gone = image.machine not in lab.vbox.machines
        if (every or gone or image.digest != newest[image.name]) and not _forks(lab, image):
            unused.append(image)
    return unused
