"""Units and numbers as descriptors write them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from vboxkit.ovf.names import is_absolute, is_remote
from vboxkit.ovf.units import HugeNumberError, number, unit


@pytest.mark.parametrize(
    ("text", "base", "factor"),
    [
        ("byte", "byte", 1),
        ("bytes", "byte", 1),
        ("byte * 2^10", "byte", 1024),
        ("byte*2^30", "byte", 1 << 30),
        ("byte * 1024 * 1024", "byte", 1 << 20),
        ("byte * 10^9", "byte", 10**9),
        ("byte / 2", "byte", Fraction(1, 2)),
        ("byte * 2^-1", "byte", Fraction(1, 2)),
        ("KiloBytes", "byte", 1024),
        ("MegaBytes", "byte", 1 << 20),
        ("MB", "byte", 1 << 20),
        ("GB", "byte", 1 << 30),
        ("TB", "byte", 1 << 40),
        ("hertz * 10^6", "hertz", 10**6),
        ("MHz", "hertz", 10**6),
        ("GigaHertz", "hertz", 10**9),
        ("count", "count", 1),
        ("percent", "percent", 1),
        ("byte * 1^99", "byte", 1),
    ],
)
def test_a_unit(text: str, base: str, factor: Fraction) -> None:
    """Base and factor are worked out."""
    assert unit(text) == (base, factor)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "blocks",
        "byte *",
        "byte + 1",
        "byte * x",
        "byte * 0",
        "byte * 0^0x",
        "2^20",
        "byte * 2^2^2",
    ],
)
def test_no_unit(text: str) -> None:
    """What is no unit is none."""
    assert unit(text) is None


@pytest.mark.parametrize(
    "text", ["byte * 2^65", "byte * 10^99", "byte * 2^40 * 2^40", "byte / 10^30", "byte * 9^-64"]
)
def test_a_unit_beyond_64_bits(text: str) -> None:
    """What does not fit is said, and not worked out."""
    with pytest.raises(HugeNumberError):
        unit(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), (" 12 ", 12), ("+7", 7), ("007", 7), (str(2**64 - 1), 2**64 - 1),
     ("", None), ("-1", None), ("1.5", None), ("0x10", None), ("1e9", None), ("\u0661", None),
     ("1 2", None), ("1_000", None)],
)  # fmt: skip
def test_a_number(text: str, value: int | None) -> None:
    """Digits are a number, and nothing else is."""
    assert number(text) == value


@pytest.mark.parametrize("text", [str(2**64), "9" * 100_000])
def test_a_number_beyond_64_bits(text: str) -> None:
    """The message does not repeat it."""
    with pytest.raises(HugeNumberError) as caught:
        number(text)
    assert len(str(caught.value)) < 60


@pytest.mark.parametrize(
    ("name", "absolute", "remote"),
    [
        ("disk.vmdk", False, False),
        ("a/disk.vmdk", False, False),
        ("/disk.vmdk", True, False),
        ("%2Fdisk.vmdk", True, False),
        ("\\disk.vmdk", True, False),
        ("C:disk.vmdk", True, False),
        ("http://a/disk.vmdk", False, True),
        ("file:///disk.vmdk", False, True),
    ],
)
def test_names(name: str, *, absolute: bool, remote: bool) -> None:
    """Where a name leads to is told for every system."""
    assert (is_absolute(name), is_remote(name)) == (absolute, remote)
