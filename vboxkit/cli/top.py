"""``vboxkit top``."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from vboxkit.cli import failure, output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType
    from rich.table import Table

    from vboxkit.cli.top_hosts import Hosts
    from vboxkit.host.running import RunningMachine

_EPILOG = """\b
Examples:
  vboxkit top
  vboxkit top --once --json | jq '.[] | select(.cpu_percent > 50)'
  vboxkit top --on ci1 --on ann@ci2
"""

_COLUMNS = ("name", "state", "CPU %>", "RAM>", "disk>", "up>", "owner", "host", "home")
#: What a narrow screen does without, first to last.
_DROPPED = ("home", "disk>", "up>", "owner", "host", "RAM>")
#: Letters of a home on the screen: its end.
_HOME = 24
#: Lines of the screen that are not a machine's: title, head, rules, and how many more there are.
_AROUND = 6


def _hosts(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,  # noqa: ARG001
    value: tuple[str, ...],
) -> tuple[str, ...]:
    for host in value:
        if not host or host.startswith("-"):
            raise click.BadParameter(f"{host!r} is no host")
    return value


@click.command(epilog=_EPILOG)
@click.option("--once", is_flag=True, help="Show one look, and end; so does --json.")
@click.option(
    "--every",
    type=click.FloatRange(0.2),
    default=2.0,
    show_default=True,
    metavar="S",
    help="Seconds between two looks.",
)
@click.option(
    "--on",
    "hosts",
    multiple=True,
    metavar="HOST",
    callback=_hosts,
    help='Those of HOST as well, where "ssh HOST vboxkit top" works; repeatable.',
)
@output.json_option
def top(*, once: bool, every: float, hosts: tuple[str, ...], as_json: bool) -> int:
    """
    Watch the machines that run here: of all homes, with CPU, RAM and disk.

    VirtualBox itself is not asked. CPU is in percent of one CPU. The busiest come first; what
    does not fit the screen is left out, and counted. Ctrl-C ends it. With --on the exit code is 1
    if a host did not answer.
    """
    from vboxkit.cli.top_hosts import Hosts

    elsewhere = Hosts(hosts)
    if once or as_json or not output.out().is_terminal:
        with elsewhere.asked():
            rows = _look(min(every, 1.0))
        _show(_sorted([*rows, *elsewhere.rows()]), as_json=as_json)
        for host, reason in elsewhere.failures().items():
            output.err().print(f"{host}: {reason}", style="red", soft_wrap=True)
        return failure.FAILED if elsewhere.failures() else 0
    _watch(every, elsewhere)
    return 0


def _look(apart: float) -> list[dict[str, Any]]:
    from vboxkit.core import waiting
    from vboxkit.host.running import running_machines

    # CPU is what was taken between two looks.
    before, now = islice((running_machines() for _ in waiting.every(apart)), 2)
    return [_row(one, before) for one in now]


def _watch(every: float, elsewhere: Hosts) -> None:
    from rich.live import Live

    from vboxkit.core import waiting
    from vboxkit.host.running import running_machines

    console = output.out()
    with elsewhere.watched(every), Live(console=console, screen=True, auto_refresh=False) as live:
        before: list[RunningMachine] = []
        try:
            for _ in waiting.every(every):
                now = running_machines()
                rows = [*(_row(one, before) for one in now), *elsewhere.rows()]
                live.update(screen(rows, elsewhere.failures(), console), refresh=True)
                before = now
        except KeyboardInterrupt:
            return


def _sorted(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: -(row["cpu_percent"] or 0))


def _show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        output.print_json(rows)
    elif rows:
        columns = _columns(rows)
        output.table(_title(rows), columns, [_cells(row, columns) for row in rows])
    else:
        output.out().print("no machine runs")


def screen(
    rows: Sequence[dict[str, Any]], failures: dict[str, str], console: Console
) -> RenderableType:
    """Draw as many machines as a screen has lines, with the columns that it has room for."""
    from rich.console import Group
    from rich.text import Text

    below = [f"{host}: {reason}" for host, reason in failures.items()]
    room = max(1, console.height - _AROUND - len(below))
    found = _sorted(rows)
    if len(found) > room:
        below.insert(0, f"and {len(found) - room} more")
    drawn = _fitting(_title(found), found[:room], _columns(found), console)
    return Group(drawn, *(Text(line, no_wrap=True, overflow="ellipsis") for line in below))


def _fitting(
    title: str, rows: Sequence[dict[str, Any]], columns: Sequence[str], console: Console
) -> Table:
    for count in range(len(_DROPPED)):
        kept = [name for name in columns if name not in _DROPPED[:count]]
        drawn = output.grid(title, kept, [_cells(it, kept, home=_HOME) for it in rows], fold=False)
        if output.fits(drawn, console):
            return drawn
    kept = [name for name in columns if name not in _DROPPED]
    return output.grid(title, kept, [_cells(it, kept, home=_HOME) for it in rows], fold=False)


def _columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    several = any(row["host"] for row in rows)
    return [name for name in _COLUMNS if name != "host" or several]


def _row(one: RunningMachine, before: Sequence[RunningMachine]) -> dict[str, Any]:
    from vboxkit.host.running import cpu_percent
    from vboxkit.lab import leases
    from vboxkit.lab.places import Places

    percent = cpu_percent(one, before)
    lease = leases.find(Places(one.home).leases, one.name) if one.home else None
    return {
        "name": one.name,
        "id": one.id,
        "state": one.state,
        "host": None,
        "home": None if one.home is None else str(one.home),
        "pid": one.pid,
        "user": one.user,
        "owner": lease.pid if lease else None,
        "test": lease.test if lease else "",
        "cpu_percent": None if percent is None else round(percent, 1),
        "memory_bytes": one.memory_bytes,
        "disk_bytes": output.disk_use(one.folder) if one.folder else None,
        "uptime_s": round(time.time() - one.started, 1),
    }


def _title(rows: Sequence[dict[str, Any]]) -> str:
    memory = sum(row["memory_bytes"] for row in rows)
    cpu = sum(row["cpu_percent"] or 0 for row in rows)
    machines = "1 machine" if len(rows) == 1 else f"{len(rows)} machines"
    return f"{machines}, CPU {cpu:.0f} %, RAM {output.size(memory)}"


def _cells(row: dict[str, Any], columns: Sequence[str], *, home: int | None = None) -> list[str]:
    where = row["home"] or f"{row['user']}'s own"
    if home is not None and len(where) > home:
        where = f"...{where[3 - home :]}"
    every = {
        "name": row["name"],
        "state": row["state"],
        "CPU %>": "" if row["cpu_percent"] is None else f"{row['cpu_percent']:.0f}",
        "RAM>": output.size(row["memory_bytes"]),
        "disk>": "" if row["disk_bytes"] is None else output.size(row["disk_bytes"]),
        "up>": output.duration(row["uptime_s"]),
        "owner": f"{row['owner']} {row['test']}".rstrip() if row["owner"] else row["user"],
        "host": row["host"] or "",
        "home": where,
    }
    return [every[name] for name in columns]
