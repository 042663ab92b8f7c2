"""See what a guest shows, and type on its serial console as if one sat there."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from vboxkit import Lab

with Lab() as lab, lab.fork("tiny") as vm, TemporaryDirectory() as folder:
    with vm.console as console, console.login("root", "vboxkit") as shell:
        print("on the console:", shell.run("uname -s").stdout.strip())
    picture = vm.screen.shot().save(Path(folder, "screen.png"))
    print("on the screen:", vm.screen.size, "in", picture.stat().st_size, "bytes of PNG")
