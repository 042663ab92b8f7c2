"""
The command from its start to its end, as a process of its own.

- ``vboxkit --help``, beside an interpreter that imports click and one that does nothing.
- ``vboxkit ls``, with VBoxSVC running, as it does between two commands.
- ``vboxkit run tiny -- true``, beside the same fork and command in a process that runs already:
  what is between them is the command's own: interpreter, imports, connection.

The rows of CPU time are the same runs: other load on the machine lengthens these less.

As in an installation, compiled modules are kept, also where the environment says otherwise.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING

from figures import Figure, in_turn, rows, spread

import vboxkit
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vboxkit import Image, Lab

__all__ = ["bench"]

#: Milliseconds: of --help, of ls, and of run beyond the fork.
HELP, LS, BEYOND = 150.0, 300.0, 250.0


def bench(runs: int) -> list[Figure]:
    """Measure, in the home that the settings say."""
    with tempfile.TemporaryDirectory(prefix="vboxkit-bench-") as folder, vboxkit.Lab() as lab:
        env = environment() | {"VBOXKIT_HOME": str(lab.places.home)}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        env["PYTHONPYCACHEPREFIX"] = folder
        image = lab.image("tiny")
        return [*_light(env, max(runs, 10)), *_run(lab, image, env, runs)]


def _start(
    env: Mapping[str, str], *words: str, cpu: list[float] | None = None
) -> Callable[[], None]:
    def start() -> None:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-W", "ignore", *words],
            env=dict(env),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if cpu is not None:
            cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    return start


def _light(env: Mapping[str, str], runs: int) -> list[Figure]:
    wanted = {
        "vboxkit --help": ("-m", "vboxkit", "--help"),
        "vboxkit ls": ("-m", "vboxkit", "ls"),
        "python -c 'import click'": ("-c", "import click"),
        "python -c pass": ("-c", "pass"),
    }
    cpu: dict[str, list[float]] = {name: [] for name in wanted}
    ways = {name: _start(env, *words, cpu=cpu[name]) for name, words in wanted.items()}
    found = rows(in_turn(ways, runs), ours="vboxkit --help", unit="ms", scale=1000)
    # The first round warms up.
    busy = {f"{name}, CPU time": values[1:] for name, values in cpu.items()}
    return [
        _promised(found[0], HELP),
        _promised(found[1], LS),
        *found[2:],
        *rows(busy, ours="vboxkit --help, CPU time", unit="ms", scale=1000),
    ]


def _promised(figure: Figure, limit: float) -> Figure:
    return replace(figure, target=f"<= {limit:g} ms", met=figure.median <= limit, limit=limit)


def _run(lab: Lab, image: Image, env: Mapping[str, str], runs: int) -> list[Figure]:
    def fork() -> None:
        with lab.fork(image) as vm:
            assert vm.ssh.run("true").ok

    ways = {
        "vboxkit run tiny -- true": _start(env, "-m", "vboxkit", "run", "tiny", "--", "true"),
        "fork, true, destroy": fork,
    }
    times = in_turn(ways, runs)
    whole, part = times.values()
    more = [(a - b) * 1000 for a, b in zip(whole, part, strict=True)]
    found = rows(times, ours="vboxkit run tiny -- true")
    beyond = Figure(
        name="of run, beyond the fork",
        median=statistics.median(more),
        spread=spread(more),
        unit="ms",
        ratio=statistics.median([m / 1000 / w for m, w in zip(more, whole, strict=True)]),
        values=more,
    )
    return [*found, _promised(beyond, BEYOND)]
