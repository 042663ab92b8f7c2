"""A picture of each family: every run as a dot, boxes, targets (the only user of matplotlib)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from figures import Figure

__all__ = ["caption", "draw"]

_OURS, _OTHER = "#1b6ca8", "#8a8f98"
_MET, _MISSED = "#2e8b57", "#c0392b"
_UNITS = {"s": "seconds", "ms": "milliseconds"}


def caption(about: Mapping[str, Any]) -> str:
    """Return one line about the machine."""
    how = "hardware-virtualised" if about["driver"] else "emulated (no kernel driver)"
    cpus = f"{about['cpus']} CPUs" + (f" ({about['cpu']})" if about["cpu"] else "")
    return (
        f"{cpus}, {about['memory_gb']} GB, VirtualBox {about['virtualbox']}, {how},"
        f" load {about['load_before']} before"
    )


def draw(
    family: str, figures: Sequence[Figure], *, about: Mapping[str, Any], runs: int, folder: Path
) -> list[Path]:
    """
    Write the distribution of a family's rows as SVG and PNG.

    Rows of one unit share an axis, logarithmic where the longest is more than eight times the
    shortest. Rows without single values (thousands of reads) show the median alone.

    Returns:
        The files; none if matplotlib is missing.
    """
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        return []
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    units = list(dict.fromkeys(it.unit for it in figures))
    groups = [[it for it in figures if it.unit == unit] for unit in units]
    height = sum(0.52 * len(group) + 0.9 for group in groups) + 0.9
    with plt.rc_context({"font.size": 10, "svg.fonttype": "none", "axes.axisbelow": True}):
        shape, axes = plt.subplots(
            len(groups),
            1,
            figsize=(10, height),
            height_ratios=[len(group) + 0.8 for group in groups],
            squeeze=False,
            layout="constrained",
        )
        for axis, group in zip(axes[:, 0], groups, strict=True):
            _panel(axis, group)
        shape.suptitle(f"vboxkit benchmark: {family}", fontsize=14, fontweight="bold")
        shape.get_layout_engine().set(w_pad=0.12, h_pad=0.08)
        shape.supxlabel(
            f"{runs} runs; box: first to last quarter, with the median; dashes: target;"
            f" x: times ours, pair by pair\n{caption(about)}",
            fontsize=8,
            color="#555555",
        )
        files = [folder / f"bench-{family}.{kind}" for kind in ("svg", "png")]
        for file in files:
            shape.savefig(file, dpi=150)
        plt.close(shape)
    return files


def _panel(axis: Any, group: Sequence[Figure]) -> None:
    data = [it.values or [it.median] for it in group]
    everything = [value for values in data for value in values]
    everything += [it.limit for it in group if it.limit is not None]
    low, high = min(everything), max(everything)
    if low > 0 and high > 8 * low:
        axis.set_xscale("log")
        # The locator's own are too many for two decades, and too few for one.
        powers = [10.0**power * step for power in range(-4, 6) for step in (1, 2, 3, 5, 7)]
        axis.set_xticks([it for it in powers if low / 1.25 <= it <= high * 1.9])
        axis.set_xticks([], minor=True)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_xlim(low / 1.25, high * 1.9)
    else:
        edge = min(0.0, low)
        axis.set_xlim(edge * 1.1, edge + (high - edge or 1.0) * 1.3)
    for row, (figure, values) in enumerate(zip(group, data, strict=True)):
        colour = _OURS if figure.ratio == 1 or "vboxkit" in figure.name else _OTHER
        axis.boxplot(
            [values],
            positions=[row],
            orientation="horizontal",
            widths=0.56,
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": colour, "alpha": 0.25, "edgecolor": colour},
            medianprops={"color": colour, "linewidth": 2.2},
            whiskerprops={"color": colour},
            capprops={"color": colour},
        )
        # Beside each other, in the order of the runs, where they would hide each other.
        steps = max(1, len(values) - 1)
        heights = [row - 0.17 + 0.34 * number / steps for number in range(len(values))]
        axis.plot(values, heights, "o", color=colour, markersize=3.5, alpha=0.75)
        _label(axis, row, figure, max(values))
        if figure.limit is not None:
            verdict = _MET if figure.met else _MISSED
            axis.plot([figure.limit] * 2, [row - 0.4, row + 0.4], "--", color=verdict, lw=1.6)
    axis.set_yticks(range(len(group)), [it.name for it in group])
    axis.set_ylim(len(group) - 0.4, -0.6)
    axis.set_xlabel(_UNITS.get(group[0].unit, group[0].unit))
    axis.grid(axis="x", which="both", color="#e3e5e8", linewidth=0.6)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(axis="y", length=0)


def _label(axis: Any, row: int, figure: Figure, end: float) -> None:
    text = f"{figure.median:.3g} {figure.unit}"
    if figure.ratio != 1 and not figure.name.startswith("of "):
        text += f"  ({figure.ratio:.2f} x)"
    colour = "#333333"
    if figure.met is not None:
        text += f"\n{'met' if figure.met else 'MISSED'}: {figure.target}"
        colour = _MET if figure.met else _MISSED
    right = max(end, figure.limit or end)
    axis.annotate(
        text,
        (right, row),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=colour,
    )
