"""``vboxkit bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vboxkit.cli import output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from vboxkit.cli.state import State
    from vboxkit.lab.measurement import Check, Compared, Measurement, Row

_EPILOG = """\b
Examples:
  vboxkit bench tiny
  vboxkit bench tiny --only cpu,disk --runs 3 --save before.json
  vboxkit bench tiny --compare before.json --plot bench.png
"""

#: Missing CPU features that are shown; --json has all.
_SHOWN = 14
_FAMILIES = ("avx512", "amx", "movdir", "clflush", "xsave")


def _groups(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> tuple[str, ...]:
    from vboxkit.errors import SettingsError
    from vboxkit.lab.measurement import check_groups

    try:
        return check_groups([word.strip() for word in (value or "").split(",") if word.strip()])
    except SettingsError as error:
        raise click.BadParameter(f"{error.message}: {error.hint}") from error


def _plot_file(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,  # noqa: ARG001
    value: Path | None,
) -> Path | None:
    if value is not None and value.suffix.lower() not in {".png", ".svg"}:
        raise click.BadParameter(f"{value} is neither a .png nor a .svg")
    return value


_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog=_EPILOG)
@click.argument("name")
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True, metavar="N")
@click.option(
    "--only",
    callback=_groups,
    metavar="A,B",
    help="Some of: fork, boot, ssh, cpu, memory, disk, network, hardware.",
)
@click.option("--save", type=_FILE, metavar="FILE.json", help="Keep it, to compare with later.")
@click.option("--compare", type=_FILE, metavar="FILE.json", help="Show what changed since then.")
@click.option("--plot", type=_FILE, callback=_plot_file, metavar="FILE", help="A .png or a .svg.")
@output.json_option
@click.pass_obj
def bench(
    state: State,
    *,
    name: str,
    runs: int,
    only: tuple[str, ...],
    save: Path | None,
    compare: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """
    Measure how fast a machine is here, and whether it has the host's hardware.

    NAME is an image ("tiny") or a fork. Of an image a fork is measured and destroyed;
    a fork that runs is measured as it is, and nothing in it changed. docs/bench.md
    says what each row is.
    """
    from vboxkit.cli.live import showing
    from vboxkit.lab import measurement

    # What is wrong here shall not be found out minutes later.
    before = measurement.load(compare) if compare is not None else None
    for file in (save, plot):
        if file is not None and not file.absolute().parent.is_dir():
            raise click.UsageError(f"there is no folder {file.absolute().parent}")
    with showing(keep=False):
        lab = state.lab()
        # Here, and not before: the sandbox may have what this machine has not.
        from vboxkit.cli import bench_plot
        from vboxkit.lab.measuring import measure

        if plot is not None:
            bench_plot.require()
        with lab:
            found = measure(lab, name, runs=runs, only=only)
    compared = measurement.compare(found, before) if before is not None else []
    if as_json:
        record = measurement.as_dict(found)
        if compare is not None:
            record |= {
                "compared_with": str(compare),
                "compared": [measurement.as_dict(row) for row in compared],
            }
        output.print_json(record)
    else:
        _show(found)
        if before is not None:
            _show_compared(compared, before)
    if save is not None:
        measurement.save(found, save)
        click.echo(f"written to {save}", err=True)
    if plot is not None:
        bench_plot.draw(found, plot)
        click.echo(f"drawn to {plot}", err=True)


def _show(found: Measurement) -> None:
    console = output.out()
    console.print(f"{found.name}: measured on {found.where}", style="bold")
    console.print(_about(found), style="dim")
    if found.rows:
        output.table("", ["", "guest>", "spread>", "unit", "host>", "of host>"], _rows(found.rows))
    for row in found.rows:
        if row.note:
            console.print(f"{row.key}: {row.note}", style="dim" if row.values else "yellow")
    if found.checks:
        columns = ["hardware", "configured", "guest sees", ""]
        output.table("", columns, [_check(check) for check in found.checks])


def _about(found: Measurement) -> str:
    how = {True: "emulated", False: "hardware-virtualised", None: ""}[found.emulated]
    host = found.host
    parts = (
        f"VirtualBox {found.virtualbox}",
        how,
        "1 run" if found.runs == 1 else f"{found.runs} runs",
        f"host: {host.get('cpus')} x {host.get('cpu')}",
        f"load {host['load_before']} before" if host.get("load_before") else "",
    )
    return ", ".join(filter(None, parts))


def _rows(rows: Sequence[Row]) -> list[list[Any]]:
    from rich.text import Text

    cells: list[list[Any]] = []
    group = ""
    for row in rows:
        if row.group != group:
            group = row.group
            cells.append([Text(group, "bold"), *[""] * 5])
        cells.append(
            [
                f"  {row.name}",
                figure(row.median),
                figure(row.spread) if len(row.values) > 1 else "",
                row.unit,
                figure(row.host) if row.host is not None else "",
                share(row.of_host),
            ]
        )
    return cells


def _check(check: Check) -> list[Any]:
    from rich.text import Text

    shown = check.verdict
    if check.missing:
        names = _shortened(check.missing)
        more = len(names) - _SHOWN
        listed = ", ".join(names[:_SHOWN]) + (f", {more} more" if more > 0 else "")
        shown = f"missing: {listed}" + (f"; {check.note}" if check.note else "")
    style = "green" if check.ok else "yellow"
    return [check.name, check.configured, check.seen, Text(shown, style)]


def _shortened(names: Sequence[str]) -> list[str]:
    """Put families of CPU features together: there are fourteen of avx512."""
    found: dict[str, list[str]] = {}
    for name in names:
        family = next((it for it in _FAMILIES if name.startswith(it)), name)
        found.setdefault(family, []).append(name)
    return [
        f"{family}* ({len(members)})" if len(members) > 1 else members[0]
        for family, members in found.items()
    ]


def _show_compared(compared: Sequence[Compared], before: Measurement) -> None:
    import time

    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(before.taken))
    cpu = f"{before.host.get('cpus')} x {before.host.get('cpu')}"
    output.table(
        f"Compared with {before.name} of {when}, {before.runs} runs, on {cpu}",
        ["", "then>", "now>", "unit", "now / then>", ""],
        [
            [
                row.key,
                figure(row.then),
                figure(row.now),
                row.unit,
                f"{row.ratio:.2f}" if row.ratio is not None else "",
                _verdict(row.verdict),
            ]
            for row in compared
        ],
    )


def _verdict(verdict: str) -> Text:
    from rich.text import Text

    return Text(verdict, {"better": "green", "worse": "red"}.get(verdict, "dim"))


def figure(value: float | None) -> str:
    """Return a number with three digits that count."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:#.3g}".rstrip(".")


def share(part: float | None) -> str:
    """Return a part of the host's speed, in percent, or as a multiple where it is more."""
    if part is None:
        return ""
    if part >= 2:
        return f"{part:.1f} x"
    return f"{part:.2g} %" if (part := part * 100) < 1 else f"{part:.0f} %"
