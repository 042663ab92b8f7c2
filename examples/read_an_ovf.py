"""Read an appliance without VirtualBox: what it would create, and what is wrong with it."""

from __future__ import annotations

from vboxkit import ovf
from vboxkit.core.resources import resource

package = ovf.inspect(resource("tiny/tiny.ova"))  # or the path of any .ova or .ovf
for system in package.systems:
    print(system.name, system.cpus, "CPU", (system.memory_bytes or 0) >> 20, "MiB")
for disk in package.disks:
    print(disk.file, (disk.capacity_bytes or 0) >> 20, "MiB")
verified = ovf.verify(package.path)
print("as its manifest says:", [file.name for file in verified.files])
print("problems:", [problem.code for problem in package.problems])
