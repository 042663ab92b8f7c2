"""What a fault promises, whatever it is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from vboxkit.core.fault import Fault
from vboxkit.errors import SettingsError, VBoxKitError
from vboxkit.lab.faults import _seconds


def test_mended_once() -> None:
    """At the end of the block, or by hand; never twice."""
    done: list[int] = []
    fault = Fault("it is broken", lambda: done.append(1))
    with fault as same:
        assert same is fault
        assert not fault.mended
        assert repr(fault) == "<Fault 'it is broken'>"
    assert done == [1]
    fault.mend()
    assert done == [1]
    assert fault.mended
    assert repr(fault) == "<Fault 'it is broken', mended>"


def test_what_the_block_raises_counts() -> None:
    """Not that it could not be mended then; without an error in the block that is told."""

    def refuse() -> None:
        raise VBoxKitError("cannot be mended")

    with pytest.raises(ZeroDivisionError), Fault("it is broken", refuse) as fault:
        print(1 / 0)
    assert not fault.mended
    with pytest.raises(VBoxKitError, match="cannot be mended"), Fault("it is broken", refuse):
        pass


@pytest.mark.parametrize(
    ("span", "seconds"),
    [
        ("+1d", 86_400),
        ("-90m", -5400),
        ("+1d12h", 129_600),
        ("+1w 1s", 604_801),
        ("+0.5h", 1800),
        (timedelta(minutes=-1), -60),
        (7, 7),
        (-1.5, -1.5),
    ],
)
def test_spans(span: str | float | timedelta, seconds: float) -> None:
    """Parts add up, with one sign for all."""
    assert _seconds(span) == seconds


@pytest.mark.parametrize("span", ["", "+", "1d", "+1", "+1x", "+d", "1", None, True, float("inf")])
def test_what_is_no_span(span: str) -> None:
    """Refused, with what is right."""
    with pytest.raises(SettingsError, match="cannot jump") as caught:
        _seconds(span)
    assert "'+1d'" in str(caught.value)
