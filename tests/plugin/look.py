"""
Print what a VirtualBox home holds, as JSON; run as a script with the home as its argument.

A process can look into one home only, so the tests ask a new one each time. A second argument:
``gc`` removes first what nobody owns, ``gc-kept`` also what was kept.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from pathlib import Path

from vboxkit import MachineState
from vboxkit.core import processes
from vboxkit.errors import SetupError
from vboxkit.lab import Lab, records
from vboxkit.settings import Settings

#: What a home has when nothing runs, beside what is in `machines` and `images`.
_KNOWN = re.compile(
    r"VBoxSVC\.log(\.\d+)?|VirtualBox\.xml(-prev)?|(compreg|xpti)\.dat|watcher\.log"
    r"|vboxkit-audit\.\w+|images|leases|locks|machines|places|pool"
)


def strays(lab: Lab, media: list[str]) -> list[str]:
    """Return the files and folders that belong to no image: disks, saved states, records."""
    places = lab.places
    found = [path for path in places.home.glob("*") if not _KNOWN.fullmatch(path.name)]
    found += [path for path in places.pool.glob("*") if path.suffix not in {".lock", ".holder"}]
    images = {records.folder_of(places, it.digest) for it in lab.images(layers=True)}
    found += [path for path in places.images.glob("*") if path.is_dir() and path not in images]
    found += [path for path in places.machines.rglob("*.vdi") if str(path) not in media]
    for machine in lab.vbox.machines:
        saved = list(machine.folder.rglob("*.sav"))
        if len(saved) > len(list(machine.snapshots)) + (machine.state == MachineState.SAVED):
            found += saved
    return sorted(map(str, found))


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
        "strays": strays(lab, media),
        "processes": [" ".join(arguments) for _, arguments in found],
    }


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1]), *sys.argv[2:]), sys.stdout)
