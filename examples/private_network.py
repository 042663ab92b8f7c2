"""Two machines in a network of their own; the link between them is cut, and mended."""

from __future__ import annotations

from vboxkit import Lab

with Lab() as lab, lab.network() as net:
    a, b = net.fork("a", "b")
    print("together:", a.vm.ssh.run("ping -c 1 -W 5 b").ok)
    net.partition({"a"}, {"b"})
    print("apart:", a.vm.ssh.run("ping -c 1 -W 1 b").ok)
    net.heal()
    print("together again:", a.vm.ssh.run("ping -c 1 -W 5 b").ok)
