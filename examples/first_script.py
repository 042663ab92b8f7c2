"""Fork the built-in guest, run a command in it, and throw it away."""

from __future__ import annotations

from vboxkit import Lab

with Lab() as lab, lab.fork("tiny") as vm:
    print(vm.ssh.succeed("uname -a"), end="")
