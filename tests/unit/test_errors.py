"""Every error: pickled whole, and drawn as it is."""

from __future__ import annotations

import inspect
import pickle
import re
import sys
from typing import Any

import pytest

from vboxkit import errors
from vboxkit.errors import (
    ApiError,
    CleanupError,
    CommandFailedError,
    CommandTimeoutError,
    OvfError,
    PortInUseError,
    StartError,
    VBoxKitError,
    WaitTimeoutError,
)

ALL = [cls for name in errors.__all__ if issubclass(cls := getattr(errors, name), VBoxKitError)]


def sample(cls: type[VBoxKitError]) -> VBoxKitError:
    """Make an error with all attributes set to something of their own."""
    if issubclass(cls, WaitTimeoutError):
        return cls("it", waited=1.5, last_seen="Starting", evidence="log", hint="try")
    if issubclass(cls, OvfError):
        return cls("a.ova", "cut", element="disk", hint="try")
    if issubclass(cls, CleanupError):
        return cls("left:", left=["a", "b"], hint="try")
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        texts = {"port": 2222, "code": 0x80BB0001, "result": {"exit": 1}}
        many = ("available", "needed", "chain")
        given[name] = ["x", "y"] if name in many else texts.get(name, f"its {name}")
    if issubclass(cls, ApiError):
        given |= {"code": 7, "symbol": "S", "text": "T", "operation": "do", "hint": "try"}
    return cls("what happened", **given)


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_pickles_with_all_that_it_knows(cls: type[VBoxKitError], protocol: int) -> None:
    """Class, arguments, attributes, hint, notes and text survive the way to another process."""
    error = sample(cls)
    error.__notes__ = ["a note"]  # add_note() is not in 3.10
    again = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own bytes
    assert type(again) is cls
    assert again.args == error.args
    assert vars(again) == vars(error)
    assert str(again) == str(error)
    assert again.__notes__ == ["a note"]
    assert len(vars(error)) >= 2


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_is_caught_by_the_common_base(cls: type[VBoxKitError]) -> None:
    """`except VBoxKitError` catches all, and the message can be read."""
    with pytest.raises(VBoxKitError) as caught:
        raise sample(cls)
    assert caught.value.message
    assert caught.value.message in str(caught.value)


def drawn() -> dict[str, tuple[str | None, set[str]]]:
    """Read the tree in the docstring: name -> (parent, builtin bases)."""
    found: dict[str, tuple[str | None, set[str]]] = {}
    parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"([│├└─ ]*)([A-Z]\w+Error)\b(.*)", line)
        if match is None:
            continue
        depth = len(match[1]) // 4
        also = re.search(r"\(also (\w+)\)", match[3])
        parents[depth:] = [match[2]]
        parent = parents[depth - 1] if depth else None
        found[match[2]] = (parent, {also[1]} if also else set())
    return found


def test_the_tree_is_drawn_as_it_is() -> None:
    """The drawing at the top of the module has every class, its parent and its builtin bases."""
    real: dict[str, tuple[str | None, set[str]]] = {}
    for cls in ALL:
        ours = [base.__name__ for base in cls.__bases__ if issubclass(base, VBoxKitError)]
        assert len(ours) <= 1
        builtin = {base.__name__ for base in cls.__bases__ if base.__module__ == "builtins"}
        real[cls.__name__] = (ours[0] if ours else None, builtin - {"Exception"})
    assert drawn() == real


def test_all_names_are_public() -> None:
    """`__all__` is sorted and holds every class of the module."""
    classes = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__.startswith(f"{errors.__name__}.")
    }
    assert classes == set(errors.__all__)
    assert list(errors.__all__) == sorted(errors.__all__)


def test_the_hint_ends_the_message() -> None:
    """What to try is a line of its own; without it there is none."""
    assert str(VBoxKitError("broken", hint="mend it")) == "broken\n  try: mend it"
    assert str(VBoxKitError("broken")) == "broken"


def test_logs_and_evidence_follow_the_message() -> None:
    """The long part comes last."""
    assert str(StartError("ended", log="line", hint="h")).endswith("try: h\nline")
    timeout = WaitTimeoutError("it", waited=1, last_seen=None, evidence="serial")
    assert str(timeout).splitlines()[-1] == "serial"


def test_what_is_left_is_a_line_each() -> None:
    """`CleanupError` lists its leftovers in the message."""
    error = CleanupError("left:", left=["/a", "/b"])
    assert str(error).splitlines() == ["left:", "  /a", "  /b"]
    assert error.left == ("/a", "/b")


def test_ovf_errors_name_file_and_element() -> None:
    """The message begins with the place."""
    assert str(OvfError("a.ova", "cut")) == "a.ova: cut"
    assert str(OvfError("a.ova", "cut", element="disk")) == "a.ova: disk: cut"


def test_os_errors_keep_our_text() -> None:
    """Errors that are OSErrors too do not lose their message to OSError's own formatting."""
    error = PortInUseError("taken", host_ip="127.0.0.1", port=22, holder="sshd", hint="other")
    assert str(error) == "taken\n  try: other"
    assert (error.host_ip, error.port, error.holder) == ("127.0.0.1", 22, "sshd")


@pytest.mark.parametrize("cls", [CommandFailedError, CommandTimeoutError])
def test_command_errors_carry_the_result(cls: type[Any]) -> None:
    """The result is there as it was given."""
    result = object()
    assert cls("failed", result=result).result is result


@pytest.mark.skipif(sys.version_info < (3, 11), reason="add_note() came with Python 3.11")
def test_notes_survive_pickling() -> None:
    """Notes added on the way are kept."""
    error = VBoxKitError("broken")
    error.add_note("while cleaning up")  # type: ignore[attr-defined,unused-ignore]
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert again.__notes__ == ["while cleaning up"]
