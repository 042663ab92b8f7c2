"""From a foreign error to one of ours, by its code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from vboxkit.com.api import ForeignError
from vboxkit.com.translation import _CLASSES, error_class, translated, translation
from vboxkit.errors import (
    AlreadyExistsError,
    ApiError,
    ConnectionLostError,
    InvalidStateError,
    NotFoundError,
    PasswordError,
    StorageError,
)

if TYPE_CHECKING:
    from vboxkit.com.api import Api


class ForeignProblem(Exception):  # noqa: N818 - named by others
    """What a way in raises."""


class Seam:
    """As much of an `Api` as translation needs."""

    audit = None

    def __init__(self, foreign: ForeignError) -> None:
        self._foreign = foreign

    def foreign(self, error: BaseException) -> ForeignError | None:
        """Know only `ForeignProblem`."""
        return self._foreign if isinstance(error, ForeignProblem) else None


def seam(symbol: str, *, lost: bool = False) -> Api:
    """Return a way in whose errors are this one."""
    return cast("Api", Seam(ForeignError(0x80BB0001, symbol, "its words", lost)))


@pytest.mark.parametrize(
    ("symbol", "cls"),
    [
        ("VBOX_E_OBJECT_NOT_FOUND", NotFoundError),
        ("VBOX_E_INVALID_VM_STATE", InvalidStateError),
        ("VBOX_E_INVALID_OBJECT_STATE", InvalidStateError),
        ("VBOX_E_INVALID_SESSION_STATE", InvalidStateError),
        ("VBOX_E_OBJECT_IN_USE", InvalidStateError),
        ("VBOX_E_FILE_ERROR", StorageError),
        ("VBOX_E_IPRT_ERROR", StorageError),
        ("VBOX_E_PASSWORD_INCORRECT", PasswordError),
        ("E_ACCESSDENIED", InvalidStateError),
        ("E_INVALIDARG", ApiError),
        ("VBOX_E_VM_ERROR", ApiError),
        ("0x80bb9999", ApiError),
    ],
)
def test_class_by_symbol(symbol: str, cls: type[ApiError]) -> None:
    """Each code of the table has its class; all others are plain `ApiError`."""
    assert error_class(ForeignError(1, symbol, "")) is cls
    assert (symbol in _CLASSES) == (cls is not ApiError)


def test_the_table_is_tested_whole() -> None:
    """The list above has every line of the table."""
    marks = cast("Any", test_class_by_symbol).pytestmark
    assert set(_CLASSES) <= {symbol for symbol, _ in marks[0].args[1]}


@pytest.mark.parametrize("symbol", ["E_FAIL", "VBOX_E_OBJECT_NOT_FOUND"])
def test_a_lost_connection_comes_first(symbol: str) -> None:
    """Whatever the code: who is gone is gone, and the hint says what to do."""
    foreign = ForeignError(1, symbol, "", lost=True)
    assert error_class(foreign) is ConnectionLostError
    assert "new process" in (translation(foreign, operation="read").hint or "")


def test_a_name_that_is_taken_has_no_code() -> None:
    """createMachine() says "already exists" with the code of file errors."""
    foreign = ForeignError(1, "VBOX_E_FILE_ERROR", "Machine settings file 'x' already exists")
    assert error_class(foreign) is AlreadyExistsError


def test_the_message_has_object_state_operation_words_and_code() -> None:
    """All that helps is in one line."""
    error = translation(
        ForeignError(0x80BB0002, "VBOX_E_INVALID_VM_STATE", " not now \n"),
        operation="take a snapshot",
        subject="machine 'web'",
        state="Paused",
    )
    assert str(error) == (
        "machine 'web' (Paused): cannot take a snapshot: not now [VBOX_E_INVALID_VM_STATE]\n"
        "  try: shutdown() or power_off() the machine first"
    )
    assert isinstance(error, InvalidStateError)
    assert (error.code, error.symbol) == (0x80BB0002, "VBOX_E_INVALID_VM_STATE")
    assert (error.operation, error.state) == ("take a snapshot", "Paused")


def test_without_words() -> None:
    """An error without a text says so."""
    assert "gave no reason" in str(translation(ForeignError(1, "E_FAIL", ""), operation="x"))


def test_foreign_errors_are_translated_with_their_cause() -> None:
    """`raise ... from`: the original is there, and the state is read only now."""
    asked: list[str] = []

    def state() -> str:
        asked.append("state")
        return "Running"

    original = ForeignProblem("x")
    with pytest.raises(NotFoundError) as caught:
        with translated(seam("VBOX_E_OBJECT_NOT_FOUND"), "find", subject="disk", state=state):
            assert asked == []
            raise original
    assert caught.value.__cause__ is original
    assert asked == ["state"]
    assert str(caught.value).startswith("disk (Running): cannot find: its words")


def test_our_own_errors_pass() -> None:
    """What is not foreign is not touched."""
    ours = KeyError("x")
    with pytest.raises(KeyError) as caught, translated(seam("E_FAIL"), "work"):
        raise ours
    assert caught.value is ours


@pytest.mark.parametrize("lost", [True, False])
def test_a_state_that_cannot_be_read_hides_nothing(*, lost: bool) -> None:
    """A dead connection is not asked; a failing look does not replace the error."""
    asked: list[str] = []

    def state() -> str:
        asked.append("state")
        raise ForeignProblem

    with pytest.raises(ApiError, match="its words"):
        with translated(seam("E_FAIL", lost=lost), "work", subject="it", state=state):
            raise ForeignProblem
    assert asked == ([] if lost else ["state"])
