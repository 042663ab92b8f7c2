"""
Make ``vboxkit/com/interfaces.pyi`` anew, from the VirtualBox that is installed.

    python -m vboxkit.com.generate [--wsdl FILE] [--output FILE]

VirtualBox describes its API twice. ``vboxwebsrv``, its web service, answers ``?wsdl`` with all
names, arguments and enumerations; the type library of XPCOM knows what references refer to, and
which interface extends which. Where both speak of the same thing they have to agree.

The service is started for that in a VirtualBox home of its own, and ended; nothing of it is left.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.com import installation, stub, typelib, wsdl
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes
from vboxkit.core.ports import lease_port
from vboxkit.core.waiting import wait_until
from vboxkit.errors import SetupError, VBoxKitError
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vboxkit.com.installation import Installation
    from vboxkit.core.waiting import Timeout

__all__ = ["generate", "main", "service_description"]

OUTPUT = Path(__file__).with_name("interfaces.pyi")

# Without a proxy, whatever the environment says: it is this machine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def generate(found: Installation, description: bytes | None = None) -> str:
    """
    Return the types of an installation's API, as the text of a stub file.

    Args:
        found: The installation.
        description: What its web service answers; asked for if left out.

    Raises:
        SetupError: Something is missing, or the descriptions do not agree.
    """
    if found.version is None:
        raise SetupError(f"VirtualBox in {found.folder} does not say its version")
    library = typelib.read(found.folder / "components" / "VirtualBox_XPCOM.xpt")
    described = wsdl.parse(service_description(found) if description is None else description)
    return "\n".join([*stub.render(found.version, library, described), ""])


def service_description(found: Installation, *, timeout: Timeout = 60) -> bytes:
    """
    Start an installation's web service, ask it for its description, and end it.

    Args:
        found: The installation.
        timeout: Seconds until it answers.

    Raises:
        SetupError: It is not there, or ended by itself.
        WaitTimeoutError: It did not answer in time.
    """
    program = found.folder / "vboxwebsrv"
    if not program.exists():
        raise SetupError(
            f"VirtualBox in {found.folder} comes without its web service, vboxwebsrv",
            hint="use an installation that has it, or --wsdl with what one answered to ?wsdl",
        )
    with ExitStack() as undo:
        home = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="vboxkit-wsdl-")))
        mine = isolation(home)
        # XPCOM's socket is in /tmp whatever TMPDIR says.
        socket = Path("/tmp") / f".vbox-{mine['VBOX_IPC_SOCKETID']}-ipc"  # noqa: S108 - VirtualBox's
        undo.callback(shutil.rmtree, socket, ignore_errors=True)
        undo.callback(_end_server, mine)
        port = undo.enter_context(lease_port()).port
        log = home / "said"
        with log.open("wb") as output:
            service = subprocess.Popen(
                [program, "--host", "127.0.0.1", "--port", str(port), "--logfile", home / "log"],
                env={**environment(), **mine},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        undo.callback(service.wait)
        undo.callback(service.kill)

        def ask() -> bytes | None:
            if service.poll() is not None:
                said = log.read_text(errors="replace").strip()
                raise SetupError(f"{program} ended with exit code {service.returncode}: {said}")
            try:
                with _opener.open(f"http://127.0.0.1:{port}/?wsdl", timeout=30) as answer:
                    return bytes(answer.read())
            except urllib.error.URLError:
                return None  # it does not listen yet

        return wait_until(ask, what="VirtualBox's web service to answer", timeout=timeout)


def _end_server(mine: dict[str, str]) -> None:
    """End the VBoxSVC that the web service started; by itself it would stay for seconds."""
    for server, _ in processes.find(argument="--auto-shutdown", environment=mine):
        processes.kill(server)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m vboxkit.com.generate", description=__doc__)
    parser.add_argument("--wsdl", type=Path, help="what a web service of this version answered")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="%(default)s if left out")
    chosen = parser.parse_args(arguments)
    try:
        given = chosen.wsdl.read_bytes() if chosen.wsdl else None
        text = generate(installation.find(), given)
        chosen.output.write_text(text, encoding="utf-8")
    except (VBoxKitError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
