"""Wait for what a service needs, and not a second longer."""

from __future__ import annotations

from vboxkit import Lab

with Lab() as lab, lab.fork("tiny") as vm:
    vm.ssh.succeed("(sleep 1; touch /run/ready; httpd -h /root) > /dev/null 2>&1 &")
    vm.wait_for_file("/run/ready", timeout=30)
    vm.wait_for_port(80, timeout=30)
    print("the server listens:", vm.ssh.run("wget -q -O /dev/null http://127.0.0.1/").exit_code)
