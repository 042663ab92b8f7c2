"""The picture of ``vboxkit bench --plot`` (matplotlib is an extra: ``vboxkit[plot]``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vboxkit.errors import ModuleMissingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vboxkit.lab.measurement import Measurement, Row

__all__ = ["draw", "require"]

_GUEST, _HOST = "#1b6ca8", "#8a8f98"
_SECONDS = {"s": 1.0, "ms": 1e-3}


def require() -> Any:
    """
    Return matplotlib.

    Raises:
        ModuleMissingError: It is not installed.
    """
    try:
        import matplotlib as mpl  # pyright: ignore[reportMissingImports] - an extra
    except ModuleNotFoundError as error:
        raise ModuleMissingError(
            "drawing needs the package matplotlib, which is not installed",
            module="matplotlib",
            hint="pip install vboxkit[plot]",
        ) from error
    return mpl


def draw(found: Measurement, file: Path) -> None:
    """
    Draw each run as a dot, the guest's and the host's, on logarithmic axes: one for each unit.

    Args:
        found: What was measured.
        file: A name that ends in ``.png`` or ``.svg``.

    Raises:
        ModuleMissingError: matplotlib is not installed.
    """
    mpl = require()
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # pyright: ignore[reportMissingImports] - an extra

    panels = _panels(found.rows)
    height = 1.5 + sum(0.42 * len(rows) + 0.85 for _, rows in panels)
    with plt.rc_context({"font.size": 10, "svg.fonttype": "none", "axes.axisbelow": True}):
        shape, axes = plt.subplots(
            max(1, len(panels)),
            1,
            figsize=(10, height),
            height_ratios=[len(rows) + 0.9 for _, rows in panels] or [1],
            squeeze=False,
            layout="constrained",
        )
        for axis, (title, rows) in zip(axes[:, 0], panels, strict=False):
            _panel(axis, title, rows)
        if not panels:
            axes[0, 0].set_axis_off()
        shape.suptitle(f"vboxkit bench {found.name}", fontsize=14, fontweight="bold")
        shape.supxlabel(_caption(found), fontsize=8, color="#555555")
        shape.savefig(file, dpi=150)
        plt.close(shape)


def _panels(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Return the rows by what is on their axis: times, bytes, and counts."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        if row.values:
            title = (
                "seconds (less is better)"
                if row.unit in _SECONDS
                else "MB/s (more is better)"
                if row.unit == "MB/s"
                else "a second (more is better)"
            )
            kinds.setdefault(title, []).append(row)
    return list(kinds.items())


def _panel(axis: Any, title: str, rows: Sequence[Row]) -> None:
    everything = []
    for number, row in enumerate(rows):
        scale = _SECONDS.get(row.unit, 1.0)
        for values, colour, lift in ((row.host_values, _HOST, 0.0), (row.values, _GUEST, 0.0)):
            dots = [value * scale for value in values]
            if not dots:
                continue
            everything += dots
            middle = sorted(dots)[len(dots) // 2]
            axis.plot(dots, [number + lift] * len(dots), "o", color=colour, ms=5, alpha=0.55, mew=0)
            axis.plot([middle] * 2, [number - 0.28, number + 0.28], color=colour, lw=2.2)
        _label(axis, number, row, max(value * scale for value in [*row.values, *row.host_values]))
    low, high = min(everything), max(everything)
    axis.set_xscale("log")
    # Room for what is written behind the last dot.
    axis.set_xlim(low / 1.6, high * (high / low) ** 0.55 * 1.8)
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:g}")
    axis.xaxis.set_minor_formatter("")
    axis.set_yticks(range(len(rows)), [row.key for row in rows])
    axis.set_ylim(len(rows) - 0.45, -0.55)
    axis.set_xlabel(title)
    axis.grid(axis="x", color="#e3e5e8", linewidth=0.6)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(axis="y", length=0)


def _label(axis: Any, number: int, row: Row, end: float) -> None:
    from vboxkit.cli.bench import figure, share

    text = f"{figure(row.median)} {row.unit}"
    if row.of_host is not None:
        text += f" ({share(row.of_host)} of the host's {figure(row.host)})"
    axis.annotate(
        text, (end, number), xytext=(8, 0), textcoords="offset points", va="center", fontsize=8
    )


def _caption(found: Measurement) -> str:
    how = {True: "emulated", False: "hardware-virtualised", None: "execution not known"}
    taken = f"{found.runs} runs; a dot each, a line at the median; blue: guest, grey: the host"
    host = f"{found.host.get('cpus')} x {found.host.get('cpu')}"
    return f"{taken}\nVirtualBox {found.virtualbox}, {how[found.emulated]}; {host}; {found.where}"
