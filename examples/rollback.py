"""Try something destructive, and go back to where the guest stood."""

from __future__ import annotations

from vboxkit import Lab

with Lab() as lab, lab.fork("tiny") as vm:
    with vm.rollback():
        vm.ssh.succeed("rm -rf /etc")
        print("inside:", vm.ssh.run("ls /etc").stderr.strip())
    print("after:", vm.ssh.succeed("ls /etc").split()[:3])
