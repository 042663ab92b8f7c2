"""
Print what a VirtualBox home holds, as JSON; run as a script with the home as its argument.

A process can look into one home only, so the tests ask a new one each time. A second argument:
``gc`` removes first what nobody owns, ``gc-kept`` also what was kept.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

from vboxkit.core import processes
from vboxkit.errors import SetupError
from vboxkit.lab import Lab
from vboxkit.settings import Settings


def main(home: Path, *orders: str) -> dict[str, object]:
    """Return what there is, by kind."""
    warnings.simplefilter("ignore")
    try:
        lab = Lab(Settings(home=home))
    except SetupError as error:
        return {"skip": " ".join(str(error).split())}
    if orders:
        lab.gc(kept="gc-kept" in orders)
    api = lab.vbox._api
    media = []
    pending = api.array(lab.vbox.com, "hardDisks")
    while pending:
        medium = pending.pop()
        pending += api.array(medium, "children")
        media.append(str(medium.location))
    found = processes.find(argument="--startvm", environment=api.environment)
    return {
        "images": {image.machine_name: image.created for image in lab.images(layers=True)},
        "machines": {machine.name: str(machine.state) for machine in lab.vbox.machines},
        "media": media,
        "folders": [path.name for path in lab.places.machines.glob("*")],
        "leases": [path.name for path in lab.places.leases.glob("*")],
        "processes": [" ".join(arguments) for _, arguments in found],
    }


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1]), *sys.argv[2:]), sys.stdout)
