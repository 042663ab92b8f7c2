"""Who did what to a machine, and whether somebody has edited the story since."""

from __future__ import annotations

from vboxkit import Lab
from vboxkit.core.audit_check import entries, verify

with Lab() as lab:
    machine = lab.vbox.create("example-audit", os_type="Debian_64", memory_mb=512)
    machine.memory_mb = 1024
    machine.destroy()
    for entry in entries(lab.vbox.home):
        if "example-audit" in entry["object"]:
            print(entry["user"], "|", entry["operation"], "|", entry["result"], entry["values"])
    print("damages:", verify(lab.vbox.home).damages)
