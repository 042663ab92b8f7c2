"""``vboxkit replay``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from vboxkit.cli import notices, output
from vboxkit.errors import AmbiguousNameError, GuestError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vboxkit.cli.state import State
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.replays import Replay
    from vboxkit.lab.vm import VM

_EPILOG = """\b
Examples:
  pytest --vm-keep=failed
  vboxkit replay
  vboxkit replay test_web.py::test_reload
  vboxkit replay test_reload --ssh
  vboxkit replay test_reload --rm
"""

#: Seconds for a guest to answer that may not be able to any more.
_PATIENCE = 30.0


@click.command(epilog=_EPILOG)
@click.argument("test", required=False)
@click.option("--ssh", "talks", is_flag=True, help="Open a shell in it; it is gone afterwards.")
@click.option("--name", help="Its name.")
@click.option("--rm", "forgets", is_flag=True, help="Remove what was kept, and all replays of it.")
@output.json_option
@click.pass_obj
def replay(
    state: State,
    *,
    test: str | None,
    talks: bool,
    name: str | None,
    forgets: bool,
    as_json: bool,
) -> int:
    """
    Look at a machine that a failed test left, in a fork of its own.

    "pytest --vm-keep=failed" keeps the machines of failed tests, each with the state
    in which its test failed. TEST is a test's id, the end or another part of it, or
    the name of such a machine; without one, all are listed. Each replay is a new fork
    of that state: look, break it, and replay again. It stays: "vboxkit destroy" or
    "vboxkit gc --kept" removes it.
    """
    from vboxkit.cli.live import showing
    from vboxkit.lab import replays

    _check(test=test, talks=talks, name=name, forgets=forgets, as_json=as_json)
    if talks:
        notices.terminal_only()
    with showing(keep=False, plain=False):
        lab = state.lab()
        known = replays.all_replays(lab)
    if test is None:
        _list(known, as_json=as_json)
        return 0
    chosen = replays.choose(known, test)
    if forgets:
        _forget(lab, chosen, as_json=as_json)
        return 0
    if len(chosen) > 1 and (talks or name is not None):
        names = [it.vm.name for it in chosen]
        raise AmbiguousNameError(
            f"test {chosen[0].test} has {len(chosen)} machines: {', '.join(names)}",
            kind="machine",
            wanted=test,
            matches=names,
            hint=f"vboxkit replay {names[0]}{' --ssh' if talks else ''}",
        )
    if talks:
        return _talk(chosen[0], name)
    _fork(state, chosen, name, as_json=as_json)
    return 0


def _check(
    *, test: str | None, talks: bool, name: str | None, forgets: bool, as_json: bool
) -> None:
    if test is None and (talks or forgets or name is not None):
        raise click.UsageError("which test? Without one, vboxkit replay lists those there are.")
    if forgets and (talks or name is not None):
        raise click.UsageError("--rm makes no machine: neither --ssh nor --name goes with it.")
    if talks and as_json:
        raise click.UsageError("--ssh shows a shell: --json does not go with it.")


def _list(known: Sequence[Replay], *, as_json: bool) -> None:
    rows = [_row(it) for it in reversed(known)]
    if as_json:
        output.print_json(rows)
    elif not rows:
        output.out().print("nothing to replay (pytest --vm-keep=failed keeps what failed)")
    else:
        output.table(
            "",
            ["test", "machine", "state", "failed", "age>"],
            [
                (
                    row["test"],
                    row["machine"],
                    row["state"],
                    "yes" if row["failed"] else "no",
                    output.age(row["when"]),
                )
                for row in rows
            ],
        )


def _row(it: Replay) -> dict[str, Any]:
    return {
        "test": it.test,
        "machine": it.vm.name,
        "id": it.vm.id,
        "state": str(it.vm.state),
        "failed": it.failed,
        "when": it.when,
        "snapshot": it.snapshot or None,
        "forks": it.vm.linked_clones(),
    }


def _forget(lab: Lab, chosen: Sequence[Replay], *, as_json: bool) -> None:
    from vboxkit.cli.live import showing
    from vboxkit.lab import replays

    removed: list[str] = []
    with showing(keep=False, plain=False):
        for it in chosen:
            removed += replays.forget(lab, it.vm)
    if as_json:
        output.print_json({"removed": removed})
        return
    for name in removed:
        output.out().print(f"removed {name}", soft_wrap=True)


def _talk(chosen: Replay, name: str | None) -> int:
    from vboxkit.cli.live import showing
    from vboxkit.cli.ssh import talk

    # The fork is this process's: destroyed at the end, and by the reaper if it comes to none.
    with showing(keep=False, plain=False):
        vm = chosen.fork(name)
    with vm:
        with showing(keep=False, plain=False):
            vm.wait_ready(timeout=_PATIENCE)
        return talk(vm)


def _fork(state: State, chosen: Sequence[Replay], name: str | None, *, as_json: bool) -> None:
    from vboxkit.cli.live import showing

    made: list[tuple[Replay, VM, str]] = []
    done = False
    try:
        with showing(keep=False, plain=False):
            for it in chosen:
                vm = it.fork(name)
                made.append((it, vm, ""))
                made[-1] = (it, vm, _why_silent(vm))
            for _, vm, _ in made:
                vm.keep()
        done = True
    finally:
        if not done:
            for _, vm, _ in made:
                vm.destroy()
    if as_json:
        output.print_json(
            [
                {
                    "name": vm.name,
                    "id": vm.id,
                    "test": it.test,
                    "of": it.vm.name,
                    "ssh_port": vm.ssh_port,
                    "answers": not silent,
                }
                for it, vm, silent in made
            ]
        )
        return
    command = "vboxkit" if state.home is None else f"vboxkit --home {shlex.quote(state.home)}"
    for it, vm, silent in made:
        output.out().print(f"{vm.name} of {it.test}", soft_wrap=True)
        if silent:
            output.out().print(f"    its guest does not answer: {silent}", soft_wrap=True)
            for verb in ("console", "screenshot"):
                output.out().print(f"    look at it: {command} {verb} {vm.name}", soft_wrap=True)
        else:
            output.out().print(f"    get in: {command} ssh {vm.name}", soft_wrap=True)
        output.out().print(f"    remove it: {command} destroy {vm.name}", soft_wrap=True)


def _why_silent(vm: VM) -> str:
    """Return why the guest does not answer over SSH, which a test may have seen to."""
    try:
        vm.wait_ready(timeout=_PATIENCE)
    except (GuestError, WaitTimeoutError) as error:
        return error.message.splitlines()[0]
    return ""
