"""Fork one guest several times at once; each fork is a machine of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from vboxkit import Lab

with Lab() as lab, ThreadPoolExecutor() as pool:
    image = lab.image("tiny")
    vms = list(pool.map(lambda _: lab.fork(image), range(3)))
    for number, vm in enumerate(vms):
        vm.ssh.succeed(f"hostname guest{number}")
    print([vm.ssh.succeed("hostname").strip() for vm in vms])
