"""Numbers and units as descriptors write them: ``byte * 2^20``, ``MegaBytes``, ``hertz * 10^6``."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["LARGEST", "HugeNumberError", "number", "unit"]

#: What 64 bits hold. VirtualBox and disk formats count in these.
LARGEST = 2**64 - 1

_FACTOR = re.compile(r"\s*([*/])\s*(\d{1,20})(?:\s*\^\s*([+-]?\d{1,3}))?")
_BASE = re.compile(r"\s*([A-Za-z]+)")
_PREFIXES = {"": 0, "kilo": 1, "mega": 2, "giga": 3, "tera": 4, "peta": 5}
_SHORT = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


class HugeNumberError(ValueError):
    """A number is beyond 64 bits."""


def number(text: str) -> int | None:
    """
    Return a number, or `None` if it is none that a descriptor may have.

    Raises:
        HugeNumberError: It is beyond 64 bits. So a text of a million digits is never converted.

    Example:
        >>> number(" 512 "), number("-1"), number("many")
        (512, None, None)
    """
    digits = text.strip().removeprefix("+")
    if not digits.isascii() or not digits.isdigit():
        return None
    digits = digits.lstrip("0") or "0"
    if len(digits) > 20 or int(digits) > LARGEST:
        raise HugeNumberError(f"{digits[:24]}{'...' if len(digits) > 24 else ''} is over 2^64")
    return int(digits)


def unit(text: str) -> tuple[str, Fraction] | None:
    """
    Return base unit and factor, or `None` if the text is no unit.

    Args:
        text: As in DMTF's DSP0004, or one of the older names.

    Raises:
        HugeNumberError: The factor is beyond 64 bits.

    Example:
        >>> unit("byte * 2^20")
        ('byte', Fraction(1048576, 1))
        >>> unit("MegaBytes") == unit("MB") == unit("byte*1024*2^10")
        True
        >>> unit("hertz * 10^6")
        ('hertz', Fraction(1000000, 1))
    """
    base = _BASE.match(text)
    if base is None:
        return None
    known = _named(base[1])
    if known is None:
        return None
    name, factor = known
    position = base.end()
    while match := _FACTOR.match(text, position):
        position = match.end()
        value = Fraction(int(match[2])) if match[3] is None else _power(match[2], match[3])
        if not value:
            return None
        factor = factor * value if match[1] == "*" else factor / value
        if factor > LARGEST or factor < Fraction(1, LARGEST):
            raise HugeNumberError(f"the factor of {text[:60]!r} is over 2^64")
    return None if text[position:].strip() else (name, factor)


def _named(word: str) -> tuple[str, Fraction] | None:
    lower = word.lower()
    for name, plain, thousand in (("byte", "b", 1024), ("hertz", "hz", 1000)):
        for prefix, power in _PREFIXES.items():
            if lower in {prefix + name, f"{prefix}{name}s"}:
                return name, Fraction(thousand) ** power
        if lower.endswith(plain) and lower.removesuffix(plain) in _SHORT:
            return name, Fraction(thousand) ** _SHORT[lower.removesuffix(plain)]
    if lower in {"bit", "percent", "count"}:
        return lower, Fraction(1)
    return None


def _power(base: str, exponent: str) -> Fraction:
    number, power = int(base), int(exponent)
    if number in {0, 1}:
        return Fraction(number if power else 1) if number or power >= 0 else Fraction(0)
    # 2^64 is the most in any case: what is beyond it is not worked out.
    if abs(power) > 64:
        raise HugeNumberError(f"{base}^{exponent} is over 2^64")
    return Fraction(number) ** power
