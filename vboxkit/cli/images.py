"""``vboxkit images``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vboxkit.cli import completing, output
from vboxkit.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.cli.state import State
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.provisioning import Step
    from vboxkit.lab.records import Image

_EPILOG = """\b
Examples:
  vboxkit images ls
  vboxkit images build tiny
  vboxkit images build tiny --name web --put site:/srv --run 'httpd -h /srv'
"""

_BUILD_EPILOG = """\b
Examples:
  vboxkit images build box.ova --user admin --key ~/.ssh/id_ed25519
  vboxkit images build tiny --name web --put site:/srv --run 'httpd -h /srv'
  vboxkit run web -- wget -qO- http://localhost/
\b
Each --run and --put is a layer, in the order given: one that was built
before, with all before it, is not built again.
"""

#: Where `_Build` leaves the order of the steps for `build`.
_ORDER = "vboxkit.images.order"


@click.group(epilog=_EPILOG)
def images() -> None:
    """List, build and remove the images that forks are made of."""


@images.command("ls", epilog="Example: vboxkit images ls --json")
@click.option("--layers", is_flag=True, help="Also the layers that images are made of.")
@output.json_option
@click.pass_obj
def list_images(state: State, *, layers: bool, as_json: bool) -> None:
    """
    List the images that were built, with their disk use.

    The disk use of an image is that of its own layer; the layers below it may
    belong to others as well.
    """
    lab = state.lab()
    rows = [_row(image) for image in lab.images(layers=layers)]
    if as_json:
        output.print_json(rows)
    elif not rows:
        output.out().print("no images; the first fork builds what it needs")
    else:
        _print(rows, layers=layers)


class _Build(click.Command):
    """Keeps the order in which options of several kinds were given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            _, _, order = self.make_parser(ctx).parse_args(list(args))
            ctx.meta[_ORDER] = [one.name for one in order]
        return super().parse_args(ctx, args)


def _pairs(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,  # noqa: ARG001
    value: tuple[str, ...],
) -> list[tuple[str, str]]:
    found = []
    for item in value:
        source, colon, target = item.rpartition(":")
        if not (source and colon and target):
            raise click.BadParameter(f"{item!r} is not SOURCE:TARGET")
        if not Path(source).exists():
            raise click.BadParameter(f"there is no file or folder {source!r}")
        found.append((source, target))
    return found


@images.command(cls=_Build, epilog=_BUILD_EPILOG)
@click.argument("image", required=False, shell_complete=completing.images)
@click.option("--name", default="", help="The new image's name, to find it by.")
@click.option("--run", "runs", multiple=True, metavar="LINE", help="Run a shell line in the guest.")
@click.option(
    "--put",
    "puts",
    multiple=True,
    metavar="SOURCE:TARGET",
    callback=_pairs,
    help="Bring a file, or what is in a folder, into the guest.",
)
@click.option("--memory", type=click.IntRange(4), metavar="MB", help="The guest's memory.")
@click.option("--cpus", type=click.IntRange(1, 64), help="The guest's CPUs.")
@click.option("--user", default="root", show_default=True, help="Who logs in to an OVA.")
@click.option(
    "--key", type=click.Path(exists=True, dir_okay=False), help="A private key to log in with."
)
@output.json_option
@click.pass_context
def build(
    ctx: click.Context,
    *,
    image: str | None,
    name: str,
    runs: tuple[str, ...],
    puts: list[tuple[str, str]],
    memory: int | None,
    cpus: int | None,
    user: str,
    key: str | None,
    as_json: bool,
) -> None:
    """
    Build an image now, unless it is there.

    IMAGE is what it is built on: 'tiny' (the default), an OVA file, or an image built before.
    """
    from vboxkit.cli.live import showing

    state: State = ctx.obj
    with showing():
        lab = state.lab()
        from vboxkit.guest.credentials import Credentials

        key_file = Path(key).absolute() if key else None
        given = user != "root" or key_file is not None
        built = lab.image(
            image,
            steps=_steps(ctx.meta[_ORDER], runs, puts),
            name=name,
            credentials=Credentials(user=user, key_file=key_file) if given else None,
            memory_mb=memory,
            cpus=cpus,
        )
    if as_json:
        output.print_json(_row(built))
    else:
        output.out().print(f"{built.name}: {built.machine_name}", soft_wrap=True)


@images.command(epilog="Example: vboxkit images rm tiny")
@click.argument("names", nargs=-1, required=True, shell_complete=completing.images)
@click.pass_obj
def rm(state: State, *, names: tuple[str, ...]) -> None:
    """
    Remove images, by name, by digest, or by the name of their machine.

    Layers that nothing else stands on go with them. An image that forks or
    other images stand on stays, and is an error.
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
@click.option(
    "--days",
    type=click.FloatRange(0),
    default=30,
    show_default=True,
    help="Take images that nobody asked for in so many days.",
)
@click.option("--all", "every", is_flag=True, help="Take all that no fork stands on.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@output.json_option
@click.pass_obj
def prune(state: State, *, days: float, every: bool, dry_run: bool, as_json: bool) -> None:
    """
    Remove images that nothing uses any more.

    These are images of another VirtualBox or an older vboxkit, images that a newer one of the
    same name has replaced, those that nobody asked for in a month, records of machines that are
    gone, and layers on which no image stands. What forks stand on stays.
    """
    from vboxkit.cli.live import showing

    with showing(keep=False, plain=False):
        found = state.lab().prune_images(days=days, every=every, dry_run=dry_run)
    if as_json:
        output.print_json(
            {
                "dry_run": dry_run,
                "removed": [one.image.machine_name for one in found],
                "reasons": {one.image.machine_name: one.reason for one in found},
                "disk_bytes": sum(one.disk_bytes for one in found),
            }
        )
        return
    verb = "would remove" if dry_run else "removed"
    for one in found:
        output.out().print(
            f"{verb} {one.image.machine_name} ({one.reason}, {output.size(one.disk_bytes)})",
            soft_wrap=True,
        )
    if not found:
        output.out().print("nothing to remove")


def _steps(order: list[str], runs: tuple[str, ...], puts: list[tuple[str, str]]) -> list[Step]:
    """Return the steps in the order in which they were given."""
    from vboxkit.lab.provisioning import Put, Run

    given: dict[str, Iterator[Step]] = {
        "runs": (Run(line) for line in runs),
        "puts": (Put(source, target) for source, target in puts),
    }
    return [next(given[name]) for name in order if name in given]


def _row(image: Image) -> dict[str, Any]:
    layers = image.layers
    return {
        "name": image.name,
        "digest": image.digest,
        "machine": image.machine,
        "machine_name": image.machine_name,
        "there": image.machine in image.lab.vbox.machines,
        "created": image.created,
        "build_seconds": image.build_seconds,
        "build_seconds_with_layers": round(sum(one.build_seconds for one in layers), 3),
        "disk_bytes": image.disk_use,
        "disk_bytes_with_layers": sum(one.disk_use for one in layers),
        "forks": image.forks,
        "parent": image.parent,
        "step": image.step,
        "layers": [one.machine_name for one in layers],
    }


def _print(rows: list[dict[str, Any]], *, layers: bool) -> None:
    columns = ["name", "digest", "layers>", "age>", "built in>", "disk>", "forks>", "machine"]
    output.table(
        "",
        [*columns, "step"] if layers else columns,
        [
            (
                row["name"],
                row["digest"][:12],
                len(row["layers"]),
                output.age(row["created"]),
                output.duration(row["build_seconds" if layers else "build_seconds_with_layers"]),
                output.size(row["disk_bytes"]),
                len(row["forks"]),
                row["machine_name"],
                *([row["step"]] if layers else []),
            )
            for row in rows
        ],
    )


def _find(lab: Lab, name: str) -> list[Image]:
    known = [*lab.images(), *lab.images(layers=True)]
    found = [image for image in lab.images() if image.name == name] or [
        image
        for image in known
        if name in {image.machine, image.machine_name}
        or (len(name) >= 6 and image.digest.startswith(name))
    ]
    if not found:
        names = sorted({image.name for image in lab.images()})
        raise NotFoundError(
            f"no image {name!r} was built, only {names}",
            kind="image",
            wanted=name,
            available=names,
            hint="vboxkit images ls",
        )
    return found
