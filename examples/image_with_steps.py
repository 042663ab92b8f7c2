"""Build an image on top of another one; what runs in it runs in each fork at once."""

from __future__ import annotations

from vboxkit import Lab, Run

STEPS = [
    Run("mkdir -p /srv/www"),
    Run("cat > /srv/www/index.html", input="hello from the image\n"),
    Run("httpd -h /srv/www"),
]

with Lab() as lab:
    # Built once; add a step, and only that one is done.
    web = lab.image("tiny", steps=STEPS, name="example-web")
    with web.fork() as vm:
        print(vm.ssh.succeed("wget -qO- http://127.0.0.1/"), end="")
