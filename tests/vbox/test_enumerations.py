"""Names and numbers are those of the running VirtualBox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit import MachineState
from vboxkit.com import translation, xpcom
from vboxkit.errors import NotFoundError, UnsupportedVersionError
from vboxkit.machines.states import SessionState

if TYPE_CHECKING:
    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


def test_every_machine_state_has_one_name(vbox: VirtualBox) -> None:
    """From name to value and back; bounds such as FirstOnline give the state that they are."""
    api = vbox._api
    names = api.names("MachineState")
    assert {"PoweredOff", "Running", "Saved", "Aborted"} <= set(names)
    for name in names:
        back = api.name("MachineState", api.value("MachineState", name))
        if name.startswith(("First", "Last")):
            assert api.value("MachineState", back) == api.value("MachineState", name)
            assert not back.startswith(("First", "Last"))
        else:
            assert back == name


@pytest.mark.parametrize(
    ("enumeration", "states"),
    [("MachineState", list(MachineState)), ("SessionState", list(SessionState))],
)
def test_our_states_are_virtualboxs(
    vbox: VirtualBox, enumeration: str, states: list[MachineState]
) -> None:
    """Each state of our enumerations exists in the running version."""
    for state in states:
        assert vbox._api.name(enumeration, vbox._api.value(enumeration, str(state))) == state


def test_a_state_that_we_do_not_know_is_kept(vbox: VirtualBox) -> None:
    """A name that only VirtualBox knows is a state like the others; numbers stay readable."""
    unknown = MachineState("Levitating")
    assert str(unknown) == unknown == "Levitating"
    assert vbox._api.name("MachineState", 4711) == "MachineState(4711)"


def test_an_unknown_name_lists_the_known_ones(vbox: VirtualBox) -> None:
    """The error names enumeration, version and all names."""
    with pytest.raises(UnsupportedVersionError) as caught:
        vbox._api.value("MachineState", "Levitating")
    assert ".".join(map(str, vbox.version)) in str(caught.value)
    assert "PoweredOff" in str(caught.value)


def test_every_result_code_resolves(vbox: VirtualBox) -> None:
    """The running version has a number for each result code that we know by name."""
    symbols = set(vbox._api._symbols.values())  # type: ignore[attr-defined]
    assert set(xpcom._RESULT_CODES) <= symbols
    assert {name for name in translation._CLASSES if name.startswith("VBOX_E")} <= symbols


def test_a_foreign_error_is_read_by_number(vbox: VirtualBox, machine: Machine) -> None:
    """Symbol, code and text of a real error are VirtualBox's; the original is the cause."""
    with pytest.raises(NotFoundError) as caught, vbox._translated("find it"):
        vbox.com.findMachine("no-such-machine")
    error = caught.value
    assert (error.symbol, error.code) == ("VBOX_E_OBJECT_NOT_FOUND", 0x80BB0001)
    assert "no-such-machine" in error.text
    assert error.operation == "find it"
    assert vbox._api.foreign(error.__cause__ or error) is not None
    assert vbox._api.foreign(ValueError("ours")) is None
