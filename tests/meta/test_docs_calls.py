"""Calls that pages show in passing, as in tables: each fits the signature of what it calls."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from tests.meta.test_coverage import resolve
from tests.meta.test_docs import INLINE, NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator


def _calls() -> Iterator[tuple[str, str]]:
    for parameter in INLINE:
        page, code = (str(it) for it in parameter.values)
        if "..." not in code and "NAME" not in code and _call(code) is not None:
            yield page, code


def _call(code: str) -> ast.Call | None:
    """Return a call of a method of one of the names, if the code is one."""
    try:
        call = ast.parse(code, mode="eval").body
    except SyntaxError:  # a command, or a piece
        return None
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
        return None
    place = call.func.value
    return call if isinstance(place, ast.Name) and place.id in NAMES else None


CALLS = sorted(set(_calls()))


@pytest.mark.parametrize(("page", "code"), CALLS)
def test_a_call_fits(page: str, code: str) -> None:
    """Its number of arguments, and their names. `x()` stands for any call of it."""
    call = _call(code)
    assert call is not None
    assert isinstance(call.func, ast.Attribute)
    assert isinstance(call.func.value, ast.Name)
    if not call.args and not call.keywords:
        return
    method: Any = resolve(f"{NAMES[call.func.value.id]}.{call.func.attr}")
    method = getattr(method, "__func__", method)
    named = {keyword.arg: None for keyword in call.keywords if keyword.arg}
    inspect.signature(method).bind("self", *call.args, **named)  # raises what does not fit


def test_there_are_some() -> None:
    """The tables are found."""
    assert len(CALLS) > 15


def test_a_call_that_does_not_fit_is_found() -> None:
    """The check itself."""
    with pytest.raises(TypeError):
        test_a_call_fits("a page", "machine.resize(memory=2048)")
    with pytest.raises(TypeError):
        test_a_call_fits("a page", "machine.shutdown(60, 61, 62)")
