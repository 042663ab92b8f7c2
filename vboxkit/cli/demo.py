"""``vboxkit demo``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from vboxkit.cli import failure, output

if TYPE_CHECKING:
    from vboxkit.cli.state import State
    from vboxkit.cli.tour import Tour

_EPILOG = """\b
Examples:
  vboxkit demo
  vboxkit demo --forks 5 --fresh
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--forks", type=click.IntRange(1, 16), default=3, show_default=True, help="How many machines."
)
@click.option("--image", metavar="IMAGE", help="'tiny', or an OVA file.  [default: tiny]")
@click.option("--fresh", is_flag=True, help="Remove the image first, and build it again.")
@output.json_option
@click.pass_obj
def demo(state: State, *, forks: int, image: str | None, fresh: bool, as_json: bool) -> int:
    """
    Show the whole job on real machines: image, forks, SSH, snapshots, clean-up.

    Imports the image and boots it once; forks it while it runs; runs commands on each fork;
    snapshots one, changes it and rolls it back; powers all off; and looks whether anything is
    left. Where there is no VirtualBox, a sandbox with one is made first.
    """
    from vboxkit.cli.live import showing
    from vboxkit.cli.tour import Tour

    begin = time.monotonic()
    with showing():
        lab = state.lab(make_sandbox=True)
        tour = Tour(lab, image=image or state.settings.image, forks=forks, fresh=fresh)
        tour.walk()
    seconds = time.monotonic() - begin
    if as_json:
        output.print_json(_record(tour, seconds))
    else:
        _summary(tour, seconds)
    if tour.error is not None:
        failure.say(tour.error)
    return 0 if tour.ok else failure.FAILED


def _record(tour: Tour, seconds: float) -> dict[str, object]:
    return {
        "ok": tour.ok,
        "virtualbox": tour.lab.vbox.version_text,
        "home": str(tour.lab.places.home),
        "image": tour.image,
        "seconds": round(seconds, 3),
        "steps": [
            {
                "step": part.title,
                "seconds": round(part.seconds, 3),
                "ok": part.ok,
                "result": part.result,
            }
            for part in tour.parts
        ],
        "forks": tour.guests,
        "left": tour.left.as_dict() if tour.left is not None else None,
        "error": str(tour.error) if tour.error else None,
    }


def _summary(tour: Tour, seconds: float) -> None:
    from rich.text import Text

    if tour.guests:
        output.table(
            "The forks",
            ["name", "kernel", "hostname", "up>", "answered in>", "SSH port>"],
            [
                (
                    guest["name"],
                    guest["kernel"],
                    guest["hostname"],
                    output.duration(guest["uptime_seconds"]),
                    output.duration(guest["answered_seconds"]),
                    guest["ssh_port"],
                )
                for guest in tour.guests
            ],
        )
    output.table(
        f"Summary, on VirtualBox {tour.lab.vbox.version_text}",
        ["step", "time>", "", "result"],
        [
            (
                part.title,
                output.duration(part.seconds),
                Text("ok", "green") if part.ok else Text("FAILED", "bold red"),
                part.result,
            )
            for part in tour.parts
        ],
    )
    console = output.out()
    if tour.left is not None and not tour.left:
        console.print(Text(f"nothing left: {tour.left}", "green"))
    elif tour.left is not None:
        for kind, names in tour.left.as_dict().items():
            for name in names:
                console.print(Text(f"left: {kind}: {name}", "red"), soft_wrap=True)
    console.print(f"{'done' if tour.ok else 'failed'} in {output.duration(seconds)}")
