"""Reach a service that listens only inside the guest, without a port forward."""

from __future__ import annotations

from urllib.request import urlopen

from vboxkit import Lab

with Lab() as lab, lab.fork("tiny") as vm:
    vm.ssh.succeed("echo only inside > /root/index.html && httpd -p 127.0.0.1:8000 -h /root")
    with vm.ssh.forward_local(8000) as tunnel:
        page = f"http://127.0.0.1:{tunnel.port}/"
        print(urlopen(page, timeout=30).read().decode().strip())
