"""Import an appliance with a change in its plan, and export what came of it."""

from __future__ import annotations

from tempfile import TemporaryDirectory

from vboxkit import Lab
from vboxkit.core.resources import resource

# A lab's VirtualBox, apart from your own machines; `vboxkit.connect()` has those.
with Lab() as lab, TemporaryDirectory() as folder:
    with lab.vbox.appliances.open(resource("tiny/tiny.ova")) as appliance:
        plan = appliance.plan()
        plan.machine.cpus = 2
        machine = appliance.import_(plan, name="example-two-cpus")
    try:
        print("imported:", machine.name, machine.cpus, "CPUs", machine.memory_mb, "MiB")
        done = machine.export(f"{folder}/two-cpus.ova", product="Two CPUs")
        print("exported:", done.path.name, done.bytes >> 20, "MiB", done.format)
    finally:
        machine.destroy()
