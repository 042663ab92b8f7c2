"""Keeping the VBoxSVC of a lab small."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from vboxkit.errors import VBoxKitError

if TYPE_CHECKING:
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["keep_small"]

#: Cheap to measure, with VBoxSVC's CPU time not to be seen.
_METRIC = "CPU/MHz"
#: Seconds between two measurements.
_PERIOD = 2


def keep_small(vbox: VirtualBox) -> None:
    """
    Have VBoxSVC let go of machines that ran and are gone; takes half a millisecond.

    Of each it keeps the metrics, and with them the whole machine (some 50 KiB), until its
    performance collector comes round the next time: which that does only while it has something to
    measure. So it gets something. Called with each fork, as who measures the host switches all of
    its metrics off when he is done.
    """
    with suppress(VBoxKitError), vbox._translated("measure the host"):  # noqa: SLF001 - raw
        collector, host = vbox.com.performanceCollector, vbox.com.host
        if any(metric.period for metric in collector.getMetrics([_METRIC], [host])):
            # What somebody measures just now goes on as it is.
            collector.enableMetrics([_METRIC], [host])
        else:
            collector.setupMetrics([_METRIC], [host], _PERIOD, 1)
