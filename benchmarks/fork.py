"""
Fork to first SSH command done, against its rivals and against VirtualBox's own share.

Rows of `forking`, in turn:

- ``fork``: `Lab.fork` and a first command, as a test has it: with lease, names checked, port held,
  clock set.
- the same fork by VBoxManage and OpenSSH (`fork_rivals.fork_by_commands`).
- a linked clone that boots, and an import that boots.
- VirtualBox's own share: raw calls and a bare key exchange (`floor.raw_fork`).
- ``of fork, vboxkit's own``: what of each fork is ours. The time in which neither VirtualBox nor
  the guest was waited for (`floor.accounted`), and the calls of VirtualBox beyond those that the
  raw way makes: (Python's time in a fork) + (its calls) - (the raw way's calls), round by round.
  The processor's work of paramiko in the calling thread counts as ours; its other thread works
  while the guest does.
"""

from __future__ import annotations

import itertools
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

import floor
import fork_rivals
from figures import Figure, in_turn, rows, spread

import vboxkit

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import VM, Image, Lab

#: Seconds, and times VirtualBox's share.
FORK, SHARE = 1.3, 1.1
#: Milliseconds.
OWN = 60.0


def bench(runs: int) -> list[Figure]:
    """Measure, in the home that the settings say."""
    with vboxkit.Lab() as lab:
        fork_rivals.sweep(lab)
        try:
            image = lab.image("tiny")
            fork_rivals.prepare(lab, image)
            return [*forking(lab, image, runs), *rewinding(lab, image, runs)]
        finally:
            fork_rivals.sweep(lab)


def forking(lab: Lab, image: Image, runs: int) -> list[Figure]:
    """Clock a fork and its rivals."""
    names = (f"{fork_rivals.PREFIX}{number}" for number in itertools.count(1))
    accounts: dict[str, list[floor.Account]] = {"fork": [], "raw": []}

    def fork() -> Callable[[], None]:
        with floor.accounted() as account:
            vm = lab.fork(image)
            vm.ssh.succeed("true")
        accounts["fork"].append(account)
        return vm.destroy

    def raw() -> Callable[[], None]:
        with floor.accounted() as account:
            clean_up = floor.raw_fork(lab, image, next(names))
        accounts["raw"].append(account)
        return clean_up

    commands, share = "VBoxManage + OpenSSH", "raw vboxapi + bare key exchange"
    ways = {
        "fork": fork,
        commands: lambda: fork_rivals.fork_by_commands(lab, image, next(names)),
        "linked clone + boot": lambda: fork_rivals.clone_and_boot(lab, image, next(names)),
        "import + boot": lambda: fork_rivals.import_and_boot(lab, next(names)),
        share: raw,
    }
    times = in_turn(ways, runs)
    targets = {commands: 1.2, "linked clone + boot": 2.5, "import + boot": 3.0}
    found = rows(times, ours="fork", at_least=targets)
    median = found[0].median
    found[0] = replace(found[0], target=f"<= {FORK} s", met=median <= FORK, limit=FORK)
    # The median of the pairs' ratios the other way round: ours to theirs.
    times_share = statistics.median(
        [ours / theirs for ours, theirs in zip(times["fork"], times[share], strict=True)]
    )
    found[-1] = replace(
        found[-1],
        target=f"fork <= {SHARE} x this ({times_share:.2f})",
        met=times_share <= SHARE,
        limit=median / SHARE,
    )
    # The first round of each is left out, as `in_turn` does.
    pairs = list(zip(accounts["fork"], accounts["raw"], strict=True))[1:]
    own = [(ours.python + ours.calls - theirs.calls) * 1000 for ours, theirs in pairs]
    return [*found, _own(own, median)]


def _own(values: list[float], fork: float) -> Figure:
    median = statistics.median(values)
    return Figure(
        name="of fork, vboxkit's own",
        median=median,
        spread=spread(values),
        unit="ms",
        ratio=median / 1000 / fork,
        values=values,
        target=f"< {OWN:g} ms",
        met=median < OWN,
        limit=OWN,
    )


def rewinding(lab: Lab, image: Image, runs: int) -> list[Figure]:
    """Clock a used fork's way back to a fresh one: rewound, or destroyed and forked anew."""
    vms: dict[str, VM] = {name: lab.fork(image) for name in ("rewound", "forked anew")}

    def rewind() -> None:
        vms["rewound"].rewind().ssh.succeed("true")

    def anew() -> None:
        vms["forked anew"].destroy()
        vms["forked anew"] = lab.fork(image)
        vms["forked anew"].ssh.succeed("true")

    # Both machines are there all the time, so each of the two ways has one other guest beside it.
    times = in_turn({"rewind": rewind, "destroy + fork": anew}, runs)
    for vm in vms.values():
        vm.destroy()
    return rows(times, ours="rewind", at_least={"destroy + fork": 1.0})
